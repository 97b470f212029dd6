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
        self.config, self.weights = config, None
        data, seed = config.data, config.train.seed
        if config.method == "affine_depth":
            self.dataset = SupervisedDepthDataset(
                sequences, data, seed=seed, augment=True, with_cameras=False
            )
            self.weights = self.dataset.weights()
            return
        forgotten = config.method == "student" and config.student.labels == "none"
        labels = config.pseudo_depth.wanted and not forgotten
        self.dataset = SnippetDataset(
            sequences, data, seed=seed, augment=True, labels=labels,
            fit_labels=labels and data.poses == "tracked",
            with_points=config.loss.sparse_depth > 0,
        )  # fmt: skip

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of this process, without end."""
        trainer, data, workers = self.trainer, self.config.data, self.config.data.workers
        assert trainer is not None
        sampler = SnippetSampler(
            len(self.dataset), batch_size=self.config.train.batch_size, seed=self.config.train.seed,
            start_step=trainer.global_step, rank=trainer.global_rank, world=trainer.world_size,
            sizes=1 + len(data.more_sizes), weights=self.weights,
        )  # fmt: skip
        return DataLoader(
            self.dataset, batch_sampler=sampler, num_workers=workers, collate_fn=collate,
            generator=torch.Generator(),  # the loader would else draw from the global one
            pin_memory=torch.cuda.is_available(), persistent_workers=workers > 0,
            worker_init_fn=ignore_in_worker, prefetch_factor=4 if workers else None,
        )  # fmt: skip
