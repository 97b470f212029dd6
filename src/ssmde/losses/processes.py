"""What the processes of one training do together, so that they compute what a single one would.

A process holds a run of images of the batch, in order of rank. In a single process nothing happens.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor


class Place(NamedTuple):
    """Where this process stands among the others."""

    rank: int
    """From 0."""
    world: int
    """Number of processes."""


def place() -> Place:
    """Rank and number of processes; 0 of 1 where nothing is distributed."""
    if dist.is_available() and dist.is_initialized():
        return Place(dist.get_rank(), dist.get_world_size())
    return Place(0, 1)


def join_images(values: Float[Tensor, "b *shape"]) -> Float[Tensor, "world_b *shape"]:
    """The values of all processes, image after image, without a gradient; all must call it.

    Args:
        values: Of the images of this process; all processes have as many.
    """
    world = place().world
    if world == 1:
        return values
    parts = [torch.empty_like(values, memory_format=torch.contiguous_format) for _ in range(world)]
    dist.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


def uniform_per_image(
    size: Sequence[int], *, generator: torch.Generator | None, device: torch.device
) -> Float[Tensor, "..."]:
    """Numbers in [0, 1) for each image, the same whether its batch is in one process or in many.

    Each process draws for the whole batch and keeps its part, so torch's own generators, which
    start alike, stay alike. With a generator it draws for its own images alone.

    Args:
        size: Number of images in this process, then what each of them needs.
        generator: Source of the draws, may live on another device; None takes torch's own.
        device: Where the numbers are wanted.
    """
    images, *rest = size
    rank, world = place() if generator is None else Place(0, 1)
    drawn_on = device if generator is None else generator.device
    drawn = torch.rand((world * images, *rest), generator=generator, device=drawn_on)
    return drawn[rank * images : (rank + 1) * images].to(device)
