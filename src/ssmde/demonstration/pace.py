"""How fast this machine trains, so that a demo takes the time it was given."""

import time

import torch

from ssmde.config import Config
from ssmde.data.dataset import SnippetDataset
from ssmde.data.sampler import SnippetSampler
from ssmde.data.scene_folder import read_scenes
from ssmde.methods.student import build_student
from ssmde.methods.teacher import build_teacher
from ssmde.training.module import TrainingModule
from ssmde.types import collate

STEPS = 8  # spread over the training, whose phases differ in cost


def seconds_per_step(config: Config) -> float:
    """Wall-clock seconds a training step of this configuration takes here, reading included.

    The mean over a few steps, from the first phase to the last, of a training that is thrown away.

    Args:
        config: The training run, of stage 1 or 2; its data exists, and for stage 2 its teacher.
    """
    t = config.train
    if t.threads:
        torch.set_num_threads(t.threads)
    module = TrainingModule(_build_method(config), t)
    terms = config.student if config.method == "student" else config
    data = SnippetDataset(
        read_scenes(config.data.root, "train"), config.data, seed=t.seed, augment=True,
        labels=terms.pseudo_depth.wanted, fit_labels=terms.pseudo_depth.align == "tracked",
    )  # fmt: skip
    batches = iter(SnippetSampler(len(data), batch_size=t.batch_size, seed=t.seed))
    optimizer = module.configure_optimizers()["optimizer"]

    def step(progress: float) -> None:
        batch = collate([data[key] for key in next(batches)]).to_batch()
        optimizer.zero_grad()
        module.method(batch, progress).loss.backward()
        optimizer.step()

    step(1.0)  # not counted: memory is found, code is loaded
    start = time.perf_counter()
    for number in range(STEPS):
        step((number + 0.5) / STEPS)
    return (time.perf_counter() - start) / STEPS


def _build_method(config: Config) -> torch.nn.Module:
    if config.method == "student":
        return build_student(config)
    return build_teacher(config.model, config.loss, config.pseudo_depth)
