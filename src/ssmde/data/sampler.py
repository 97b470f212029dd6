"""The order of a training: which snippets a step sees, a pure function of seed and step."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int
from torch.utils.data import Sampler

Key = tuple[int, int] | tuple[int, int, int]
"""Epoch and index of a snippet, and the number of the size it is to have, 0 where it is missing."""

# First numbers of the seeds, so that the order and the content of snippets are independent.
ORDER, CONTENT = 1, 2


class SnippetSampler(Sampler[list[Key]]):
    """The batches of a training, without end: a pure function of seed and step.

    Position p of the training is snippet `p % length` of the shuffled epoch `p // length`; step s
    takes the next `batch_size` positions. So an epoch sees each index once, a batch may reach into
    the next epoch, and any step can be the first. A process gets a run of neighbors: the batches
    of all ranks, one after the other, are the batch of a single process.

    With weights an epoch is as long, but a snippet comes as often in it as its weight asks for,
    rounded up or down by chance.

    Args:
        length: Number of snippets.
        batch_size: Snippets a step, over all processes together.
        seed: Start of the order; at least 0.
        start_step: Step of the first batch.
        rank: Number of this process, from 0.
        world: Number of processes.
        sizes: Number of training sizes; step s has number s % sizes.
        weights: Relative frequency of every snippet, positive; by default all are alike.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        rank: int = 0,
        world: int = 1,
        sizes: int = 1,
        weights: Float64[np.ndarray, " n"] | None = None,
    ) -> None:
        check_seed(seed)
        if length < 1:
            raise ValueError(f"a sampler needs at least 1 snippet, got {length}")
        if batch_size < 1 or batch_size % world:
            raise ValueError(
                f"batch size {batch_size} must be a positive multiple of the {world} processes"
            )
        if not 0 <= rank < world:
            raise ValueError(f"rank must be in [0, {world}), got {rank}")
        if start_step < 0:
            raise ValueError(f"start_step must be at least 0, got {start_step}")
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.start_step, self.rank, self.world = start_step, rank, world
        self.sizes, self.weights = sizes, weights

    def __iter__(self) -> Iterator[list[Key]]:
        share = self.batch_size // self.world
        position = self.start_step * self.batch_size + self.rank * share
        orders: dict[int, Int[np.ndarray, " n"]] = {}
        while True:
            places = [divmod(p, self.length) for p in range(position, position + share)]
            needed = {epoch for epoch, _ in places}
            orders = {e: orders[e] if e in orders else self._order(e) for e in needed}
            size = position // self.batch_size % self.sizes
            keys = [(epoch, int(orders[epoch][place])) for epoch, place in places]
            yield [(*key, size) for key in keys] if self.sizes > 1 else list[Key](keys)
            position += self.batch_size

    def _order(self, epoch: int) -> Int[np.ndarray, " n"]:
        rng = np.random.default_rng((ORDER, self.seed, epoch))
        shuffled = rng.permutation(self.length)
        if self.weights is None:
            return shuffled
        # Systematic sampling: one comb with a random start over the summed weights takes each
        # snippet the whole number of times below or above its due. Laid over a random order, so
        # that chance alone decides which snippets of a rare kind come.
        due = self.weights[shuffled].cumsum()
        comb = (np.arange(self.length) + rng.random()) / self.length * due[-1]
        drawn = shuffled[np.searchsorted(due, comb, side="right").clip(max=self.length - 1)]
        return rng.permutation(drawn)


def check_seed(seed: int) -> None:
    """Refuse a seed below 0."""
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
