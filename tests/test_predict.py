"""Files in, files out: an image, a folder, a glob, a video."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from torch import Tensor, nn

import films
from folders import names_in
from ssmde.data.video import read_frames, video_info, write_video
from ssmde.predict import Predictor, predict_files


class Brightness(nn.Module):
    """Depth 1 + mean of the colours, so that a test knows the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        return self.one + image.mean(dim=1, keepdim=True)


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(Brightness(), (64, 96), depth_range=(0.1, 100.0), source="drawn")


def save(path, height=33, width=47, level=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels if level is None else np.full_like(pixels, level)).save(path)
    return path


def film(path, frames=5, height=34, width=46):
    with write_video(path, 10.0) as append:
        for i in range(frames):
            append(np.full((height, width, 3), 40 * i, np.uint8))
    return path


def test_png16_holds_the_depth_in_the_unit_its_sidecar_names(predictor, tmp_path):
    save(tmp_path / "in.png", level=51)  # depth 1.2
    predict_files(predictor, tmp_path / "in.png", tmp_path / "out")
    with Image.open(tmp_path / "out" / "in_depth.png") as image:
        values = np.array(image)
        assert image.mode == "I;16"
        assert isinstance(image, PngImageFile)
        unit = float(str(image.text["png16_units_per_scene_unit"]))
    facts = json.loads((tmp_path / "out" / "depth.json").read_text())
    assert values.shape == (33, 47)
    np.testing.assert_allclose(values / facts["png16_units_per_scene_unit"], 1.2, atol=1e-3)
    assert unit == facts["png16_units_per_scene_unit"]
    assert facts["weights"] == "drawn"


@pytest.mark.parametrize("far", [0.9, 2.0, 100.0, 1e6])
def test_png16_never_overflows_and_never_says_no_value(tmp_path, far):
    net = Brightness()
    with torch.no_grad():
        net.one.fill_(far - 1)
    white = save(tmp_path / "white.png", level=255)
    predictor = Predictor(net, (32, 32), depth_range=(far / 10, far))
    predict_files(predictor, white, tmp_path / "out", formats=["png16"])
    with Image.open(tmp_path / "out" / "white_depth.png") as image:
        values = np.array(image)
    units = json.loads((tmp_path / "out" / "depth.json").read_text())["png16_units_per_scene_unit"]
    np.testing.assert_allclose(values / units, far, rtol=1e-3)
    assert values.min() > 0


def test_png16_of_a_depth_too_small_for_a_unit_is_the_smallest_value(tmp_path):
    net = Brightness()
    with torch.no_grad():
        net.one.fill_(1e-4)
    predictor = Predictor(net, (32, 32), depth_range=(1e-4, 100.0))
    predict_files(predictor, save(tmp_path / "black.png", level=0), tmp_path, formats=["png16"])
    with Image.open(tmp_path / "black_depth.png") as image:
        assert np.unique(np.array(image)) == [1]  # 0 would mean no value


def test_npz_holds_the_depth_itself(predictor, tmp_path):
    path = save(tmp_path / "in.jpg")
    summary = predict_files(predictor, path, tmp_path / "out", formats=["npz", "color"])
    assert [p.name for p in summary.written] == ["in_depth.npz", "in_color.png"]
    with np.load(tmp_path / "out" / "in_depth.npz") as arrays:
        np.testing.assert_array_equal(arrays["depth"], predictor.predict(path).depth)
    with Image.open(tmp_path / "out" / "in_color.png") as image:
        assert image.height == 33
        assert image.width > 47 + 12  # the bar


def test_broken_files_of_a_folder_are_skipped_and_named(predictor, tmp_path):
    folder = tmp_path / "in"
    for i in range(3):
        save(folder / f"{i}.png", height=20 + i)
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no image")
    summary = predict_files(predictor, folder, tmp_path / "out", formats=["png16"])
    assert [path.name for path in summary.written] == ["0_depth.png", "2_depth.png"]
    assert len(summary.skipped) == 1
    assert "1.png" in summary.skipped[0]
    assert names_in(tmp_path / "out") == [
        "0_depth.png",
        "2_depth.png",
        "depth.json",
    ]


def test_a_glob_keeps_the_folders_below_its_first_wild_card(predictor, tmp_path):
    for name in ("a/1.png", "b/1.png", "b/2.jpg"):
        save(tmp_path / "clips" / name)
    predict_files(predictor, tmp_path / "clips/**/*.png", tmp_path / "out", formats=["npz"])
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.npz"))
    assert found == ["a/1_depth.npz", "b/1_depth.npz"]


def test_two_files_of_one_stem_do_not_overwrite_each_other(predictor, tmp_path):
    for name in ("1.png", "1.jpg"):
        save(tmp_path / "in" / name)
    summary = predict_files(predictor, tmp_path / "in", tmp_path / "out", formats=["npz"])
    assert sorted(path.name for path in summary.written) == ["1.jpg_depth.npz", "1.png_depth.npz"]


def test_five_frames_in_give_five_frames_out(predictor, tmp_path):
    path = film(tmp_path / "clip.mp4")
    summary = predict_files(predictor, path, tmp_path / "out", formats=["video", "npz"])
    assert summary.written[0] == tmp_path / "out" / "clip_depth.mp4"
    frames = list(read_frames(summary.written[0]))
    assert len(frames) == 5
    assert frames[0].shape == (34, 46 + 4 + 46, 3)
    assert video_info(summary.written[0]).fps == pytest.approx(10.0)
    levels = []
    for i in range(5):
        with np.load(tmp_path / "out" / f"clip_{i:06d}_depth.npz") as arrays:
            assert arrays["depth"].shape == (34, 46)
            levels.append(arrays["depth"].mean())
    np.testing.assert_allclose(levels, [1 + 40 * i / 255 for i in range(5)], atol=0.02)


def test_a_video_becomes_a_video_unless_asked_otherwise(predictor, tmp_path):
    path = film(tmp_path / "clip.mp4", frames=2)
    predict_files(predictor, path, tmp_path / "a")
    assert names_in(tmp_path / "a") == ["clip_depth.mp4"]
    predict_files(predictor, path, tmp_path / "b", formats=["color"])
    names = names_in(tmp_path / "b")
    assert names == ["clip_000000_color.png", "clip_000001_color.png"]


def test_frames_that_cannot_be_decoded_keep_their_numbers_and_are_named(predictor, tmp_path):
    path = films.write(tmp_path / "clip.mov", films.grey_frames([0, 40, 80, 120, 160]))
    films.lose_packet(path, 2)
    summary = predict_files(predictor, path, tmp_path / "out", formats=["color"])
    kept = [name for name in names_in(tmp_path / "out") if name.endswith(".png")]
    assert kept == [f"clip_{i:06d}_color.png" for i in (0, 1, 3, 4)]
    assert summary.notes == (f"{path}: frames that cannot be decoded are left out: 2",)


def test_bad_input_is_refused_with_a_message(predictor, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(FileNotFoundError, match=r"gone\.png: no such file or folder"):
        predict_files(predictor, tmp_path / "gone.png", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: holds no image"):
        predict_files(predictor, tmp_path / "empty", out)
    image = save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="unknown format 'jpg': choose from png16, npz"):
        predict_files(predictor, image, out, formats=["jpg"])
    with pytest.raises(ValueError, match="'video' needs a video file"):
        predict_files(predictor, image, out, formats=["video"])
    with pytest.raises(ValueError, match="is the input folder"):
        predict_files(predictor, tmp_path, tmp_path)
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(ValueError, match=r"nothing could be read: .*a\.png"):
        predict_files(predictor, image, out)
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


def test_prediction_does_not_load_the_training_engine():
    code = "import sys, ssmde.predict; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"lightning", "tensorboard", "matplotlib.pyplot", "torch.utils.tensorboard"}
    assert not heavy & set(found.stdout.split())
