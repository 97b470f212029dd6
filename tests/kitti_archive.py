"""Small archives in the layout of KITTI, drawn with numbers a test can follow."""

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 40
FOCAL, CX, CY = 20.0, 19.0, 5.0
BASELINE = {"02": 0.06, "03": -0.47}  # camera 0 to camera: t of K [I | t], in metres
# The scanner's x is forward, y left, z up; the camera's z forward, x right, y down.
AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
CAMERA_IN_VELO = np.array([0.27, 0.0, -0.08])  # metres
LATITUDE, LONGITUDE = 49.0, 8.4
EARTH = 6378137.0


def row(key, numbers):
    return f"{key}: " + " ".join(f"{x:.12e}" for x in np.ravel(numbers)) + "\n"


def picture(number):
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def points(number):
    """Scan of a frame: three points in front of camera 02, one behind, one far to the side."""
    z = 10.0 + number
    return np.array(
        [
            [z, 0.0, 0.0, 0.1],
            [z, 2.0, 0.3, 0.2],
            [8.0, -1.0, -0.5, 0.3],
            [-5.0, 0.0, 0.0, 0.4],
            [3.0, 40.0, 0.0, 0.5],
        ],
        np.float32,
    )


def write_calibration(date):
    date.mkdir(parents=True, exist_ok=True)
    text = "calib_time: 09-Jan-2012 13:57:47\n" + row("R_rect_00", np.eye(3))
    for camera, t in BASELINE.items():
        P = np.array([[FOCAL, 0, CX, FOCAL * t], [0, FOCAL, CY, 0], [0, 0, 1, 0]])
        text += row(f"S_rect_{camera}", (WIDTH, HEIGHT)) + row(f"P_rect_{camera}", P)
    (date / "calib_cam_to_cam.txt").write_text(text)
    (date / "calib_velo_to_cam.txt").write_text(
        "calib_time: x y\n" + row("R", AXES) + row("T", -AXES @ CAMERA_IN_VELO)
    )
    (date / "calib_imu_to_velo.txt").write_text(row("R", np.eye(3)) + row("T", (0.8, 0.0, 0.0)))


def oxts_line(number):
    """The car drives north, 1 m a frame, and looks north (yaw is measured from the east)."""
    latitude = LATITUDE + np.degrees(number / EARTH)
    numbers = [latitude, LONGITUDE, 110.0, 0.0, 0.0, np.pi / 2, *([0.0] * 24)]
    return " ".join(f"{x:.14f}" for x in numbers) + "\n"


def make_drive(root, drive="2011_09_26_drive_0001_sync", frames=5, cameras=("02", "03")):
    """A drive with its calibration, images, scans, oxts and timestamps; returns its folder."""
    folder = root / drive[:10] / drive
    write_calibration(folder.parent)
    for name in (*(f"image_{c}" for c in cameras), "velodyne_points", "oxts"):
        (folder / name / "data").mkdir(parents=True)
    for n in range(frames):
        for camera in cameras:
            Image.fromarray(picture(n)).save(folder / f"image_{camera}" / "data" / f"{n:010d}.png")
        (folder / "velodyne_points/data" / f"{n:010d}.bin").write_bytes(points(n).tobytes())
        (folder / "oxts/data" / f"{n:010d}.txt").write_text(oxts_line(n))
    stamps = [f"2011-09-26 13:02:{25 + n / 10:.9f}\n" for n in range(frames)]
    for camera in cameras:
        (folder / f"image_{camera}" / "timestamps.txt").write_text("".join(stamps))
    return folder


def make_sequence(root, name="00", frames=4):
    """A sequence of KITTI odometry: the car drives forward, 1 m a frame."""
    folder = root / "sequences" / name
    (folder / "image_2").mkdir(parents=True)
    (folder / "velodyne").mkdir()
    text = ""
    for i, t in enumerate((0.0, -0.54, 0.06, -0.47)):
        P = np.array([[FOCAL, 0, CX, FOCAL * t], [0, FOCAL, CY, 0], [0, 0, 1, 0]])
        text += row(f"P{i}", P)
    Tr = np.column_stack([AXES, -AXES @ CAMERA_IN_VELO])
    (folder / "calib.txt").write_text(text + row("Tr", Tr))
    for n in range(frames):
        Image.fromarray(picture(n)).save(folder / "image_2" / f"{n:06d}.png")
        (folder / "velodyne" / f"{n:06d}.bin").write_bytes(points(n).tobytes())
    (folder / "times.txt").write_text("".join(f"{n * 0.1036:e}\n" for n in range(frames)))
    return folder


def write_poses(root, name, poses):
    (root / "poses").mkdir(exist_ok=True)
    lines = [" ".join(f"{x:.12e}" for x in pose[:3].ravel()) for pose in poses]
    (root / "poses" / f"{name}.txt").write_text("\n".join(lines))


def driving(frames=4):
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 2, 3] = range(frames)
    return poses
