"""A method and its data as Lightning wants them; a stop at the first NaN."""

import contextlib
import copy
import math
import sys
from collections.abc import Generator
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ssmde.config import Config, TrainConfig
from ssmde.data.dataset import SnippetDataset, SnippetSampler, SupervisedDepthDataset
from ssmde.data.sequence import FrameSequence
from ssmde.losses.masks import MIN_VALID_SHARE
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.signals import ignore_in_worker
from ssmde.types import Batch, StepOutput, collate

FORGETTING = 9  # the average keeps n / (n + 9) in step n while that is below its share
LARGEST_GRADIENT = 1.0  # norm to which it is clipped
EMPTY_STEPS = 5  # in a row that teach nothing, after which the run stops
LOOK = (
    "Weights are those of the step before. Look at these frames and their intrinsics, or lower "
    "train.learning_rate."
)
MAIN_TERMS = ("photometric", "motion")  # without which nothing is learned from views
COMPILED = ("encoder", "decoder", "pose_net")  # networks, by the last part of their name
# Of one compiled function. All modules share one, and each is a version of it, with and without
# gradient; torch's own limit of 8 would leave some of them uncompiled.
MOST_VERSIONS = 64


class TrainingError(RuntimeError):
    """A training that cannot go on, with what happened, where, and what to do."""


def learning_rate_factor(step: int, train: TrainConfig) -> float:
    """Factor on the learning rate at a step, in [0, 1]."""
    if step < train.warmup_steps:
        return (step + 1) / (train.warmup_steps + 1)
    progress = min(1.0, step / train.steps)
    if train.schedule == "step":
        return 1.0 if progress < 0.75 else 0.1
    if train.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0


def build_optimizer(method: nn.Module, train: TrainConfig) -> torch.optim.Adam:
    """Adam over all that learns, in up to three groups: networks, pose network, encoder."""
    rates = {"": 1.0, "pose_net": train.pose_lr_multiplier}
    if train.encoder_lr_multiplier != 1:
        rates["depth_net.encoder."] = train.encoder_lr_multiplier
    groups: dict[str, list[nn.Parameter]] = {part: [] for part in rates}
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            groups[next((part for part in rates if part and part in name), "")].append(parameter)
    rated = [{"params": groups[k], "lr": train.learning_rate * rates[k]} for k in rates]
    # One pass over each parameter instead of ten; rounds a little differently.
    return torch.optim.Adam(rated, fused=True)


def compile_method(method: nn.Module, *, backend: str = "inductor") -> None:
    """Let the networks and the comparison of views run compiled, from their first call on.

    These take nine tenths of a step; the rest is not compiled, for the progress of the training is
    a plain number there, which changes at every step. Names of the weights stay, and a copy of the
    method is not compiled. `torch.compiler.set_stance("force_eager")` runs it as it was.
    """
    limits = torch._dynamo.config  # pyright: ignore[reportPrivateUsage]
    limits.recompile_limit = max(limits.recompile_limit, MOST_VERSIONS)
    for name, module in method.named_modules():
        if name.rpartition(".")[2] in COMPILED:
            module.compile(dynamic=False, backend=backend)
    if isinstance(method, SelfSupervised):
        method.compare = torch.compile(method.compare, dynamic=False, backend=backend)


class SnippetLoader(pl.LightningDataModule):
    """Snippets from the step where a run stands; the order depends on seed and step alone."""

    def __init__(self, config: Config, sequences: list[FrameSequence]) -> None:
        super().__init__()
        self.config, self.weights, data = config, None, config.data
        names = [sequence.name for sequence in sequences]
        if unknown := [name for name, _ in data.scene_gaps if name not in names]:
            there = f"{data.root} has {', '.join(names)}"
            raise ValueError(f"data.scene_gaps names scene '{unknown[0]}', {there}")
        common: dict[str, Any] = {"seed": config.train.seed, "augment": True}
        if config.method == "affine_depth":
            self.dataset = SupervisedDepthDataset(sequences, data, with_cameras=False, **common)
            self.weights = self.dataset.weights()
            return
        forgotten = config.method == "student" and config.student.labels == "none"
        labels = config.pseudo_depth.wanted and not forgotten
        self.dataset = SnippetDataset(
            sequences, data, labels=labels, fit_labels=labels and data.poses == "tracked",
            with_points=config.loss.sparse_depth > 0, **common,
        )  # fmt: skip

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of this process, without end."""
        trainer, data, t = self.trainer, self.config.data, self.config.train
        assert trainer is not None
        sampler = SnippetSampler(
            len(self.dataset), batch_size=t.batch_size, seed=t.seed, weights=self.weights,
            start_step=trainer.global_step, rank=trainer.global_rank, world=trainer.world_size,
            sizes=1 + len(data.more_sizes),
        )  # fmt: skip
        return DataLoader(
            self.dataset, batch_sampler=sampler, num_workers=data.workers, collate_fn=collate,
            generator=torch.Generator(),  # the loader would else draw from the global one
            pin_memory=torch.cuda.is_available(), persistent_workers=data.workers > 0,
            worker_init_fn=ignore_in_worker, prefetch_factor=4 if data.workers else None,
        )  # fmt: skip


class Average(nn.Module):
    """A network whose weights, and statistics, are an exponential average over another's steps.

    The first steps count more, so that random first weights are soon forgotten.
    """

    steps: Tensor

    def __init__(self, network: nn.Module, share: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.share = share
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Bring in the weights after a step."""
        count = float(self.steps)
        kept = min(self.share, count / (count + FORGETTING))
        own, new = self.network.state_dict(), network.state_dict()
        for key, value in own.items():
            if value.is_floating_point():
                value.lerp_(new[key], 1 - kept)
            else:
                value.copy_(new[key])  # a counter
        self.steps += 1


class TrainingModule(pl.LightningModule):
    """Lightning's view of a method: it adds the optimizer and refuses to go on from a NaN."""

    def __init__(self, method: nn.Module, train: TrainConfig) -> None:
        super().__init__()
        layout: Any = {"memory_format": torch.channels_last}  # 10 to 15 % faster on a CPU too
        method = method.to(**layout)
        self.averaged: Average | None = None
        if train.average > 0:
            self.averaged = Average(method.get_submodule("depth_net"), train.average)
        if train.compile:
            compile_method(method)
        self.method, self.train_config = method, train
        self.frames: tuple[str, ...] = ()
        self.empty_steps, self.said_of_labels = 0, False

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Loss of one batch, with its terms and maps for the callbacks."""
        self.frames = batch.names
        progress = self.global_step / self.train_config.steps
        out: StepOutput = self.method(batch.to_float(), progress)
        if not torch.isfinite(out.loss):
            guilty = [f"{name} = {float(t)}" for name, t in out.terms.items() if not t.isfinite()]
            raise TrainingError(
                f"the loss is {float(out.loss.detach())} {self._here()}: "
                f"{', '.join(guilty) or 'every term is finite, their sum is not'}. {LOOK}"
            )
        self._check_not_empty(out)
        self._check_labels(batch.gt_depth if batch.pseudo_depth is None else batch.pseudo_depth)
        return {"loss": out.loss, "terms": out.terms | out.statistics, "maps": out.maps}

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, then bring the average up to date: before anything is saved."""
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None:
            self.averaged.update(self.method.get_submodule("depth_net"))

    @contextlib.contextmanager
    def averaged_weights(self) -> Generator[None]:
        """Inside, the depth network has the averaged weights; without an average its own."""
        if self.averaged is None:
            yield
            return
        network = self.method.get_submodule("depth_net")
        own = {key: value.clone() for key, value in network.state_dict().items()}
        network.load_state_dict(self.averaged.network.state_dict())
        try:
            yield
        finally:
            network.load_state_dict(own)

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Clip the norm of the gradient; a gradient that is not finite ends the run."""
        norm = nn.utils.clip_grad_norm_(self.parameters(), LARGEST_GRADIENT)
        if not torch.isfinite(norm):
            words = f"the gradient is {norm.item()} {self._here()}; the losses are finite"
            raise TrainingError(f"{words}. {LOOK}")

    def configure_optimizers(self) -> Any:
        """Adam, with a rate of its own for the pose network, and the schedule of all."""
        optimizer = build_optimizer(self.method, self.train_config)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, self.train_config)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of torch's random numbers."""
        checkpoint["random_state"] = torch.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the random numbers where the run stopped."""
        torch.set_rng_state(checkpoint["random_state"].cpu())

    def _here(self) -> str:
        return f"at step {self.global_step + 1}, frames {', '.join(self.frames)}"

    def _everywhere(self, here: bool) -> bool:
        """Whether it is so in all processes: one image may lack what its batch has."""
        several, strategy = self.trainer.world_size > 1, self.trainer.strategy
        return strategy.reduce_boolean_decision(here, all=True) if several else here

    def _warn(self, text: str) -> None:
        if self.trainer.is_global_zero:
            print(f"warning: {text}", file=sys.stderr)

    def _check_not_empty(self, out: StepOutput) -> None:
        """Warn of a step whose loss is a mean over nothing; several in a row end the run."""
        weights: Any = getattr(self.method, "weights", None)
        main = MAIN_TERMS if getattr(weights, "photometric", 0) > 0 else ()
        empty = [name for name in main if name in out.terms and not out.terms[name].any()]
        reason = ""
        if out.seen is not None and float(out.seen) < MIN_VALID_SHARE:
            reason = "hardly a pixel is seen in both views, the motion ran away"
        elif empty or not out.loss.any():
            reason = f"no pixel counts for {' and '.join(empty) or 'any term'}"
        self.empty_steps = self.empty_steps + 1 if self._everywhere(bool(reason)) else 0
        if self.empty_steps >= EMPTY_STEPS:
            raise TrainingError(
                f"{reason} {self._here()}, the {EMPTY_STEPS}th time in a row: nothing is learnt. "
                "Take a smaller train.learning_rate and start again; `ssmde doctor` says if it is "
                "the data."
            )
        if self.empty_steps == 1:
            self._warn(f"{reason} {self._here()}: this step teaches nothing")

    def _check_labels(self, labels: Tensor | None) -> None:
        """Warn, once, of a step whose labels have no value: their terms are a mean over nothing."""
        if self.said_of_labels or labels is None:
            return
        self.said_of_labels = self._everywhere(not (labels > 0).any())
        if self.said_of_labels:
            self._warn(f"the labels have no value {self._here()}: `ssmde doctor` looks at them")
