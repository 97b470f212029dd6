"""What a run says while it runs: curves in `log.csv` and TensorBoard, a bar with the time left."""

import csv
import sys
import time
from contextlib import suppress
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from rich.progress import Progress

from ssmde.config import TrainConfig
from ssmde.console import bars
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


class RunLog(pl.Callback):
    """Means of losses and validation results in log.csv; broken frames; a bar or plain lines."""

    def __init__(self, folder: Path, train: TrainConfig) -> None:
        self.curves, self.steps = folder / "log.csv", train.steps
        self.log_every = max(1, min(train.log_every, train.steps // FEWEST_ROWS))
        self.sums: dict[str, torch.Tensor] = {}
        self.count = 0
        self.broken: list[str] = []
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
        if not trainer.is_global_zero:
            return
        rows = read_rows(self.curves) if self.curves.exists() else []
        rows = [row for row in rows if int(row[0]) <= trainer.global_step]  # of a resumed run
        with whole_file(self.curves) as part, part.open("w", newline="") as file:
            csv.writer(file).writerows([("step", "cpu_seconds", "name", "value"), *rows])
        before = max((float(row[1]) for row in rows), default=0.0)
        self.cpu_before = before - time.process_time()
        if sys.stderr.isatty():
            self.bar = bars()
            self.task = self.bar.add_task(
                "training", total=self.steps, completed=trainer.global_step
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
            mean = partial(trainer.strategy.reduce, reduce_op="mean")
            means = {f"train/{k}": float(mean(v / self.count)) for k, v in self.sums.items()}
            means["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
            self.sums, self.count = {}, 0
            if trainer.is_global_zero:
                self.write(trainer, means)
                self._show(step, means["train/loss"])

    def write(self, trainer: pl.Trainer, values: dict[str, float]) -> None:
        """Append a row for each value of this step to log.csv, and tell TensorBoard."""
        step, seconds = trainer.global_step, f"{self.cpu_before + time.process_time():.1f}"
        with self.curves.open("a", newline="") as file:
            rows = ((step, seconds, name, repr(value)) for name, value in values.items())
            csv.writer(file).writerows(rows)
        for logger in trainer.loggers:
            logger.log_metrics(values, step=step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar and report the frames that could not be read."""
        self.on_exception()
        if self.broken and trainer.is_global_zero:
            names = sorted(set(self.broken))
            more = f" and {len(names) - NAMED_BROKEN} more" if len(names) > NAMED_BROKEN else ""
            print(f"{len(names)} unreadable frames were skipped, {len(self.broken)} times in all:")
            print("  " + "\n  ".join(names[:NAMED_BROKEN]) + more)

    def on_exception(self, *_: Any, **__: Any) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _show(self, step: int, loss: float) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=step, description=f"training, loss {loss:.4f}")
            return
        now = time.monotonic()
        if now - self.last_line < PLAIN_LINE_EVERY and step < self.steps:
            return
        self.last_line = now
        pace = (now - self.started) / max(1, step - self.first_step)
        left = time.strftime("%H:%M:%S", time.gmtime(pace * (self.steps - step)))
        print(
            f"step {step}/{self.steps}  loss {loss:.4f}  {pace:.2f} s a step  {left} left",
            file=sys.stderr, flush=True,
        )  # fmt: skip
