"""Every format is read back by a library that did not write it, and compared."""

import io
import struct

import numpy as np
import OpenEXR
import pytest
import trimesh
from PIL import Image

from ssmde.pictures import bands
from ssmde.prediction.camera import from_hfov
from ssmde.prediction.clouds import lift_shot, linear_light
from ssmde.prediction.formats import FORMATS, FrameFormat, check_formats, write_frame
from ssmde.prediction.rasters import normal_colours
from ssmde.prediction.shot import Facts, Shot, Style

HEIGHT, WIDTH = 6, 8
K = np.array([[8.0, 0, 3.5], [0, 8.0, 2.5], [0, 0, 1]])


def shot(height=HEIGHT, width=WIDTH, **changes):
    random = np.random.default_rng(0)
    given = {
        "pixels": random.integers(0, 256, (height, width, 3), dtype=np.uint8),
        "depth": random.uniform(2, 2.1, (height, width)).astype(np.float32),
        "confidence": random.uniform(0, 1, (height, width)).astype(np.float32),
        "intrinsics": K,
        "facts": Facts(depth_range=(0.1, 100.0), source="drawn", network_size=(32, 32)),
    }
    return Shot(**{**given, **changes})


def written(tmp_path, name, what, style=None):
    [path] = write_frame(tmp_path, "a", what, [name], style)
    return path


def points_by_hand(what):
    """x right, y up, z backward, of every pixel, row by row."""
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    rows = []
    for v in range(what.depth.shape[0]):
        for u in range(what.depth.shape[1]):
            z = float(what.depth[v, u])
            rows.append(((u - cx) * z / fx, -(v - cy) * z / fy, -z))
    return np.array(rows)


def test_exr_holds_the_depth_to_the_last_bit(tmp_path):
    given = shot()
    with OpenEXR.File(str(written(tmp_path, "exr", given))) as file:
        channels = file.channels()
        np.testing.assert_array_equal(channels["Z"].pixels, given.depth)
        np.testing.assert_array_equal(channels["confidence"].pixels, given.confidence)
        assert channels["Z"].pixels.dtype == np.float32


def test_npz_holds_confidence_and_camera_too(tmp_path):
    given = shot()
    with np.load(written(tmp_path, "npz", given)) as arrays:
        assert sorted(arrays) == ["confidence", "depth", "intrinsics"]
        np.testing.assert_array_equal(arrays["intrinsics"], K)
    with np.load(written(tmp_path, "npz", shot(confidence=None, intrinsics=None))) as arrays:
        assert sorted(arrays) == ["depth"]


def test_ply_points_lie_where_the_pinhole_formula_says_with_y_up(tmp_path):
    given = shot()
    cloud = trimesh.load(written(tmp_path, "ply", given))
    assert isinstance(cloud, trimesh.PointCloud)
    np.testing.assert_allclose(cloud.vertices, points_by_hand(given), rtol=1e-5)
    np.testing.assert_array_equal(cloud.colors[:, :3], given.pixels.reshape(-1, 3))


def test_a_cloud_of_the_camera_s_upper_right_lies_up_right_and_before_the_viewer():
    x, y, z = lift_shot(shot(), Style()).points[WIDTH - 1]
    assert x > 0
    assert y > 0
    assert z < 0


def test_ply_carries_the_confidence_of_each_point(tmp_path):
    given = shot()
    content = written(tmp_path, "ply", given).read_bytes()
    head, body = content.split(b"end_header\n", 1)
    assert b"property float confidence" in head
    first = struct.unpack("<fffBBBf", body[:19])
    assert first[6] == given.confidence[0, 0]
    assert len(body) == 19 * HEIGHT * WIDTH


def test_glb_points_equal_those_of_ply_and_colours_are_linear(tmp_path):
    given = shot()
    scene = trimesh.load(written(tmp_path, "glb", given))
    [cloud] = scene.geometry.values()
    np.testing.assert_allclose(cloud.vertices, points_by_hand(given), rtol=1e-5)
    share = given.pixels.reshape(-1, 3) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(cloud.colors[:, :3] / 255, linear, atol=0.5 / 255 + 1e-9)


def test_linear_light_by_hand():
    found = linear_light(np.array([[0, 128, 255]], np.uint8))
    assert found.tolist() == [[0, 55, 255]]  # the middle grey of a screen has a fifth of the light


@pytest.mark.parametrize("name", ["ply", "glb"])
def test_a_mesh_covers_the_image_and_shows_its_front_to_the_camera(tmp_path, name):
    loaded = trimesh.load(
        written(tmp_path, name, shot(confidence=None), Style(mesh=True)), process=False
    )
    mesh = loaded if isinstance(loaded, trimesh.Trimesh) else next(iter(loaded.geometry.values()))
    assert len(mesh.faces) == 2 * (HEIGHT - 1) * (WIDTH - 1)
    towards_camera = -(mesh.triangles_center * mesh.face_normals).sum(1)
    assert (towards_camera > 0).all()
    assert len(mesh.visual.vertex_colors) == HEIGHT * WIDTH


def test_no_triangle_spans_a_jump_of_the_depth():
    depth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    depth[:, 4:] = 4
    cloud = lift_shot(shot(depth=depth, confidence=None), Style(mesh=True))
    assert cloud.faces is not None
    assert len(cloud.faces) == 2 * 2 * (HEIGHT - 1) * 3  # three columns of squares on each side
    z = cloud.points[cloud.faces][:, :, 2]
    assert (z.max(1) == z.min(1)).all()


def test_unsure_points_and_their_triangles_are_left_out(tmp_path):
    given = shot()
    assert given.confidence is not None
    sure = given.confidence >= 0.5
    cloud = lift_shot(given, Style(least_confidence=0.5, mesh=True))
    assert len(cloud.points) == sure.sum()
    np.testing.assert_array_equal(cloud.colours, given.pixels[sure])
    assert cloud.faces is not None
    assert cloud.faces.max() < len(cloud.points)
    with pytest.raises(ValueError, match="no pixel has a confidence of 1 or more"):
        lift_shot(given, Style(least_confidence=1.0))


@pytest.mark.parametrize("most", [4, 10, 12, 48])
def test_a_large_image_is_thinned_evenly(most):
    cloud = lift_shot(shot(), Style(max_points=most))
    assert 1 <= len(cloud.points) <= most


def test_without_a_camera_there_is_no_cloud_and_no_normal():
    for function in (lambda s: lift_shot(s, Style()), normal_colours):
        with pytest.raises(ValueError, match=r"need.* intrinsics"):
            function(shot(intrinsics=None))


def test_normals_of_a_wall_are_blue_and_of_a_floor_green(tmp_path):
    flat = np.full((HEIGHT, WIDTH), 3.0, np.float32)
    with Image.open(written(tmp_path, "normals", shot(depth=flat))) as image:
        assert np.unique(np.array(image).reshape(-1, 3), axis=0).tolist() == [[128, 128, 255]]
    # A floor one unit below the camera: z = fy / (v - cy), seen below the middle.
    v = np.arange(40, dtype=np.float32)[:, None]
    floor = np.broadcast_to(30 / (v + 5), (40, 20)).astype(np.float32)
    camera = np.array([[30.0, 0, 9.5], [0, 30.0, -5], [0, 0, 1]])
    colours = normal_colours(shot(40, 20, depth=floor, intrinsics=camera))
    np.testing.assert_allclose(
        colours[10:-10, 2:-2].reshape(-1, 3).mean(0), (128, 255, 128), atol=4
    )
    # A wall that stands at the right and faces left: x = 1 = (u - cx) z / fx.
    u = np.arange(40, dtype=np.float32)[None]
    wall = np.broadcast_to(30 / (u + 5), (20, 40)).astype(np.float32)
    camera = np.array([[30.0, 0, -5], [0, 30.0, 9.5], [0, 0, 1]])
    colours = normal_colours(shot(20, 40, depth=wall, intrinsics=camera))
    np.testing.assert_allclose(colours[2:-2, 10:-10].reshape(-1, 3).mean(0), (0, 128, 128), atol=4)


def test_the_bar_of_the_colours_reads_them(tmp_path):
    depth = np.linspace(1, 9, 100 * 50).reshape(100, 50).astype(np.float32)
    with Image.open(written(tmp_path, "color", shot(100, 50, depth=depth))) as image:
        pixels = np.array(image)
    bar = pixels[:, 50 + 4]
    # The nearest colour of the image stands at the top of the bar, the farthest at its foot.
    np.testing.assert_allclose(bar[0].astype(int), pixels[0, 0], atol=2)
    np.testing.assert_allclose(bar[-1].astype(int), pixels[-1, 49], atol=2)


def test_every_format_says_what_it_holds_and_none_overwrites_another():
    suffixes = [kind.suffix for kind in FORMATS.values()]
    assert len(set(suffixes)) == len(suffixes)
    assert all(kind.holds for kind in FORMATS.values())
    with pytest.raises(ValueError, match="unknown format 'jpg': choose from png16, npz"):
        check_formats(["jpg"])


def test_every_format_of_a_frame_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    names = [name for name, kind in FORMATS.items() if isinstance(kind, FrameFormat)]
    monkeypatch.setattr("pathlib.Path.replace", _fail)
    for name in names:
        with pytest.raises(OSError, match="disk"):
            write_frame(tmp_path, "a", shot(), [name])
    assert not list(tmp_path.iterdir())


def _fail(*_):
    raise OSError("the disk is full")


def test_a_field_of_view_is_seen_between_the_borders_of_the_image():
    matrix = from_hfov((480, 640), 90.0)
    left = (-0.5 - matrix[0, 2]) / matrix[0, 0]
    right = (639.5 - matrix[0, 2]) / matrix[0, 0]
    np.testing.assert_allclose((left, right), (-1, 1))


def test_the_text_of_the_unit_survives_any_png_reader(tmp_path):
    with Image.open(io.BytesIO(written(tmp_path, "png16", shot()).read_bytes())) as image:
        assert float(image.info["png16_units_per_scene_unit"]) == 655.0


@pytest.mark.parametrize("kind", ["png16", "normals", "ply"])
def test_large_images_give_the_same_files_in_bands(tmp_path, monkeypatch, kind):
    given = shot()
    whole = written(tmp_path / "whole", kind, given).read_bytes()
    monkeypatch.setattr("ssmde.pictures.BAND_PIXELS", 2 * given.depth.shape[1])
    assert len(list(bands(given.depth.shape))) == HEIGHT / 2
    assert written(tmp_path / "bands", kind, given).read_bytes() == whole
