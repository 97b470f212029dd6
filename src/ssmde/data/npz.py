"""The one array that an .npz is read for: stored whole, or as a sparse matrix of scipy."""

import math
from typing import Any

import numpy as np
from jaxtyping import Num

from ssmde.data.npy import check_header


class NoDepthError(ValueError):
    """The arrays of a file are whole, and are no single depth map."""


def dense(arrays: Any, most: int) -> Num[np.ndarray, "..."]:
    """The array of an open .npz: the only one, `depth`, or a scipy sparse matrix.

    Args:
        arrays: What `np.load` opened.
        most: Numbers that an array may have.

    Raises:
        NoDepthError: If there are several arrays, or the matrix is of another kind.
        ValueError: If an array is too large or broken.
    """
    keys = set(arrays.files)
    for entry in arrays.zip.infolist():
        with arrays.zip.open(entry) as file:
            check_header(file, entry.file_size, most)
    if {"data", "shape"} <= keys:
        rows, columns = _coordinates(arrays, keys)
        if math.prod(arrays["shape"].tolist()) > most:
            raise NoDepthError(f"a sparse matrix of {arrays['shape'].tolist()} is too large")
        depth = np.zeros(arrays["shape"], arrays["data"].dtype)
        depth[rows, columns] = arrays["data"]
        return depth
    if "depth" in keys or len(keys) == 1:
        return arrays["depth" if "depth" in keys else keys.pop()]
    raise NoDepthError(f"expected one array, or one named `depth`, got {sorted(keys)}")


def _coordinates(arrays: Any, keys: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every stored value of a scipy sparse matrix (csr, csc or coo)."""
    if {"row", "col"} <= keys:
        return arrays["row"], arrays["col"]
    kind = bytes(arrays["format"].item()).decode() if "format" in keys else "csr"
    if not {"indices", "indptr"} <= keys or kind not in ("csr", "csc"):
        raise NoDepthError(f"sparse depth must be csr, csc or coo, got {kind}")
    runs = np.repeat(np.arange(len(arrays["indptr"]) - 1), np.diff(arrays["indptr"]))
    return (runs, arrays["indices"]) if kind == "csr" else (arrays["indices"], runs)
