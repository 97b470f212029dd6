"""The folder of a run: what may lie there, and checkpoints that are whole or not there.

A checkpoint gets a temporary name, then its own, and is never read as a pickle.
"""

import errno
import os
import signal
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import CheckpointIO

from ssmde.config import Config, differences, dump_config, read_config
from ssmde.console import is_later_rank
from ssmde.io import read_bytes, whole_file, write_text
from ssmde.outputs import check_own, mark_at, recorded, sweep
from ssmde.signals import LateStop
from ssmde.training.module import TrainingError

LARGEST = 1 << 36  # bytes of a checkpoint: a hundred times the largest network here
WEIGHTS = ("best.safetensors", "last.safetensors")  # of a run, that can be a start
CONFIG_FILE = "config.yaml"
RUN_FILES = (
    CONFIG_FILE, "last.ckpt", *WEIGHTS, "best", "log.csv", "panels", "tensorboard",
)  # fmt: skip
# A resumed run may change how long and where it runs, not what it computes.
FREE_ON_RESUME = {
    "output", "data.root", "data.workers", "train.steps",
    "train.validate_every", "train.checkpoint_every", "train.accelerator", "train.devices",
    "train.nodes", "train.threads", "train.compile",
}  # fmt: skip


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Everything a run needs to go on; tensors and plain values only, no code of a stranger."""
    # Read first: of a file that was cut torch's reader says "Invalid argument", as of a bad disk.
    file = BytesIO(read_bytes(path, limit=LARGEST, what="checkpoint"))
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        if isinstance(content, dict) and isinstance(content.get("global_step"), int):
            return content
        reason = "it holds no step of a run"
    except Exception as error:  # bytes of another kind break the reader in any way
        reason = f"{type(error).__name__}"
    raise broken_checkpoint(path, reason)


def broken_checkpoint(path: Path, reason: str) -> ValueError:
    """What to say of a checkpoint from which no run goes on: what of the run is whole."""
    then = f"nothing else of the run is whole: delete {path.parent} and train again"
    if whole := [path.parent / name for name in WEIGHTS if (path.parent / name).is_file()]:
        then = f"train on from its weights in a new run: --model.start {whole[0]}"
    size = path.stat().st_size
    return ValueError(f"{path}: the checkpoint of {size:,} bytes is broken ({reason}); {then}")


class AtomicCheckpointIO(CheckpointIO):
    """Writes beside the old checkpoint and swaps; a kill or a full disk leaves the old one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; a TrainingError if the disk is full, with the former one kept."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_file(path) as part, part.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            if is_disk_full(error):
                raise TrainingError(
                    f"no space left on the disk for {path}; the former checkpoint is whole. "
                    "Free some space, or set --output to another disk, then --resume."
                ) from error
            raise

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """As `read_checkpoint`."""
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def is_disk_full(error: BaseException) -> bool:
    """True for the ways in which a full disk shows; torch's own writer raises a RuntimeError."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    below = error.__context__ is not None and is_disk_full(error.__context__)
    return below or "PytorchStreamWriter failed writing file" in str(error)


class SaveWhenAsked(pl.Callback):
    """After a signal: the step is finished, `last.ckpt` is written, `SavedError` ends the fit."""

    def __init__(self, folder: Path, stop: LateStop) -> None:
        self.folder, self.stop = folder, stop
        self.begun = False  # whether everything is read from which the run goes on

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take signals over from Lightning, which would end without a checkpoint."""
        self.stop.take()
        self.begun = True

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Save if a process was asked to stop; all of them do it together."""
        asked = self.stop.asked is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        if asked:
            trainer.save_checkpoint(self.folder / "last.ckpt")
            number = self.stop.asked or signal.SIGTERM
            raise SavedError(number, f"saved at step {trainer.global_step}")


class SavedError(BaseException):
    """A signal came and the run is saved; no Exception, for Lightning would call it a failure."""


def check_run(folder: Path, config: Config, *, resume: bool) -> None:
    """Refuse to write over a run, or to go on with one that is not there or is another."""
    begun = [name for name in ("last.ckpt", "last.safetensors") if (folder / name).exists()]
    kept = folder / CONFIG_FILE
    if not resume:
        if is_later_rank():
            return
        if begun:
            raise ValueError(
                f"{folder} already holds a run: go on with --resume, choose another --name, "
                "or delete it"
            )
        # Nor over files of others, or what another run left that has no checkpoint yet.
        if there := [folder / name for name in RUN_FILES if os.path.lexists(folder / name)]:
            check_own([kept], "choose another --name")
            if not kept.is_file() or _changed(kept, config):
                raise FileExistsError(
                    f"{there[0]}: exists, of something else than this run: choose another --name, "
                    f"or delete {folder}"
                )
        return
    if "last.ckpt" not in begun:
        if begun or mark_at(kept) is None:
            way_on = "to start the run, leave --resume away"
            if begun:
                start = f"--model.start {folder / begun[0]} and another --name"
                way_on = f"a new run can start from its weights: {start}"
            raise ValueError(f"nothing to resume: {folder / 'last.ckpt'} does not exist; {way_on}")
        print(f"{folder} has no checkpoint yet: it begins again")
    if changed := _changed(kept, config):
        raise ValueError(
            f"a resumed run cannot change {', '.join(changed)}; start a new run with --name, "
            f"or go back to the values in {kept}"
        )


def _changed(kept: Path, config: Config) -> list[str]:
    """Fields in which a run differs from the one that began, of those that may not."""
    return sorted(set(differences(read_config(kept), config)) - FREE_ON_RESUME)


def is_done(folder: Path, steps: int) -> bool:
    """Whether a run that is to go on has taken its steps already; said in a line."""
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


def write_config(folder: Path, config: Config) -> None:
    """Remove what a killed run left, and write what runs; a file that somebody changed stays."""
    sweep(folder, RUN_FILES.__contains__)
    sweep(folder / "panels", lambda name: name.endswith(".png"))
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / CONFIG_FILE
    if not os.path.lexists(kept) or mark_at(kept) is not None:
        with recorded():
            write_text(kept, dump_config(config))
