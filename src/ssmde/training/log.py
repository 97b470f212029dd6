"""What a run says while it runs: curves in `log.csv` and TensorBoard, a bar with the time left."""

import csv
import sys
import time
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ssmde.config import TrainConfig
from ssmde.io import read_table, whole_file
from ssmde.types import Batch

PLAIN_LINE_EVERY = 30.0  # seconds between two lines where no terminal can show a bar
FEWEST_ROWS = 20  # a short run is logged more often, for a curve of so many points
NAMED_BROKEN = 20  # broken files named at the end; the rest is counted


def read_rows(path: Path) -> list[list[str]]:
    """Rows of a log.csv, but the head and those that are not whole, as after a power cut."""
    rows: list[list[str]] = []
    for row in read_table(path):
        with suppress(ValueError):
            step, seconds, _, value = row
            if int(step) >= 0 and isfinite(float(seconds)) and isinstance(float(value), float):
                rows.append(row)
    return rows


class CurveFile:
    """Rows of (step, cpu_seconds, name, value), appended; rows after a resumed step are dropped."""

    header = ("step", "cpu_seconds", "name", "value")

    def __init__(self, path: Path, *, keep_until: int) -> None:
        rows: list[list[str]] = []
        if path.exists():
            rows = [row for row in read_rows(path) if int(row[0]) <= keep_until]
        with whole_file(path) as part, part.open("w", newline="") as file:
            csv.writer(file).writerows([self.header, *rows])
        self.path = path
        self.cpu_seconds = max((float(row[1]) for row in rows), default=0.0)

    def add(self, step: int, cpu_seconds: float, values: dict[str, float]) -> None:
        """Append a row for each value."""
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerows(
                (step, f"{cpu_seconds:.1f}", name, repr(value)) for name, value in values.items()
            )


class RunLog(pl.Callback):
    """Means of the losses, validation results, broken frames; a bar or plain lines."""

    def __init__(self, folder: Path, train: TrainConfig) -> None:
        self.folder, self.steps = folder, train.steps
        self.log_every = max(1, min(train.log_every, train.steps // FEWEST_ROWS))
        self.sums: dict[str, torch.Tensor] = {}
        self.count = 0
        self.broken: list[str] = []
        self.curves: CurveFile | None = None
        self.bar: Progress | None = None

    def state_dict(self) -> dict[str, Any]:
        """Sums that are not yet written, and the broken files so far."""
        return {"sums": dict(self.sums), "count": self.count, "broken": list(self.broken)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with them."""
        self.sums, self.count = dict(state_dict["sums"]), state_dict["count"]
        self.broken = list(state_dict["broken"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the files and the bar."""
        self.sums = {name: value.to(pl_module.device) for name, value in self.sums.items()}
        self.first_step = trainer.global_step
        self.started = self.last_line = time.monotonic()
        self.cpu_before = -time.process_time()
        if not trainer.is_global_zero:
            return
        self.curves = CurveFile(self.folder / "log.csv", keep_until=trainer.global_step)
        self.cpu_before += self.curves.cpu_seconds
        if sys.stderr.isatty():
            columns = (
                TextColumn("training"), BarColumn(), MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]}"), TimeRemainingColumn(),
            )  # fmt: skip
            self.bar = Progress(*columns, console=Console(stderr=True))
            self.task = self.bar.add_task(
                "", total=self.steps, completed=trainer.global_step, loss="-"
            )
            self.bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch,
        batch_idx: int,
    ) -> None:  # fmt: skip
        """Add up the terms; write their mean over steps and processes every `log_every` steps."""
        self.broken.extend(batch.broken)
        for name, value in {"loss": outputs["loss"].detach(), **outputs["terms"]}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        step = trainer.global_step
        if step % self.log_every == 0 or step == self.steps:
            means = {
                f"train/{name}": float(
                    trainer.strategy.reduce(total / self.count, reduce_op="mean")
                )
                for name, total in self.sums.items()
            }
            means["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
            self.sums, self.count = {}, 0
            self.write(trainer, means)
            self._show(step, means["train/loss"])

    def write(self, trainer: pl.Trainer, values: dict[str, float]) -> None:
        """Write values of this step to the curve file and to TensorBoard."""
        if self.curves is None:
            return
        seconds = self.cpu_before + time.process_time()
        self.curves.add(trainer.global_step, seconds, values)
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar and report the frames that could not be read."""
        self.close()
        if self.broken and trainer.is_global_zero:
            names = sorted(set(self.broken))
            more = f" and {len(names) - NAMED_BROKEN} more" if len(names) > NAMED_BROKEN else ""
            print(f"{len(names)} unreadable frames were skipped, {len(self.broken)} times in all:")
            print("  " + "\n  ".join(names[:NAMED_BROKEN]) + more)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the terminal as it was."""
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _show(self, step: int, loss: float) -> None:
        if self.curves is None:
            return
        if self.bar is not None:
            self.bar.update(self.task, completed=step, loss=f"{loss:.4f}")
            return
        now = time.monotonic()
        if now - self.last_line < PLAIN_LINE_EVERY and step < self.steps:
            return
        self.last_line = now
        pace = (now - self.started) / max(1, step - self.first_step)
        left = time.strftime("%H:%M:%S", time.gmtime(pace * (self.steps - step)))
        print(
            f"step {step}/{self.steps}  loss {loss:.4f}  {pace:.2f} s a step  {left} left",
            file=sys.stderr,
            flush=True,
        )
