"""Files of NYU Depth V2: the Kinect's raw recordings, the labelled set, and splits.mat.

The Kinect's two cameras lie 2.5 cm apart, and both lenses distort. As the toolbox of the data set
does it, color is rectified, and depth is rectified, moved and seen again by the color camera.
Unlike there, depth is the distance from the color camera, and beyond 10 m it is unknown.
"""

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Num, UInt16
from scipy.io import loadmat

from ssmde.console import import_extra
from ssmde.data.images import read_image
from ssmde.data.sequence import DepthMap, Pixels, Size
from ssmde.datasets.record import ArchiveError, in_pixels, read_archive_file
from ssmde.datasets.sensors import depth_image

# camera_params.m of the toolbox (Silberman et al., ECCV 2012). Its pixels count from 1: less 1.
IMAGE_SIZE = (480, 640)
COLOR_CAMERA = np.array(
    [
        [518.85790117450188, 0.0, 325.58244941119034 - 1],
        [0.0, 519.46961112127485, 253.73616633400465 - 1],
        [0.0, 0.0, 1.0],
    ]
)
DEPTH_CAMERA = np.array(
    [
        [582.62448167737955, 0.0, 313.04475870804731 - 1],
        [0.0, 582.69103270988637, 238.44389626620386 - 1],
        [0.0, 0.0, 1.0],
    ]
)
# Lens distortion k1 k2 p1 p2 k3 (Brown).
COLOR_LENS = (
    0.20796615318809061, -0.58613825163911781, 7.2231363135888329e-04, 1.0479627195765181e-03,
    0.49856986684705107,
)  # fmt: skip
DEPTH_LENS = (
    -0.099897236553084481, 0.39065324602765344, 1.9290592870229277e-03, -1.9422022475975055e-03,
    -0.51031725053400578,
)  # fmt: skip
# The toolbox turns points into the negative of these, which project to the same pixels.
R_DEPTH_COLOR = np.array(
    [
        [9.9997798940829263e-01, 5.0518419386157446e-03, 4.3011152014118693e-03],
        [-5.0359919480810989e-03, 9.9998051861143999e-01, -3.6879781309514218e-03],
        [-4.3196624923060242e-03, 3.6662365748484798e-03, 9.9998394948385538e-01],
    ]
)
R_COLOR_DEPTH = np.linalg.inv(R_DEPTH_COLOR)
COLOR_FROM_DEPTH = np.array(
    [-2.5031875059141302e-02, 2.9342312935846411e-04, -6.6238747008330102e-04]
)  # metres

DEPTH_NUMERATOR, DEPTH_ORIGIN = 351.3, 1092.5  # depth_rel2depth_abs.m: 351.3 / (1092.5 - raw)
LEAST_RAW = 600  # project_depth_map.m takes less for noise
MAX_DEPTH = 10.0  # metres, camera_params.m
WHITE = 255  # beyond the border, as in the labelled images
LENS_STEPS = 8  # of the fixed-point iteration; the error is below 1e-6 pixels
PGM_HEADER = re.compile(rb"P5\s+(\d+)\s+(\d+)\s+65535\s", re.ASCII)
Values = Float[np.ndarray, "*b"]


def read_color(path: Path) -> Pixels:
    """Rectified colors of an r-*.ppm, RGB; white where the rectified camera sees past the image."""
    pixels = read_image(path)
    if pixels.shape[:2] != IMAGE_SIZE:
        raise ArchiveError(
            f"{path}: {in_pixels(pixels.shape[:2])} pixels, expected {in_pixels(IMAGE_SIZE)}"
        )
    return _sample(pixels, *_distorted_pixels())


def read_registered_depth(path: Path) -> DepthMap:
    """Depth of a d-*.pgm as the rectified color camera sees it, in metres; 0 where unknown."""
    raw = _read_raw_depth(path)
    known = (raw >= LEAST_RAW) & (raw <= DEPTH_ORIGIN - DEPTH_NUMERATOR / MAX_DEPTH)
    depth = DEPTH_NUMERATOR / (DEPTH_ORIGIN - raw[known])
    points = _depth_directions()[known] * depth[:, None]
    # From the depth camera into the color camera, whose distances count: see the head of the file.
    return depth_image(points @ R_COLOR_DEPTH.T + COLOR_FROM_DEPTH, COLOR_CAMERA, IMAGE_SIZE)


def distort(x: Values, y: Values, lens: tuple[float, ...]) -> tuple[Values, Values]:
    """Where a lens k1 k2 p1 p2 k3 shows a direction (x, y) at depth 1 (Brown, 1966)."""
    radial, dx, dy = _bend(x, y, lens)
    return x * radial + dx, y * radial + dy


def undistort(x: Values, y: Values, lens: tuple[float, ...]) -> tuple[Values, Values]:
    """Direction that a lens shows here: the inverse of `distort`, by fixed-point iteration."""
    straight_x, straight_y = x, y
    for _ in range(LENS_STEPS):
        radial, dx, dy = _bend(straight_x, straight_y, lens)
        straight_x, straight_y = (x - dx) / radial, (y - dy) / radial
    return straight_x, straight_y


def _bend(x: Values, y: Values, lens: tuple[float, ...]) -> tuple[Values, Values, Values]:
    """Radial factor and tangential shift."""
    k1, k2, p1, p2, k3 = lens
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    dx = 2 * p1 * x * y + p2 * (square + 2 * x * x)
    dy = p1 * (square + 2 * y * y) + 2 * p2 * x * y
    return radial, dx, dy


def read_labelled_set(path: Path) -> tuple[tuple[str, ...], Size]:
    """Scene of each image of the labelled set, such as kitchen_0028b, and their (height, width).

    The file is HDF5 with every array transposed.
    """
    with _open_labelled(path) as file:
        references = np.asarray(file["scenes"]).ravel()
        scenes = tuple("".join(map(chr, np.asarray(file[r]).ravel())) for r in references)
        _, _, width, height = file["images"].shape
        return scenes, (int(height), int(width))


def read_labelled_image(path: Path, index: int) -> Pixels:
    """Colors of an image of the labelled set, RGB."""
    with _open_labelled(path) as file:
        return np.ascontiguousarray(np.asarray(file["images"][index]).T)


def read_labelled_depth(path: Path, index: int) -> DepthMap:
    """Filled depth in metres; 0 where it is no positive number.

    Of the two depths of the file the published figures take the filled one, whose holes of the
    sensor were filled by colorization (Levin et al., 2004).
    """
    with _open_labelled(path) as file:
        depth = np.ascontiguousarray(np.asarray(file["depths"][index]).T, np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def read_matlab5(path: Path, names: Sequence[str]) -> dict[str, Num[np.ndarray, " _"]]:
    """Numbers of these variables of a MATLAB 5 file, column by column; others are left out."""
    content = read_archive_file(path)
    if content[:6] != b"MATLAB" or content[124:128] != b"\x00\x01IM":
        raise ArchiveError(f"{path}: expected a MATLAB 5 file; save it with `save -v7`")
    try:
        found = loadmat(BytesIO(content), variable_names=names)
    except Exception as error:  # a broken file fails in any way
        raise ArchiveError(f"{path}: broken ({error}); download it again") from error
    return {
        name: found[name].ravel(order="F")
        for name in names
        if name in found and found[name].dtype.kind in "iuf"
    }


def _read_raw_depth(path: Path) -> UInt16[np.ndarray, "h w"]:
    """What the Kinect stored in a d-*.pgm: 351.3 / (1092.5 - raw) metres, 2047 for unknown.

    The files hold the low byte first, against the rule for PGM.
    """
    content = read_archive_file(path)
    header = PGM_HEADER.match(content)
    if header is None:
        raise ArchiveError(f"{path}: no 16-bit PGM; extract it again")
    width, height = (int(number) for number in header.groups())
    count = len(content) - header.end()
    if (height, width) != IMAGE_SIZE or count < 2 * height * width:
        raise ArchiveError(
            f"{path}: {count} bytes for {width} x {height} pixels, expected "
            f"{2 * IMAGE_SIZE[0] * IMAGE_SIZE[1]} for {in_pixels(IMAGE_SIZE)}; extract it again"
        )
    values = np.frombuffer(content, "<u2", height * width, header.end())
    return values.astype(np.uint16, copy=False).reshape(IMAGE_SIZE)


@contextmanager
def _open_labelled(path: Path) -> Generator[Any]:
    """The open file; whatever a broken one raises becomes an `ArchiveError` that names it."""
    h5py = import_extra("h5py", str(path), "ssmde[nyuv2]")
    if not path.is_file():
        raise ArchiveError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ArchiveError(f"{path}: cannot be read ({error}); download it again") from error


@cache  # it follows from constants alone, and takes longer than reading a frame
def _distorted_pixels() -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Where each pixel of the rectified color image lies in the stored one."""
    rows, columns = np.indices(IMAGE_SIZE, np.float64)
    (fx, _, cx), (_, fy, cy), _ = COLOR_CAMERA
    x, y = distort((columns - cx) / fx, (rows - cy) / fy, COLOR_LENS)
    return x * fx + cx, y * fy + cy


@cache  # as above
def _depth_directions() -> Float[np.ndarray, "h w 3"]:
    """What each pixel of a depth file looks at, at depth 1 of the depth camera."""
    rows, columns = np.indices(IMAGE_SIZE, np.float64)
    (fx, _, cx), (_, fy, cy), _ = DEPTH_CAMERA
    x, y = undistort((columns - cx) / fx, (rows - cy) / fy, DEPTH_LENS)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def _sample(pixels: Pixels, u: Float[np.ndarray, "h w"], v: Float[np.ndarray, "h w"]) -> Pixels:
    """Bilinear values at (u, v); white outside."""
    height, width = pixels.shape[:2]
    left = np.floor(u).astype(np.int64).clip(0, width - 2)
    top = np.floor(v).astype(np.int64).clip(0, height - 2)
    across = (u - left).astype(np.float32)[..., None]
    down = (v - top).astype(np.float32)[..., None]
    upper = pixels[top, left] * (1 - across) + pixels[top, left + 1] * across
    lower = pixels[top + 1, left] * (1 - across) + pixels[top + 1, left + 1] * across
    # Rounded, not cut off: a picture that is resampled must not become darker.
    values = (upper * (1 - down) + lower * down + 0.5).clip(0, 255).astype(np.uint8)
    values[(u < 0) | (u > width - 1) | (v < 0) | (v > height - 1)] = WHITE
    return values
