"""Files in, files out: an image, a folder, a glob, here or on Ray; and what is done already."""

import json

import numpy as np
import pytest
from PIL import Image

from folders import names_in
from ssmde.inference import Predictor, predict_files
from tiny_networks import Brightness, Stopping


def make_predictor(add=1.0, size=(32, 64), far=100.0) -> Predictor:
    return Predictor(Brightness(add), size, depth_range=(far / 1000, far), source="drawn")


@pytest.fixture
def predictor() -> Predictor:
    return make_predictor()


def save(path, height=33, width=47, level=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels if level is None else np.full_like(pixels, level)).save(path)
    return path


def read_png16(folder, name):
    """Values, unit in the sidecar, unit in the file."""
    unit = json.loads((folder / "depth.json").read_text())["png16_units_per_scene_unit"]
    with Image.open(folder / name) as image:
        assert image.mode == "I;16"
        return np.array(image), unit, float(image.text["png16_units_per_scene_unit"])


@pytest.mark.parametrize("far", [0.9, 2.0, 100.0, 1e6])
def test_png16_holds_the_depth_in_the_unit_it_names_and_never_overflows(tmp_path, far):
    white = save(tmp_path / "white.png", level=255)
    predict_files(make_predictor(far - 1, far=far), white, tmp_path / "out")
    values, unit, written = read_png16(tmp_path / "out", "white_depth.png")
    assert values.shape == (33, 47)
    np.testing.assert_allclose(values / unit, far, rtol=1e-3)
    assert unit == written
    assert values.min() > 0
    facts = json.loads((tmp_path / "out" / "depth.json").read_text())
    assert (facts["weights"], facts["network_size"]) == ("drawn", [32, 64])
    black = save(tmp_path / "black.png", level=0)
    predict_files(make_predictor(far * 1e-6, far=far), black, tmp_path / "b", format="png16")
    assert np.unique(read_png16(tmp_path / "b", "black_depth.png")[0]) == [1]  # 0 means no value


def test_broken_files_of_a_folder_are_skipped_and_named(predictor, tmp_path):
    folder = tmp_path / "in"
    for i in range(3):
        save(folder / f"{i}.png", height=20 + i)
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no image")
    summary = predict_files(predictor, folder, tmp_path / "out", format="png16")
    assert [path.name for path in summary.written] == ["0_depth.png", "2_depth.png"]
    assert len(summary.skipped) == 1
    assert "1.png" in summary.skipped[0]
    assert names_in(tmp_path / "out") == ["0_depth.png", "2_depth.png", "depth.json"]


def test_names_follow_folders_of_a_glob_and_endings_of_twins(predictor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("clips/a/1.png", "clips/b/1.png", "clips/b/2.jpg", "in/1.png", "in/1.jpg"):
        save(tmp_path / name)
    save(tmp_path / "a.png").rename("7")  # a file, and no camera
    for source, names in [
        ("clips/**/*.png", {"a/1_depth.npz", "b/1_depth.npz"}),
        ("in", {"1.jpg_depth.npz", "1.png_depth.npz"}),
        ("7", {"7_depth.npz"}),
    ]:
        out = tmp_path / "out" / source[:2].strip("*/")
        made = predict_files(predictor, source, out, format="npz")
        assert {str(path.relative_to(out)) for path in made.written} == names


def test_bad_input_is_refused_with_a_message(predictor, tmp_path):
    out, image = tmp_path / "out", save(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.png").write_text("no image")
    (tmp_path / "walk.mp4").write_bytes(b"")
    (tmp_path / "list.txt").write_text("a.png")
    for source, options, error, message in [
        (tmp_path / "gone.png", {}, FileNotFoundError, r"gone\.png: no such file or folder"),
        (tmp_path / "empty", {}, ValueError, "empty: holds no image"),
        ("https://h/a.mp4", {}, ValueError, r"a\.mp4: nothing is read from the web"),
        (image, {"format": "jpg"}, ValueError, "format 'jpg': choose from png16, npz"),
        (image, {"format": "video"}, ValueError, "'video' needs a video file"),
        (image, {"max_frames": 0}, ValueError, "max_frames must be 1 or more, got 0"),
        (tmp_path / "broken.png", {}, ValueError, r"nothing could be read: .*broken\.png"),
        (image, {"format": "exr"}, ValueError, "format 'exr' is no more: take npz"),
        (tmp_path / "list.txt", {}, ValueError, r"list\.txt: lists of images are no longer read"),
        (tmp_path / "walk.mp4", {"engine": "ray"}, ValueError, r"walk\.mp4 is a video or a camera"),
    ]:  # fmt: skip
        with pytest.raises(error, match=message):
            predict_files(predictor, source, out, **options)
    with pytest.raises(ValueError, match="is the input folder"):
        predict_files(predictor, tmp_path, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


def test_interrupted_images_are_whole_and_the_same_command_makes_the_rest(tmp_path):
    for i in range(12):  # more than the network sees at once
        save(tmp_path / "in" / f"{i:02d}.png", level=20 * i)
    ask, out = {"format": "npz"}, tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict_files(Predictor(Stopping(10), (32, 32)), tmp_path / "in", out, **ask)
    assert names_in(out) == [f"{i:02d}_depth.npz" for i in range(8)]
    summary = predict_files(Predictor(Stopping(), (32, 32)), tmp_path / "in", out, **ask)
    assert [p.name for p in summary.written] == names_in(out)
    assert (len(summary.written), summary.present) == (12, 8)


def test_parts_of_every_file_that_a_killed_run_left_go(predictor, tmp_path):
    photo, out = save(tmp_path / "a.png"), tmp_path / "out"
    names = ["a_color.png", "a_depth.npz", "a_depth.png", "depth.json"]
    for _ in range(2):
        predict_files(predictor, photo, out, format="png16,npz,color")
        assert names_in(out) == names
        for name in names:
            (out / f".{name}.1.part").touch()


@pytest.mark.parametrize("name", ["a_depth.png", "depth.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_measured_depth_beside_a_photo_stays(predictor, tmp_path, name, overwrite):
    photo, mine = save(tmp_path / "a.png"), tmp_path / name
    mine.write_bytes(b"measured")
    with pytest.raises(FileExistsError, match=f"{name}: was not written by ssmde"):
        predict_files(predictor, photo, tmp_path, overwrite=overwrite)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["a.png", name])
    assert mine.read_bytes() == b"measured"


def test_other_weights_or_another_photo_replace_with_a_word_only(predictor, tmp_path):
    photo, written = save(tmp_path / "a.png"), tmp_path / "a_depth.npz"
    predict_files(predictor, photo, tmp_path, format="npz")
    before = written.read_bytes()
    assert predict_files(make_predictor(), photo, tmp_path, format="npz").present == 1
    for network, change in ((make_predictor(2.0), {}), (predictor, {"resolution": (64, 64)})):
        with pytest.raises(FileExistsError, match="--overwrite"):
            predict_files(network, photo, tmp_path, format="npz", **change)
    assert written.read_bytes() == before
    predict_files(make_predictor(2.0), photo, tmp_path, format="npz", overwrite=True)
    with np.load(written) as arrays:
        assert arrays["depth"].max() > 2.5
    save(photo, level=91)
    with pytest.raises(FileExistsError, match="another source"):
        predict_files(make_predictor(2.0), photo, tmp_path, format="npz")


def test_names_that_are_too_long_are_shortened(predictor, tmp_path):
    long, out = save(tmp_path / ("y" * 250 + ".png")), tmp_path / "out"
    for present in (0, 2):
        summary = predict_files(predictor, long, out, format="npz,color")
        assert len(summary.written) == 2
        assert all(path.is_file() and path.name.startswith("yyy") for path in summary.written)
        assert summary.present == present


@pytest.mark.distributed
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_writes_what_one_process_writes(cluster, tmp_path):
    numbers, out = (0, 3, 7), tmp_path / "out"
    for i in numbers:
        save(tmp_path / "photos" / f"{i}.png", level=10 * i)
    predict_files(make_predictor(), tmp_path / "photos", out, format="npz", engine="ray")
    assert names_in(out) == [f"{i}_depth.npz" for i in numbers]
    for i in numbers:
        with np.load(out / f"{i}_depth.npz") as arrays:
            np.testing.assert_allclose(arrays["depth"], 1 + 10 * i / 255, rtol=1e-5)
