"""Maps for the tests of losses, random ones in float64, and draws that can be repeated."""

from collections.abc import Callable
from typing import Any

import torch

Size = tuple[int, int]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_map(seed: int, size: Size, *, batch: int = 2, channels: int = 1) -> torch.Tensor:
    """Values in [0, 1)."""
    shape = (batch, channels, *size)
    return torch.rand(shape, generator=seeded(seed), dtype=torch.float64)


def random_depth(seed: int, size: Size, *, batch: int = 2) -> torch.Tensor:
    return 1 + 4 * random_map(seed, size, batch=batch)


def everywhere(size: Size, *, batch: int = 2) -> torch.Tensor:
    return torch.ones(batch, 1, *size, dtype=torch.bool)


def finite_gradient(term: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(term, depth)
    assert term.isfinite()
    assert gradient.isfinite().all()
    return gradient


def drawn(function: Callable[..., Any], *args: Any, seed: int = 0) -> Any:
    """What a function gives that draws from torch's own generator, begun at a seed."""
    torch.manual_seed(seed)
    return function(*args)
