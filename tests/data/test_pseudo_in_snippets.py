"""Labels in a snippet: framed as the image is, turned into depth, fitted where asked."""

from dataclasses import replace

import numpy as np
import pytest

from ssmde.config import Config, DataConfig, LossConfig
from ssmde.data.dataset import SnippetDataset
from ssmde.data.pseudo_depth import LabelInfo, write_labels
from ssmde.data.scene_files import write_tracked_points
from ssmde.data.scene_folder import read_scene
from ssmde.synthetic import draw_clip, write_clip

PLAIN = DataConfig(image_size=(32, 64), flip=0.0, zoom=1.0, color_jitter=0.0)


def room(folder, kind="depth", change=lambda depth: depth):
    clip = draw_clip("room", frames=5, size=(32, 64), seed=1)
    write_clip(clip, folder / "room")
    maps = {
        f.stem: change(clip.depth[i]).astype(np.float32)
        for i, f in enumerate(sorted((folder / "room").glob("*.png")))
    }
    info = LabelInfo(source="test", kind=kind, affine=True, licence="none")
    write_labels(folder / "room" / "pseudo_depth", info, maps)
    return read_scene(folder / "room"), clip


def labels(scene, data=PLAIN, **asked):
    return SnippetDataset([scene], data, seed=0, augment=True, labels=True, **asked)


def test_a_label_is_framed_as_its_image(tmp_path):
    scene, clip = room(tmp_path)
    plain, mirrored = labels(scene)[0], labels(scene, replace(PLAIN, flip=1.0))[0]
    assert plain.names[0] == scene.frame_name(1)
    expected = clip.depth[1] / clip.depth[1].max()
    np.testing.assert_allclose(plain.pseudo_depth[0, 0], expected, atol=2e-5)
    np.testing.assert_array_equal(mirrored.pseudo_depth[0, 0], plain.pseudo_depth[0, 0].flip(-1))
    assert plain.to_float().pseudo_depth.shape == (1, 1, 32, 64)


def test_a_disparity_becomes_a_depth_that_is_larger_where_it_is_farther(tmp_path):
    scene, clip = room(tmp_path, "disparity", lambda depth: 1 / depth)
    found = labels(scene)[0].pseudo_depth[0, 0].numpy().ravel()
    order = np.argsort(clip.depth[1].ravel())
    assert (np.diff(found[order]) >= -1e-3).all()
    assert found.max() < 60


def test_a_fitted_label_is_in_the_unit_of_the_tracked_points(tmp_path):
    scene, clip = room(tmp_path, change=lambda depth: 0.3 * depth + 1)
    rng = np.random.default_rng(0)
    points = {}
    for frame in (1, 2):
        u, v = rng.integers(0, 64, 80), rng.integers(0, 32, 80)
        points[frame] = (np.stack([u, v], axis=1).astype(np.float32), clip.depth[frame][v, u] / 5)
    write_tracked_points(tmp_path / "room", points)
    data = labels(scene, fit_labels=True)
    np.testing.assert_allclose(data[0].pseudo_depth[0, 0], clip.depth[1] / 5, rtol=2e-3)
    assert not data[2].pseudo_depth.any(), "frame 3 has no points to fit to"


def test_fitting_asks_for_points_and_for_tracked_poses(tmp_path):
    scene, _ = room(tmp_path)
    with pytest.raises(ValueError, match=r"tracked_points.npz: no such file; `ssmde track"):
        labels(scene, fit_labels=True)
    with pytest.raises(ValueError, match=r"'room': there is no .*pseudo_depth; `ssmde label"):
        labels(replace(scene, pseudo_depth=None))


def test_tracked_points_come_as_a_sparse_map_of_the_framed_image(tmp_path):
    scene, _ = room(tmp_path)
    pixels = np.array([(3, 5), (3, 5), (60, 20), (30, 10)], dtype=np.float32)
    depth = np.array([0.9, 0.7, 1.5, 0.01], dtype=np.float32)  # the last is no depth of this scene
    write_tracked_points(tmp_path / "room", {1: (pixels, depth)})
    data = SnippetDataset([scene], PLAIN, seed=0, augment=True, with_points=True)
    found = data[0].to_float().sparse_depth
    assert found.shape == (1, 1, 32, 64)
    assert found[0, 0, 5, 3] == np.float32(0.7), "the nearest of two points hides the other"
    assert found[0, 0, 20, 60] == np.float32(1.5)
    assert (found > 0).sum() == 2
    mirrored = SnippetDataset(
        [scene], replace(PLAIN, flip=1.0), seed=0, augment=True, with_points=True
    )
    np.testing.assert_array_equal(mirrored[0].sparse_depth, found.flip(-1))
    assert not data[1].sparse_depth.any(), "frame 2 has no points"


def test_the_points_term_needs_tracked_poses():
    with pytest.raises(ValueError, match=r"loss.sparse_depth .* data.poses tracked, got none"):
        Config(loss=LossConfig(sparse_depth=0.5))
