"""The recipe of the released weights: one command from recordings to weights, that goes on."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from packed_scenes import write_scenes
from ssmde.models.load import read_weights
from ssmde.prediction.loading import load

RECIPE = Path(__file__).parents[1] / "recipes" / "small_weights.py"
MACHINE = ["--", "--train.accelerator", "cpu", "--train.threads", "1", "--data.workers", "0"]
NAMES = ("bonn_crowd", "redkitchen", "hololens", "bonn_crowd_val")


def run(*words):
    command = [sys.executable, str(RECIPE), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def recordings(folder, names, size):
    """Noise with everything a recording has, in scene folders of these names."""
    write_scenes(folder, size, frames=(40, 12, 8, 6)[: len(names)])
    for letter, name in zip("abcd", names, strict=False):
        shutil.move(folder / letter, folder / name)
        shutil.rmtree(folder / name / "pseudo_depth")


def verbs(said):
    return re.findall(r"(?m)^ssmde (\w+)", said)


@pytest.mark.slow
def test_recordings_become_weights_with_one_command_and_again_with_nothing_to_do(tmp_path):
    """One step of each training."""
    indoor = tmp_path / "recordings" / "indoor"
    recordings(indoor, NAMES, (96, 128))
    before = {path: path.stat().st_mtime for path in indoor.rglob("*")}
    words = ("indoor", "--data", tmp_path / "recordings", "--out", tmp_path / "work")
    said = run(*words, "--faster", 1e5, *MACHINE)
    assert verbs(said) == ["train", "track", "train", "label", "train", "train"]
    runs = tmp_path / "work" / "indoor" / "runs"
    assert load(runs / "detail").image_size == (192, 256)
    tensors, _ = read_weights(runs / "detail" / "last.safetensors")
    assert "depth_net.encoder.conv1.weight" in tensors
    assert {path: path.stat().st_mtime for path in indoor.rglob("*")} == before
    again = run(*words, "--faster", 1e5, *MACHINE)
    assert verbs(again) == ["track", "label"]
    run(*words, "--faster", 1e5, "--recipe", "photometric", "--seed", 1, *MACHINE)
    assert load(runs / "photometric-1").image_size == (96, 128)


@pytest.mark.slow
def test_driving_begins_with_the_pseudo_depth_network_of_indoor(tmp_path):
    recordings(tmp_path / "recordings" / "indoor", NAMES, (96, 128))
    videos = tmp_path / "work" / "driving" / "videos"  # as the recipe leaves them when tracked
    recordings(videos, ("kitti_odom00", "kitti_raw_clip", "kitti_odom00_val"), (64, 224))
    words = ("driving", "--data", tmp_path / "recordings", "--out", tmp_path / "work")
    said = run(*words, "--faster", 1e5, *MACHINE)
    assert verbs(said) == ["train", "train", "track", "label", "train", "train"]
    first, second = re.findall(r"(?m)^ssmde train affine_indoor .*--name affine .*$", said)
    assert "--model.start" not in first
    assert re.search(r"--model.start \S*work/indoor/runs/affine/last.safetensors", second)
    assert (videos / "train.txt").read_text().split() == ["kitti_odom00", "kitti_raw_clip"]
    assert load(tmp_path / "work" / "driving" / "runs" / "detail").image_size == (128, 416)


@pytest.mark.slow
def test_what_is_carried_to_another_machine_is_all_that_the_trainings_read(tmp_path, monkeypatch):
    recordings(tmp_path / "recordings" / "indoor", NAMES, (96, 128))
    for number in range(4, 12):  # redkitchen is measured now and then
        (tmp_path / f"recordings/indoor/redkitchen/depth/{number:03d}.png").unlink()
        (tmp_path / f"recordings/indoor/redkitchen/motion_mask/{number:03d}.png").unlink()
    words = ("indoor", "--data", tmp_path / "recordings", "--out", tmp_path / "work")
    said = run(*words, "--carry", tmp_path / "carried")
    assert verbs(said) == ["track"]
    shutil.rmtree(tmp_path / "recordings")
    shutil.rmtree(tmp_path / "work")
    videos = tmp_path / "carried" / "indoor" / "videos"
    assert len(list(videos.glob("redkitchen/*.png"))) == 4
    assert len(list(videos.glob("bonn_crowd/*.png"))) == 40
    assert not (videos / "bonn_crowd" / "depth").exists()  # nobody may learn from it
    (tmp_path / "pycolmap.py").write_text("raise ImportError('not on this machine')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = run("indoor", "--out", tmp_path / "carried", "--faster", 1e5, *MACHINE)
    assert verbs(said) == ["train", "track", "train", "label", "train", "train"]
    assert load(tmp_path / "carried" / "indoor" / "runs" / "detail").image_size == (192, 256)


def test_without_recordings_the_recipe_says_what_it_wants(tmp_path):
    recipe = module()
    asked = recipe.Asked(name="indoor", data=None, work=tmp_path, faster=1.0, seed=0, machine=())
    with pytest.raises(SystemExit, match=r"--data is needed: .*bonn_crowd is not there"):
        recipe._own(asked, "bonn_crowd")


def test_the_end_of_a_recording_is_held_out(tmp_path):
    """Each frame and its pose is in one of both parts."""
    recordings(tmp_path / "data", ("video",), (32, 64))
    source = tmp_path / "data" / "video"
    rows = [f"1 0 0 {number} 0 1 0 0 0 0 1 0\n" for number in range(40)]
    (source / "poses.txt").write_text("".join(rows))
    recipe = module()
    recipe._copy_part(source, tmp_path / "start", 15, ending=False)
    recipe._copy_part(source, tmp_path / "end", 15, ending=True)
    names = [sorted(path.name for path in (tmp_path / part).glob("*.png")) for part in PARTS]
    assert names[0] == [f"{number:03d}.png" for number in range(25)]
    assert names[1] == [f"{number:03d}.png" for number in range(25, 40)]
    assert "".join((tmp_path / part / "poses.txt").read_text() for part in PARTS) == "".join(rows)
    assert all((tmp_path / part / "cam.txt").is_file() for part in PARTS)


PARTS = ("start", "end")


def module():
    """The recipe, which is a script."""
    spec = importlib.util.spec_from_file_location("small_weights", RECIPE)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made
