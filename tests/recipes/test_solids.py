"""Solids of drawn photos against formulas by hand: blocks, cones, cushions, foliage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photographs.solids import Block, Cone, Cushion, Leaves
from ssmde.synthetic.scene import Box, sphere

AHEAD = np.array([[0.0, 0.0, 1.0]])


def rays(count, seed=0):
    """Rays from around (0, 0, -4) that mostly meet something of size 1 at the origin."""
    rng = np.random.default_rng(seed)
    start = np.array([0.0, 0.0, -4.0]) + rng.uniform(-0.5, 0.5, (count, 3))
    goal = rng.uniform(-0.9, 0.9, (count, 3))
    return start, goal - start


# Exact cases.


def test_a_cylinder_is_met_its_radius_before_its_axis_and_has_flat_ends_unless_open():
    cylinder = Cone(2.0, (0.5, 0.5))
    assert cylinder.meet(np.array([[0.0, 1.0, -4.0]]), AHEAD)[0] == pytest.approx(3.5)
    # Beside the axis by 0.3: sqrt(0.5^2 - 0.3^2) = 0.4.
    assert cylinder.meet(np.array([[0.3, 1.0, -4.0]]), AHEAD)[0] == pytest.approx(3.6)
    assert np.isinf(cylinder.meet(np.array([[0.51, 1.0, -4.0]]), AHEAD)[0])
    assert np.isinf(cylinder.meet(np.array([[0.0, 2.1, -4.0]]), AHEAD)[0])
    above = np.array([[0.2, -3.0, 0.1]]), np.array([[0.0, 1.0, 0.0]])
    assert cylinder.meet(*above)[0] == pytest.approx(3.0)
    assert np.isinf(Cone(2.0, (0.5, 0.5), open=True).meet(*above)[0])
    surface = cylinder.surface(np.array([[0.0, 0.0, 0.1], [0.1, 2.0, 0.0], [0.5, 1.0, 0.0]]))
    assert surface.normals.tolist() == [[0, -1, 0], [0, 1, 0], [1, 0, 0]]
    assert surface.axis.tolist() == [1, 1, -1]


def test_a_cone_is_as_wide_as_its_height_says():
    cone = Cone(1.0, (0.0, 1.0))  # the tip is up
    assert cone.meet(np.array([[0.0, 0.25, -4.0]]), AHEAD)[0] == pytest.approx(3.75)
    assert cone.meet(np.array([[0.0, 0.75, -4.0]]), AHEAD)[0] == pytest.approx(3.25)
    # Its side looks out and up at 45 degrees.
    normal = cone.surface(np.array([[0.0, 0.5, -0.5]])).normals[0]
    assert normal == pytest.approx(np.array([0.0, -1.0, -1.0]) / np.sqrt(2))


def test_a_cushion_is_flat_in_the_middle_and_round_at_its_edges():
    cushion = Cushion((1.0, 0.5, 0.8), 0.3)
    assert cushion.meet(np.array([[0.2, 0.1, -4.0]]), AHEAD)[0] == pytest.approx(3.2)
    # Over the edge by 0.2 of 0.3: sqrt(0.3^2 - 0.2^2) further than 0.8 - 0.3.
    met = cushion.meet(np.array([[0.9, 0.0, -4.0]]), AHEAD)[0]
    assert met == pytest.approx(4.0 - 0.5 - np.sqrt(0.05), abs=1e-5)


def test_leaves_lie_on_their_shells():
    shape = Leaves((1.0, 1.0, 1.0), 0.2)
    start, run = rays(4000)
    t = shape.meet(start, run)
    met = np.isfinite(t)
    assert 0.3 < met.mean() < 1
    radius = np.linalg.norm(start[met] + t[met, None] * run[met], axis=1)
    off = np.abs(radius[:, None] - np.array([1.0, 0.82, 0.58])).min(axis=1)
    assert off.max() < 1e-9


# Laws.


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), half=st.tuples(*[st.floats(0.1, 1.5)] * 3))
def test_a_block_is_a_box_without_lean(seed, half):
    start, run = rays(60, seed)
    expected = Box(half).meet(start, run)
    t = Block(half).meet(start, run)
    assert np.isfinite(t).tolist() == np.isfinite(expected).tolist()
    met = np.isfinite(t)
    assert t[met] == pytest.approx(expected[met], rel=1e-9)
    points = start[met] + t[met, None] * run[met]
    ours, theirs = Block(half).surface(points), Box(half).surface(points)
    assert np.sum(ours.face != theirs.face) <= 1  # on edges, which belong to two faces


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.floats(0.2, 1.2))
def test_a_cushion_that_is_all_rounding_is_a_ball(seed, size):
    start, run = rays(60, seed)
    expected = sphere(size).meet(start, run)
    t = Cushion((size, size, size), size).meet(start, run)
    both = np.isfinite(t) & np.isfinite(expected)
    # A ray that only just touches it may be lost.
    assert both.sum() >= np.isfinite(expected).sum() - 1
    distance = np.linalg.norm(start[both] + t[both, None] * run[both], axis=1)
    assert distance == pytest.approx(size, abs=1e-5)


@pytest.mark.parametrize(
    "shape",
    [
        Block((0.5, 0.4, 0.3)),
        Cone(0.8, (0.2, 0.5)),
        Cone(0.8, (0.5, 0.5), open=True),
        Cushion((0.5, 0.4, 0.3), 0.2),
        Leaves((0.5, 0.6, 0.4), 0.1),
    ],
)
def test_what_rays_meet_is_within_the_bounds(shape):
    start, run = rays(2000)
    t = shape.meet(start, run)
    met = np.isfinite(t)
    assert met.any()
    points = start[met] + t[met, None] * run[met]
    low, high = shape.bounds()
    assert np.all(points > low - 1e-5)
    assert np.all(points < high + 1e-5)
    normals = shape.surface(points).normals
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0)
