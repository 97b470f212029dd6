"""Rotations and rigid motions: the exponential, a turn by hand, then the laws of the group."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.func import jacrev
from torch.testing import assert_close

from ssmde.geometry import axis_angle_to_matrix, invert_motion, rigid_motion
from ssmde.geometry.camera import SMALL_ANGLE_SQUARED

QUARTER = math.pi / 2
THRESHOLD = math.sqrt(SMALL_ANGLE_SQUARED)
vectors = st.tuples(*[st.floats(-3, 3)] * 3).map(lambda v: torch.tensor(v, dtype=torch.float64))
ANGLES = [0.0, 1e-12, 1e-6, 0.999 * THRESHOLD, 1.001 * THRESHOLD, 0.1, 1.0, 3.0, math.pi - 1e-7]


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def turned(angle: float) -> torch.Tensor:
    return angle * double(2, -3, 6) / 7


def moved(T: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    return (T @ torch.cat([point, double(1)]))[:3]


@pytest.mark.parametrize("angle", ANGLES)
def test_the_rotation_is_the_exponential_of_the_cross_matrix(angle):
    cross = torch.linalg.cross(turned(angle).expand(3, 3), torch.eye(3).double()).T
    term = series = torch.eye(3, dtype=torch.float64)
    for k in range(1, 40):
        term = term @ cross / k
        series = series + term
    assert_close(axis_angle_to_matrix(turned(angle)), series, atol=5e-15, rtol=0)


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.9 * THRESHOLD, 1.1 * THRESHOLD, 1.0, 3.0])
def test_gradients_of_rotations_match_finite_differences(angle):
    v = turned(angle).requires_grad_()
    assert gradcheck(axis_angle_to_matrix, (v,))
    if angle < 1:
        exact, found = (jacrev(axis_angle_to_matrix)(x.detach()) for x in (v, v.float()))
        assert_close(found, exact.float(), atol=1e-6, rtol=0)


def test_a_motion_turns_first_and_moves_second():
    T_a_b = rigid_motion(QUARTER * double(0, 1, 0), double(10, 20, 30))
    assert_close(moved(T_a_b, double(0, 0, 1)), double(11, 20, 30))


@given(vectors, vectors, vectors, vectors, vectors)
def test_neighbouring_names_match_in_a_product(r1, t1, r2, t2, x_c):
    T_a_b, T_b_c = rigid_motion(r1, t1), rigid_motion(r2, t2)
    T_a_c = T_a_b @ T_b_c
    assert_close(moved(T_a_c, x_c), moved(T_a_b, moved(T_b_c, x_c)))
    assert_close(T_a_c @ invert_motion(T_b_c), T_a_b)


@given(vectors, vectors, vectors)
def test_the_inverse_exchanges_the_two_names(rotation, translation, x_b):
    T_a_b = rigid_motion(rotation, translation)
    T_b_a = invert_motion(T_a_b)
    assert_close(moved(T_b_a, moved(T_a_b, x_b)), x_b)
    assert_close(T_b_a, torch.linalg.inv(T_a_b))


def test_gradients_of_motions_match_finite_differences():
    rotation, translation = (x.requires_grad_() for x in (double(0.1, 0.2, -0.3), double(1, 2, 3)))
    assert gradcheck(rigid_motion, (rotation, translation))
    T = rigid_motion(rotation, translation).detach()
    assert gradcheck(invert_motion, (T.requires_grad_(),))


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_any_batch_shape_gives_what_each_motion_gives_alone(shape):
    v, t = torch.randn(*shape, 3), torch.randn(*shape, 3)
    T = rigid_motion(v, t)
    assert T.shape == (*shape, 4, 4)
    pairs = zip(v.reshape(-1, 3), t.reshape(-1, 3), strict=True)
    alone = [rigid_motion(*pair) for pair in pairs]
    assert_close(list(T.reshape(-1, 4, 4)), alone)
    assert_close(list(invert_motion(T).reshape(-1, 4, 4)), [invert_motion(a) for a in alone])
