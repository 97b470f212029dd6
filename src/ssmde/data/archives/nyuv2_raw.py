"""Raw NYU Depth V2 recordings: the Kinect's colour and depth files, brought into one camera.

The Kinect's two cameras lie 2.5 cm apart, and both lenses distort. As the toolbox of the data set
does it, colour is rectified, and depth is rectified, moved and seen again by the colour camera.
Unlike there, depth is the distance from the colour camera, and beyond 10 m it is unknown.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8, UInt16

from ssmde.data.archives.lidar import depth_image
from ssmde.data.archives.record import ArchiveError, read_archive_file
from ssmde.data.images import read_image

# camera_params.m of the toolbox (Silberman et al., ECCV 2012). Its pixels count from 1: less 1.
IMAGE_SIZE = (480, 640)
COLOUR_CAMERA = np.array(
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
COLOUR_LENS = (
    0.20796615318809061,
    -0.58613825163911781,
    7.2231363135888329e-04,
    1.0479627195765181e-03,
    0.49856986684705107,
)
DEPTH_LENS = (
    -0.099897236553084481,
    0.39065324602765344,
    1.9290592870229277e-03,
    -1.9422022475975055e-03,
    -0.51031725053400578,
)
# The toolbox turns points into the negative of these, which project to the same pixels.
R_DEPTH_COLOUR = np.array(
    [
        [9.9997798940829263e-01, 5.0518419386157446e-03, 4.3011152014118693e-03],
        [-5.0359919480810989e-03, 9.9998051861143999e-01, -3.6879781309514218e-03],
        [-4.3196624923060242e-03, 3.6662365748484798e-03, 9.9998394948385538e-01],
    ]
)
R_COLOUR_DEPTH = np.linalg.inv(R_DEPTH_COLOUR)
COLOUR_FROM_DEPTH = np.array(
    [-2.5031875059141302e-02, 2.9342312935846411e-04, -6.6238747008330102e-04]
)  # metres

DEPTH_NUMERATOR, DEPTH_ORIGIN = 351.3, 1092.5  # depth_rel2depth_abs.m: 351.3 / (1092.5 - raw)
LEAST_RAW = 600  # project_depth_map.m takes less for noise
MAX_DEPTH = 10.0  # metres, camera_params.m
WHITE = 255  # beyond the border, as in the labelled images
LENS_STEPS = 8  # of the fixed-point iteration; the error is below 1e-6 pixels
PGM_HEADER = re.compile(rb"P5\s+(\d+)\s+(\d+)\s+65535\s", re.ASCII)


def read_colour(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Rectified colours of an r-*.ppm, RGB; white where the rectified camera sees past the image.

    Raises:
        ArchiveError: If the image has another size than 640 x 480.
        ImageError: If the file is missing or broken.
    """
    pixels = read_image(path)
    if pixels.shape[:2] != IMAGE_SIZE:
        raise ArchiveError(
            f"{path}: {pixels.shape[1]} x {pixels.shape[0]} pixels, expected "
            f"{IMAGE_SIZE[1]} x {IMAGE_SIZE[0]}"
        )
    return _sample(pixels, *_distorted_pixels())


def read_registered_depth(path: Path) -> Float32[np.ndarray, "h w"]:
    """Depth of a d-*.pgm as the rectified colour camera sees it, in metres; 0 where unknown.

    Raises:
        ArchiveError: If the file is missing, broken, or of another size than 640 x 480.
    """
    raw = read_raw_depth(path)
    known = (raw >= LEAST_RAW) & (raw <= DEPTH_ORIGIN - DEPTH_NUMERATOR / MAX_DEPTH)
    depth = DEPTH_NUMERATOR / (DEPTH_ORIGIN - raw[known])
    points = _depth_directions()[known] * depth[:, None]
    return depth_image(points @ R_COLOUR_DEPTH.T + COLOUR_FROM_DEPTH, COLOUR_CAMERA, IMAGE_SIZE)


def read_raw_depth(path: Path) -> UInt16[np.ndarray, "h w"]:
    """What the Kinect stored in a d-*.pgm: 351.3 / (1092.5 - raw) metres, 2047 for unknown.

    The files hold the low byte first, against the rule for PGM.

    Raises:
        ArchiveError: If the file is missing, broken, or of another size than 640 x 480.
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
            f"{2 * IMAGE_SIZE[0] * IMAGE_SIZE[1]} for {IMAGE_SIZE[1]} x {IMAGE_SIZE[0]}; "
            "extract it again"
        )
    values = np.frombuffer(content, "<u2", height * width, header.end())
    return values.astype(np.uint16, copy=False).reshape(IMAGE_SIZE)


def normalise(
    u: Float[np.ndarray, "*b"], v: Float[np.ndarray, "*b"], camera: Float[np.ndarray, "3 3"]
) -> tuple[Float[np.ndarray, "*b"], Float[np.ndarray, "*b"]]:
    """Directions (x, y) at depth 1 of pixels of a pinhole camera."""
    return (u - camera[0, 2]) / camera[0, 0], (v - camera[1, 2]) / camera[1, 1]


def distort(
    x: Float[np.ndarray, "*b"], y: Float[np.ndarray, "*b"], lens: tuple[float, ...]
) -> tuple[Float[np.ndarray, "*b"], Float[np.ndarray, "*b"]]:
    """Where a lens shows a direction (Brown, 1966).

    Args:
        x: To the right, at depth 1.
        y: Downwards, at depth 1.
        lens: k1 k2 p1 p2 k3.
    """
    radial, dx, dy = _bend(x, y, lens)
    return x * radial + dx, y * radial + dy


def undistort(
    x: Float[np.ndarray, "*b"], y: Float[np.ndarray, "*b"], lens: tuple[float, ...]
) -> tuple[Float[np.ndarray, "*b"], Float[np.ndarray, "*b"]]:
    """Direction that a lens shows here: the inverse of `distort`, by fixed-point iteration."""
    straight_x, straight_y = x, y
    for _ in range(LENS_STEPS):
        radial, dx, dy = _bend(straight_x, straight_y, lens)
        straight_x, straight_y = (x - dx) / radial, (y - dy) / radial
    return straight_x, straight_y


@cache  # it follows from constants alone, and takes longer than reading a frame
def _distorted_pixels() -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Where each pixel of the rectified colour image lies in the stored one."""
    rows, columns = np.indices(IMAGE_SIZE, np.float64)
    x, y = distort(*normalise(columns, rows, COLOUR_CAMERA), COLOUR_LENS)
    u = x * COLOUR_CAMERA[0, 0] + COLOUR_CAMERA[0, 2]
    return u, y * COLOUR_CAMERA[1, 1] + COLOUR_CAMERA[1, 2]


@cache  # as above
def _depth_directions() -> Float[np.ndarray, "h w 3"]:
    """What each pixel of a depth file looks at, at depth 1 of the depth camera."""
    rows, columns = np.indices(IMAGE_SIZE, np.float64)
    x, y = undistort(*normalise(columns, rows, DEPTH_CAMERA), DEPTH_LENS)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def _bend(
    x: Float[np.ndarray, "*b"], y: Float[np.ndarray, "*b"], lens: tuple[float, ...]
) -> tuple[Float[np.ndarray, "*b"], Float[np.ndarray, "*b"], Float[np.ndarray, "*b"]]:
    """Radial factor and tangential shift."""
    k1, k2, p1, p2, k3 = lens
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    dx = 2 * p1 * x * y + p2 * (square + 2 * x * x)
    dy = p1 * (square + 2 * y * y) + 2 * p2 * x * y
    return radial, dx, dy


def _sample(
    pixels: UInt8[np.ndarray, "h w 3"], u: Float[np.ndarray, "h w"], v: Float[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Bilinear values at (u, v); white outside."""
    height, width = pixels.shape[:2]
    left = np.floor(u).astype(np.int64).clip(0, width - 2)
    top = np.floor(v).astype(np.int64).clip(0, height - 2)
    across = (u - left).astype(np.float32)[..., None]
    down = (v - top).astype(np.float32)[..., None]
    upper = pixels[top, left] * (1 - across) + pixels[top, left + 1] * across
    lower = pixels[top + 1, left] * (1 - across) + pixels[top + 1, left + 1] * across
    values = (upper * (1 - down) + lower * down + 0.5).clip(0, 255).astype(np.uint8)
    values[(u < 0) | (u > width - 1) | (v < 0) | (v > height - 1)] = WHITE
    return values
