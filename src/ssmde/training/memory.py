"""Less memory for more time: features that are computed again when the backward pass needs them."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from ssmde.models.decoder import Stage
from ssmde.models.resnet import BasicBlock, Bottleneck

RECOMPUTED = (BasicBlock, Bottleneck, Stage)


def recompute_activations(method: nn.Module) -> None:
    """Let every block of the networks keep its input alone for the backward pass.

    Losses and gradients stay the same; a block is computed twice (Chen et al., 2016,
    https://arxiv.org/abs/1604.06174).

    Args:
        method: Changed in place; its parameters and their names stay.
    """
    blocks: list[Any] = [m for m in method.modules() if isinstance(m, RECOMPUTED)]
    for block in blocks:
        block.forward = partial(_recomputed, block, block.forward)


def _recomputed(block: nn.Module, forward: Callable[..., Any], *inputs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs)
    contexts = partial(_contexts, block)
    return checkpoint(
        forward, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts
    )


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Nothing for the first pass; the second one must not count the batch again."""
    return nullcontext(), _resting_statistics(block)


@contextmanager
def _resting_statistics(block: nn.Module) -> Generator[None]:
    """Batch normalisation normalises by its batch, and does not remember it."""
    layers = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:  # its buffers stay in the graph: the first pass has kept them, too
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count
