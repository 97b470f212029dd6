"""`train.compile`: the parts of a method that carry its time, compiled.

Networks and the comparison of two views, which together take nine tenths of a step, are compiled;
the rest is not. What depends on the progress of the training is a plain number there, which
changes at every step and would be compiled anew each time.
"""

import torch
from torch import nn

from ssmde.methods.self_supervised import SelfSupervised

NETWORKS = ("encoder", "decoder", "pose_net")
"""Modules that are compiled, by the last part of their name."""
MOST_VERSIONS = 64
"""Of one function. All modules share one, and each is a version of it, with and without gradient;
torch's own limit of 8 would leave some of them uncompiled."""


def compile_method(method: nn.Module, *, backend: str = "inductor") -> None:
    """Let the networks and the comparison of views run compiled, from their first call on.

    The first steps take a minute or more. Names of the weights stay, and a copy of the method is
    not compiled. `torch.compiler.set_stance("force_eager")` runs it as it was.

    Args:
        method: Changed in place.
        backend: What makes code of a graph, by its name in `torch.compile`.
    """
    limits = torch._dynamo.config  # pyright: ignore[reportPrivateUsage]
    limits.recompile_limit = max(limits.recompile_limit, MOST_VERSIONS)
    for name, module in method.named_modules():
        if name.rpartition(".")[2] in NETWORKS:
            module.compile(dynamic=False, backend=backend)
    if isinstance(method, SelfSupervised):
        method.compare = torch.compile(method.compare, dynamic=False, backend=backend)
