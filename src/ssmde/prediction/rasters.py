"""Maps for other programs: EXR with floating-point depth, and normals as a picture."""

import errno
import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8

from ssmde.geometry.surface import normals
from ssmde.io import whole_file
from ssmde.pictures import bands, write_png
from ssmde.prediction.shot import Shot, Style


def write_depth_exr(path: Path, shot: Shot, style: Style) -> None:
    """OpenEXR with channel Z, depth in float32, and channel `confidence` where known."""
    import OpenEXR  # slow to import, and few ask for it

    channels = {"Z": np.ascontiguousarray(shot.depth)}
    if shot.confidence is not None:
        channels["confidence"] = np.ascontiguousarray(shot.confidence)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with whole_file(path) as part, OpenEXR.File(header, channels) as file:
        try:
            file.write(str(part))
        except RuntimeError as error:  # it has this one for everything that a disk refuses
            full = os.strerror(errno.ENOSPC) in str(error)
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, os.strerror(number), str(part)) from error


def write_normals(path: Path, shot: Shot, style: Style) -> None:
    """Surface normals as a picture: see `normal_colours`."""
    write_png(path, normal_colours(shot))


def normal_colours(shot: Shot) -> UInt8[np.ndarray, "h w 3"]:
    """Normals as colours 127.5 (n + 1): red to the right, green up, blue towards the camera.

    The axes of normal maps in graphics programs: a wall ahead is (128, 128, 255), a floor greenish.
    Grey is no normal.

    Raises:
        ValueError: If no intrinsics are known.
    """
    if shot.intrinsics is None:
        raise ValueError("normals need intrinsics: give fx fy cx cy or a field of view")
    colours = np.empty((*shot.depth.shape, 3), np.uint8)
    for band in bands(shot.depth.shape):
        # A row more on either side, which the derivatives of the rows at the border look at.
        above, below = band.start > 0, band.stop < len(colours)
        rows = slice(band.start - above, band.stop + below)
        depth = torch.from_numpy(np.require(shot.depth[rows], np.float64, "W"))[None, None]
        camera = torch.from_numpy(lower_camera(shot.intrinsics, rows.start))[None]
        found: Float[np.ndarray, "h w 3"] = normals(depth, camera)[0].permute(1, 2, 0).numpy()
        # Ours point away from the camera, in x right, y down, z forward: reverse them, then turn.
        facing = found[above : len(found) - below] * (-1, 1, 1)
        colours[band] = (127.5 * (facing + 1)).round().clip(0, 255).astype(np.uint8)
    return colours


def lower_camera(intrinsics: Float[np.ndarray, "3 3"], rows: int) -> Float64[np.ndarray, "3 3"]:
    """Pinhole matrix of what is left of an image without so many of its upper rows."""
    matrix = intrinsics.astype(np.float64)
    matrix[1, 2] -= rows
    return matrix
