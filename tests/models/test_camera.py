"""Learnt cameras: always a camera, framed like any other, and blind where video is."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ssmde.geometry.pose import rigid_motion
from ssmde.geometry.warp import reproject
from ssmde.models.camera import LearnedCameras, stored_cameras

HEIGHT, WIDTH = 100, 200
WHOLE = torch.eye(3)[None]
CAMERA = np.array([[150.0, 0, 92], [0, 150, 52], [0, 0, 1]])
any_number = st.floats(-20, 20)


def cameras(count=2, *, hfov_degrees=90.0, aspect=1.0):
    scenes = {f"walk{i}": i for i in range(count)}
    return LearnedCameras(
        scenes, [(HEIGHT, WIDTH)] * count, hfov_degrees=hfov_degrees, aspect=aspect
    )


def test_the_start_is_the_middle_of_the_image_and_the_field_of_view():
    found = cameras(1, aspect=1.1).matrices()[0].detach()
    assert_close(found, torch.tensor([[100.0, 0, 99.5], [0, 110, 49.5], [0, 0, 1]]))


def test_a_view_is_framed_by_hand():
    learnt = cameras(1)
    learnt.start_at("walk0", CAMERA)
    half_mirrored = torch.tensor([[[-0.5, 0, 99.25], [0, 0.5, -0.25], [0, 0, 1]]])
    view = learnt(torch.full((1, 3, 3), torch.nan), half_mirrored, torch.tensor([0]))
    expected = torch.tensor([[[75.0, 0, 53.25], [0, 75, 25.75], [0, 0, 1]]])
    assert_close(view.detach(), expected)


def test_given_cameras_are_untouched_beside_learnt_ones():
    known = torch.rand(3, 3, 3)
    known[1] = torch.nan
    view = cameras()(known, WHOLE.expand(3, 3, 3), torch.tensor([-1, 1, -1]))
    assert torch.equal(view[[0, 2]], known[[0, 2]])
    assert view[1].isfinite().all()


@given(focal=any_number, x=any_number, y=any_number)
def test_whatever_is_learnt_is_a_camera(focal, x, y):
    learnt = cameras(1)
    with torch.no_grad():
        learnt.log_focal.fill_(focal)
        learnt.shift.copy_(torch.tensor([[x, y]]))
    K = learnt.matrices()[0]
    assert K[0, 0] > 0
    assert K[1, 1] > 0
    assert abs(K[0, 2] - 99.5) <= 0.05 * WIDTH + 1e-3
    assert abs(K[1, 2] - 49.5) <= 0.05 * HEIGHT + 1e-3
    assert K[2].tolist() == [0, 0, 1]
    assert (K[0, 1], K[1, 0]) == (0, 0)


def test_gradients_match_finite_differences():
    learnt = cameras().double()
    framing = torch.tensor([[[-0.7, 0, 90], [0, 0.6, 3], [0, 0, 1]]]).double().expand(3, 3, 3)
    known = torch.full((3, 3, 3), torch.nan, dtype=torch.float64)

    def views(log_focal, shift):
        values = {"log_focal": log_focal, "shift": shift}
        given = (known, framing, torch.tensor([1, 0, 1]))
        return torch.func.functional_call(learnt, values, given)

    start = (torch.tensor([0.1, -0.2]), torch.tensor([[0.3, -0.1], [0.0, 0.2]]))
    assert torch.autograd.gradcheck(views, [p.double().requires_grad_() for p in start])


def test_a_camera_learns_from_its_own_views_alone():
    learnt = cameras(3)
    known = torch.full((2, 3, 3), torch.nan)
    known[1] = torch.eye(3)
    learnt(known, WHOLE.expand(2, 3, 3), torch.tensor([2, -1])).sum().backward()
    assert learnt.log_focal.grad[2] > 0
    assert learnt.log_focal.grad[:2].tolist() == [0, 0]
    assert learnt.shift.grad[:2].abs().sum() == 0


def test_a_start_is_found_again_and_one_out_of_bounds_can_still_move():
    learnt = cameras(1)
    learnt.start_at("walk0", CAMERA)
    assert learnt.of_scene("walk0") == pytest.approx(CAMERA, abs=1e-3)
    assert learnt.of_scene("another") is None
    learnt.start_at("walk0", np.array([[150.0, 0, 0], [0, 150, 99], [0, 0, 1]]))
    learnt.matrices()[0, :2, 2].sum().backward()
    assert (learnt.shift.grad > 0).all()


def test_text_in_a_weights_file_is_read_back():
    learnt = cameras(2)
    learnt.start_at("walk1", CAMERA)
    text = learnt.to_text()
    assert json.loads(text)["walk1"]["image_size"] == [HEIGHT, WIDTH]
    found = stored_cameras({"cameras": text, "format": "any"})
    assert list(found) == ["walk0", "walk1"]
    assert found["walk1"] == pytest.approx(CAMERA, abs=1e-3)
    assert stored_cameras({}) == {}


def seen_from_beside(focal, translation, turn_degrees):
    """Pixels of the source for a camera of this focal length, over a random depth."""
    depth = 1 + 3 * torch.rand(1, 1, 8, 12, generator=torch.Generator().manual_seed(3)).double()
    K = torch.tensor([[[focal, 0, 5.5], [0, focal, 3.5], [0, 0, 1]]]).double()
    turn = torch.tensor([[0, math.radians(turn_degrees), 0]]).double()
    T = rigid_motion(turn, torch.tensor([translation]).double())
    return reproject(depth, T, K).pixels


def test_without_rotation_no_pixel_tells_the_focal_length_and_with_it_pixels_do():
    def difference(turn):
        short, long = ((10.0, (0.2, -0.1, 0.3)), (20.0, (0.1, -0.05, 0.3)))
        return (seen_from_beside(*short, turn) - seen_from_beside(*long, turn)).abs().max()

    assert difference(0.0) < 1e-12
    assert difference(5.0) > 0.1
