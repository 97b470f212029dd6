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
from kitti_archive import CX, FOCAL, HEIGHT, WIDTH, make_drive, picture
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


def grey(value, size=SIZE):
    return np.full((*size, 3), value, np.uint8)


def frame(name, value=50, *, depth=2.0, size=SIZE):
    return ArchiveFrame(
        name=name, image=lambda: grey(value, size), depth=lambda: np.full(size, depth, np.float32)
    )


def broken():
    raise ArchiveError("scan 7: cut off")


def drawn(name="a", frames=None, **fields):
    fields = {"split": "train", "intrinsics": K, "fps": 10.0} | fields
    frames = frames or tuple(frame(f"{n:03d}", 50 + n) for n in range(4))
    return ArchiveScene(
        name=name, frames=tuple(frames), image_size=SIZE, source="S", licence="L", **fields
    )


def write(out, *scenes, problems=(), width=None, overwrite=False):
    archive = Archive(scenes=scenes, problems=problems)
    return write_archive(
        archive, out, width=width, quality=95, overwrite=overwrite, show_progress=False
    ).scenes


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
    np.testing.assert_allclose(scene.poses, source.poses, atol=1e-6)
    np.testing.assert_allclose(np.diff(scene.timestamps), 0.1)
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
    (tmp_path / "t").write_text(f"2011_09_26/{DRIVE} 3 l")
    (tmp_path / "l").write_text(f"2011_09_26/{DRIVE} 1 l")
    files = {"test": tmp_path / "t", "train": tmp_path / "l"}
    train, test = prepare(tmp_path / "raw", tmp_path / "data", lists=files, width=WIDTH // 2)
    small, whole = read_scene(train.folder), read_scene(test.folder)
    assert small.image_size == (HEIGHT // 2, WIDTH // 2)
    assert small.intrinsics[0].tolist() == [FOCAL / 2, 0, (CX + 0.5) / 2 - 0.5]
    assert read_depth(small.depth[0], 500).shape == small.image_size
    assert (small.images[0].suffix, whole.image_size) == (".jpg", (HEIGHT, WIDTH))
    assert whole.intrinsics[0].tolist() == [FOCAL, 0, CX]
    assert read_depth(whole.depth[0], 500).shape == (HEIGHT, WIDTH)


def test_a_broken_image_costs_its_frame_and_pose_and_a_broken_depth_only_itself(tmp_path):
    folder = make_drive(tmp_path / "raw", cameras=("02",))
    cut = folder / "image_02/data/0000000001.png"
    cut.write_bytes(cut.read_bytes()[:-200])
    (folder / "velodyne_points/data/0000000003.bin").write_bytes(b"0" * 17)
    (done,) = prepare(tmp_path / "raw", tmp_path / "data")
    scene = read_scene(done.folder)
    assert [int(image.stem) for image in scene.images] == [0, 2, 3, 4]
    np.testing.assert_allclose(scene.poses[:, 2, 3], (0, 2, 3, 4), atol=1e-5)
    assert [path is None for path in scene.depth] == [False, False, True, False]
    lines = "\n".join(done.problems)
    assert "0000000001.png: cannot be read" in lines
    assert "0000000003.bin: 17 bytes" in lines
    assert json.loads((done.folder / "scene.json").read_text())["problems"] == list(done.problems)
    text = report([done])
    assert "train: 1 scene, 4 frames, 3 with depth" in text
    assert "problems: 2" in text
    assert "0000000001.png: cannot be read" in text
    # A hole makes the frame rate untrue: the times are kept instead.
    info = json.loads((done.folder / "scene.json").read_text())
    assert info["fps"] is None
    np.testing.assert_allclose(scene.timestamps, [0.0, 0.2, 0.3, 0.4])


def test_a_stopped_run_leaves_whole_scenes_only_and_goes_on_from_there(tmp_path, monkeypatch):
    asked = []

    def counted(name):
        def image():
            asked.append(name)
            return grey(9)

        return ArchiveFrame(name="0", image=image)

    def stop():
        raise KeyboardInterrupt

    lost = ArchiveFrame(name="1", image=broken)
    first = drawn("first", [counted("first"), lost])
    halted = drawn("second", [frame("0"), ArchiveFrame(name="1", image=stop), frame("2")])
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, first, halted)
    assert names_in(tmp_path) == ["first", "train.txt"]
    second = drawn("second", [frame("0"), frame("1"), frame("2")])
    results = write(tmp_path, first, second)
    assert ([result.skipped for result in results], asked) == ([True, False], ["first"])
    assert (results[0].frames, results[0].depths) == (1, 0)
    assert results[0].problems == ("scan 7: cut off; the frame is left out",)
    assert (tmp_path / "train.txt").read_text() == "first\nsecond\n"
    assert "2 scenes (1 of them were there)" in report(results)


def test_a_folder_that_holds_something_else_is_never_touched_without_leave(tmp_path):
    write(tmp_path, drawn())
    other = drawn(frames=[frame("900", 1), frame("901", 2)])
    with pytest.raises(FileExistsError, match="a exists and holds something else"):
        write(tmp_path, drawn("b"), other)
    assert not (tmp_path / "b").exists()  # looked at before anything is written
    with pytest.raises(FileExistsError, match="another choice or size"):
        write(tmp_path, drawn(), width=4)
    write(tmp_path, other, overwrite=True)
    assert len(read_scene(tmp_path / "a").images) == 2


def test_an_archive_is_never_replaced_by_its_own_scenes(tmp_path):
    write(tmp_path / "tum", drawn())
    with pytest.raises(FileExistsError, match="is, holds or lies in the input"):
        write_archive(
            Archive(scenes=(drawn(),), problems=()), tmp_path / "tum", width=4, quality=95,
            overwrite=True, show_progress=False, inputs=[tmp_path / "tum"],
        )  # fmt: skip
    (tmp_path / "tum" / "a" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt: was not written"):
        write(tmp_path / "tum", drawn(), width=4, overwrite=True)
    assert len(read_scene(tmp_path / "tum" / "a").images) == 4


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


def test_a_scene_without_one_good_image_is_not_written_and_is_reported(tmp_path):
    scene = drawn("dark", [ArchiveFrame(name="0", image=broken)])
    dark, good = write(tmp_path, scene, drawn())
    assert dark.folder is None
    assert dark.problems
    assert (names_in(tmp_path), good.frames) == (["a", "train.txt"], 4)


def test_images_and_depth_of_a_wrong_size_are_reported(tmp_path):
    odd = ArchiveFrame(name="2", image=lambda: grey(5), depth=lambda: np.ones((3, 4), np.float32))
    (done,) = write(tmp_path, drawn(frames=[frame("0"), frame("1", size=(2, 3)), odd]))
    assert (done.frames, done.depths) == (2, 1)
    assert (
        "image of frame 1: 3 x 2 pixels, but the images of the scene have 8 x 6"
        in (done.problems[0])
    )
    assert "depth of frame 2: 4 x 3 pixels" in done.problems[1]


def test_what_concerns_the_whole_archive_comes_first_in_the_report(tmp_path):
    results = write(tmp_path, drawn(), problems=("no drive 7",))
    assert results[0].folder is None
    assert report(results).splitlines()[-2:] == ["problems: 1", "  no drive 7"]
    assert "and 3 more" in report(write(tmp_path / "x", drawn(problems=("p",) * 53)))


def test_an_image_on_its_side_is_turned_not_copied(tmp_path):
    pixels = Image.fromarray(np.dstack([np.arange(48, dtype=np.uint8).reshape(8, 6)] * 3))
    exif = pixels.getexif()
    exif[0x0112] = 6
    pixels.save(tmp_path / "side.png", exif=exif)
    (done,) = write(tmp_path, drawn(frames=[ArchiveFrame(name="0", image=tmp_path / "side.png")]))
    assert (done.folder / "0.jpg").is_file()
    assert read_image(done.folder / "0.jpg").shape == (*SIZE, 3)


def test_depth_beyond_sixteen_bits_is_unknown_and_tiny_depth_stays_measured(tmp_path):
    depth = np.zeros(SIZE, np.float32)
    depth[0, :4] = (65535 / 256, 300.0, 0.001, 3.0)
    scene = drawn(frames=[ArchiveFrame(name="0", image=lambda: grey(1), depth=lambda: depth)])
    (done,) = write(tmp_path, scene)
    stored = np.array(Image.open(done.folder / "depth/0.png"))
    assert stored[0, :5].tolist() == [65535, 0, 1, 768, 0]


def test_scenes_without_camera_poses_or_depth_have_no_files_for_them(tmp_path):
    frames = [ArchiveFrame(name=f"{n}", image=lambda: grey(1)) for n in range(4)]
    times = np.array([0.0, 0.5, 1.01, 1.5])  # steady: a frame rate
    (done,) = write(tmp_path, drawn(frames=frames, intrinsics=None, fps=None, timestamps=times))
    assert names_in(done.folder) == [*(f"{n}.jpg" for n in range(4)), "scene.json"]
    assert json.loads((done.folder / "scene.json").read_text())["fps"] == pytest.approx(2.0)


def test_every_data_set_of_the_table_has_a_reader_that_knows_its_own_archive(tmp_path):
    """An empty folder is none of them, and each says so in its own words."""
    for dataset in DATASETS:
        with pytest.raises((FileNotFoundError, ValueError), match=re.escape(str(tmp_path))):
            prepare(tmp_path, tmp_path / "data", dataset)
    assert not (tmp_path / "data").exists()


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
    make_drive(tmp_path / "raw", cameras=("02",))
    for options, message in (
        ({"dataset": "kity_raw"}, r"unknown data set 'kity_raw': closest match is 'kitti_raw'"),
        ({"dataset": "tum", "improved": tmp_path}, "improved and truth belong to kitti_raw"),
        ({"quality": 0}, r"quality must be in \[1, 100\], got 0"),
        ({"width": WIDTH + 1}, rf"width must be in \[1, {WIDTH}\], .* got {WIDTH + 1}"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(tmp_path / "raw", tmp_path / "data", **options)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        prepare(tmp_path / "nowhere", tmp_path / "data")
    with pytest.raises(ValueError, match="two scenes of the archive are named 'a'"):
        write(tmp_path, drawn(), drawn())
    shutil.rmtree(tmp_path / "raw/2011_09_26" / DRIVE / "image_02/data")
    with pytest.raises(ValueError, match=r"no scene of kitti_raw can be used:\n.*no images"):
        prepare(tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data").exists()
