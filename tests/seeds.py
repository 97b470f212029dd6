"""Draws that can be repeated."""

from collections.abc import Callable
from typing import Any

import torch


def drawn(function: Callable[..., Any], *args: Any, seed: int = 0, **options: Any) -> Any:
    """What a function gives that draws from torch's own generator, begun at a seed."""
    torch.manual_seed(seed)
    return function(*args, **options)
