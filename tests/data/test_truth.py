"""Frames with measured depth: which they are, and that image and depth stay together."""

from dataclasses import replace

import numpy as np
import pytest

from ssmde.config import DataConfig
from ssmde.data.drawn import draw_clip, write_clip
from ssmde.data.scene_folder import read_scene
from ssmde.data.truth import TruthDataset

PLAIN = {"flip": 0.0, "zoom": 1.0, "colour_jitter": 0.0}


@pytest.fixture
def room(tmp_path):
    write_clip(draw_clip("room", frames=4, size=(32, 64), seed=1), tmp_path / "room")
    return read_scene(tmp_path / "room")


def test_every_frame_with_measured_depth_is_there_once(room):
    gappy = replace(room, depth=(None, *room.depth[1:3], None))
    data = TruthDataset([gappy], DataConfig(image_size=(32, 64), **PLAIN), seed=0, augment=False)
    assert [data[i].names[0] for i in range(len(data))] == [room.frame_name(1), room.frame_name(2)]
    assert data[0].images.shape == (1, 1, 3, 32, 64)
    assert data[0].pseudo_depth.shape == (1, 1, 32, 64)
    assert data[0].pseudo_depth.median() > 0.5


def test_a_mirrored_frame_has_mirrored_depth(room):
    config = DataConfig(image_size=(32, 64), **PLAIN)
    plain = TruthDataset([room], config, seed=0, augment=True)[0]
    mirrored = TruthDataset([room], replace(config, flip=1.0), seed=0, augment=True)[0]
    assert (plain.images.flip(-1) == mirrored.images).all()
    assert (plain.pseudo_depth.flip(-1) == mirrored.pseudo_depth).all()


def test_an_unreadable_depth_is_skipped_and_named(room):
    room.depth[0].write_bytes(b"no image")
    data = TruthDataset([room], DataConfig(image_size=(32, 64), **PLAIN), seed=0, augment=False)
    snippet = data[0]
    assert snippet.names[0] == room.frame_name(1)
    assert room.depth[0].name in snippet.broken[0]


def test_scenes_without_any_depth_are_refused(room):
    with pytest.raises(ValueError, match=r"no frame has measured depth .* 'room'"):
        TruthDataset([replace(room, depth=None)], DataConfig(), seed=0, augment=False)
    assert np.isfinite(room.intrinsics).all()
