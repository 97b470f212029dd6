"""Snippets from the step where a run stands; the order depends on seed and step alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from ssmde.config import Config
from ssmde.data.dataset import SnippetDataset
from ssmde.data.sampler import SnippetSampler
from ssmde.data.sequence import FrameSequence
from ssmde.data.truth import TruthDataset
from ssmde.data.whole_frames import cut_views
from ssmde.types import Snippets, collate


class SnippetLoader(pl.LightningDataModule):
    """What Lightning asks for data.

    Args:
        config: The run.
        sequences: The scenes.
        teacher_depth: Folder in which the depth of a teacher is kept; None where it is not.
        prepare: Called once, before the first step, by one process while the others wait.
    """

    def __init__(
        self,
        config: Config,
        sequences: list[FrameSequence],
        *,
        teacher_depth: Path | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.config, self.prepare = config, prepare
        self.prepare_data_per_node = False
        if config.method == "affine_depth":
            self.dataset = TruthDataset(
                sequences, config.data, seed=config.train.seed, augment=True
            )
            return
        terms = config.student if config.method == "student" else config
        self.dataset = SnippetDataset(
            sequences, config.data, seed=config.train.seed, augment=True,
            labels=terms.pseudo_depth.wanted,
            fit_labels=terms.pseudo_depth.align == "tracked",
            with_points=config.loss.points > 0,
            teacher_depth=teacher_depth,
        )  # fmt: skip

    def prepare_data(self) -> None:
        """What has to be there before the first step."""
        if self.prepare is not None:
            self.prepare()

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of this process, without end."""
        trainer = self.trainer
        assert trainer is not None
        workers = self.config.data.workers
        return DataLoader(
            self.dataset,
            batch_sampler=SnippetSampler(
                len(self.dataset),
                batch_size=self.config.train.batch_size,
                seed=self.config.train.seed,
                start_step=trainer.global_step,
                rank=trainer.global_rank,
                world=trainer.world_size,
            ),
            num_workers=workers,
            generator=torch.Generator(),  # the loader would else draw from the global one
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
        )

    def transfer_batch_to_device(
        self, batch: Snippets, device: torch.device, dataloader_idx: int
    ) -> Snippets:
        """Bytes travel; they become views and floats on the device."""
        return cut_views(batch.to(device), self.config.data.image_size)
