"""Preparing: videos and images of any kind in, scene folders out, or one clear message."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import films
from folders import names_in
from ssmde.data.images import read_image
from ssmde.data.scene_folder import read_scene, read_scenes
from ssmde.preparation import prepare
from texture import noisy, texture, view

WIDTH, HEIGHT = 64, 48


def picture(number):
    """Grey that says the number of the frame, with a red corner top left."""
    pixels = np.full((HEIGHT, WIDTH, 3), 30 + 20 * number, np.uint8)
    pixels[:16, :16] = (230, 20, 20)
    return pixels


def make_video(path, frames=6):
    return films.write_mp4(path, [picture(i) for i in range(frames)])


def make_images(folder, frames=4, kind="png"):
    folder.mkdir(parents=True)
    for i in range(frames):
        Image.fromarray(picture(i)).save(folder / f"shot{i + 8}.{kind}")
    return folder


def numbers(scene):
    """Which frame of the source each image shows, as its grey says."""
    return [round((read_image(file)[30:, 30:].mean() - 30) / 20) for file in scene.images]


def prepare_all(*args, **options):
    """Every frame, as one scene; returns its folder."""
    (folder,) = prepare(*args, **{"step": 1, "show_progress": False} | options).scenes
    return folder


def choose(*args, **options):
    """The frames that `prepare` chooses."""
    return prepare(*args, **{"fewest_frames": 3, "show_progress": False} | options)


PATTERNS = texture(0, size=700), texture(1, size=700)
WINDOW = 320, 192


def look(x, pattern=0):
    """What a camera sees that went x pixels to the right."""
    return view(PATTERNS[pattern], 10 + x, 40, WINDOW)


def film(path, pictures, tags=None):
    """A video of grey pictures."""
    frames = [np.stack([picture] * 3, axis=-1) for picture in pictures]
    return films.write(path, frames, tags=tags, qmin=2, qmax=2)


def chosen(folder):
    """Numbers of the frames in a scene folder."""
    return [int(image.stem) for image in read_scene(folder).images]


def test_every_frame_or_every_second_becomes_an_image_under_its_own_number(tmp_path):
    folder = prepare_all(make_video(tmp_path / "walk.mp4"), tmp_path / "data", show_progress=True)
    assert folder == tmp_path / "data" / "walk"
    assert names_in(folder) == [f"{i:06d}.jpg" for i in range(6)] + ["scene.json"]
    scene = read_scene(folder)
    assert (scene.image_size, numbers(scene)) == ((HEIGHT, WIDTH), [0, 1, 2, 3, 4, 5])
    assert scene.intrinsics is None
    assert read_image(scene.images[0])[4, 4, 0] > 180  # the corner is red, not blue
    info = json.loads((folder / "scene.json").read_text())
    assert (info["source"], info["intrinsics"]) == ("walk.mp4", "unknown")
    assert names_in(tmp_path / "data") == ["walk"]
    assert [len(s) for s in read_scenes(tmp_path / "data", "train")] == [5]
    every_second = {"step": 2, "hfov_degrees": 90}
    scene = read_scene(prepare_all(tmp_path / "walk.mp4", tmp_path / "d", **every_second))
    assert scene.intrinsics == pytest.approx(np.array([[32, 0, 31.5], [0, 32, 23.5], [0, 0, 1]]))
    assert [image.stem for image in scene.images] == ["000000", "000002", "000004"]
    assert numbers(scene) == [0, 2, 4]


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_images_that_need_no_change_are_copied_to_the_byte(tmp_path, kind):
    source = make_images(tmp_path / "shots", kind=kind)
    (source / "cam.txt").write_text("60 0 31.5\n0 62 23.5\n0 0 1\n")
    folder = prepare_all(source, tmp_path / "data", name="room")
    assert names_in(folder) == [f"{i:06d}.{kind}" for i in range(4)] + ["cam.txt", "scene.json"]
    for i in range(4):  # shot8, shot9, shot10, shot11: by number
        copied = (folder / f"{i:06d}.{kind}").read_bytes()
        assert copied == (source / f"shot{i + 8}.{kind}").read_bytes()
    assert read_scene(folder).intrinsics[0].tolist() == [60, 0, 31.5]


def test_the_same_again_finds_its_scenes_and_another_film_takes_their_place(tmp_path):
    cut = film(tmp_path / "a.mp4", [look(3 * i, i // 4) for i in range(8)])
    out = tmp_path / "data"
    first = choose(cut, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = choose(cut, out)
    assert again.present
    assert str(again).splitlines()[1:] == str(first).splitlines()
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    (out / "a-2" / "000005.jpg").unlink()  # of a scene that is not whole any more all is made
    assert not choose(cut, out, overwrite=True).present
    assert {path.name for path in out.rglob("*")} == {path.name for path in before}
    with pytest.raises(FileExistsError, match=r"data/a-1 exists: choose another name"):
        choose(cut, out, fewest_frames=2)
    prepare_all(make_images(tmp_path / "a-3"), out)  # no part of the film
    choose(film(tmp_path / "a.mp4", [look(3 * i) for i in range(4)]), out, overwrite=True)
    assert names_in(out) == ["a", "a-3"]


@pytest.mark.parametrize("kind", ["photos", "film", "folder of its name", "notes"])
def test_originals_and_other_files_are_never_replaced(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, out = Path("trip"), Path(".")
    if kind == "photos":
        make_images(source)
    elif kind == "film":
        source.mkdir()
        source = make_video(source / "trip.mp4")
    else:
        source = make_video(Path("trip.mp4"))
        if kind == "notes":
            prepare_all(source, out)
        Path("trip").mkdir(exist_ok=True)
    (Path("trip") / "notes.txt").write_text("years")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    for overwrite, options in ((True, {"step": 2}), (False, {"step": 2}), (True, {"width": 60})):
        for spelling in (out, Path("trip/.."), tmp_path):
            with pytest.raises(FileExistsError, match="trip"):
                prepare_all(source, spelling, overwrite=overwrite, **options)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_failure_replaces_nothing(tmp_path):
    source, out = make_images(tmp_path / "shots", frames=3), tmp_path / "data"
    prepare_all(source, out, step=2)
    (source / "shot10.png").write_bytes((source / "shot10.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"shot10\.png: cannot be read"):
        prepare_all(source, out, overwrite=True)
    assert (names_in(out), chosen(out / "shots")) == (["shots"], [0, 2])


def test_sources_that_hold_no_frames_are_refused(tmp_path):
    source, exif = make_images(tmp_path / "shots", frames=2), Image.Exif()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.mp4").write_bytes(b"hello" * 100)
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (20, 10)).save(source / "shot99.png")
    exif[0x0112] = 3
    turned = make_images(tmp_path / "turned", frames=1)
    Image.fromarray(picture(1)).save(turned / "upside_down.png", exif=exif)
    (turned / "cam.txt").write_text("60 0 31.5 0 62 23.5 0 0 1")
    for given, message in (
        ("none.mp4", r"none\.mp4: no such file or folder"),
        ("q*.png", r"q\*\.png: no file fits this pattern"),
        ("notes.txt", r"notes\.txt: unknown file type '\.txt'.*\.mp4"),
        ("broken.mp4", r"broken\.mp4"),
        ("empty", r"empty: holds no images \(\.jpg"),
        ("turned", r"cam\.txt: cannot be the camera of .* \(EXIF\) turn in different ways"),
    ):
        with pytest.raises((FileNotFoundError, ValueError), match=message):
            prepare_all(tmp_path / given, tmp_path / "data")
    with pytest.raises(ValueError, match="no source given"):
        choose([], tmp_path / "data")
    video = film(tmp_path / "tripod.mp4", [noisy(look(0), 4, i) for i in range(6)])
    with pytest.raises(ValueError, match=r"tripod\.mp4: no 10 frames .* close \(.* 1 short"):
        choose(video, tmp_path / "data", fewest_frames=10)
    assert not (tmp_path / "data").exists()
    with pytest.raises(ValueError, match=r"shot99\.png: 20 x 10 pixels, but .* has 64 x 48"):
        prepare_all(source, tmp_path / "data")


@pytest.mark.parametrize(("options", "message"), [
    ({"step": 0}, "step must be at least 1, got 0"),
    ({"width": 0}, "width must be at least 1 pixel, got 0"),
    ({"width": 65}, "width must be at most that of the frames, 64, got 65"),
    ({"hfov_degrees": 180}, r"hfov_degrees must be in \(0, 180\), got 180"),
    ({"intrinsics": (-5.0, 5.0, 3.0, 3.0)}, "intrinsics: focal lengths must be positive"),
    ({"intrinsics": (50.0, 50.0, 99.0, 3.0)}, "principal point"),
    ({"intrinsics": (50.0, 50.0, 3.0, 3.0), "hfov_degrees": 60}, "not both"),
    ({"least_motion": 1.0}, r"least_motion must be in \(0, 0\.1\), a share of .*, got 1"),
    ({"fewest_frames": 0}, "fewest_frames must be at least 1, got 0"),
    ({"name": "a/b"}, "name of a folder, got 'a/b'"),
    ({"name": ".."}, "name of a folder, got '..'"),
    ({"size": (32, 64)}, "^--size does not go without --pack$"),
    ({"pack": True}, "^--pack needs --size HEIGHT WIDTH: data.image_size of the training$"),
    ({"pack": True, "size": (32, 64), "width": 9}, "^--width does not go with --pack$"),
    ({"pack": True, "dataset": "tum"}, "^--dataset does not go with --pack$"),
    ({"test_list": Path("c")}, "^--test-list does not go without --dataset$"),
    ({"dataset": "tum", "source": [Path(), Path()]}, "^--dataset takes one folder, got 2$"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, options, message):
    usual = {"source": make_images(tmp_path / "shots", frames=2), "out": tmp_path / "data"}
    usual |= {} if {"pack", "dataset"} & {*options} else {"step": 1}
    with pytest.raises(ValueError, match=message):
        prepare(**usual | options)
    assert not (tmp_path / "data").exists()


def test_frames_are_chosen_by_motion_and_a_cut_splits_the_video(tmp_path):
    # Stands for 32 frames, then goes 1 pixel a frame: a step of 0.005 is 1.6 of 320 pixels.
    pictures = [noisy(look(max(0, i - 31)), 4, i) for i in range(40)]
    pictures += [look(3 * i, 1) for i in range(4)] + [look(50), look(53)]
    video = film(tmp_path / "walk.mp4", pictures)
    made = choose(video, tmp_path / "data", hfov_degrees=90)
    assert [folder.name for folder in made.scenes] == ["walk-1", "walk-2"]
    assert names_in(tmp_path / "data") == ["walk-1", "walk-2"]
    assert list(map(chosen, made.scenes)) == [[0, 33, 35, 37, 39], [40, 41, 42, 43]]
    assert made.sources[0].choice.dropped == {
        "still": tuple(range(1, 33)), "close": (34, 36, 38), "short": (44, 45),
    }  # fmt: skip
    info = json.loads((made.scenes[0] / "scene.json").read_text())["prepared"]
    assert (info["frames"], info["kept"], info["dropped"]["still"]) == (46, 9, "1-32")
    assert "32 still, the camera stood still: 1-32" in str(made)
    assert "another picture begins at 40, 44" in str(made)
    assert all(read_scene(folder).intrinsics[0, 0] == 160 for folder in made.scenes)


def test_several_sources_and_patterns_become_scenes_of_their_own(tmp_path):
    shots = tmp_path / "shots"
    shots.mkdir()
    for name, i in (("p0", 0), ("p1", 1), ("p2", 2), ("p11", 3)):
        Image.fromarray(look(3 * i)).save(shots / f"{name}.png")
    (shots / "notes.txt").write_text("hello")
    one = film(tmp_path / "one.mp4", [look(3 * i) for i in range(3)])
    two = film(tmp_path / "two.mov", [look(3 * i, 1) for i in range(3)])
    sources = [one, shots / "p?.png", two]
    made = choose(sources, tmp_path / "data")
    assert [folder.name for folder in made.scenes] == ["one", "shots", "two"]
    assert chosen(made.scenes[1]) == [0, 1, 2]  # p11 does not fit the pattern
    assert made.sources[1].report.startswith("shots: 3 frames kept")
    named = prepare(sources, tmp_path / "data", name="trip", step=1).scenes
    assert [folder.name for folder in named] == ["trip-1", "trip-2", "trip-3"]
    folder = prepare(tmp_path, tmp_path / "all", step=1)  # holds two videos and no image
    assert [scene.name for scene in folder.scenes] == ["one", "two"]
    pair = prepare_all([shots / "p11.png", shots / "p2.png"], tmp_path / "data", name="pair")
    assert chosen(pair) == [0, 1]
    with pytest.raises(ValueError, match="two sources would become the scene 'one'; give a name"):
        choose([one, one], tmp_path / "other")


def test_the_camera_is_read_from_the_files_where_they_say_it(tmp_path):
    tag = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
    video = film(tmp_path / "a.mp4", [look(0), look(3)], tags={tag: "26"})
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 36
    for i in range(2):
        Image.fromarray(look(3 * i)).save(tmp_path / f"p{i}.jpg", exif=exif)
    made = prepare([video, tmp_path / "p*.jpg"], tmp_path / "d", step=1, name="x", width=160)
    found = [read_scene(folder).intrinsics[0, 0] for folder in made.scenes]
    focal = np.hypot(*WINDOW) / 43.267 / 2
    np.testing.assert_allclose(found, [26 * focal, 36 * focal], rtol=1e-3)
    assert "camera: video metadata, 26 mm equivalent: focal length 224" in str(made)
    assert "camera: EXIF, 36 mm equivalent" in str(made)


def test_each_size_of_a_film_becomes_a_scene_with_the_camera_of_its_size(tmp_path):
    parts = [
        films.write(tmp_path / f"{i}.ts", films.grey_frames([50, 100], size), codec="libx264",
                    kind="yuv420p").read_bytes()
        for i, size in enumerate([(32, 48), (64, 96), (48, 32)])
    ]  # fmt: skip
    path, options = tmp_path / "k.ts", {"step": 1, "intrinsics": (40.0, 40.0, 23.5, 15.5)}
    path.write_bytes(b"".join(parts))
    made = prepare(path, tmp_path / "d", show_progress=False, **options)
    assert [scene.name for scene in made.scenes] == ["k-1", "k-2", "k-3"]
    assert "a scene begins: 2, 4" in str(made)
    scenes = [read_scene(scene) for scene in made.scenes]
    assert [len(scene) for scene in scenes] == [2, 2, 2]
    assert [s.intrinsics is not None and s.intrinsics[0, 0] for s in scenes] == [40, 80, False]
    assert "frames of 32 x 48 pixels have none: another shape" in str(made)
    again = prepare(path, tmp_path / "d", show_progress=False, **options)
    assert (again.present, again.scenes) == (True, made.scenes)
