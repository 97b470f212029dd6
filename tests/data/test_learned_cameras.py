"""Snippets of an unknown camera: they say which camera it is and how its frames were framed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.testing import assert_close

from ssmde.config import DataConfig
from ssmde.data.augment import Framing, draw_framing
from ssmde.data.dataset import SnippetDataset
from ssmde.data.sequence import FrameSequence
from ssmde.models.camera import LearnedCameras
from ssmde.types import collate

CAMERA = np.array([[50.0, 0, 30], [0, 50, 17], [0, 0, 1]])


@given(
    stored=st.tuples(st.integers(32, 1500), st.integers(32, 1500)),
    seed=st.integers(0, 99),
    x=st.floats(-0.04, 0.04),
)
def test_a_learnt_camera_is_framed_as_a_given_one(stored, seed, x):
    height, width = stored
    K = np.array([[0.8 * width, 0, (0.5 + x) * width], [0, 0.8 * width, 0.45 * height], [0, 0, 1]])
    learnt = LearnedCameras({"a": 0}, [stored], hfov_degrees=60.0).double()
    learnt.start_at("a", K)
    data = DataConfig(image_size=(64, 96), zoom=1.3, flip=0.5)
    framing = draw_framing(np.random.default_rng(seed), data, stored)
    unknown = torch.full((1, 3, 3), torch.nan, dtype=torch.float64)
    view = learnt(unknown, framing.matrix()[None], torch.tensor([0]))[0]
    assert_close(view.detach(), framing.intrinsics(torch.from_numpy(K)), rtol=1e-6, atol=1e-4)


def test_the_framing_of_a_mirrored_cut_by_hand():
    framing = Framing(reduction=1, left=3, top=2, width=6, height=4, image_size=(8, 12), flip=True)
    # u: cut 3, twice as large (2 u + 0.5), mirrored (11 - u); v: cut 2, twice as large.
    expected = [[-2, 0, 11 - (2 * -3 + 0.5)], [0, 2, 2 * -2 + 0.5], [0, 0, 1]]
    assert framing.matrix().tolist() == expected


@pytest.fixture
def scenes(tmp_path):
    """Two scenes, of which the second has no cam.txt."""
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file in files:
        Image.new("RGB", (64, 32), (9, 9, 9)).save(file)
    known = FrameSequence(name="known", images=tuple(files), image_size=(32, 64), intrinsics=CAMERA)
    return [known, replace(known, name="unknown", intrinsics=None)]


def test_a_batch_says_which_of_its_cameras_are_learnt(scenes):
    data = DataConfig(image_size=(32, 64), zoom=1.0)
    arguments = {"seed": 0, "augment": True}
    mixed = SnippetDataset(scenes, data, **arguments, learned_cameras={"unknown": 5})
    batch = collate([mixed[0], mixed[1]]).to_batch()
    assert batch.camera.tolist() == [-1, 5]
    assert batch.framing.shape == (2, 3, 3)
    assert batch.intrinsics[1].isnan().all()
    alone = SnippetDataset(scenes[:1], data, **arguments)[0]
    assert torch.equal(batch.intrinsics[:1], alone.intrinsics)
    assert alone.camera is None
    assert alone.framing is None
    with pytest.raises(ValueError, match=r"'unknown': intrinsics are unknown.*intrinsics learned"):
        SnippetDataset(scenes, data, **arguments)
