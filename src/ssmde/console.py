"""What is said to a person: bars, tables, the name that was probably meant, what to install."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from importlib import import_module
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

TABLE_WIDTH = 130  # columns where no terminal says how wide it is
MOST_NAMES = 24  # that are worth a line
LONGEST_TEXT = 120  # characters of a file that a message shows
# What NumPy, torch and CUDA say where memory ends.
NO_MEMORY = re.compile("not enough memory|can't allocate memory|out of memory|bad.alloc")
Item = TypeVar("Item")


def did_you_mean(word: str, known: Iterable[str], *, shown: Iterable[str] | None = None) -> str:
    """What to say of a word that is none of the known ones, which may be `shown` otherwise.

    >>> did_you_mean("kity", ["kitti", "ddad"])
    "closest match is 'kitti', there are kitti, ddad"
    """
    known = list(known)
    names = known if shown is None else list(shown)
    closest = [f"closest match is {name!r}" for name in get_close_matches(word, known, n=1)]
    if closest and len(names) > MOST_NAMES:
        return closest[0]
    more = f", ... ({len(names)} in all)" if len(names) > MOST_NAMES else ""
    return ", ".join([*closest, f"there are {', '.join(names[:MOST_NAMES]) or 'none'}{more}"])


def first_line(error: BaseException) -> str:
    """First line of an error's message, or its kind."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def import_extra(module: str, needed_by: str, install: str) -> Any:
    """A module of an extra, such as `ssmde[export]`; an `ImportError` says how to get it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{needed_by} needs {package}, which is not installed or does not work "
            f"({first_line(error)}): pip install {shlex.quote(install)}"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """True for the ways in which the end of memory shows."""
    return isinstance(error, MemoryError) or NO_MEMORY.search(str(error)) is not None


def is_later_rank() -> bool:
    """True in a process that a launcher started beside the first one, which alone speaks."""
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return any(int(os.environ.get(name, "0")) > 0 for name in names)


def counted(number: int, thing: str) -> str:
    """A number of things, in the singular or the plural.

    >>> counted(1, "frame"), counted(3, "frame")
    ('1 frame', '3 frames')
    """
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def shorten(text: str) -> str:
    """Text as a message may show it: on one line, its end left out where it is long."""
    text = " ".join(text.split())
    short = f"{text[:LONGEST_TEXT]}... ({len(text):,} characters)"
    return text if len(text) <= LONGEST_TEXT else short


def bars(*, show: bool = True) -> "Progress":
    """Room for bars on stderr that go at the end; brackets in a name are no marks of rich's."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), *Progress.get_default_columns()[1:])
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not show)


def with_bar(
    items: Iterable[Item], what: str, total: int | None = None, *, show: bool = True
) -> Iterator[Item]:
    """The items one by one, with a bar named `what`; `total` if they do not know their number."""
    with bars(show=show) as progress:
        yield from progress.track(items, total, description=what)


def table_console() -> "Console":
    """Where tables are printed: as wide as the terminal, or wide enough where there is none."""
    from rich.console import Console

    width = None if Console().is_terminal else TABLE_WIDTH
    return Console(width=width, markup=False, highlight=False)


def ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as people write them.

    >>> ranges([3, 7, 8, 9])
    '3, 7-9'
    """
    runs = groupby(enumerate(numbers), key=lambda item: item[1] - item[0])
    ends = [[number for _, number in run] for _, run in runs]
    return ", ".join(str(e[0]) if len(e) == 1 else f"{e[0]}-{e[-1]}" for e in ends)
