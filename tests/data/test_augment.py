"""Augmentation: the camera stays with the image, and one change serves the whole snippet."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.testing import assert_close

from ssmde.config import DataConfig
from ssmde.data import augment
from ssmde.data.images import read_image
from ssmde.geometry.camera import flip_intrinsics

sizes = st.tuples(st.integers(32, 1500), st.integers(32, 1500))


def rng(seed=0):
    return np.random.default_rng(seed)


def photo_of_a_point(path, size, camera, point):
    """Image of a small bright ball around a point, and nothing else."""
    u, v = (camera @ point / point[2])[:2]
    rows, columns = np.mgrid[: size[0], : size[1]]
    sigma = size[1] / 40
    light = 250 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * sigma**2))
    gray = np.repeat(light.round().astype(np.uint8)[..., None], 3, axis=2)
    Image.fromarray(gray).save(path, **({"quality": 98} if path.suffix == ".jpg" else {}))


def center_of(view):
    weights = np.clip(view[1].astype(float) - 10, 0, None)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return [(weights * columns).sum() / weights.sum(), (weights * rows).sum() / weights.sum()]


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize(
    ("stored", "reduction"), [((241, 323), 1), ((375, 501), 2), ((751, 1243), 4)]
)
def test_a_point_lands_where_the_new_camera_projects_it(tmp_path, kind, stored, reduction):
    height, width = stored
    camera = np.array([[0.8 * width, 0, 0.52 * width], [0, 0.9 * height, 0.47 * height], [0, 0, 1]])
    point = np.array([0.09, -0.07, 1.3])
    photo_of_a_point(tmp_path / f"a.{kind}", stored, camera, point)
    data = DataConfig(zoom=1.15, flip=0.5)
    photo, flips = read_image(tmp_path / f"a.{kind}", reduction=reduction), set()
    for seed in range(8):
        framing = augment.draw_framing(rng(seed), data, stored, (128, 160))
        assert framing.reduction == reduction
        view = framing.images([photo])[0]
        assert view.shape == (3, 128, 160)
        new = framing.intrinsics(torch.from_numpy(camera)).numpy()
        seen = point * [-1 if framing.flip else 1, 1, 1]  # a mirror turns the world around
        expected = (new @ seen / seen[2])[:2].tolist()
        assert center_of(view) == pytest.approx(expected, abs=0.1)
        flips.add(framing.flip)
    assert flips == {True, False}


@given(
    stored=sizes, size=st.sampled_from([(64, 96), (256, 192), (128, 416)]), seed=st.integers(0, 9),
    zoom=st.floats(1, 2), keep=st.booleans(),
)  # fmt: skip
def test_the_window_lies_inside_the_frame_and_zooms_within_limits(stored, size, seed, zoom, keep):
    data = DataConfig(zoom=zoom)
    framing = augment.draw_framing(rng(seed), data, stored, size, keep_proportions=keep)
    height, width = (side // framing.reduction for side in stored)
    assert framing.image_size == size
    assert 0 <= framing.left <= width - framing.width
    assert 0 <= framing.top <= height - framing.height
    if not keep:
        assert width / zoom - 0.5 <= framing.width <= width
        assert height / zoom - 0.5 <= framing.height <= height
        return
    shape = framing.width / framing.height / (size[1] / size[0])
    pixel = 1 + 1 / min(framing.width, framing.height)  # a window has whole pixels
    assert 1 / (1.12 * pixel**2) <= shape <= 1.12 * pixel**2


@given(stored=sizes, needed=sizes, zoom=st.floats(1, 2))
def test_a_frame_is_decoded_no_smaller_than_needed(stored, needed, zoom):
    reduction = augment.best_reduction(stored, needed, zoom)
    sides = list(zip(stored, needed, strict=True))
    assert reduction in (1, 2, 4, 8)
    if reduction > 1:
        assert all(have // reduction >= need * zoom for have, need in sides)
    if reduction < 8:
        assert any(have // (2 * reduction) < need * zoom for have, need in sides)


def test_without_zoom_the_whole_frame_is_decoded_small_and_of_a_window_what_it_needs():
    stored, size = (480, 640), (224, 320)
    none, zoom = (DataConfig(zoom=z, flip=0.0) for z in (1.0, 1.15))
    assert augment.draw_framing(rng(), none, stored, size) == augment.whole_frame(stored, size)
    assert augment.draw_framing(rng(), none, stored, size).reduction == 2
    assert augment.draw_framing(rng(), zoom, stored, size).reduction == 1
    framing = augment.draw_framing(rng(), none, stored, (128, 416), keep_proportions=True)
    assert (framing.reduction * framing.height, framing.reduction * framing.width) == (197, 640)
    for seed in range(40):
        framing = augment.draw_framing(
            rng(seed), DataConfig(zoom=4.0), (1536, 2048), (192, 256), keep_proportions=True
        )
        assert framing.width >= 256 - 1
        assert framing.height >= 192 - 1


def jitter(seed=3, *, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0):
    return augment.draw_color(rng(seed), 1.0, (brightness, contrast, saturation, hue))


def test_colors_stay_or_are_jittered_brightness_multiplies_and_contrast_keeps_mid_gray():
    drawn = [not (augment.draw_color(rng(seed), 0.3) == np.eye(3, 4)).all() for seed in range(200)]
    assert 0.22 < np.mean(drawn) < 0.38
    np.testing.assert_allclose(jitter(), np.eye(3, 4), atol=1e-6)
    images = torch.rand(2, 3, 3, 4, 5)
    assert_close(augment.apply_color(images, torch.eye(3, 4).expand(2, 3, 4)), images)
    bright, contrast = jitter(brightness=0.5), jitter(contrast=0.5)
    assert 0.5 <= bright[0, 0] <= 1.5
    np.testing.assert_allclose(bright, bright[0, 0] * np.eye(3, 4), atol=1e-6)
    assert contrast[0, 0] != 1
    np.testing.assert_allclose(contrast[:, :3] @ np.full(3, 0.5) + contrast[:, 3], 0.5, atol=1e-6)
    np.testing.assert_allclose(contrast[:, :3], contrast[0, 0] * np.eye(3), atol=1e-6)


@given(seed=st.integers(0, 1000), gray=st.floats(0, 1))
def test_gray_stays_gray_and_saturation_and_hue_keep_the_luma(seed, gray):
    color = jitter(seed, saturation=0.5, hue=0.5, contrast=0.4, brightness=0.4)
    red, green, blue = color[:, :3] @ np.full(3, gray) + color[:, 3]
    assert (red, green) == (pytest.approx(green, abs=1e-4), pytest.approx(blue, abs=1e-4))
    luma, color = [0.299, 0.587, 0.114], jitter(seed, saturation=0.9, hue=0.5)
    np.testing.assert_allclose(luma @ color[:, :3], luma, atol=1e-5)
    assert color[:, 3].tolist() == [0, 0, 0]


def test_colors_by_hand_clamped_and_the_same_for_all_views():
    pixel = torch.tensor([0.2, 0.4, 0.9]).view(1, 3, 1, 1)
    color = torch.tensor([[[1, 1, 0, 0.1], [0, 1, 0, -0.9], [0, 0, 2, 0]]])
    assert_close(augment.apply_color(pixel, color).flatten(), torch.tensor([0.7, 0.0, 1.0]))
    images = torch.rand(2, 3, 3, 4, 5)
    colors = torch.cat([color, torch.from_numpy(jitter(hue=0.3))[None]])
    together = augment.apply_color(images, colors)
    for view in range(3):
        assert_close(together[:, view], augment.apply_color(images[:, view], colors))


def test_scattered_points_land_where_their_pixels_go():
    stored, size, chance = (48, 96), (32, 64), rng()
    for _ in range(20):
        framing = augment.draw_framing(chance, DataConfig(flip=0.5, zoom=1.5), stored, size)
        K = framing.intrinsics(torch.eye(3, dtype=torch.float64)).numpy()
        pixels = chance.uniform(0, (95, 47), (40, 2)).astype(np.float32)
        if framing.flip:
            K = flip_intrinsics(torch.from_numpy(K), size[1]).numpy()
        view = framing.scatter(pixels, np.arange(1.0, 41.0, dtype=np.float32))
        view = view[:, ::-1] if framing.flip else view
        for row, column in np.argwhere(view > 0):
            u, v = pixels[int(view[row, column]) - 1]
            at = K @ (u, v, 1)
            assert abs(at[0] - column) <= 0.5 + 1e-4
            assert abs(at[1] - row) <= 0.5 + 1e-4


def test_a_degraded_picture_keeps_its_size_and_what_it_shows():
    rows, columns = np.mgrid[:48, :64]  # smooth colors, darkest at the top left
    photo = np.stack([3 * rows + columns, rows + 2 * columns, 2 * rows + 2 * columns], axis=2)
    photo = photo.clip(0, 255).astype(np.uint8)
    assert (augment.degrade(rng(), photo, 0.0) == photo).all()
    for seed in range(25):
        worse = augment.degrade(rng(seed), photo, 1.0)
        assert (worse.shape, worse.dtype) == (photo.shape, np.uint8)
        assert (worse != photo).any()
        before, after = (x.mean(axis=2).ravel() for x in (photo, worse))
        assert np.corrcoef(before, after)[0, 1] > 0.8  # light and dark stay where they are
