"""Small archives in the layout of KITTI, drawn with numbers a test can follow."""

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 40
FOCAL, CX, CY = 20.0, 19.0, 5.0
BASELINE = {"00": 0.0, "01": -0.54, "02": 0.06, "03": -0.47}  # t of K [I | t], in metres
# The scanner's x is forward, y left, z up; the camera's z forward, x right, y down.
AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
# A raw drive is rectified: the view of camera 0 is turned about its axis.
TURN = 0.05
R_RECT = np.array([
    [np.cos(TURN), -np.sin(TURN), 0.0], [np.sin(TURN), np.cos(TURN), 0.0], [0.0, 0.0, 1.0],
])  # fmt: skip
VELO_IN_CAMERA = -AXES @ np.array([0.27, 0.0, -0.08])  # metres


def row(key, numbers):
    return f"{key}: " + " ".join(f"{x:.12e}" for x in np.ravel(numbers)) + "\n"


def projection(key, camera):
    t = BASELINE[camera]
    return row(key, [[FOCAL, 0, CX, FOCAL * t], [0, FOCAL, CY, 0], [0, 0, 1, 0]])


def picture(number):
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def points(number):
    """Scan of a frame: three points in front of camera 02, one behind, one far to the side."""
    z = 10.0 + number
    return np.array([
        [z, 0.0, 0.0, 0.1], [z, 2.0, 0.3, 0.2], [8.0, -1.0, -0.5, 0.3], [-5.0, 0.0, 0.0, 0.4],
        [3.0, 40.0, 0.0, 0.5],
    ], np.float32)  # fmt: skip


def write_frames(images, scans, frames, digits):
    """Images into these folders, and scans."""
    for folder in (*images, scans):
        folder.mkdir(parents=True)
    for n in range(frames):
        for folder in images:
            Image.fromarray(picture(n)).save(folder / f"{n:0{digits}d}.png")
        (scans / f"{n:0{digits}d}.bin").write_bytes(points(n).tobytes())


def make_drive(root, drive="2011_09_26_drive_0001_sync", frames=5, cameras=("02", "03")):
    """A drive with its calibration, images and scans; returns its folder."""
    folder = root / drive[:10] / drive
    images = [folder / f"image_{camera}/data" for camera in cameras]
    write_frames(images, folder / "velodyne_points/data", frames, 10)
    text = "calib_time: 09-Jan-2012 13:57:47\n" + row("R_rect_00", R_RECT)
    for camera in ("02", "03"):
        text += row(f"S_rect_{camera}", (WIDTH, HEIGHT)) + projection(f"P_rect_{camera}", camera)
    (folder.parent / "calib_cam_to_cam.txt").write_text(text)
    text = "calib_time: x y\n" + row("R", AXES) + row("T", VELO_IN_CAMERA)
    (folder.parent / "calib_velo_to_cam.txt").write_text(text)
    return folder


def make_sequence(root, name="00", frames=4):
    """A sequence of KITTI odometry."""
    folder = root / "sequences" / name
    write_frames([folder / "image_2"], folder / "velodyne", frames, 6)
    text = "".join(projection(f"P{int(camera)}", camera) for camera in BASELINE)
    text += row("Tr", np.column_stack([AXES, VELO_IN_CAMERA]))
    (folder / "calib.txt").write_text(text)
    return folder


def write_poses(root, name, poses):
    (root / "poses").mkdir(exist_ok=True)
    lines = [" ".join(f"{x:.12e}" for x in pose[:3].ravel()) for pose in poses]
    (root / "poses" / f"{name}.txt").write_text("\n".join(lines))


def driving(frames=4):
    """The car drives forward, 1 m a frame."""
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 2, 3] = range(frames)
    return poses
