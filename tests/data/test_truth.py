"""Frames with measured depth: which they are, and that image and depth stay together."""

from dataclasses import replace

import numpy as np
import pytest

from ssmde.config import DataConfig
from ssmde.data.dataset import SupervisedDepthDataset
from ssmde.data.scene_folder import read_scene
from ssmde.synthetic import draw_clip, write_clip

PLAIN = {"flip": 0.0, "zoom": 1.0, "color_jitter": 0.0}


@pytest.fixture
def room(tmp_path):
    write_clip(draw_clip("room", frames=4, size=(32, 64), seed=1), tmp_path / "room")
    return read_scene(tmp_path / "room")


def test_every_frame_with_measured_depth_is_there_once(room):
    gappy = replace(room, depth=(None, *room.depth[1:3], None))
    data = SupervisedDepthDataset(
        [gappy], DataConfig(image_size=(32, 64), **PLAIN), seed=0, augment=False
    )
    assert [data[i].names[0] for i in range(len(data))] == [room.frame_name(1), room.frame_name(2)]
    assert data[0].images.shape == (1, 1, 3, 32, 64)
    assert data[0].gt_depth.shape == (1, 1, 32, 64)
    assert data[0].gt_depth.median() > 0.5


def test_a_mirrored_frame_has_mirrored_depth(room):
    config = DataConfig(image_size=(32, 64), **PLAIN)
    plain = SupervisedDepthDataset([room], config, seed=0, augment=True)[0]
    mirrored = SupervisedDepthDataset([room], replace(config, flip=1.0), seed=0, augment=True)[0]
    assert (plain.images.flip(-1) == mirrored.images).all()
    assert (plain.gt_depth.flip(-1) == mirrored.gt_depth).all()


def test_an_unreadable_depth_is_skipped_and_named(room):
    room.depth[0].write_bytes(b"no image")
    data = SupervisedDepthDataset(
        [room], DataConfig(image_size=(32, 64), **PLAIN), seed=0, augment=False
    )
    snippet = data[0]
    assert snippet.names[0] == room.frame_name(1)
    assert room.depth[0].name in snippet.broken[0]


def test_scenes_without_any_depth_are_refused(room):
    with pytest.raises(ValueError, match=r"no frame has measured depth .* 'room'"):
        SupervisedDepthDataset([replace(room, depth=None)], DataConfig(), seed=0, augment=False)
    assert np.isfinite(room.intrinsics).all()


def test_each_pattern_of_scenes_has_its_share_and_the_first_that_fits_counts(room):
    scenes = [replace(room, name=name) for name in ("room_a", "room_b", "real", "other")]
    shares = (("room_b", 0.3), ("room_*", 0.2), ("real", 0.5))
    data = SupervisedDepthDataset(scenes, DataConfig(scene_weights=shares), seed=0, augment=False)
    weights = data.weights()
    per_scene = weights.reshape(4, 4).sum(1)  # four frames a scene
    assert per_scene == pytest.approx([0.2, 0.3, 0.5, 0.25])
    assert weights[:4] == pytest.approx([0.05] * 4)


def test_a_pattern_that_fits_no_scene_is_refused(room):
    data = DataConfig(scene_weights=(("rom_*", 1.0),))
    with pytest.raises(ValueError, match="no scene with measured depth is called 'rom_"):
        SupervisedDepthDataset([room], data, seed=0, augment=False).weights()


def test_a_scene_without_a_camera_is_taken_where_no_term_needs_one(room):
    unknown = replace(room, intrinsics=None)
    with pytest.raises(ValueError, match="intrinsics are unknown"):
        SupervisedDepthDataset([unknown], DataConfig(image_size=(32, 64)), seed=0, augment=False)
    data = SupervisedDepthDataset(
        [unknown], DataConfig(image_size=(32, 64)), seed=0, augment=False, with_cameras=False
    )
    assert data[0].intrinsics.isnan().all()


def test_each_training_size_is_what_the_key_asks_for(room):
    config = DataConfig(image_size=(32, 64), more_sizes=((64, 32),), degrade=1.0)
    data = SupervisedDepthDataset([room], config, seed=0, augment=True)
    for size, shape in ((0, (32, 64)), (1, (64, 32))):
        snippet = data[(0, 1, size)]
        assert snippet.images.shape[-2:] == snippet.gt_depth.shape[-2:] == shape
