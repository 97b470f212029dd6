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


def assert_labeled(root, split="train"):
    for scene in read_scenes(root, split):
        wanted = [*(f"{i:03d}.png" for i in range(len(scene))), "label.json"]
        assert names_in(label_folder(scene)) == wanted
        for i, file in enumerate(scene.pseudo_depth):
            values = read_pseudo_depth(file)
            assert values[0, i % 6] == 1
            assert values[3, 5 - i % 6] == pytest.approx(1 / (2 + i), abs=1e-4)


def test_a_cluster_makes_the_labels_that_one_process_makes(cluster, data, tmp_path):
    source = f"folder:{tmp_path / 'made'}"
    done = label(data, source=source, kind="depth", batch_size=4, engine="ray", show_progress=False)
    assert (done.written, done.present, done.skipped) == (sum(FRAMES[:2]), 0, ())
    assert_labeled(data)
    again = label(data, source=source, kind="depth", engine="ray", show_progress=False)
    assert (again.written, again.present) == (0, sum(FRAMES[:2]))


INFO = LabelInfo(source="test", kind="depth", affine=True, licence="none")


def opener(label):
    """Makes a source that sees the frames themselves, as scene and index."""

    def open_source():
        return Source(info=INFO, label=label, read=lambda scene, i: (scene, i))

    return open_source


def map_of(i):
    values = np.ones((4, 6), np.float32)
    values[0, i % 6] = 2 + i
    return values


def test_a_killed_worker_loses_nothing_and_repeats_nothing(cluster, data, tmp_path):
    log, killed = tmp_path / "log", tmp_path / "killed"

    def label_frames(frames):
        maps = {f"{i:03d}": map_of(i) for _, i in frames}
        scene, numbers = frames[0][0], [i for _, i in frames]
        if scene.name == "a" and 4 in numbers and not killed.exists():
            done = dict(list(maps.items())[:2])
            write_labels(label_folder(scene), INFO, done)
            maps = done
        with log.open("a") as file:
            file.writelines(f"{scene.name}/{name}\n" for name in maps)
        if len(maps) < len(frames):
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return list(maps.values())

    scenes = read_scenes(data, "train")
    for scene in scenes:
        write_labels(label_folder(scene), INFO, {})
    pieces = [
        Piece(scene, list(range(start, min(start + 4, len(scene)))))
        for scene in scenes
        for start in range(0, len(scene), 4)
    ]
    done = list(label_on_ray(opener(label_frames), pieces, gpu=False))
    assert killed.exists()
    assert sorted((p.scene.name, p.frames) for p, _ in done) == sorted(
        (p.scene.name, p.frames) for p in pieces
    )
    assert not any(skipped for _, skipped in done)
    made = log.read_text().split()
    assert len(made) == len(set(made)) == sum(FRAMES[:2])
    assert_labeled(data)


def test_work_that_kills_every_worker_ends_the_run_and_names_the_frames(cluster, data):
    def kill(frames):
        os.kill(os.getpid(), signal.SIGKILL)

    scene = read_scenes(data, "train")[0]
    with pytest.raises(
        RuntimeError, match=r"scene 'a': a worker was lost 4 times over frames 3 to"
    ):
        list(label_on_ray(opener(kill), [Piece(scene, [3, 4])], gpu=False))
