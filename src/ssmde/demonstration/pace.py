"""How fast this machine trains, so that a demo takes the time it was given."""

import time

import torch

from ssmde.config import Config
from ssmde.data.dataset import SnippetDataset, SnippetSampler
from ssmde.data.scene_folder import read_scenes
from ssmde.methods.teacher import build_teacher
from ssmde.training.module import TrainingModule
from ssmde.types import collate

FIRST_STEPS = 2  # not counted: memory is found, code is loaded
STEPS = 6


def seconds_per_step(config: Config) -> float:
    """Wall-clock seconds a training step of this configuration takes here, reading included.

    The median over a few steps of a training that is thrown away.

    Args:
        config: The training run; its data exists.
    """
    t = config.train
    if t.threads:
        torch.set_num_threads(t.threads)
    scenes = read_scenes(config.data.root, "train")
    data = SnippetDataset(scenes, config.data, seed=t.seed, augment=True)
    batches = iter(SnippetSampler(len(data), batch_size=t.batch_size, seed=t.seed))
    module = TrainingModule(build_teacher(config.model, config.loss), t)
    optimizer = module.configure_optimizers()["optimizer"]
    times: list[float] = []
    for _ in range(FIRST_STEPS + STEPS):
        start = time.perf_counter()
        batch = collate([data[key] for key in next(batches)]).to_batch()
        optimizer.zero_grad()
        module.method(batch, 1.0).loss.backward()  # after the warm-up, which is cheaper
        optimizer.step()
        times.append(time.perf_counter() - start)
    return sorted(times[FIRST_STEPS:])[STEPS // 2]
