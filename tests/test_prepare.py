"""Preparing: a video or a folder of images in, a scene folder out, or one clear message."""

import json
import struct

import av
import numpy as np
import pytest
from PIL import Image

from ssmde.data.images import read_image
from ssmde.data.scene_folder import read_scene, read_scenes
from ssmde.prepare import prepare

WIDTH, HEIGHT = 64, 48
QUARTER_TURN = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, HEIGHT << 16, 0, 1 << 30)


def picture(number):
    """Grey that says the number of the frame, with a red corner top left."""
    pixels = np.full((HEIGHT, WIDTH, 3), 30 + 20 * number, np.uint8)
    pixels[:16, :16] = (230, 20, 20)
    return pixels


def make_video(path, frames=6, *, fps=10):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps, options={"qscale": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def lay_on_its_side(path):
    """Write into the head of an MP4 that a player has to turn it clockwise by a quarter."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # the display matrix of the first track
    content[place : place + 36] = QUARTER_TURN
    path.write_bytes(content)


def make_images(folder, frames=4, kind="png", size=(HEIGHT, WIDTH)):
    folder.mkdir(parents=True)
    for i in range(frames):
        pixels = picture(i)[: size[0], : size[1]]
        Image.fromarray(pixels).save(folder / f"shot{i + 8}.{kind}")
    return folder


def numbers(scene):
    """Which frame of the source each image shows, as its grey says."""
    return [round((read_image(file)[30:, 30:].mean() - 30) / 20) for file in scene.images]


def files(folder):
    return sorted(file.name for file in folder.iterdir())


def prepare_quietly(*args, **options):
    return prepare(*args, show_progress=False, **options)


def test_every_frame_of_a_video_becomes_an_image_in_order(tmp_path):
    folder = prepare(make_video(tmp_path / "walk.mp4"), tmp_path / "data")
    assert folder == tmp_path / "data" / "walk"
    assert files(folder) == [f"{i:06d}.jpg" for i in range(6)] + ["scene.json"]
    scene = read_scene(folder)
    assert scene.image_size == (HEIGHT, WIDTH)
    assert numbers(scene) == [0, 1, 2, 3, 4, 5]
    assert scene.intrinsics is None
    assert scene.timestamps[1] == pytest.approx(0.1)
    assert read_image(scene.images[0])[4, 4, 0] > 180  # the corner is red, not blue
    assert json.loads((folder / "scene.json").read_text())["source"] == "walk.mp4"
    assert files(tmp_path / "data") == ["walk"]
    assert [len(s) for s in read_scenes(tmp_path / "data", "train")] == [5]


def test_a_step_keeps_every_so_many_th_frame_under_its_own_number(tmp_path):
    scene = read_scene(prepare_quietly(make_video(tmp_path / "a.mp4"), tmp_path / "d", step=2))
    assert [image.stem for image in scene.images] == ["000000", "000002", "000004"]
    assert numbers(scene) == [0, 2, 4]
    assert scene.timestamps[1] == pytest.approx(0.2)


def test_a_video_that_lies_on_its_side_is_turned_upright(tmp_path):
    video = make_video(tmp_path / "phone.mp4", frames=2)
    lay_on_its_side(video)
    scene = read_scene(prepare_quietly(video, tmp_path / "d", intrinsics=(50.0, 50.0, 20.0, 40.0)))
    assert scene.image_size == (WIDTH, HEIGHT)
    image = read_image(scene.images[0])
    assert image[4, -4, 0] > 180  # clockwise: the corner is now top right
    assert image[4, -4, 1] < 80
    assert image[4, 4, 1] < 60 > image[4, 4, 0]
    assert scene.intrinsics[:2, 2].tolist() == [20, 40]


def test_the_camera_follows_a_resize(tmp_path):
    camera = (60.0, 62.0, 31.5, 23.5)
    video = make_video(tmp_path / "a.mp4", frames=2)
    scene = read_scene(prepare_quietly(video, tmp_path / "d", intrinsics=camera, width=32))
    assert scene.image_size == (24, 32)
    assert scene.intrinsics.tolist() == [[30, 0, 15.5], [0, 31, 11.5], [0, 0, 1]]


def test_a_field_of_view_gives_the_focal_length(tmp_path):
    video = make_video(tmp_path / "a.mp4", frames=2)
    scene = read_scene(prepare_quietly(video, tmp_path / "d", hfov_degrees=90))
    assert scene.intrinsics == pytest.approx(np.array([[32, 0, 31.5], [0, 32, 23.5], [0, 0, 1]]))


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_images_that_need_no_change_are_copied_to_the_byte(tmp_path, kind):
    source = make_images(tmp_path / "shots", kind=kind)
    (source / "cam.txt").write_text("60 0 31.5\n0 62 23.5\n0 0 1\n")
    folder = prepare_quietly(source, tmp_path / "data", name="room")
    assert files(folder) == [f"{i:06d}.{kind}" for i in range(4)] + ["cam.txt", "scene.json"]
    for i in range(4):  # shot8, shot9, shot10, shot11: by number
        copied = (folder / f"{i:06d}.{kind}").read_bytes()
        assert copied == (source / f"shot{i + 8}.{kind}").read_bytes()
    assert read_scene(folder).intrinsics[0].tolist() == [60, 0, 31.5]
    assert read_scene(folder).timestamps is None


def test_images_are_resized_and_turned_upright(tmp_path):
    source = make_images(tmp_path / "shots", frames=2)
    assert read_scene(prepare_quietly(source, tmp_path / "d", width=32)).image_size == (24, 32)
    exif = Image.Exif()
    exif[0x0112] = 6  # clockwise
    for file in source.iterdir():
        Image.open(file).save(file.with_suffix(".jpg"), exif=exif)
        file.unlink()
    folder = prepare_quietly(source, tmp_path / "d", name="turned")
    assert read_scene(folder).image_size == (WIDTH, HEIGHT)
    with Image.open(folder / "000000.jpg") as image:
        assert image.size == (HEIGHT, WIDTH)  # in the file itself, without a mark


def test_a_scene_is_replaced_only_when_asked(tmp_path):
    source, out = make_images(tmp_path / "shots", frames=3), tmp_path / "data"
    prepare_quietly(source, out)
    with pytest.raises(FileExistsError, match=r"data/shots exists: choose another name"):
        prepare_quietly(source, out, step=2)
    assert len(read_scene(out / "shots")) == 3
    prepare_quietly(source, out, step=2, overwrite=True)
    assert [image.stem for image in read_scene(out / "shots").images] == ["000000", "000002"]


def test_a_failure_leaves_nothing_and_keeps_the_old_scene(tmp_path):
    source, out = make_images(tmp_path / "shots", frames=3), tmp_path / "data"
    prepare_quietly(source, out)
    (source / "shot10.png").write_bytes((source / "shot10.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"shot10\.png: cannot be read"):
        prepare_quietly(source, out, overwrite=True)
    assert files(out) == ["shots"]
    assert len(read_scene(out / "shots")) == 3


def test_sources_that_hold_no_frames_are_refused(tmp_path):
    out = tmp_path / "data"
    with pytest.raises(FileNotFoundError, match=r"none\.mp4: no such file or folder"):
        prepare_quietly(tmp_path / "none.mp4", out)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"notes\.txt: unknown file type '\.txt'.*\.mp4"):
        prepare_quietly(tmp_path / "notes.txt", out)
    (tmp_path / "broken.mp4").write_bytes(b"hello" * 100)
    with pytest.raises(ValueError, match=r"broken\.mp4"):
        prepare_quietly(tmp_path / "broken.mp4", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: holds no images \(\.jpg"):
        prepare_quietly(tmp_path / "empty", out)
    assert not out.exists()


def test_images_of_two_sizes_are_refused(tmp_path):
    source = make_images(tmp_path / "shots", frames=2)
    Image.new("RGB", (20, 10)).save(source / "shot99.png")
    with pytest.raises(ValueError, match=r"shot99\.png: 20 x 10 pixels, but .* has 64 x 48"):
        prepare_quietly(source, tmp_path / "d")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0}, "step must be at least 1, got 0"),
        ({"quality": 101}, r"quality must be in \[1, 100\], got 101"),
        ({"width": 0}, "width must be at least 1 pixel, got 0"),
        ({"width": 65}, "width must be at most that of the frames, 64, got 65"),
        ({"hfov_degrees": 180}, r"hfov_degrees must be in \(0, 180\), got 180"),
        ({"intrinsics": (-5.0, 5.0, 3.0, 3.0)}, "intrinsics: focal lengths must be positive"),
        ({"intrinsics": (50.0, 50.0, 99.0, 3.0)}, "principal point"),
        ({"intrinsics": (50.0, 50.0, 3.0, 3.0), "hfov_degrees": 60}, "not both"),
        ({"name": "a/b"}, "name of a folder, got 'a/b'"),
        ({"name": ".."}, "name of a folder, got '..'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(
    tmp_path, options, message
):
    source = make_images(tmp_path / "shots", frames=2)
    with pytest.raises(ValueError, match=message):
        prepare_quietly(source, tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()
