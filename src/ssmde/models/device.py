"""Where networks compute: the one place that chooses."""

from typing import Literal

import torch

Device = Literal["auto", "cpu", "gpu"]


def choose_device(wanted: torch.device | str | None = None) -> torch.device:
    """The device of that name.

    Args:
        wanted: `auto` or None take the GPU if there is one; `gpu` insists on it; else `cpu` or
            another name that torch knows.

    Raises:
        ValueError: If a GPU is asked for and there is none.
    """
    if wanted is not None and wanted not in ("auto", "gpu"):
        return torch.device(wanted)
    found = torch.cuda.is_available()
    if wanted == "gpu" and not found:
        raise ValueError("device 'gpu': torch finds no CUDA device here; take auto or cpu")
    return torch.device("cuda" if found else "cpu")
