"""From an archive to scene folders: what is good goes through, whole; the rest is named."""

import json
import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from folders import names_in
from kitti_archive import CX, FOCAL, HEIGHT, WIDTH, driving, make_drive, picture
from ssmde.data.images import read_depth, read_image
from ssmde.data.scene_folder import read_scene
from ssmde.datasets import DATASETS
from ssmde.datasets.kitti import index_kitti_raw
from ssmde.datasets.record import Archive, ArchiveError, ArchiveFrame, ArchiveScene
from ssmde.preparation.archives import prepare_dataset, shrink_depth, write_archive
from ssmde.preparation.results import PreparedDataset

DRIVE = "2011_09_26_drive_0001_sync"
SIZE = (6, 8)
K = np.array([[10.0, 0.0, 3.5], [0.0, 10.0, 2.5], [0.0, 0.0, 1.0]])


def gray(size=SIZE):
    return np.full((*size, 3), 50, np.uint8)


def frame(name, image=gray, depth=lambda: np.full(SIZE, 2.0, np.float32)):
    return ArchiveFrame(name=name, image=image, depth=depth)


def broken():
    raise ArchiveError("scan 7: cut off")


def drawn(name="a", frames=None, **fields):
    frames = frames or [frame(f"{n}") for n in range(4)]
    return ArchiveScene(
        name=name, frames=tuple(frames), image_size=SIZE, source="S", licence="L", intrinsics=K,
        **{"split": "train"} | fields,
    )  # fmt: skip


def write(out, *scenes, problems=(), **options):
    archive, usual = Archive(scenes=scenes, problems=problems), {"width": None, "overwrite": False}
    return write_archive(archive, out, show_progress=False, **usual | options).scenes


def report(scenes):
    return str(PreparedDataset(scenes=tuple(scenes)))


def prepare(source, out, dataset="kitti_raw", **arguments):
    return prepare_dataset(dataset, source, out, show_progress=False, **arguments).scenes


def test_a_drive_becomes_a_scene_folder_that_is_read_back_as_it_was(tmp_path):
    make_drive(tmp_path / "raw", cameras=("02",))
    (source,) = index_kitti_raw(tmp_path / "raw").scenes
    (done,) = prepare(tmp_path / "raw", tmp_path / "data")
    assert (done.frames, done.depths, done.problems, done.skipped) == (5, 5, (), False)
    scene = read_scene(done.folder)
    np.testing.assert_allclose(scene.intrinsics, source.intrinsics)
    for number, (image, depth) in enumerate(zip(scene.images, scene.depth, strict=True)):
        assert image.suffix == ".png"  # a copy, bit by bit
        np.testing.assert_array_equal(read_image(image), picture(number))
        truth = source.frames[number].depth()
        stored = read_depth(depth, scene.depth_units_per_metre)
        np.testing.assert_array_equal(stored > 0, truth > 0)
        np.testing.assert_allclose(stored, truth, atol=0.5 / 500 + 1e-6)
    assert (tmp_path / "data/train.txt").read_text() == f"{DRIVE}_02\n"
    assert "CC BY-NC-SA" in json.loads((done.folder / "scene.json").read_text())["licence"]


def test_a_smaller_width_follows_camera_and_depth_but_leaves_test_scenes_alone(tmp_path):
    make_drive(tmp_path / "raw", frames=5, cameras=("02",))
    lists = {"test": tmp_path / "t", "train": tmp_path / "l"}
    for number, path in enumerate(lists.values()):
        path.write_text(f"2011_09_26/{DRIVE} {number} l")
    train, test = prepare(tmp_path / "raw", tmp_path / "data", lists=lists, width=WIDTH // 2)
    small, whole = read_scene(train.folder), read_scene(test.folder)
    assert small.image_size == (HEIGHT // 2, WIDTH // 2)
    assert small.intrinsics[0].tolist() == [FOCAL / 2, 0, (CX + 0.5) / 2 - 0.5]
    assert (small.images[0].suffix, whole.image_size) == (".jpg", (HEIGHT, WIDTH))
    assert whole.intrinsics[0].tolist() == [FOCAL, 0, CX]
    for scene in (small, whole):
        assert read_depth(scene.depth[0], 500).shape == scene.image_size


def test_a_broken_image_costs_its_frame_and_pose_and_a_broken_depth_only_itself(tmp_path):
    cut = tmp_path / "1.png"
    Image.fromarray(gray()).save(cut)
    cut.write_bytes(cut.read_bytes()[:-30])
    frames = [frame("0"), frame("1", cut), frame("2"), frame("3", depth=broken)]
    (done,) = write(tmp_path / "data", drawn(frames=frames, poses=driving(4)))
    scene = read_scene(done.folder)
    assert [int(image.stem) for image in scene.images] == [0, 2, 3]
    np.testing.assert_allclose(scene.poses[:, 2, 3], (0, 2, 3), atol=1e-5)
    assert [path is None for path in scene.depth] == [False, False, True]
    first, second = done.problems
    assert "1.png: cannot be read" in first
    assert second == "scan 7: cut off; the frame has no depth"
    assert json.loads((done.folder / "scene.json").read_text())["problems"] == list(done.problems)
    text = report([done])
    assert "train: 1 scene, 3 frames, 2 with depth" in text
    assert "problems: 2" in text
    assert first in text


def test_a_stopped_run_leaves_whole_scenes_only_and_goes_on_from_there(tmp_path):
    asked = []

    def counted():
        asked.append(1)
        return gray()

    def stop():
        raise KeyboardInterrupt

    first = drawn("first", [frame("0", counted, None), frame("1", broken)])
    halted = drawn("second", [frame("0"), frame("1", stop), frame("2")])
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, first, halted)
    assert names_in(tmp_path) == ["first", "train.txt"]
    assert names_in(tmp_path / "first") == ["0.jpg", "cam.txt", "scene.json"]
    second = drawn("second", [frame("0"), frame("1"), frame("2")])
    results = write(tmp_path, first, second)
    assert ([result.skipped for result in results], asked) == ([True, False], [1])
    assert (results[0].frames, results[0].depths) == (1, 0)
    assert results[0].problems == ("scan 7: cut off; the frame is left out",)
    assert (tmp_path / "train.txt").read_text() == "first\nsecond\n"
    assert "2 scenes (1 of them were there)" in report(results)


def test_a_folder_that_holds_something_else_is_never_touched_without_leave(tmp_path):
    write(tmp_path, drawn())
    other = drawn(frames=[frame("900"), frame("901")])
    with pytest.raises(FileExistsError, match="a exists and holds something else"):
        write(tmp_path, drawn("b"), other)
    assert not (tmp_path / "b").exists()  # looked at before anything is written
    with pytest.raises(FileExistsError, match="another choice or size"):
        write(tmp_path, drawn(), width=4)
    with pytest.raises(FileExistsError, match="is, holds or lies in the input"):
        write(tmp_path, drawn(), width=4, overwrite=True, inputs=[tmp_path])
    write(tmp_path, other, overwrite=True)
    assert len(read_scene(tmp_path / "a").images) == 2
    (tmp_path / "a" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt: was not written"):
        write(tmp_path, drawn(), overwrite=True)
    assert len(read_scene(tmp_path / "a").images) == 2


def test_a_list_that_somebody_wrote_stays(tmp_path):
    (tmp_path / "train.txt").write_text("# mine\nb\n")
    with pytest.raises(FileExistsError, match=r"train\.txt: was not written by ssmde"):
        write(tmp_path, drawn())
    assert [path.name for path in tmp_path.iterdir()] == ["train.txt"]
    (tmp_path / "train.txt").write_text("# mine\na\n")
    write(tmp_path, drawn())
    assert (tmp_path / "train.txt").read_text() == "# mine\na\n"


def test_a_scene_that_moves_to_another_split_leaves_its_old_list(tmp_path):
    write(tmp_path, drawn("a"), drawn("b", split="val"))
    write(tmp_path, drawn("b", split="train"), overwrite=True)
    assert (tmp_path / "train.txt").read_text() == "a\nb\n"
    assert not (tmp_path / "val.txt").exists()


def test_a_scene_without_one_good_image_is_not_written_and_all_faults_are_reported(tmp_path):
    odd = frame("2", depth=lambda: np.ones((3, 4), np.float32))
    scene = drawn(frames=[frame("0"), frame("1", lambda: gray((2, 3))), odd])
    found = write(tmp_path, drawn("dark", [frame("0", broken)]), scene, problems=("no drive 7",))
    assert (found[1].folder, names_in(tmp_path)) == (None, ["a", "train.txt"])
    assert (found[2].frames, found[2].depths) == (2, 1)
    size = "pixels, but the images of the scene have 8 x 6; the frame"
    assert report(found).splitlines()[-5:] == [
        "problems: 4",
        "  no drive 7",
        "  scan 7: cut off; the frame is left out",
        f"  image of frame 1: 3 x 2 {size} is left out",
        f"  depth of frame 2: 4 x 3 {size} has no depth",
    ]
    assert "and 3 more" in report(write(tmp_path / "x", drawn(problems=("p",) * 53)))


def test_depth_beyond_sixteen_bits_is_unknown_and_tiny_depth_stays_measured(tmp_path):
    depth = np.zeros(SIZE, np.float32)
    depth[0, :4] = (65535 / 256, 300.0, 0.001, 3.0)
    (done,) = write(tmp_path, drawn(frames=[frame("0", depth=lambda: depth)]))
    stored = np.array(Image.open(done.folder / "depth/0.png"))
    assert stored[0, :5].tolist() == [65535, 0, 1, 768, 0]


@given(seed=st.integers(0, 500), rows=st.integers(1, 7), columns=st.integers(1, 9))
def test_shrinking_depth_mixes_nothing_and_loses_no_cell_that_was_measured(seed, rows, columns):
    rng = np.random.default_rng(seed)
    depth = rng.random((7, 9)).astype(np.float32) * (rng.random((7, 9)) < 0.3)
    small = shrink_depth(depth, (rows, columns))
    i, j = np.nonzero(depth)
    y, x = (i + 0.5) * rows / 7, (j + 0.5) * columns / 9  # in pixels of the smaller map
    off = ((y % 1 - 0.5) * 7 / rows) ** 2 + ((x % 1 - 0.5) * 9 / columns) ** 2
    for r, c in np.ndindex(rows, columns):
        inside = (y // 1 == r) & (x // 1 == c)
        nearest = inside & (off < off[inside].min(initial=np.inf) + 1e-9)
        assert small[r, c] in (depth[i, j][nearest] if inside.any() else [0])


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    raw, data = tmp_path / "raw", tmp_path / "data"
    make_drive(raw, cameras=("02",))
    for options, message in (
        ({"dataset": "kity_raw"}, r"unknown data set 'kity_raw': closest match is 'kitti_raw'"),
        ({"dataset": "tum", "improved": tmp_path}, "improved belongs to kitti_raw"),
        ({"width": WIDTH + 1}, rf"width must be in \[1, {WIDTH}\], .* got {WIDTH + 1}"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(raw, data, **options)
    for dataset in DATASETS:  # an empty folder is none of them, and each says so in its own words
        with pytest.raises(FileNotFoundError, match=f"^{re.escape(str(tmp_path))}/none: no "):
            prepare(tmp_path / "none", data, dataset)
    with pytest.raises(ValueError, match="two scenes of the archive are named 'a'"):
        write(data, drawn(), drawn())
    shutil.rmtree(raw / "2011_09_26" / DRIVE / "image_02/data")
    with pytest.raises(ValueError, match=r"no scene of kitti_raw can be used:\n.*no images"):
        prepare(raw, data)
    assert not data.exists()
