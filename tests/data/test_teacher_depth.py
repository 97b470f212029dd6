"""Depth that a teacher said once: what it would say again, but for zoomed views."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from packed_scenes import write_scenes
from ssmde.config import DataConfig
from ssmde.data.dataset import SnippetDataset
from ssmde.data.scene_folder import read_scenes
from ssmde.data.teacher_depth import keep_teacher_depth
from tiny_networks import TinyDepthNet

SIZE = (32, 64)
PLAIN = DataConfig(image_size=SIZE, flip=0.0, zoom=1.0, colour_jitter=0.0)


@pytest.fixture
def say():
    """A network that is not the same on the left and on the right."""
    torch.manual_seed(0)
    network = TinyDepthNet()
    for layer in network.layers[::2]:
        torch.nn.init.normal_(layer.weight)

    @torch.no_grad()
    def say(images):
        return network(images.float() / 255)[:, 0]

    return say


@pytest.fixture
def scenes(tmp_path):
    return read_scenes(write_scenes(tmp_path / "data", labels=False), "train")


def keep(folder, scenes, say, **given):
    keep_teacher_depth(folder, scenes, SIZE, say, **{"teacher": "one"} | given)


@pytest.mark.parametrize("flip", [0.0, 0.5])
def test_kept_depth_is_what_the_teacher_says_of_the_views_mirrored_ones_too(
    tmp_path, scenes, say, flip
):
    keep(tmp_path / "kept", scenes, say)
    data = replace(PLAIN, flip=flip)
    snippets = SnippetDataset(scenes, data, seed=0, augment=True, teacher_depth=tmp_path / "kept")
    for index in range(6):
        snippet = snippets[index]
        wanted = torch.cat([say(snippet.images[0]), say(snippet.images[0, :1].flip(-1)).flip(-1)])
        assert snippet.teacher_depth.dtype == torch.float16
        assert_close(snippet.teacher_depth[0].float(), wanted, rtol=5e-4, atol=0)  # 16 bits
    assert float((wanted[0] - wanted[-1]).abs().max()) > 0.01  # the two are not the same


def test_a_zoomed_view_takes_its_part_of_the_depth(tmp_path, scenes):
    def say(images):  # depth rises from left to right
        return torch.linspace(1, 2, SIZE[1]).expand(len(images), *SIZE)

    keep(tmp_path / "kept", scenes, say)
    data = replace(PLAIN, zoom=1.5)
    snippet = SnippetDataset(scenes, data, seed=0, augment=True, teacher_depth=tmp_path / "kept")[3]
    row = snippet.teacher_depth[0, 0, 5].float()
    assert 1 <= row[0] < row[-1] <= 2
    assert 0.6 < row[-1] - row[0] < 0.98
    assert_close(row, torch.linspace(row[0], row[-1], SIZE[1]), rtol=0, atol=0.01)


def test_what_was_said_is_not_asked_again_and_another_teacher_starts_anew(tmp_path, scenes, say):
    asked = []

    def counting(images):
        asked.append(len(images))
        return say(images)

    keep(tmp_path / "kept", scenes, counting)
    assert sum(asked) == 2 * sum(len(scene) for scene in scenes)
    (tmp_path / "kept" / f"{scenes[0].frame_name(2)}.npy").unlink()
    keep(tmp_path / "kept", scenes, counting)
    assert asked[-1] == 2
    keep(tmp_path / "kept", scenes, counting, teacher="two")
    assert sum(asked) == 2 + 4 * sum(len(scene) for scene in scenes)


def test_a_frame_that_cannot_be_read_is_left_out_and_its_snippet_replaced(tmp_path, scenes, say):
    scenes[0].images[4].write_bytes(b"")
    keep(tmp_path / "kept", scenes, say)
    assert not (tmp_path / "kept" / f"{scenes[0].frame_name(4)}.npy").exists()
    snippets = SnippetDataset(scenes, PLAIN, seed=0, augment=True, teacher_depth=tmp_path / "kept")
    found = snippets[2]  # target 3, source 4
    assert found.broken
    assert torch.isfinite(found.teacher_depth).all()
