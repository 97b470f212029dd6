"""`ssmde adapt`: from a film to a network that is right there, or to the one it started from."""

import shutil
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from ssmde.adaptation import adapt
from ssmde.adaptation.check import HELD_OUT
from ssmde.adaptation.stages import LEAST_GAIN, choose_windows
from ssmde.data.scene_folder import read_scene
from ssmde.inference.loading import find_weights, load
from ssmde.models.checkpoint import read_weights, save_weights
from ssmde.synthetic import draw_clip


@pytest.mark.parametrize(
    ("frames", "most", "windows", "step"),
    [(50, 120, 1, 1), (200, 120, 1, 2), (240, 120, 1, 2), (5000, 240, 2, 3)],
)
def test_a_film_is_thinned_and_then_cut_into_windows_spread_over_it(frames, most, windows, step):
    found = choose_windows(frames, most)
    assert len(found) == windows
    assert all(window.step == step for window in found)
    assert sum(map(len, found)) <= max(most, frames if frames < most else 0)
    assert sum(map(len, found)) >= 0.8 * min(most, frames)
    assert found[0].start == 0
    assert found[-1][-1] >= frames - step
    assert all(a.stop <= b.start for a, b in pairwise(found))


def test_what_cannot_be_used_is_refused_before_any_work(tmp_path):
    film = tmp_path / "data" / "film"
    film.mkdir(parents=True)
    for number in range(9):
        Image.effect_noise((64, 48), 80).convert("RGB").save(film / f"{number}.png")
    shutil.copytree(film, tmp_path / "listed" / "film")
    (tmp_path / "listed" / "train.txt").write_text("film\n")
    for minutes in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="minutes must be above 0"):
            adapt(film, tmp_path / "out", minutes=minutes)
    with pytest.raises(FileNotFoundError):
        adapt(tmp_path / "absent.mp4", tmp_path / "out")
    for scenes in (film.parent, tmp_path / "listed"):  # as `ssmde prepare` leaves them, and listed
        with pytest.raises(ValueError, match=r"film: no 10 frames in a row .* 9 short"):
            adapt(scenes, tmp_path / "out")
    (tmp_path / "out").mkdir()
    own = tmp_path / "out" / "best.safetensors"
    own.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="was not written by ssmde"):
        adapt(film, tmp_path / "out")
    assert own.read_bytes() == b"mine"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [own.name]


def write_room(film):
    """A drawn room, as a film of images with its camera."""
    clip = draw_clip("room", frames=24, size=(96, 128), seed=3)
    film.mkdir()
    for number, image in enumerate(clip.images):
        Image.fromarray(image).save(film / f"{number:03d}.png")
    np.savetxt(film / "cam.txt", clip.intrinsics)


def small_at_64_by_96(file, head):
    """`small` for smaller pictures, in seconds; below 1 its depth is flatter, at -1 reversed."""
    tensors, metadata = read_weights(find_weights("small"))
    heads = {name: head * tensor for name, tensor in tensors.items() if ".decoder.heads." in name}
    assert heads
    asked, size = "image_size:\n  - 192\n  - 256\n", "image_size:\n  - 64\n  - 96\n"
    assert asked in metadata["config"]
    metadata["config"] = metadata["config"].replace(asked, size)
    save_weights(file, tensors | heads, metadata)
    return file


def test_a_start_that_contradicts_the_tracked_points_is_handed_out_as_it_is(tmp_path):
    write_room(tmp_path / "room")
    out, start = tmp_path / "out", small_at_64_by_96(tmp_path / "start.safetensors", head=-1.0)
    how = {"start": start, "minutes": 2, "device": "cpu"}
    found = adapt(tmp_path / "room", out, show_progress=False, **how)
    assert (found.kept, found.steps, found.error_after) == ("start", 0, None)
    assert "cannot be trusted: tracked points and its own depth have a rank" in found.why
    assert "the weights of" in str(found)
    assert (out / "before_after.png").is_file()
    handed, start = (read_weights(f)[0] for f in (out / "best.safetensors", how["start"]))
    assert all(bool((tensor == start[name]).all()) for name, tensor in handed.items())
    assert adapt(tmp_path / "room", out, **how) == found
    (out / "report.json").unlink()  # as a kill may leave it
    (out / ".report.json.1.part").touch()
    assert adapt(tmp_path / "room", out, show_progress=False, **how).why == found.why
    assert not list(out.glob(".*.part"))


def test_a_film_makes_the_network_better_and_the_same_call_does_nothing(tmp_path):
    film, flat = tmp_path / "room", small_at_64_by_96(tmp_path / "start.safetensors", head=0.3)
    write_room(film)
    how = {"start": flat, "minutes": 2, "device": "cpu"}
    found = adapt(film, tmp_path / "out", show_progress=False, **how)
    assert found.kept == "adapted"
    assert found.error_after < (1 - LEAST_GAIN) * found.error_before
    network = load(tmp_path / "out", device="cpu")
    assert network.predict(film / "000.png").depth.shape == (96, 128)
    (window,) = (tmp_path / "out" / "work").glob("*/data/room*")
    learnt = {p.name for p in read_scene(window.parents[1] / "learn" / window.name).images}
    frames = [p.name for p in read_scene(window).images]
    judging = {*frames[round((1 - HELD_OUT) * len(frames)) :]}
    end = read_scene(window.parents[1] / "learn" / f"{window.name}-end").images
    assert learnt.isdisjoint(judging)
    assert {p.name for p in end} <= judging, "it learned from them once they had judged"
    assert found.frames == len(learnt) + len(end)
    before = {path: path.stat().st_mtime for path in (tmp_path / "out").rglob("*")}
    assert adapt(film, tmp_path / "out", **how) == found
    assert {path: path.stat().st_mtime for path in (tmp_path / "out").rglob("*")} == before
