"""Checkpoints that are whole or not there: a temporary name, then a rename; never a pickle."""

import errno
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import CheckpointIO

from ssmde.io import check_file, whole_file
from ssmde.training.module import TrainingError

WEIGHTS = ("best.safetensors", "last.safetensors")  # of a run, that can be a start


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Everything a run needs to go on; tensors and plain values only.

    Raises:
        ValueError: If the file is broken; the message says what of the run is whole.
    """
    check_file(path, "checkpoint")
    # Read first: of a file that was cut torch's reader says "Invalid argument", as of a bad disk.
    file = BytesIO(path.read_bytes())
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        if isinstance(content, dict) and isinstance(content.get("global_step"), int):
            return content
        reason = "it holds no step of a run"
    except Exception as error:  # bytes of another kind break the reader in any way
        reason = f"{type(error).__name__}"
    whole = [name for name in WEIGHTS if (path.parent / name).is_file()]
    then = (
        f"train on from its weights in a new run: --model.start {path.parent / whole[0]}"
        if whole
        else f"nothing else of the run is whole: delete {path.parent} and train again"
    )
    raise ValueError(
        f"{path}: the checkpoint of {path.stat().st_size:,} bytes is broken ({reason}); {then}"
    )


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
