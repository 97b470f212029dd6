"""A drawn room with exact depth, in a folder of its own for each test."""

import shutil

import pytest

from ssmde.synthetic import draw_clip, write_clip


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """The clip, and the scene folder that it was written to."""
    clip, folder = draw_clip("room", frames=5, size=(32, 64), seed=1), tmp_path_factory.mktemp("d")
    write_clip(clip, folder / "room")
    return clip, folder / "room"


@pytest.fixture
def clip(drawn):
    return drawn[0]


@pytest.fixture
def room(drawn, tmp_path):
    """The scene folder, which a test may change."""
    return shutil.copytree(drawn[1], tmp_path / "room")
