"""Training on a visitor's film: `ssmde adapt` in a process of its own, which can be ended.

It goes on while its page is closed, and belongs to the browser that started it.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import RLock, Thread

from ssmde.adaptation.stages import PICTURE, REPORT, RESULT
from ssmde.app.guard import BusyError, bytes_below
from ssmde.io import read_json

MOST_MINUTES = 60  # that can be asked for
OVERTIME, GRACE_MINUTES = 2.0, 5.0
"""A training ends after so many times the minutes asked for, and these more."""
TRAINING_BYTES = 4_000_000_000  # of the frames, points and labels of one training
LOOKS_EVERY, LAST_SECONDS = 1.0, 5.0
POLITENESS = 10  # how far the page goes before it at the processor
STOPPED = "Stopped."  # by its visitor
STAGE = re.compile(r"^(\w+): (.+), [\d.]+ minutes left$", re.MULTILINE)
COMMAND = (sys.executable, "-m", "ssmde", "adapt")


class Training:
    """One film that a network learns from, copied at once into `folder`: its visitor may leave.

    `name` is what the page calls the film, `start` a released name or a path, `command` what is run
    with the film and a folder for the results behind it.
    """

    def __init__(
        self, folder: Path, film: Path, name: str, start: str, minutes: int,
        command: Sequence[str],
    ) -> None:  # fmt: skip
        self.name, self.minutes, self.fault = name, minutes, ""
        self._folder, self._out, self._begun = folder, folder / "out", time.monotonic()
        folder.mkdir()
        self._film = shutil.copyfile(film, folder / f"film{film.suffix}")
        words = [str(self._film), str(self._out), "--start", start, "--minutes", str(minutes)]
        with (folder / "said").open("wb") as said, (folder / "faults").open("wb") as faults:
            self._process = subprocess.Popen(
                [*command, *words], stdin=subprocess.DEVNULL, stdout=said, stderr=faults
            )
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, POLITENESS)
        self._watcher = Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._watcher.is_alive()

    def stage(self) -> str:
        """What it does now, in words."""
        found = STAGE.findall((self._folder / "said").read_text("utf-8", "replace"))
        return ": ".join(found[-1]) if found else "starting"

    def elapsed(self) -> float:
        """Minutes since it began."""
        return (time.monotonic() - self._begun) / 60

    def outcome(self) -> str:
        """Whose weights were handed out, and why."""
        report = read_json(self._out / REPORT)
        kept = "better here" if report["kept"] == "adapted" else "kept as it was"
        return f"Done: the network is {kept}, {report['why']}."

    def results(self) -> list[Path]:
        """Weights, report and a picture of frames before and after; none if there is a fault."""
        files = [self._out / name for name in (RESULT, REPORT, PICTURE)]
        return files if not self.running and not self.fault else []

    def stop(self, fault: str = STOPPED) -> None:
        """End it with a word for its visitor; its files stay until `close`."""
        self.fault = self.fault or fault
        self._process.terminate()
        try:
            self._process.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def close(self) -> None:
        """End it and remove its files."""
        if self.running:
            self.stop()
            self._watcher.join(2 * LAST_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self) -> None:
        """Wait for its end; end it where it takes too long or too much room."""
        longest = OVERTIME * self.minutes + GRACE_MINUTES
        while self._process.poll() is None:
            time.sleep(LOOKS_EVERY)
            if self.elapsed() > longest:
                self.stop("It took too long: give it more minutes, or a shorter film.")
            elif bytes_below(self._folder) > TRAINING_BYTES:
                self.stop(f"It took more than {TRAINING_BYTES / 1e9:g} GB: take a shorter film.")
        if self._process.returncode:
            said = (self._folder / "faults").read_text("utf-8", "replace").strip()
            fault = (said.splitlines() or ["It broke off."])[-1]
            fault = fault.removeprefix("ssmde adapt: error: ").replace(str(self._film), self.name)
            self.fault = self.fault or fault
        shutil.rmtree(self._out / "work", ignore_errors=True)
        self._film.unlink(missing_ok=True)


class Trainings:
    """The training of one server: one at a time, and known to its visitor alone."""

    def __init__(self, root: Path, command: Sequence[str] = COMMAND) -> None:
        self._root, self._command, self._lock = root, command, RLock()
        self._newest: tuple[str, Training] | None = None

    def start(self, key: str, film: Path, name: str, start: str, minutes: int) -> None:
        """Begin one for this visitor, in the place of the last one; `BusyError` if that runs."""
        with self._lock:
            if self._newest and self._newest[1].running:
                raise BusyError("One film at a time: wait for the training that runs, or stop it.")
            self.close()
            folder = self._root / secrets.token_hex(8)
            self._newest = key, Training(folder, film, name, start, minutes, self._command)

    def of(self, key: str) -> Training | None:
        """The training of this visitor."""
        owner, training = self._newest or ("", None)
        return training if owner == key else None

    def close(self) -> None:
        """The server ends: so does what runs, and all files go."""
        with self._lock:
            if self._newest:
                self._newest[1].close()
            self._newest = None
