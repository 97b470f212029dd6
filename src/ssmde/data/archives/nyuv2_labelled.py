"""The labelled set of NYU Depth V2, nyu_depth_v2_labeled.mat, read image by image.

The file is HDF5 with every array transposed. Of its two depths the filled one (`depths`) is taken,
as the published figures do; holes of the sensor were filled by colorization (Levin et al., 2004).
"""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from ssmde.data.archives.record import ArchiveError

INSTALL = "pip install 'ssmde[nyuv2]'"


def read_labelled_scenes(path: Path) -> tuple[str, ...]:
    """Name of the scene each image was taken in, such as kitchen_0028b.

    Raises:
        ArchiveError: If the file is missing, broken, or not the labelled set.
        ImportError: If h5py is not installed.
    """
    with _open(path) as file:
        references = np.asarray(file["scenes"]).ravel()
        return tuple("".join(map(chr, np.asarray(file[r]).ravel())) for r in references)


def read_labelled_size(path: Path) -> tuple[int, int]:
    """Size (height, width) of the images; raises as `read_labelled_scenes`."""
    with _open(path) as file:
        _, _, width, height = file["images"].shape
        return int(height), int(width)


def read_labelled_image(path: Path, index: int) -> UInt8[np.ndarray, "h w 3"]:
    """Colours of one image, RGB; raises as `read_labelled_scenes`.

    Args:
        path: The .mat file.
        index: Number of the image, from 0.
    """
    with _open(path) as file:
        return np.ascontiguousarray(np.asarray(file["images"][index]).T)


def read_labelled_depth(path: Path, index: int) -> Float32[np.ndarray, "h w"]:
    """Filled depth of one image, in metres; 0 where it is no positive number.

    Args:
        path: The .mat file.
        index: Number of the image, from 0.

    Raises:
        ArchiveError: If the file is missing, broken, or not the labelled set.
        ImportError: If h5py is not installed.
    """
    with _open(path) as file:
        depth = np.ascontiguousarray(np.asarray(file["depths"][index]).T, np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


@contextmanager
def _open(path: Path) -> Generator[Any]:
    """The open file; whatever a broken one raises becomes an `ArchiveError` that names it."""
    try:
        h5py = import_module("h5py")
    except ImportError as error:
        raise ImportError(
            f"{path} needs h5py, which is not installed or does not work ({error}): {INSTALL}"
        ) from error
    if not path.is_file():
        raise ArchiveError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise ArchiveError(f"{path}: cannot be read ({error}); download it again") from error
