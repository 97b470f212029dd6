"""The ray-caster against formulas by hand: shapes, light, bodies that stand and move."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssmde.synthetic.bodies import crate, person
from ssmde.synthetic.raycast import render
from ssmde.synthetic.scene import (
    Body,
    Box,
    Capsule,
    Ellipsoid,
    Part,
    Plane,
    Scene,
    Texture,
    Track,
    sphere,
    stand,
)

SIZE = (33, 41)  # odd, so that the middle pixel looks straight ahead
FOCAL = 40.0
INTRINSICS = np.array([[FOCAL, 0, 20], [0, FOCAL, 16], [0, 0, 1.0]])
PAINT = Texture(base=(0.2, 0.3, 0.4), second=(0.8, 0.7, 0.6))
GROUND = Body((Part(Plane(1), PAINT),), stand(0.0, 0.0))


def still(shape, x=0.0, y=0.0, z=0.0, *, heading=0.0):
    return Body((Part(shape, PAINT),), stand(x, z, y=y, heading=heading))


def walk(x, z, speed, seconds, y=0.0):
    """Along x at an even speed, then at rest."""
    there = np.array([[x, y, z], [x + speed * seconds, y, z]])
    return Track(np.array([0.0, seconds]), there, np.full(2, np.pi / 2))


def look(*bodies, pose=None, y=0.0, at=0.0, light=(0.36, -0.48, -0.8)):
    if pose is None:
        pose = np.eye(4)
        pose[1, 3] = y
    return render(Scene(bodies, light=light, ambient=0.6), pose, INTRINSICS, SIZE, at)


def rays():
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([(u - 20) / FOCAL, (v - 16) / FOCAL, np.ones(SIZE)], axis=-1)


def test_shapes_are_met_where_they_stand_and_a_pixel_shows_what_is_nearest():
    assert np.all(look(still(Plane(2), z=3.7)).depth == np.float32(3.7))
    depth = look(still(sphere(0.75), z=4.0)).depth
    assert depth[16, 20] == np.float32(3.25)
    assert depth[0, 0] == 0.0
    depth = look(still(Box((0.5, 0.4, 1.0)), z=4.0)).depth
    assert depth[16, 20] == pytest.approx(3.0, abs=1e-6)
    # The front face ends at x = 0.5: pixel 20 + 40 * 0.5 / 3 = 26.67.
    assert depth[16, 26] == pytest.approx(3.0, abs=1e-6)
    assert depth[16, 27] == 0.0
    depth = look(still(Plane(2), z=5.0), still(sphere(0.5), z=2.0), still(Plane(2), z=9.0)).depth
    assert (depth[16, 20], depth.max()) == (1.5, 5.0)


def test_a_slanted_wall_and_the_ground_follow_the_closed_formula():
    depth = look(still(Plane(2), z=4.0, heading=0.5)).depth
    # Points of the wall: z = 4 - tan(heading) x.
    np.testing.assert_allclose(depth, 4.0 / (1 + np.tan(0.5) * rays()[..., 0]), rtol=1e-6)
    depth = look(GROUND, y=-1.5).depth
    np.testing.assert_allclose(depth[17:], 1.5 / rays()[17:, :, 1], rtol=1e-6)
    assert np.all(depth[:17] == 0)


def test_a_turned_camera_sees_a_turned_world_and_only_what_moves_is_in_the_mask():
    pose = np.eye(4)
    pose[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # looks along x
    assert np.all(look(still(Plane(0), x=2.5), pose=pose).depth == np.float32(2.5))
    bodies = still(Plane(2), z=6.0), Body((Part(sphere(0.5), PAINT),), walk(0.0, 4.0, 0.5, 1.0))
    moving = look(*bodies, at=0.5)
    np.testing.assert_array_equal(moving.moving == 255, moving.depth < 6)
    assert moving.moving.any()
    assert not look(*bodies, at=3.0).moving.any()  # it has arrived


@given(
    st.floats(-1, 1), st.floats(-1, 1), st.floats(3, 8), st.floats(0.2, 1.5), st.floats(-3, 3),
    st.sampled_from(["box", "leaning", "ellipsoid", "capsule"]),
)  # fmt: skip
@settings(max_examples=12)
def test_every_met_point_lies_on_the_shape(x, y, z, big, heading, kind):
    lean = (0.1, 0.3) if kind == "leaning" else (0.0, 0.0)
    shape = {"ellipsoid": Ellipsoid((big, 0.4, 0.7)), "capsule": Capsule(big, 0.4)}.get(
        kind, Box((big, 0.4, 0.7), lean)
    )
    depth = look(still(shape, x, y, z, heading=heading)).depth.astype(np.float64)
    points = (rays() * depth[..., None])[depth > 0] - [x, y, z]
    c, s = np.cos(heading), np.sin(heading)
    points = points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    if kind == "ellipsoid":
        off = ((points / [big, 0.4, 0.7]) ** 2).sum(1) - 1
    elif kind == "capsule":
        points[:, 1] -= points[:, 1].clip(0, big)
        off = np.linalg.norm(points, axis=1) - 0.4
    else:
        risen = np.outer((0.4 - points[:, 1]) / 0.8, [lean[0], 0.0, lean[1]])
        off = (np.abs(points) - [big, 0.4, 0.7] + risen).max(axis=1)
    assert np.abs(off).max(initial=0) < 1e-4


def test_detail_finer_than_a_pixel_is_evened_out_instead_of_flickering():
    black = (0.0, 0.0, 0.0)
    checks = Texture(base=black, second=black, pattern="checks", period=(0.1, 0.1))
    near, far = (
        look(Body((Part(Plane(2), checks),), stand(0.0, z))).image[..., 0].astype(int)
        for z in (0.5, 20.0)
    )
    # A check is 4 pixels wide at 0.5 m, a tenth of a pixel at 20 m.
    assert np.abs(np.diff(near, axis=1)).max() > 60
    assert np.abs(np.diff(far, axis=1)).max() < 12


@pytest.mark.parametrize(("make", "when"), [(person, 0.3), (person, 0.55), (crate, 0.0)])
def test_bodies_stand_on_the_ground(make, when):
    body = make(np.random.default_rng(4), walk(-0.9 * when, 6.0, 0.95, 1.0))
    seen = look(body, y=-0.02, at=when).depth  # along the ground
    rows = np.flatnonzero((seen > 0).any(axis=1))
    lowest = seen[rows[-1]]
    height = (rows[-1] - 16) / FOCAL * lowest[lowest > 0].mean() - 0.02
    assert height == pytest.approx(0.0, abs=0.1)


def test_a_body_casts_a_shadow_and_darkens_the_ground_it_stands_on():
    above = (0.0, -1.0, 0.0)
    shaded = look(GROUND, still(sphere(0.3), y=-1.0, z=4.0), y=-1.5, light=above)
    bare = look(GROUND, y=-1.5, light=above)
    # Straight below the ball: (0, 0, 4) lies 15 rows under the middle.
    assert shaded.depth[31, 20] == bare.depth[31, 20]
    assert np.all(shaded.image[31, 20] < 0.85 * bare.image[31, 20])
    ball = (Part(sphere(0.3), PAINT, (0.0, -0.3, 0.0)),)
    contact, none = (
        look(GROUND, Body(ball, stand(0.0, 4.0), footprint=f), y=-1.5, light=(0.0, -0.6, 0.8))
        for f in ((0.1, 0.1), None)
    )
    assert np.all(contact.image[32, 20] < 0.8 * none.image[32, 20])
    np.testing.assert_array_equal(contact.image[:, :8], none.image[:, :8])
    np.testing.assert_array_equal(contact.depth, none.depth)
