"""The one array that an .npz is read for: stored whole, or as a sparse matrix of scipy."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Num

from ssmde.data.opening import LIMIT, MOST_PIXELS


class NoDepthError(ValueError):
    """The arrays of a file are whole, and are no single depth map."""


def dense(arrays: Mapping[str, np.ndarray]) -> Num[np.ndarray, "..."]:
    """The array of an .npz: the only one, `depth`, or a scipy sparse matrix.

    Raises:
        NoDepthError: If there are several arrays, or the matrix is too large or of another kind.
    """
    keys = set(arrays)
    if {"data", "shape"} <= keys:
        rows, columns = _coordinates(arrays, keys)
        shape = tuple(int(side) for side in arrays["shape"])
        if len(shape) != 2 or not 0 < shape[0] * shape[1] <= MOST_PIXELS:
            raise NoDepthError(f"a sparse depth map of shape {shape} is not read, {LIMIT}")
        depth = np.zeros(shape, arrays["data"].dtype)
        depth[rows, columns] = arrays["data"]
        return depth
    if "depth" in keys or len(keys) == 1:
        return arrays["depth" if "depth" in keys else keys.pop()]
    raise NoDepthError(f"expected one array, or one named `depth`, got {sorted(keys)}")


def _coordinates(arrays: Mapping[str, np.ndarray], keys: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every stored value of a scipy sparse matrix (csr, csc or coo)."""
    if {"row", "col"} <= keys:
        return arrays["row"], arrays["col"]
    kind = bytes(arrays["format"].item()).decode() if "format" in keys else "csr"
    if not {"indices", "indptr"} <= keys or kind not in ("csr", "csc"):
        raise NoDepthError(f"sparse depth must be csr, csc or coo, got {kind}")
    runs = np.repeat(np.arange(len(arrays["indptr"]) - 1), np.diff(arrays["indptr"]))
    return (runs, arrays["indices"]) if kind == "csr" else (arrays["indices"], runs)
