"""How fast this machine trains, so that a training takes the time it was given."""

import time
from collections.abc import Callable

import torch

from ssmde.config import Config
from ssmde.data.dataset import SnippetSampler
from ssmde.data.scene_folder import read_scenes
from ssmde.models.registry import choose_device
from ssmde.training.module import SnippetLoader, TrainingModule
from ssmde.training.run import build_method
from ssmde.types import collate

STEPS = 8  # spread over the training, whose phases differ in cost


def seconds_per_step(config: Config, *, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds a training step of this configuration takes here, reading included.

    The mean over a few steps, from the first phase to the last, of a training that is thrown away.
    """
    t = config.train
    if t.threads:
        torch.set_num_threads(t.threads)
    device = choose_device(t.accelerator)
    module = TrainingModule(build_method(config), t).to(device)
    loader = SnippetLoader(config, read_scenes(config.data.root, "train"))
    sampler = SnippetSampler(
        len(loader.dataset), batch_size=t.batch_size, seed=t.seed, weights=loader.weights
    )
    batches = iter(sampler)
    optimizer = module.configure_optimizers()["optimizer"]

    def step(progress: float) -> None:
        batch = collate([loader.dataset[key] for key in next(batches)]).to(device).to_float()
        optimizer.zero_grad()
        module.method(batch, progress).loss.backward()
        optimizer.step()

    step(1.0)  # not counted: memory is found, code is loaded
    start = clock()
    for number in range(STEPS):
        step((number + 0.5) / STEPS)
    return (clock() - start) / STEPS
