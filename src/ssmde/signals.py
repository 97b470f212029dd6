"""Signals that ask a command to stop: Ctrl-C, and SIGTERM as clusters and `timeout` send it."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A command was asked to stop by a signal; `said` is what was done, `saved at step 12`."""

    def __init__(self, number: int, said: str = "") -> None:
        super().__init__(said)
        self.status = 128 + number  # of the process, as a shell has it


@contextmanager
def stop_on_sigterm() -> Generator[None]:
    """Inside, SIGTERM raises a `Stopped`; one that comes while things are tidied up does not."""
    if not _may_set():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise Stopped(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def signals_wait() -> Generator[None]:
    """For imports that take the signals: inside, one waits for the end; their handlers go then."""
    if not _may_set():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.getsignal(number))
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class LateStop:
    """Notes a signal instead of raising it, so that a step is finished and saved; see `take`."""

    def __init__(self) -> None:
        self.asked: int | None = None  # the first signal that came
        self._before: dict[int, Any] = {}
        self._now = False

    def take(self) -> None:
        """From here on, signals are noted; a second Ctrl-C raises after all."""
        if _may_set() and not self._before:
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def give_back(self) -> None:
        """Signals do again what they did before."""
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._note:  # else Lightning has put back its own
                signal.signal(number, handler)
        self._before = {}

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Inside, a signal raises a `Stopped`: for what may be done again from its beginning."""
        self._now = True
        try:
            if self.asked is not None:
                raise Stopped(self.asked)
            yield
        finally:
            self._now = False

    def _note(self, number: int, _: FrameType | None) -> None:
        again = self.asked is not None and number == signal.SIGINT
        self.asked = self.asked or number
        if self._now or again:
            self._now = False
            raise Stopped(number)


def ignore_in_worker(_: int) -> None:
    """In a process that loads data: the one that it works for says when to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _may_set() -> bool:
    """Handlers can be set in the main thread only."""
    return threading.current_thread() is threading.main_thread()
