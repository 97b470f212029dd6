"""Small archives of NYU Depth V2, DDAD, TUM and Bonn as they unpack; KITTI's have a file."""

import json
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image

NYU_START = 1294886362.25
NYU_SCENES = ("bathroom_0001", "kitchen_0028a", "office_0003")
DDAD_SIZE = (24, 32)
# Camera axes in the car's (x ahead, y left, z up): right is -y, down is -z, ahead is x.
LOOKS_AHEAD = {"qw": 0.5, "qx": -0.5, "qy": 0.5, "qz": -0.5}
NUMBERS = {"fx": 20.0, "fy": 20.0, "cx": 15.5, "cy": 11.5, "skew": 0.0}
POINTS = np.array([[10.0, 0, 0, 0.3], [5.0, 1.0, 0, 0.3], [-4.0, 0, 0, 0.3], [np.nan, 0, 0, 0.3]])
TUM_NAME = "rgbd_dataset_freiburg3_walking_xyz"
TUM_START = 1341846313.0
HALF = np.sqrt(0.5)


@contextmanager
def Labelled(path, mode="r"):  # noqa: N802
    """What h5py shows of the labelled set: every array transposed, names behind references."""
    if Path(path).read_bytes() != b"whole":
        raise OSError("Unable to open file (truncated file)")
    image = np.zeros((3, 3, 640, 480), np.uint8)
    image[1, 0, 7, 5] = 200  # the second image: red at column 7, row 5
    depth = np.full((3, 640, 480), 2.5, np.float32)
    depth[1, 7, 5], depth[1, 0, 0] = 4.0, np.nan
    names = {f"#{i}": np.array([[*map(ord, n)]], np.uint16).T for i, n in enumerate(NYU_SCENES)}
    yield {"images": image, "depths": depth, "scenes": np.array([[*names]], object), **names}


def labelled_h5(root):
    """The labelled set as h5py itself writes it."""
    h5py = import_module("h5py")
    path = root / "nyu_depth_v2_labeled.mat"
    path.write_bytes(b"whole")
    with Labelled(path) as content, h5py.File(path, "w") as file:
        for name in ("images", "depths"):
            file.create_dataset(name, data=content[name], compression="gzip")
        refs = [file.create_dataset(f"#refs#/{r}", data=content[r]).ref
                for r in content["scenes"][0]]  # fmt: skip
        file.create_dataset("scenes", data=np.array([refs], h5py.ref_dtype))


def write_pgm(path, values):
    path.write_bytes(b"P5 640 480 65535\n" + values.astype("<u2").tobytes())


def make_recording(
    root, name="kitchen_0028b", *, images=(0.0, 0.04, 0.08, 0.12), depth=(0.01, 0.05, 0.3)
):
    """Images and depth files at these times; the scene is 2 m away."""
    folder = root / name
    folder.mkdir(parents=True)
    for offset in images:
        path = folder / f"r-{NYU_START + offset:.6f}-3118787619.ppm"
        path.write_bytes(b"P6 640 480 255\n" + bytes([10, 20, 30]) * (640 * 480))
    for offset in depth:
        values = np.full((480, 640), round(1092.5 - 351.3 / 2), np.uint16)
        write_pgm(folder / f"d-{NYU_START + offset:.6f}-3151264321.pgm", values)
    (folder / f"a-{NYU_START:.6f}-3164794231.dump").write_bytes(b"\0" * 40)
    (folder / "INDEX.txt").write_text("")
    return folder


def pose(x, rotation=None):
    return {"translation": {"x": x, "z": 1.0}, "rotation": rotation or {"qw": 1.0}}


def datum(name, key, second, content):
    stamp = f"2019-05-15T00:38:5{second:.6f}Z"
    return {"key": key, "id": {"name": name, "timestamp": stamp}, "datum": content}


def make_scene(root, name, *, frames=2, cameras=("CAMERA_01",)):
    """A scene in DGP's layout; the car is at x = 10 k when scan k is made, 1 m on at image k."""
    folder = root / name
    (folder / "calibration").mkdir(parents=True)
    (folder / "point_cloud/LIDAR").mkdir(parents=True)
    calibration = {"names": ["LIDAR", *cameras], "intrinsics": [{}, *([NUMBERS] * len(cameras))]}
    (folder / "calibration/abc.json").write_text(json.dumps(calibration))
    data, samples = [], []
    for k in range(frames):
        scan = f"point_cloud/LIDAR/{k}.npz"
        np.savez(folder / scan, data=POINTS)
        keys = [f"lidar{k}"]
        cloud = {"filename": scan, "point_format": ["X", "Y", "Z", "INTENSITY"]}
        data.append(datum("LIDAR", keys[0], k, {"point_cloud": cloud | {"pose": pose(10.0 * k)}}))
        for camera in cameras:
            file = f"rgb/{camera}/1556{k}.png"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", DDAD_SIZE[::-1], (40 * k, 1, 2)).save(folder / file)
            image = {"filename": file, "height": DDAD_SIZE[0], "width": DDAD_SIZE[1]}
            keys.append(f"{camera}{k}")
            image["pose"] = pose(10.0 * k + 1, LOOKS_AHEAD)
            data.append(datum(camera, keys[-1], k + 0.1, {"image": image}))
        samples.append({"calibration_key": "abc", "datum_keys": keys})
    scene = {"name": "", "data": data[::-1], "samples": samples[::-1]}
    (folder / "scene_0123.json").write_text(json.dumps(scene))
    return folder


def make_ddad(root, **options):
    splits = {}
    for key, name in (("0", "000000"), ("1", "000150")):
        make_scene(root, name, **options)
        splits[key] = {"filenames": [f"{name}/scene_0123.json"]}
    (root / "ddad.json").write_text(json.dumps({"metadata": {}, "scene_splits": splits}))


def make_tum(root, name=TUM_NAME, *, images=(0.0, 0.1, 0.2, 0.3), depth=(0.01, 0.11, 0.29)):
    """A sequence in the benchmark's layout: depth k is k + 1 metres; the camera walks along x."""
    folder = root / name
    for kind, times, colour in (("rgb", images, (9, 8, 7)), ("depth", depth, None)):
        (folder / kind).mkdir(parents=True)
        lines = ["# color images" if colour else "# depth maps", "# timestamp filename"]
        for k, offset in enumerate(times):
            stamp = f"{TUM_START + offset:.6f}"
            path = folder / kind / f"{stamp}.png"
            if colour:
                Image.new("RGB", (640, 480), colour).save(path)
            else:
                Image.fromarray(np.full((480, 640), 5000 * (k + 1), np.uint16)).save(path)
            lines.append(f"{stamp} {kind}/{stamp}.png")
        (folder / f"{kind}.txt").write_text("\n".join(lines) + "\n")
    poses = [f"{TUM_START + t:.4f} {t} 2 3 0 0 {HALF} {HALF}" for t in (0.005, 0.095, 0.2)]
    (folder / "groundtruth.txt").write_text("# ground truth\n" + "\n".join(poses))
    return folder
