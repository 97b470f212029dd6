"""Every format is read back by a library that did not write it, and compared."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from ssmde.inference import FORMATS, ModelInfo, PredictedFrame, WriterOptions, write_frame
from ssmde.inference.pictures import bands
from ssmde.inference.writers import linear_light, normal_colors, point_cloud

HEIGHT, WIDTH = 6, 8
K = np.array([[8.0, 0, 3.5], [0, 8.0, 2.5], [0, 0, 1]])


def make_frame(height=HEIGHT, width=WIDTH, **changes):
    random = np.random.default_rng(0)
    given = {
        "pixels": random.integers(0, 256, (height, width, 3), dtype=np.uint8),
        "depth": random.uniform(2, 2.1, (height, width)).astype(np.float32),
        "intrinsics": K,
        "info": ModelInfo(depth_range=(0.1, 100.0), source="drawn", network_size=(32, 32)),
    }
    return PredictedFrame(**{**given, **changes})


def written(tmp_path, name, frame, options=None):
    [path] = write_frame(tmp_path, "a", frame, [name], options)
    return path


def points_by_hand(frame):
    """x right, y up, z backward, of every pixel, row by row."""
    v, u = np.mgrid[: frame.depth.shape[0], : frame.depth.shape[1]]
    z = frame.depth.astype(float)
    x, y = (u - K[0, 2]) * z / K[0, 0], (v - K[1, 2]) * z / K[1, 1]
    return np.stack([x, -y, -z], -1).reshape(-1, 3)


def test_npz_holds_the_depth_itself_and_the_camera(tmp_path):
    for given in (make_frame(intrinsics=None), make_frame()):
        with np.load(written(tmp_path, "npz", given)) as arrays:
            np.testing.assert_array_equal(arrays["depth"], given.depth)
            assert ("intrinsics" in arrays) == (given.intrinsics is not None)
    np.testing.assert_array_equal(np.load(tmp_path / "a_depth.npz")["intrinsics"], K)


@pytest.mark.parametrize("name", ["ply", "glb"])
def test_points_lie_where_the_pinhole_formula_says_with_y_up_and_have_their_colors(tmp_path, name):
    given = make_frame()
    cloud = trimesh.load(written(tmp_path, name, given))
    if name == "glb":
        [cloud] = cloud.geometry.values()
    assert isinstance(cloud, trimesh.PointCloud)
    np.testing.assert_allclose(cloud.vertices, points_by_hand(given), rtol=1e-5)
    colors = given.pixels.reshape(-1, 3)
    # The middle gray of a screen has a fifth of the light, a dark one a thirteenth.
    assert linear_light(np.array([[128, 10, 255]], np.uint8)).tolist() == [[55, 1, 255]]
    colors = linear_light(colors) if name == "glb" else colors
    np.testing.assert_array_equal(cloud.colors[:, :3], colors)


@pytest.mark.parametrize("name", ["ply", "glb"])
def test_a_mesh_covers_the_image_and_shows_its_front_to_the_camera(tmp_path, name):
    path = written(tmp_path, name, make_frame(), WriterOptions(mesh=True))
    loaded = trimesh.load(path, process=False)
    mesh = loaded if isinstance(loaded, trimesh.Trimesh) else next(iter(loaded.geometry.values()))
    assert len(mesh.faces) == 2 * (HEIGHT - 1) * (WIDTH - 1)
    assert (-(mesh.triangles_center * mesh.face_normals).sum(1) > 0).all()
    colors = mesh.visual.vertex_colors if name == "ply" else mesh.visual.vertex_attributes["color"]
    assert len(colors) == HEIGHT * WIDTH
    if name == "glb":  # the light is in the picture
        assert b'"extensions":{"KHR_materials_unlit":{}}' in path.read_bytes()
        assert b'"material":0' in path.read_bytes()


def test_points_without_depth_are_left_out_and_no_triangle_spans_a_jump_of_the_depth():
    given = make_frame()
    known = np.random.default_rng(1).uniform(size=given.depth.shape) >= 0.3
    given.depth[:, 4:] += 2
    whole = point_cloud(given, WriterOptions(mesh=True))
    assert len(whole.faces) == 2 * 2 * (HEIGHT - 1) * 3  # three columns of squares on each side
    given.depth[~known] = 0
    cloud = point_cloud(given, WriterOptions(mesh=True))
    assert len(cloud.points) == known.sum()
    np.testing.assert_array_equal(cloud.colors, given.pixels[known])
    assert cloud.faces.max() < len(cloud.points)


def test_a_large_image_is_thinned_evenly_and_without_a_camera_there_is_no_cloud_and_no_normal():
    for most in (4, 10, 12, 48):
        assert 1 <= len(point_cloud(make_frame(), WriterOptions(max_points=most)).points) <= most
    for function in (lambda frame: point_cloud(frame, WriterOptions()), normal_colors):
        with pytest.raises(ValueError, match=r"need.* intrinsics"):
            function(make_frame(intrinsics=None))


def test_normals_of_a_wall_are_blue_and_of_a_floor_green(tmp_path):
    flat = np.full((HEIGHT, WIDTH), 3.0, np.float32)
    with Image.open(written(tmp_path, "normals", make_frame(depth=flat))) as image:
        assert np.unique(np.array(image).reshape(-1, 3), axis=0).tolist() == [[128, 128, 255]]
    # A floor one unit below the camera: z = fy / (v - cy), seen below the middle; and a wall that
    # stands at the right and faces left: x = 1 = (u - cx) z / fx.
    ramp = np.broadcast_to(30 / (np.arange(40, dtype=np.float32)[:, None] + 5), (40, 20))
    floor, wall = ramp.astype(np.float32), np.ascontiguousarray(ramp.T, np.float32)
    floor_camera = np.array([[30.0, 0, 9.5], [0, 30.0, -5], [0, 0, 1]])
    wall_camera = np.array([[30.0, 0, -5], [0, 30.0, 9.5], [0, 0, 1]])
    found = normal_colors(make_frame(40, 20, depth=floor, intrinsics=floor_camera))
    np.testing.assert_allclose(found[10:-10, 2:-2].mean((0, 1)), (128, 255, 128), atol=4)
    found = normal_colors(make_frame(20, 40, depth=wall, intrinsics=wall_camera))
    np.testing.assert_allclose(found[2:-2, 10:-10].mean((0, 1)), (0, 128, 128), atol=4)


def test_all_formats_of_a_frame_are_written_whole_or_none(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    suffixes = [kind.suffix for kind in FORMATS.values()]
    assert len(set(suffixes)) == len(suffixes)
    monkeypatch.setattr("pathlib.Path.replace", fail)
    for name in (name for name, kind in FORMATS.items() if kind.write):
        with pytest.raises(OSError, match="disk"):
            write_frame(tmp_path, "a", make_frame(), [name])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["png16", "color", "normals", "ply"])
def test_large_images_give_the_same_files_in_bands(tmp_path, monkeypatch, kind):
    given = make_frame()
    whole = written(tmp_path / "whole", kind, given).read_bytes()
    monkeypatch.setattr("ssmde.inference.pictures.BAND_PIXELS", 2 * WIDTH)
    assert len(list(bands(given.depth.shape))) == HEIGHT / 2
    assert written(tmp_path / "bands", kind, given).read_bytes() == whole
