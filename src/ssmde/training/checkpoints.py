"""Checkpoints that are whole or not there: a temporary name, then a rename; never a pickle."""

import errno
import signal
from io import BytesIO
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import CheckpointIO

from ssmde.io import read_bytes, whole_file
from ssmde.signals import LateStop
from ssmde.training.module import TrainingError

LARGEST = 1 << 36  # bytes of a checkpoint: a hundred times the largest network here
WEIGHTS = ("best.safetensors", "last.safetensors")  # of a run, that can be a start


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Everything a run needs to go on; tensors and plain values only.

    Raises:
        ValueError: If the file is broken; the message says what of the run is whole.
    """
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
    whole = [name for name in WEIGHTS if (path.parent / name).is_file()]
    then = (
        f"train on from its weights in a new run: --model.start {path.parent / whole[0]}"
        if whole
        else f"nothing else of the run is whole: delete {path.parent} and train again"
    )
    size = path.stat().st_size
    return ValueError(f"{path}: the checkpoint of {size:,} bytes is broken ({reason}); {then}")


class AtomicCheckpointIO(CheckpointIO):
    """Writes beside the old checkpoint and swaps; a kill or a full disk leaves the old one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            TrainingError: If the disk is full; the former checkpoint is still there.
        """
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
        """Read a checkpoint; tensors and plain values only, no code of a stranger is run."""
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def is_disk_full(error: BaseException) -> bool:
    """True for the ways in which a full disk shows; torch's own writer raises a RuntimeError."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    context = error.__context__
    if context is not None and is_disk_full(context):
        return True
    return "PytorchStreamWriter failed writing file" in str(error)


class SaveWhenAsked(pl.Callback):
    """After a signal: the step is finished, `last.ckpt` is written, and `SavedError` ends the fit.

    Args:
        folder: Of the run.
        stop: Notes the signals.
    """

    def __init__(self, folder: Path, stop: LateStop) -> None:
        self.folder, self.stop = folder, stop
        self.begun = False
        """Whether everything is read from which the run goes on."""

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


def last_checkpoint(folder: Path, every: int) -> ModelCheckpoint:
    """Callback that keeps `last.ckpt`: everything a run needs to go on."""
    return ModelCheckpoint(
        dirpath=folder,
        filename="last",
        monitor=None,
        save_top_k=1,
        every_n_train_steps=every,
        enable_version_counter=False,
    )
