"""The pinhole camera: where points land, and where they land once the image is edited."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.testing import assert_close

from ssmde.geometry import (
    backproject,
    crop_intrinsics,
    flip_intrinsics,
    pixel_grid,
    project,
    scale_intrinsics,
)

H, W = 48, 64
POINT = torch.tensor([0.137, 0.061, 2.0], dtype=torch.float64)  # seen near the image center


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def make_intrinsics(fx=40.0, fy=50.0, cx=28.5, cy=21.0, batch=1) -> torch.Tensor:
    return double(fx, 0, cx, 0, fy, cy, 0, 0, 1).view(3, 3).repeat(batch, 1, 1)


def random_depth(batch=1) -> torch.Tensor:
    return 1 + torch.rand(batch, 1, 5, 7, dtype=torch.float64)


def pixel_of(point: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    return project(point[None, None, None], K)[0, 0, 0]


def draw_point(pixel: torch.Tensor) -> torch.Tensor:
    """An image of a soft dot around a real-valued pixel."""
    u, v = pixel_grid(H, W, like=pixel).unbind(-1)
    return torch.exp(-((u - pixel[0]) ** 2 + (v - pixel[1]) ** 2) / (2 * 2.0**2))


def assert_dot_is_at(image: torch.Tensor, pixel: torch.Tensor) -> None:
    """Center of mass: (column, row) of the dot."""
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in image.shape)
    found = torch.stack([image.sum(0) @ columns, image.sum(1) @ rows]) / image.sum()
    assert_close(found, pixel, atol=0.02, rtol=0)


def test_a_pixel_is_column_then_row_and_integers_are_centres():
    grid = pixel_grid(2, 3, like=torch.zeros(()))
    assert grid.tolist() == [[[0, 0], [1, 0], [2, 0]], [[0, 1], [1, 1], [2, 1]]]
    assert grid.dtype == torch.float32


def test_x_points_right_y_down_and_z_forward():
    K = make_intrinsics(10.0, 20.0, 30.0, 20.0)
    points = backproject(torch.full((1, 1, H, W), 3.0).double(), K)
    assert points[0, 20, 30].tolist() == [0, 0, 3]
    assert_close(points[0, 20, 31], double(0.3, 0, 3))
    assert_close(points[0, 21, 30], double(0, 0.15, 3))


@given(
    f=st.tuples(st.floats(5, 5000), st.floats(5, 5000)),
    c=st.tuples(st.floats(-100, 5000), st.floats(-100, 5000)),
    scale=st.floats(0.01, 1000),
)
def test_lifting_and_projecting_returns_to_the_same_pixel_by_the_camera_of_each_image(f, c, scale):
    depth, K = scale * random_depth(2), torch.cat([make_intrinsics(*f, *c), make_intrinsics()])
    for pixels in project(backproject(depth, K), K):
        assert_close(pixels, pixel_grid(5, 7, like=depth), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("z", [-2.0, 0.0, 1e-6])
def test_points_behind_or_at_the_camera_have_finite_pixels_and_gradients(z):
    point = torch.tensor([[[[0.3, -0.2, z]]]], requires_grad=True)
    pixels = project(point, make_intrinsics().float())
    pixels.sum().backward()
    assert pixels.isfinite().all()
    assert point.grad is not None
    assert point.grad.isfinite().all()


@pytest.mark.parametrize("size", [(24, 32), (96, 128), (36, 80)])
def test_a_point_of_a_resized_image_lies_where_the_scaled_camera_sees_it(size):
    height, width = size
    K = make_intrinsics()
    image, expected = draw_point(pixel_of(POINT, K)), scale_intrinsics(K, width / W, height / H)
    resized = F.interpolate(image[None, None], size, mode="bilinear", antialias=True)[0, 0]
    assert_dot_is_at(resized, pixel_of(POINT, expected))
    picture = Image.fromarray(image.numpy().astype(np.float32))
    by_pil = np.array(picture.resize((width, height), Image.Resampling.BILINEAR))
    assert_dot_is_at(torch.from_numpy(by_pil).double(), pixel_of(POINT, expected))


def test_a_point_of_a_cropped_or_mirrored_image_lies_where_the_edited_camera_sees_it():
    K = make_intrinsics()
    image = draw_point(pixel_of(POINT, K))
    assert_dot_is_at(image[9:, 13:], pixel_of(POINT, crop_intrinsics(K, left=13, top=9)))
    mirror_image = pixel_of(POINT * double(-1, 1, 1), flip_intrinsics(K, W))
    assert_dot_is_at(image.flip(-1), mirror_image)


@given(sx=st.floats(0.1, 10), sy=st.floats(0.1, 10), left=st.floats(-50, 50))
def test_every_edit_has_an_inverse_takes_any_batch_shape_and_changes_nothing_else(sx, sy, left):
    K = make_intrinsics(batch=6).unflatten(0, (2, 3))
    before = K.clone()
    for edit, undo in (
        (lambda K: scale_intrinsics(K, sx, sy), lambda K: scale_intrinsics(K, 1 / sx, 1 / sy)),
        (lambda K: crop_intrinsics(K, left, 3), lambda K: crop_intrinsics(K, -left, -3)),
        (lambda K: flip_intrinsics(K, W), lambda K: flip_intrinsics(K, W)),
    ):
        assert edit(K)[1, 2].tolist() == edit(K[0, 0]).tolist()
        assert_close(undo(edit(K)), K)
    assert torch.equal(K, before)
