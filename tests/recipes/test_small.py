"""The recipe of the released weights: one command from recordings to weights, that goes on."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import small
from ssmde.data.images import read_depth
from ssmde.data.pseudo_labels import LabelInfo, write_labels
from ssmde.data.scene_files import write_tracked_points
from ssmde.data.scene_folder import read_scene
from ssmde.inference.loading import load
from ssmde.labeling import write_corrected
from ssmde.models.checkpoint import read_weights

RECIPE = Path(small.__file__)
MACHINE = ["--", "--train.accelerator", "cpu", "--train.threads", "1", "--data.workers", "0"]
SIZE = (96, 128)


def run(*words):
    command = [sys.executable, str(RECIPE), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def record(folder, frames, *, measured):
    """Noise, half of the frames with depth where it is measured."""
    rng = np.random.default_rng(0)
    (folder / "depth" if measured else folder).mkdir(parents=True)
    for number in range(frames):
        pixels = rng.integers(0, 255, (*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        if measured and number % 2 == 0:
            depth = rng.integers(900, 5000, SIZE).astype(np.uint16)
            Image.fromarray(depth).save(folder / "depth" / f"{number:03d}.png")
    (folder / "cam.txt").write_text("80 0 64\n0 80 48\n0 0 1\n")
    (folder / "scene.json").write_text('{"depth_units_per_metre": 1000}\n')


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    root = tmp_path_factory.mktemp("recordings")
    for source in small.SOURCES:
        record(root / source.at, 4, measured=source.measured)
    return root


@pytest.mark.slow
def test_recordings_become_weights_with_one_command_and_again_with_nothing_to_do(
    tmp_path, recordings
):
    """One step of each training."""
    before = {path: path.stat().st_mtime for path in recordings.rglob("*")}
    words = ("small", "--data", recordings, "--out", tmp_path, "--faster", 1e5, *MACHINE)
    assert re.findall(r"(?m)^ssmde (\w+)", run(*words)) == ["train", "train"]
    runs = tmp_path / "small" / "runs"
    assert load(runs / "detail").image_size == (192, 256)
    tensors, _ = read_weights(runs / "detail" / "last.safetensors")
    assert "depth_net.encoder._conv_stem.weight" in tensors
    assert {path: path.stat().st_mtime for path in recordings.rglob("*")} == before
    assert "ssmde" not in run(*words)
    said = run("small-open", *words[1:])
    assert re.findall(r"--name (\w+)", said) == ["detail"]  # both begin with the same network


def test_the_open_network_learns_from_open_recordings_alone(tmp_path, recordings):
    roots = {}
    for name in ("small", "small-open"):
        call = small.Call(name=name, data=recordings, work=tmp_path)
        roots[name] = set((small.collect(call) / "train.txt").read_text().split())
    closed = {f"measured_{Path(s.at).name}" for s in small.SOURCES if s.measured and not s.open}
    assert closed
    assert roots["small"] - roots["small-open"] == closed
    assert "measured_bonn_crowd" not in roots["small"]


def test_the_last_measured_frames_of_a_recording_are_held_out(tmp_path, recordings):
    root = small.collect(small.Call(name="small", data=recordings, work=tmp_path))
    learnt, held = (
        sorted(path.stem for path in (root / name / "depth").glob("*"))
        for name in ("measured_hololens", "held_measured_hololens")
    )
    assert (learnt, held) == (["000"], ["002"])
    assert "held_measured_hololens" in (root / "val.txt").read_text().split()


def test_frames_of_a_video_are_taught_with_the_label_that_its_points_correct(tmp_path, recordings):
    call = small.Call(name="small-open", data=recordings, work=tmp_path)
    (video,) = [s for s in small.SOURCES if s.at.endswith("alley_cart")]
    raw = small.copy_frames(video, recordings / video.at, call.videos / "raw_video_alley_cart")
    info = LabelInfo(source="test", kind="depth", affine=False, licence="")
    label = np.full(SIZE, 2, np.float32)
    write_labels(raw / "pseudo_depth", info, {f"{i:03d}": label for i in range(4)})
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 96, (50, 2)).astype(np.float32)
    write_tracked_points(raw, {1: (pixels, np.full(50, 3, np.float32))})
    write_corrected(raw, call.videos / "video_alley_cart")
    root = small.collect(call, videos=True)
    assert "video_alley_cart" in (root / "train.txt").read_text().split()
    scene = read_scene(root / "video_alley_cart")
    assert [image.stem for image in scene.images] == ["001"]
    depth = read_depth(scene.depth[0], scene.depth_units_per_metre)
    np.testing.assert_allclose(depth, 3, rtol=1e-3)


def test_what_is_carried_is_all_that_the_recipe_reads(tmp_path, recordings):
    small.carry(small.Call(name="small", data=recordings, work=tmp_path), tmp_path / "carried")
    assert not (tmp_path / "carried/indoor/bonn_crowd/depth").exists()
    assert len(list((tmp_path / "carried/indoor/redkitchen").glob("*.png"))) == 2
    whole, carried = (
        small.collect(small.Call(name="small", data=data, work=tmp_path / str(number)))
        for number, data in enumerate((recordings, tmp_path / "carried"))
    )
    assert (whole / "train.txt").read_text() == (carried / "train.txt").read_text()
