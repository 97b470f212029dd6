"""Drawn scenes for the doctor: a good one, and what a look at frames makes of them."""

from dataclasses import replace

import pytest

from doctor_scenes import BRIEF, draw, numbers
from ssmde.data.scene_folder import read_scene
from ssmde.diagnosis.video import video_statistics
from ssmde.synthetic import write_clip


@pytest.fixture(scope="session")
def room():
    """A hand-held walk through a room that has no fault."""
    return draw()


@pytest.fixture(scope="session")
def room_video(room, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "room"
    write_clip(room, folder)
    return video_statistics(read_scene(folder), BRIEF)


@pytest.fixture(scope="session")
def street():
    """A drive along a street."""
    return draw("street", seed=5, step=1.0)


@pytest.fixture
def film(tmp_path):
    """Function: a clip, with changed fields, as a sequence."""

    def written(clip, **changes):
        write_clip(replace(clip, **changes), tmp_path / "film")
        return read_scene(tmp_path / "film")

    return written


@pytest.fixture
def filmed(film):
    """Function: a clip, with changed fields, measured."""
    return lambda clip, **changes: video_statistics(film(clip, **changes), BRIEF)


@pytest.fixture
def measured(room_video):
    """Function: a video of given numbers for each gap; motion and parallax in shares."""

    def make(gaps, **changes):
        pairs = {gap: numbers(**values) for gap, values in gaps.items()}
        return replace(room_video, pairs=pairs, **changes)

    return make
