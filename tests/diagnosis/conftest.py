"""A drawn scene for the doctor, its changed copies, and what a look at frames makes of them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssmde.data.scene_folder import read_scene
from ssmde.diagnosis.video import Pairs, video_statistics
from ssmde.synthetic import draw_clip, write_clip

BRIEF = 11, 1  # pairs of neighbors, and at each wider gap


@pytest.fixture(scope="session")
def room():
    """A hand-held walk through a room that has no fault."""
    return draw_clip("room", frames=12, size=(96, 128), seed=1, step=0.15)


@pytest.fixture(scope="session")
def room_folder(room, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "room"
    write_clip(room, folder)
    return folder


@pytest.fixture(scope="session")
def room_video(room_folder):
    return video_statistics(read_scene(room_folder), *BRIEF)


@pytest.fixture
def film(room_folder, tmp_path):
    """Function: a folder with the room, with other images or depth."""

    def written(images=(), depth=(), name="room"):
        folder = shutil.copytree(room_folder, tmp_path / "data" / name, dirs_exist_ok=True)
        for i, image in enumerate(images):
            Image.fromarray(image).save(folder / f"{i:06d}.png")
        for i, metres in enumerate(depth):
            stored = Image.fromarray((1000 * metres).astype(np.uint16))
            stored.save(folder / "depth" / f"{i:06d}.png")
        return folder

    return written


@pytest.fixture
def filmed(film):
    """Function: the room with these images, measured."""
    return lambda images: video_statistics(read_scene(film(images)), *BRIEF)


@pytest.fixture
def measured(room_video):
    """Function: a video of given numbers for each gap; motion and parallax in shares."""

    def make(gaps):
        usual = {"found": 1.0, "motion": 0.03, "parallax": 0.01}
        pairs = {
            gap: Pairs(np.arange(20), *(np.full(20, n) for n in (usual | values).values()))
            for gap, values in gaps.items()
        }
        return replace(room_video, pairs=pairs)

    return make
