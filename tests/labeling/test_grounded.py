"""The source `grounded`: a static network, the motion of the camera, and movers on the ground."""

import numpy as np
import pytest
import torch
from torch import nn

from ssmde.data.images import resize_image
from ssmde.data.pseudo_labels import read_pseudo_depth
from ssmde.data.scene_files import write_tracked_poses
from ssmde.data.scene_folder import read_scene
from ssmde.inference.predictor import Predictor
from ssmde.labeling import label, sources
from ssmde.synthetic import draw_clip, write_clip

SIZE, FRAMES, SEED = (64, 96), 26, 3


class Memory(nn.Module):
    """Knows the place by heart: for each image of a clip, the depth without movers."""

    def __init__(self, images, depth):
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(()))
        self.images = images.astype(np.float32).reshape(len(images), -1) / 255
        self.depth = depth

    def forward(self, batch):
        rows = batch.permute(0, 2, 3, 1).reshape(len(batch), -1).numpy()
        index = [int(np.square(self.images - row).sum(1).argmin()) for row in rows]
        return torch.from_numpy(self.depth[index])[:, None]


@pytest.fixture(scope="module")
def clip():
    return draw_clip("room", frames=FRAMES, size=SIZE, seed=SEED, movers="across")


@pytest.fixture(scope="module")
def empty():
    """Depth of the same place without movers."""
    return draw_clip("room", frames=FRAMES, size=SIZE, seed=SEED).depth


@pytest.fixture
def data(clip, empty, tmp_path, monkeypatch):
    scene = tmp_path / "data" / "room"
    write_clip(clip, scene)
    write_tracked_poses(scene, clip.poses, np.zeros(FRAMES), "drawn")
    network = Memory(np.stack([resize_image(i, SIZE) for i in clip.images]), empty)
    monkeypatch.setattr(sources, "load", lambda *_, **__: Predictor(network, SIZE))
    (tmp_path / "static.safetensors").write_bytes(b"weights")
    return tmp_path / "data"


def run(data):
    source = f"grounded:{data.parent / 'static.safetensors'}"
    return label(data, source=source, split="all", device="cpu", show_progress=False)


def test_movers_come_forward_and_the_rest_stays(data, clip, empty):
    found = run(data)
    assert found.written == FRAMES
    assert (found.info.kind, found.info.affine) == ("depth", False)
    scene = read_scene(data / "room")
    labels = np.stack([read_pseudo_depth(path) for path in scene.pseudo_depth])
    moving = (clip.motion_mask == 255) & (empty > 1.2 * clip.depth)
    off, before = (np.abs(d[moving] / clip.depth[moving] - 1).mean() for d in (labels, empty))
    assert moving.sum() > 1000
    assert off < 0.6 * before
    static = clip.motion_mask == 0
    assert np.median(np.abs(labels[static] / clip.depth[static] - 1)) < 0.01
    assert np.abs(labels[static] / clip.depth[static] - 1).mean() < 0.06


def test_a_frame_without_known_motion_is_named_and_left_out(data, clip):
    poses = clip.poses.copy()
    poses[4] = np.nan
    write_tracked_poses(data / "room", poses, np.zeros(FRAMES), "drawn")
    found = run(data)
    (reason,) = found.skipped
    assert "its motion is not known" in reason
    assert found.written == FRAMES - 1


def test_a_scene_that_was_not_tracked_is_refused_with_the_remedy(data):
    (data / "room" / "tracked_poses.txt").unlink()
    with pytest.raises(ValueError, match=r"'room': .* needs .*`ssmde track"):
        run(data)
