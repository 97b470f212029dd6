"""`ssmde train`: from scene folders to a trained depth network, in a run folder that can go on."""

import logging
import os
import warnings
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from ssmde.config import Config, differences, dump_config, read_config
from ssmde.console import is_later_rank, is_out_of_memory, shorten
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.io import write_text
from ssmde.methods.affine_depth import AffineDepth
from ssmde.methods.student import build_student
from ssmde.methods.teacher import build_networks, build_teacher
from ssmde.models.registry import follow_start, say_lost_scale
from ssmde.outputs import check_own, mark_at, recorded, sweep
from ssmde.signals import LateStop, Stopped
from ssmde.training.checkpoints import (
    AtomicCheckpointIO,
    SavedError,
    SaveWhenAsked,
    broken_checkpoint,
    is_disk_full,
    last_checkpoint,
    read_checkpoint,
)
from ssmde.training.loader import SnippetLoader
from ssmde.training.log import RunLog
from ssmde.training.module import TrainingError, TrainingModule
from ssmde.training.validation import Validation, write_last_weights

CONFIG_FILE = "config.yaml"
STUDENT_RATE = 0.5  # of the learning rate: the student begins with the weights of the teacher
RUN_FILES = (
    CONFIG_FILE, "last.ckpt", "best.safetensors", "last.safetensors", "best", "log.csv", "panels",
    "tensorboard",
)  # fmt: skip
# A resumed run may change how long and where it runs, not what it computes.
FREE_ON_RESUME = {
    "output",
    "data.root",
    "data.workers",
    "data.augment_on",
    "train.steps",
    "train.validate_every",
    "train.checkpoint_every",
    "train.accelerator",
    "train.devices",
    "train.nodes",
    "train.threads",
    "train.compile",
}
# Said by Lightning to its users, of no use to ours.
QUIET_WARNINGS = (
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    "The dirpath has changed from .*",
    ".*treespec, LeafSpec.*",
    ".*in eval mode at the start of training.*",
    ".*have no `validation_step`.*",
)
PRECISIONS: dict[str, Literal["32-true", "bf16-mixed"]] = {"fp32": "32-true", "bf16": "bf16-mixed"}


def train(
    config: Config, *, resume: bool = False, data: pl.LightningDataModule | None = None
) -> Path:
    """Train the networks of a configuration and return the folder of the run.

    A configuration of both stages is trained as `train_stages` says.

    The folder holds `config.yaml`, `last.ckpt` (to go on), `best.safetensors` and
    `last.safetensors` (to use), `best/` (the best few), `log.csv`, `panels/` and `tensorboard/`.

    Args:
        config: The run.
        resume: Go on from `last.ckpt`, also after a kill; on a CPU the losses that follow are
            those of a run that was never stopped, to the last bit. A run that was stopped before
            its first checkpoint begins again.
        data: Batches of `ssmde.types.Batch` from elsewhere, in place of scene folders. Where
            `config.data.root` is no folder, its `val_dataloader` is what validates.

    Raises:
        FileExistsError: If the folder holds files of others under the names of a run.
        ValueError: If the data, or the folder of the run, do not fit.
        TrainingError: If the loss is no number, or memory or disk are full; the last good
            checkpoint is kept.
        Stopped: After Ctrl-C or SIGTERM; the step was finished and `last.ckpt` written.
    """
    if config.method == "both":  # by name, for the stages call this function for each of them
        both = import_module("ssmde.training.both_stages")
        return both.train_stages(config, resume=resume, data=data)
    config = follow_start(config_of_stage(config))
    folder = config.output / config.name
    _check_run(folder, config, resume=resume)
    resume = resume and (folder / "last.ckpt").exists()
    if resume and _is_done(folder, config.train.steps):
        return folder
    sequences = [] if data is not None else _training_scenes(config)
    if not resume and not is_later_rank():
        say_lost_scale(config)
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    torch.manual_seed(config.train.seed)
    method = build_method(config)
    loader = SnippetLoader(config, sequences) if data is None else data
    module = TrainingModule(method, config.train)
    log = RunLog(folder, config.train)
    stop = LateStop()
    validation = Validation(folder, config, log, stop, data)
    save = SaveWhenAsked(folder, stop)
    trainer = _make_trainer(config, folder, [validation, log, save])
    if trainer.is_global_zero:
        _sweep_run(folder)
        _write_config(folder, config)  # also of a run that goes on: with the steps it now has
    checkpoint = folder / "last.ckpt" if resume else None
    try:
        _fit(trainer, module, loader, checkpoint, save)
        if validation.due:  # that of the last step, with no further one to come before
            log.on_train_start(trainer, module)
            validation.validate(trainer, module)
    except (RuntimeError, OSError, MemoryError) as error:
        log.close()
        raise _explain(error, config, folder) from error
    finally:
        stop.give_back()
    if trainer.global_step % config.train.checkpoint_every:
        trainer.save_checkpoint(folder / "last.ckpt")  # from which more steps can be taken
    if trainer.is_global_zero:
        with module.averaged_weights():
            write_last_weights(folder, config, module.method, validation.latest)
    return folder


def _fit(
    trainer: pl.Trainer,
    module: TrainingModule,
    loader: pl.LightningDataModule,
    checkpoint: Path | None,
    save: SaveWhenAsked,
) -> None:
    """All steps, from the checkpoint on.

    Raises:
        Stopped: After a signal.
        ValueError: If the checkpoint holds something else than this run.
    """
    try:
        trainer.fit(module, datamodule=loader, ckpt_path=checkpoint, weights_only=True)
    except SavedError as saved:
        raise Stopped(*saved.args) from None
    except (TrainingError, OSError, MemoryError):
        raise
    except Exception as error:
        if checkpoint is None or save.begun:
            raise
        reason = shorten(f"{type(error).__name__}: {error}")  # what does not fit breaks in any way
        raise broken_checkpoint(checkpoint, reason) from error


def config_of_stage(config: Config) -> Config:
    """Steps and learning rate of the stage take the place of the general ones."""
    s = config.student
    if config.method != "student":
        return config
    rate = s.learning_rate or STUDENT_RATE * config.train.learning_rate
    clock = replace(config.train, steps=s.steps or config.train.steps, learning_rate=rate)
    return replace(config, train=clock, student=replace(s, learning_rate=rate))


def build_method(config: Config) -> nn.Module:
    """The stage as a module."""
    if config.method == "affine_depth":
        return AffineDepth(build_networks(config.model, config.loss)[0], config.affine)
    if config.method == "student":
        return build_student(config)
    return build_teacher(config)


def _make_trainer(config: Config, folder: Path, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning's loop with our checkpoints and logs; validation is a callback of ours."""
    t = config.train
    for message in QUIET_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    several = t.devices * t.nodes > 1
    try:
        return pl.Trainer(
            default_root_dir=folder,
            accelerator=t.accelerator,
            devices=t.devices,
            num_nodes=t.nodes,
            strategy="ddp" if several else "auto",
            precision=PRECISIONS[t.precision],
            max_steps=t.steps,
            max_epochs=-1,
            callbacks=[*callbacks, last_checkpoint(folder, t.checkpoint_every)],
            plugins=[AtomicCheckpointIO()],
            logger=TensorBoardLogger(folder, name=None, version="tensorboard"),
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
    except MisconfigurationException as error:
        raise ValueError(
            f"train.accelerator {t.accelerator!r} with {t.devices} devices cannot run here: {error}"
        ) from error


def _check_run(folder: Path, config: Config, *, resume: bool) -> None:
    """Refuse to write over a run, or to go on with one that is not there or is another."""
    begun = [name for name in ("last.ckpt", "last.safetensors") if (folder / name).exists()]
    if not resume:
        if begun and not is_later_rank():
            raise ValueError(
                f"{folder} already holds a run: go on with --resume, choose another --name, "
                "or delete it"
            )
        if not is_later_rank():
            _check_room(folder, config)
        return
    kept = folder / CONFIG_FILE
    if "last.ckpt" not in begun:
        if begun or mark_at(kept) is None:
            way_on = (
                f"a new run can start from its weights: --model.start {folder / begun[0]} and "
                "another --name"
                if begun
                else "to start the run, leave --resume away"
            )
            raise ValueError(f"nothing to resume: {folder / 'last.ckpt'} does not exist; {way_on}")
        print(f"{folder} has no checkpoint yet: it begins again")
    before = read_config(kept)
    changed = set(differences(before, config))
    if not_free := sorted(changed - FREE_ON_RESUME):
        raise ValueError(
            f"a resumed run cannot change {', '.join(not_free)}; start a new run with --name, "
            f"or go back to the values in {kept}"
        )


def _check_room(folder: Path, config: Config) -> None:
    """Refuse a folder with files of others, or what another run left that has no checkpoint yet."""
    there = [folder / name for name in RUN_FILES if os.path.lexists(folder / name)]
    if not there:
        return
    check_own([folder / CONFIG_FILE], "choose another --name")
    kept = folder / CONFIG_FILE
    before = read_config(kept) if kept.is_file() else None
    if before is None or set(differences(before, config)) - FREE_ON_RESUME:
        raise FileExistsError(
            f"{there[0]}: exists, of something else than this run: choose another --name, or "
            f"delete {folder}"
        )


def _sweep_run(folder: Path) -> None:
    """Remove the parts that a killed run left."""
    sweep(folder, RUN_FILES.__contains__)
    sweep(folder / "best", lambda name: name.endswith(".safetensors"))
    sweep(folder / "panels", lambda name: name.endswith(".png"))


def _is_done(folder: Path, steps: int) -> bool:
    """Whether a run that is to go on has taken its steps already; said in a line.

    Raises:
        ValueError: If it has taken more, and its last weights are lost.
    """
    reached = read_checkpoint(folder / "last.ckpt")["global_step"]
    finished = (folder / "last.safetensors").is_file()
    if reached > steps and not finished:
        raise ValueError(
            f"{folder} is at step {reached} already, train.steps is {steps}: give {reached} or more"
        )
    if reached < steps or not finished:
        return False
    if not is_later_rank():
        print(f"{folder} is at step {reached} already, {steps} were asked for: nothing to do")
    return True


def _write_config(folder: Path, config: Config) -> None:
    """Write what runs; a file that somebody changed stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / CONFIG_FILE
    if not os.path.lexists(kept) or mark_at(kept) is not None:
        with recorded():
            write_text(kept, dump_config(config))


def _training_scenes(config: Config) -> list[FrameSequence]:
    sequences = read_scenes(config.data.root, "train")
    names = [sequence.name for sequence in sequences]
    for name, _ in config.data.scene_gaps:
        if name not in names:
            raise ValueError(
                f"data.scene_gaps names scene '{name}', {config.data.root} has {', '.join(names)}"
            )
    return sequences


def _explain(error: Exception, config: Config, folder: Path) -> Exception:
    """Turn running out of memory or disk into one clear message; leave other errors alone."""
    if isinstance(error, TrainingError):
        return error
    kept = folder / "last.ckpt"
    then = f"{kept} is whole: --resume goes on from it" if kept.exists() else "nothing was lost"
    if is_out_of_memory(error):
        return TrainingError(
            f"out of memory with train.batch_size {config.train.batch_size} at data.image_size "
            f"{config.data.image_size}: make one of them smaller. {then}."
        )
    if is_disk_full(error):
        return TrainingError(f"no space left on the disk of {folder}: free some. {then}.")
    return error
