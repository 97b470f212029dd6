"""Labeling on a Ray cluster: a worker that is lost loses nothing, and nothing is done twice."""

import os
import signal

import numpy as np
import pytest

from folders import names_in
from packed_scenes import write_scenes
from ssmde.data.pseudo_labels import LabelInfo, read_pseudo_depth, write_labels
from ssmde.data.scene_folder import read_scenes
from ssmde.labeling import Source, label
from ssmde.labeling.scenes import Piece, label_folder, label_on_ray

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.filterwarnings("ignore"),  # of Ray, about its own sockets and files
]

FRAMES = (13, 9, 5)
INFO = LabelInfo(source="test", kind="depth", affine=True, licence="none")


def map_of(i):
    """A label whose largest step tells the frame."""
    values = np.ones((4, 6), np.float32)
    values[0, i % 6] = 2 + i
    return values


@pytest.fixture
def data(tmp_path):
    return write_scenes(tmp_path / "data", (32, 64), frames=FRAMES, labels=False)


def assert_labeled(root):
    for scene in read_scenes(root, "train"):
        wanted = [*(f"{i:03d}.png" for i in range(len(scene))), "label.json"]
        assert names_in(label_folder(scene)) == wanted
        for i, file in enumerate(scene.pseudo_depth):
            np.testing.assert_allclose(read_pseudo_depth(file), map_of(i) / (2 + i), atol=1e-4)


def test_a_cluster_makes_the_labels_that_one_process_makes(cluster, data, tmp_path):
    for scene in read_scenes(data, "train"):
        (tmp_path / "made" / scene.name).mkdir(parents=True)
        for i in range(len(scene)):
            np.save(tmp_path / "made" / scene.name / f"{i:03d}.npy", map_of(i))
    how = {"kind": "depth", "engine": "ray", "batch_size": 4, "show_progress": False}
    for written in (sum(FRAMES[:2]), 0):
        done = label(data, source=f"folder:{tmp_path / 'made'}", **how)
        assert (done.written, done.skipped) == (written, ())
    assert_labeled(data)


def opener(label):
    """Makes a source that sees the frames themselves, as scene and index."""
    return lambda: Source(info=INFO, label=label, read=lambda scene, i: (scene, i))


def test_a_killed_worker_loses_nothing_and_repeats_nothing(cluster, data, tmp_path):
    log, killed = tmp_path / "log", tmp_path / "killed"

    def label_frames(frames):
        scene, numbers = frames[0][0], [i for _, i in frames]
        dies = scene.name == "a" and 4 in numbers and not killed.exists()
        maps = {f"{i:03d}": map_of(i) for i in (numbers[:2] if dies else numbers)}
        with log.open("a") as file:
            file.writelines(f"{scene.name}/{name}\n" for name in maps)
        if dies:
            write_labels(label_folder(scene), INFO, maps)
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return list(maps.values())

    pieces = []
    for scene in read_scenes(data, "train"):
        write_labels(label_folder(scene), INFO, {})
        frames = list(range(len(scene)))
        pieces += [Piece(scene, frames[start : start + 4]) for start in range(0, len(scene), 4)]
    done = list(label_on_ray(opener(label_frames), pieces, gpu=False))
    assert killed.exists()
    assert sorted(p.frames for p, _ in done) == sorted(p.frames for p in pieces)
    assert not any(skipped for _, skipped in done)
    made = log.read_text().split()
    assert len(made) == len(set(made)) == sum(FRAMES[:2])
    assert_labeled(data)


def test_work_that_kills_every_worker_ends_the_run_and_names_the_frames(cluster, data):
    def kill(frames):
        os.kill(os.getpid(), signal.SIGKILL)

    scene = read_scenes(data, "train")[0]
    with pytest.raises(RuntimeError, match=r"'a': a worker was lost 4 times over frames 3 to"):
        list(label_on_ray(opener(kill), [Piece(scene, [3, 4])], gpu=False))
