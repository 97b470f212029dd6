"""Snippets from the step where a run stands; the order depends on seed and step alone."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from ssmde.config import Config
from ssmde.data.dataset import SnippetDataset, SnippetSampler, SupervisedDepthDataset
from ssmde.data.sequence import FrameSequence
from ssmde.signals import ignore_in_worker
from ssmde.types import collate


class SnippetLoader(pl.LightningDataModule):
    """What Lightning asks for data: the scenes of a run."""

    def __init__(self, config: Config, sequences: list[FrameSequence]) -> None:
        super().__init__()
        self.config = config
        if config.method == "affine_depth":
            dataset = SupervisedDepthDataset(
                sequences, config.data, seed=config.train.seed, augment=True,
                with_cameras=False,
            )  # fmt: skip
            self.dataset, self.weights = dataset, dataset.weights()
            return
        self.weights = None
        labels = config.pseudo_depth.wanted
        if config.method == "student":
            labels = labels and config.student.labels != "none"
        self.dataset = SnippetDataset(
            sequences, config.data, seed=config.train.seed, augment=True,
            labels=labels, fit_labels=labels and config.data.poses == "tracked",
            with_points=config.loss.sparse_depth > 0,
        )  # fmt: skip

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of this process, without end."""
        trainer, config = self.trainer, self.config
        assert trainer is not None
        workers = config.data.workers
        sampler = SnippetSampler(
            len(self.dataset), batch_size=config.train.batch_size, seed=config.train.seed,
            start_step=trainer.global_step, rank=trainer.global_rank, world=trainer.world_size,
            sizes=1 + len(config.data.more_sizes), weights=self.weights,
        )  # fmt: skip
        return DataLoader(
            self.dataset, batch_sampler=sampler, num_workers=workers, collate_fn=collate,
            generator=torch.Generator(),  # the loader would else draw from the global one
            pin_memory=torch.cuda.is_available(), persistent_workers=workers > 0,
            worker_init_fn=ignore_in_worker, prefetch_factor=4 if workers else None,
        )  # fmt: skip
