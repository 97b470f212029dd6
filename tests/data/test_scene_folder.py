"""Scene folders: what is found in them, and what a wrong file says."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import sparse

from ssmde.data.images import read_depth, write_png16
from ssmde.data.scene_files import write_intrinsics, write_list, write_poses, write_scene_info
from ssmde.data.scene_folder import read_scene, read_scenes, sort_names, stem
from ssmde.data.sequence import Files
from ssmde.io import natural_order
from ssmde.preparation.packing import pack

CAMERA = np.array([[30.0, 0, 15.5], [0, 31.0, 11.5], [0, 0, 1]])
ONES = np.ones((24, 32), np.uint16)


def make_scene(root, name="room", frames=5, *, kind="png"):
    """A scene folder with a camera; returns the folder."""
    folder = root / name
    folder.mkdir(parents=True)
    Image.new("RGB", (32, 24)).save(folder / f"000000.{kind}")
    for i in range(1, frames):
        shutil.copyfile(folder / f"000000.{kind}", folder / f"{i:06d}.{kind}")
    write_intrinsics(folder, CAMERA)
    return folder


def names(sequences):
    return [sequence.name for sequence in sequences]


def test_a_scene_is_read_with_all_that_lies_beside_its_images(tmp_path):
    folder = make_scene(tmp_path, frames=3)
    for name, frame, value in (("depth", 1, 2500), ("motion_mask", 2, 128), ("pseudo_depth", 0, 1)):
        (folder / name).mkdir()
        write_png16(folder / name / f"{frame:06d}.png", value * ONES)
    label = {"source": "net 2", "kind": "disparity", "affine": True}
    (folder / "pseudo_depth" / "label.json").write_text(json.dumps(label))
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[1, :3] = np.nan
    poses[2, 0, 3] = 0.25
    write_poses(folder, poses)
    write_scene_info(folder, {"fps": 10, "depth_units_per_metre": 1000, "source": "me"})

    scene = read_scene(folder)
    assert (scene.name, scene.image_size) == ("room", (24, 32))
    assert [image.name for image in scene.images] == ["000000.png", "000001.png", "000002.png"]
    assert (scene.intrinsics == CAMERA).all()
    assert scene.depth[0] is scene.depth[2] is None
    assert (read_depth(scene.depth[1], scene.depth_units_per_metre) == 2.5).all()
    assert [mask and mask.name for mask in scene.motion_masks] == [None, None, "000002.png"]
    assert [*scene.pseudo_depth] == [folder / "pseudo_depth" / "000000.png", None, None]
    assert (scene.pseudo_depth_kind, scene.pseudo_depth_source) == ("disparity", "net 2")
    np.testing.assert_array_equal(scene.poses[:, :3], poses[:, :3])
    assert scene.timestamps.tolist() == [0, 0.1, 0.2]


def test_a_folder_of_images_alone_is_a_scene_in_the_order_of_their_numbers(tmp_path):
    folder = make_scene(tmp_path, frames=1)
    (folder / "cam.txt").unlink()
    for name in ("frame_10.png", "frame_9.png", "frame_1.PNG", "._frame_2.png"):
        shutil.copyfile(folder / "000000.png", folder / name)
    scene = read_scene(folder)
    order = [image.name for image in scene.images]
    assert order == ["000000.png", "frame_1.PNG", "frame_9.png", "frame_10.png"]
    assert scene.intrinsics is scene.depth is scene.poses is scene.timestamps is None


# Parts


def test_lists_say_which_scenes_a_part_has_and_what_none_names_is_for_training(tmp_path):
    for name in ("a", "b", "c"):
        make_scene(tmp_path, name)
    write_list(tmp_path, "val", ["b"])
    write_list(tmp_path, "test", ["c"])
    assert len(read_scenes(tmp_path, "train")[0]) == 5
    for split, found in (("train", "a"), ("val", "b"), ("test", "c"), ("all", "abc")):
        assert names(read_scenes(tmp_path, split)) == list(found)
    write_list(tmp_path, "val", ["a", "b"])
    with pytest.raises(ValueError, match="name every scene"):
        read_scenes(tmp_path, "train")
    for text in ("b\na", "b\r\na\r\n", "\n b \n\na/\n\n", "\ufeffb\na"):  # however lines end
        (tmp_path / "train.txt").write_bytes(text.encode())
        assert names(read_scenes(tmp_path, "train")) == ["b", "a"]


def test_without_lists_the_last_tenth_of_each_scene_validates_one_scene_is_enough(tmp_path):
    make_scene(tmp_path, "a", frames=20)
    folder = make_scene(tmp_path, "b", frames=5)
    (folder / "depth").mkdir()
    np.save(folder / "depth" / "000004.npy", np.ones((24, 32)))
    train, val, whole = (read_scenes(tmp_path, split) for split in ("train", "val", "all"))
    assert ([len(s) for s in train], [len(s) for s in val]) == ([18, 4], [2, 1])
    joined = [[*t.images, *v.images] for t, v in zip(train, val, strict=True)]
    assert joined == [[*scene.images] for scene in whole]
    (train,), (val,) = read_scenes(folder, "train"), read_scenes(folder, "val")
    assert train.name == val.name == "b"
    assert (len(train), [*val.depth]) == (4, [folder / "depth" / "000004.npy"])


def test_the_published_packs_of_sc_depth_load_unchanged(tmp_path):
    pack = tmp_path / "training"
    for name in ("drive_01", "drive_02"):
        folder = make_scene(pack, name, frames=2, kind="jpg")
        (folder / "cam.txt").write_text("3.0e+01 0.0 1.55e+01 0 31 11.5 0 0 1")
        (folder / "depth").mkdir()
        (folder / "leres_depth").mkdir()
        for i in range(2):
            values = sparse.csr_matrix(([4.5 + i], ([0], [3])), shape=(24, 32))
            sparse.save_npz(folder / "depth" / f"{i:06d}.npz", values)
            write_png16(folder / "leres_depth" / f"{i:06d}.png", ONES)
    (pack / "train.txt").write_text("drive_01\n")
    (pack / "val.txt").write_text("drive_02\n")
    (tmp_path / "testing" / "color").mkdir(parents=True)
    for root in (tmp_path, pack):
        (train,), (val,) = read_scenes(root, "train"), read_scenes(root, "val")
        assert (train.name, val.name) == ("drive_01", "drive_02")
        assert (train.intrinsics == CAMERA).all()
        assert read_depth(val.depth[1], val.depth_units_per_metre)[0, 3] == 5.5
        assert (train.pseudo_depth_kind, train.pseudo_depth_source) == ("depth", "leres")


def test_scenes_whose_folders_have_one_last_name_are_two_scenes(tmp_path):
    data, linked = tmp_path / "data", tmp_path / "linked"
    linked.mkdir()
    for place, x in (("kitchen", 1), ("street", 2)):
        make_scene(data / place, "cam0", frames=3)
        (linked / place).symlink_to(data / place / "cam0")
        write_poses(data / place / "cam0", np.tile(np.eye(4) + x * np.eye(4, k=3), (3, 1, 1)))
    write_list(data, "train", ["kitchen/cam0", "street/cam0/"])
    write_list(data, "val", ["./kitchen/cam0"])
    for split, found in (("train", 2), ("val", 1), ("all", 2)):
        assert names(read_scenes(data, split)) == ["kitchen/cam0", "street/cam0"][:found]
    assert names(read_scenes(linked, "train")) == ["kitchen", "street"]
    assert read_scene(linked / "street").frame_name(0) == "street/000000"
    pack(data, tmp_path / "packed", size=(32, 32), show_progress=False)
    assert [s.poses[0, 0, 3] for s in read_scenes(tmp_path / "packed", "train")] == [1, 2]
    make_scene(tmp_path / "other", "kitchen", frames=3)
    write_list(data, "train", ["../linked/kitchen", "../other/kitchen"])
    with pytest.raises(ValueError, match=r"other/kitchen and .*linked/kitchen would both be scene"):
        read_scenes(data, "train")


# What is wrong

POSE = "1 0 0 0 0 1 0 0 0 0 1 0"


def test_poses_of_twelve_and_sixteen_numbers_are_the_same_and_rows_of_zeros_unknown(tmp_path):
    folder, upper = make_scene(tmp_path, frames=3), "1 0 0 1.5 0 1 0 2.5 0 0 1 3.5"
    (folder / "poses.txt").write_text(f"{upper}\n{upper} 0 0 0 1\n{' '.join('0' * 12)}")
    first, second, unknown = read_scene(folder).poses
    assert first[:3, 3].tolist() == second[:3, 3].tolist() == [1.5, 2.5, 3.5]
    assert np.isnan(unknown[:3]).all()


@pytest.mark.parametrize(("file", "text", "message"), [
    ("cam.txt", "30 0 15\n0 30 11", r"cam\.txt: expected 3 lines of 3 .*got lines of 3, 3"),
    ("cam.txt", "", r"cam\.txt: .*got lines of nothing"),
    ("cam.txt", "30 0 15.5\n0 f 11\n0 0 1", r"cam\.txt, line 2: expected numbers, got '0 f 11'"),
    ("cam.txt", "-30 0 15\n0 30 11\n0 0 1", r"cam\.txt: focal lengths must be positive"),
    ("poses.txt", f"{POSE}\n{POSE}", r"poses\.txt: expected one line for each of 3.*got 2"),
    ("poses.txt", f"{POSE}\n{POSE} 1\n{POSE}", r"poses\.txt, line 2: has 13 .* 12 or 16"),
    ("poses.txt", f"{POSE}\n{POSE}\n2 0 0 0 0 2 0 0 0 0 2 0", r"line 3: no rigid .* by 2\)"),
    ("poses.txt", f"{POSE}\n-1 0 0 0 0 1 0 0 0 0 1 0\n{POSE}", r"line 2: .*it mirrors"),
    ("poses.txt", f"{POSE}\n1 0 0 inf 0 1 0 0 0 0 1 0\n{POSE}", r"line 2: .*finite"),
    ("poses.txt", f"{POSE}\n1 0 0 nan 0 1 0 0 0 0 1 0\n{POSE}", r"line 2: .*finite"),
    ("poses.txt", f"{POSE}\n{POSE}\n{POSE} 0 0 1 0", r"line 3: a pose ends with 0 0 0 1"),
    ("scene.json", "{fps: 10}", r"scene\.json: not valid JSON"),
    ("scene.json", "[10]", r"scene\.json: expected an object"),
    ("scene.json", '{"fps": "ten"}', r"scene\.json: fps must be a positive number, got 'ten'"),
    ("scene.json", '{"depth_units_per_metre": 0}', r"depth_units_per_metre must be a positive"),
])  # fmt: skip
def test_a_wrong_file_is_named_with_value_and_remedy(tmp_path, file, text, message):
    folder = make_scene(tmp_path, frames=3)
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_scene(folder)


def test_labels_sizes_and_names_that_do_not_fit_are_refused(tmp_path):
    labels, sizes, twice, empty, other = (make_scene(tmp_path, n, frames=3) for n in "abcde")
    for folder in (labels / "pseudo_depth", empty / "depth", other / "depth"):
        folder.mkdir()
    write_png16(labels / "pseudo_depth" / "000000.png", ONES)
    (labels / "pseudo_depth" / "label.json").write_text('{"kind": "distance"}')
    Image.new("RGB", (32, 25)).save(sizes / "000002.png")
    Image.new("RGB", (32, 24)).save(twice / "000001.jpg")
    np.save(other / "depth" / "d_10.npy", ONES)
    for folder, says in (
        (labels, r"label\.json: kind must be depth or disparity, got 'dist"),
        (sizes, r"000002\.png: 32 x 25 .* 000000\.png has 32 x 24"),
        (twice, r"000001\.\w+ and 000001\.\w+ are one frame; keep one"),
        (empty, r"depth: holds no \.png, \.npy, \.npz; fill or delete"),
        (other, r"depth: none of its 1 files .* such as 000000\.png"),
    ):
        with pytest.raises(ValueError, match=says):
            read_scene(folder)


def test_missing_folders_and_scenes_are_named(tmp_path):
    for name in ("empty", "data/kitchen"):
        (tmp_path / name).mkdir(parents=True)

    def read(name, split="train", text=None):
        if text is not None:
            (tmp_path / name / "train.txt").write_text(text)
        return read_scenes(tmp_path / name, split)

    for reading, says in (
        (lambda: read("nowhere"), "nowhere: no such data folder"),
        (lambda: read_scene(tmp_path / "nowhere"), "nowhere: no such scene folder"),
        (lambda: read("data"), r"no folder in it holds images \(\.jpg"),
        (lambda: read_scene(tmp_path / "empty"), "empty: a scene folder holds images .* none"),
        (lambda: read("data", "test"), r"test\.txt: no such list"),
        (lambda: read("data", text="\nkitchn\n"), r"train\.txt, line 2: scene 'kitchn'.*'kitchen'"),
        (lambda: read("data", text="\n"), r"train\.txt: the list is empty"),
        (lambda: read_scenes(Path("https://host:80/a"), "val"), "a: data is read from a folder: c"),
        (lambda: read_scenes(Path("s3://bucket/a"), "val"), "a: data is read from a folder: copy"),
    ):
        with pytest.raises((FileNotFoundError, ValueError), match=says):
            reading()


# Their files, and the order of these

any_names = st.lists(
    st.builds("{}{}.{}".format, st.sampled_from(["", "a", "b", "ab", "a0"]), st.integers(0, 199),
              st.sampled_from(["jpg", "png"])),
    unique_by=stem, max_size=8,
)  # fmt: skip


@given(names=any_names, digits=st.lists(st.integers(0, 999), unique=True, max_size=8))
def test_names_are_in_the_order_of_their_numbers(names, digits):
    assert sort_names(Path(), names) == sorted(names, key=lambda name: natural_order(stem(name)))
    of_one_shape = [f"a_{number:03d}_b.jpg" for number in digits]
    assert [int(name[2:5]) for name in sort_names(Path(), of_one_shape)] == sorted(digits)


@pytest.mark.parametrize("names", [
    "0.05 0.333 0.5 1.0 1.25 10.125", "t0.5 t1 t1.25 t1.5", "36579.76355 36579.763555527 36579.8",
    "1.1 1.2 1.9 1.10 1.11",  # the tenth frame, no decimals
    "1.80 1.90 2.05",
])  # fmt: skip
def test_decimal_names_sort_by_their_value(names):
    files = [f"{name}.jpg" for name in names.split()]
    assert sort_names(Path(), files[::-1]) == files


def test_files_are_a_sequence_of_paths_that_takes_little_more_than_their_names(tmp_path):
    files = pickle.loads(pickle.dumps(Files(tmp_path, ["a.jpg", "", "ü é.jpg"])))
    assert [*files] == [tmp_path / "a.jpg", None, tmp_path / "ü é.jpg"]
    assert [*files[1:3]] == [None, files[-1]]
    assert Files(tmp_path, [f"{i:06d}.jpg" for i in range(1000)]).names.nbytes == 10 * 1000


def test_a_scene_of_many_frames_is_read_without_opening_them(tmp_path):
    for i in range(7):
        (tmp_path / f"{i}.png").touch()
    for i in (0, 3, 6):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
    Image.new("RGB", (6, 8)).save(tmp_path / "4.png")
    assert read_scene(tmp_path).image_size == (8, 8)  # three are opened, the others when needed
    with pytest.raises(ValueError, match=r"4\.png: 6 x 8 pixels, but 0\.png has 8 x 8"):
        read_scene(tmp_path, every_size=True)
    for i in (0, 3, 6):
        (tmp_path / f"{i}.png").write_bytes(b"")
    assert read_scene(tmp_path).image_size == (8, 6)
    (tmp_path / "4.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"0\.png: the file is empty"):
        read_scene(tmp_path)
