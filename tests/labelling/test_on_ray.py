"""Labelling on a Ray cluster: a worker that is lost loses nothing, and nothing is done twice."""

import os
import signal
from functools import partial

import numpy as np
import pytest
import torch

from packed_scenes import write_scenes
from ssmde.data.pseudo_labels import read_pseudo_depth, write_labels
from ssmde.data.scene_folder import read_scenes
from ssmde.label import _label_frames, _label_missing, label, label_folder, open_source
from ssmde.labelling.on_ray import Piece, label_on_ray
from ssmde.labelling.source import Asked

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.filterwarnings("ignore"),  # of Ray, about its own sockets and files
]

FRAMES = (13, 9, 5)


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine."""
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2, object_store_memory=80 * 2**20, include_dashboard=False, log_to_driver=False
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def data(tmp_path):
    """Scenes, and beside them labels whose largest step tells the frame."""
    root = write_scenes(tmp_path / "data", (32, 64), frames=FRAMES, labels=False)
    for scene in read_scenes(root, "all"):
        (tmp_path / "made" / scene.name).mkdir(parents=True)
        for i in range(len(scene)):
            values = np.ones((4, 6), np.float32)
            values[0, i % 6] = 2 + i
            np.save(tmp_path / "made" / scene.name / f"{i:03d}.npy", values)
    return root


def assert_labelled(root, split="train"):
    for scene in read_scenes(root, split):
        files = sorted(file.name for file in label_folder(scene).iterdir())
        assert files == [*(f"{i:03d}.png" for i in range(len(scene))), "label.json"]
        for i, file in enumerate(scene.pseudo_depth):
            values = read_pseudo_depth(file)
            assert values[0, i % 6] == 1
            assert values[3, 5 - i % 6] == pytest.approx(1 / (2 + i), abs=1e-4)


def test_a_cluster_makes_the_labels_that_one_process_makes(cluster, data, tmp_path):
    source = f"folder:{tmp_path / 'made'}"
    done = label(data, source=source, kind="depth", batch_size=4, engine="ray", show_progress=False)
    assert (done.written, done.present, done.skipped) == (sum(FRAMES[:2]), 0, ())
    assert_labelled(data)
    again = label(data, source=source, kind="depth", engine="ray", show_progress=False)
    assert (again.written, again.present) == (0, sum(FRAMES[:2]))


def test_a_killed_worker_loses_nothing_and_repeats_nothing(cluster, data, tmp_path):
    label_one, label_rest = _label_frames, _label_missing
    log, killed = tmp_path / "log", tmp_path / "killed"

    def note(scene, before):
        """Write down which labels appeared."""
        now = {f.name for f in (data / scene.name / "pseudo_depth").glob("*.png")}
        with log.open("a") as file:
            file.writelines(f"{scene.name}/{name}\n" for name in sorted(now - before))

    def present(scene):
        return {f.name for f in (data / scene.name / "pseudo_depth").glob("*.png")}

    def work(source, scene, frames):
        mine = {f"{i:03d}.png" for i in frames}
        others = present(scene) | {f"{i:03d}.png" for i in range(99) if f"{i:03d}.png" not in mine}
        if scene.name == "a" and 4 in frames and not killed.exists():
            label_one(source, scene, frames[:2])
            note(scene, others)
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        skipped = label_rest(source, scene, frames)
        note(scene, others)
        return skipped

    scenes = read_scenes(data, "train")
    asked = Asked(
        kind="depth", device=torch.device("cpu"), scenes=tuple(scene.name for scene in scenes)
    )
    opener = partial(open_source, f"folder:{tmp_path / 'made'}", asked)
    for scene in scenes:
        write_labels(label_folder(scene), opener().info, {})
    pieces = [
        Piece(scene, list(range(start, min(start + 4, len(scene)))))
        for scene in scenes
        for start in range(0, len(scene), 4)
    ]
    done = list(label_on_ray(opener, work, pieces, gpu=False))
    assert killed.exists()
    assert sorted((p.scene.name, p.frames) for p, _ in done) == sorted(
        (p.scene.name, p.frames) for p in pieces
    )
    assert not any(skipped for _, skipped in done)
    made = log.read_text().split()
    assert len(made) == len(set(made)) == sum(FRAMES[:2])
    assert_labelled(data)


def test_work_that_kills_every_worker_ends_the_run_and_names_the_frames(cluster, data):
    def work(source, scene, frames):
        os.kill(os.getpid(), signal.SIGKILL)

    scene = read_scenes(data, "train")[0]
    with pytest.raises(
        RuntimeError, match=r"scene 'a': a worker was lost 4 times over frames 3 to"
    ):
        list(label_on_ray(lambda: None, work, [Piece(scene, [3, 4])], gpu=False))


def test_a_fault_in_a_worker_is_the_error_it_is_elsewhere(cluster, data):
    def work(source, scene, frames):
        raise ValueError("no such thing")

    scene = read_scenes(data, "train")[0]
    with pytest.raises(ValueError, match="no such thing"):
        list(label_on_ray(lambda: None, work, [Piece(scene, [0])], gpu=False))
