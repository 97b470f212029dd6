"""`ssmde VERB ...`: from words to a verb that runs, and from how it ends to an exit status.

What is slow to import is imported by the verb that needs it, after its words are understood. A
fault ends in one line on stderr: exit status 2 for a bad input, 1 for a run that failed, 130 after
Ctrl-C, 143 after SIGTERM. `--debug`, or SSMDE_DEBUG=1 in the environment, shows the traceback
instead.
"""

import errno
import inspect
import os
import shlex
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from ssmde import __version__
from ssmde.config import Config, differences, read_config, refuse_idle
from ssmde.console import did_you_mean, is_out_of_memory, shorten
from ssmde.former import former_option
from ssmde.presets import PRESETS, find_preset
from ssmde.signals import stop_on_sigterm
from ssmde.verbs import VERBS, Adapt, Train, Verb, is_first_process

BAD_INPUT = (
    ValueError,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
BAD_NAMES = (errno.ENAMETOOLONG, errno.ELOOP)
BAD_INPUT_STATUS, FAILED_STATUS = 2, 1
LONGEST_MESSAGE = 1500  # characters: a broken file must not fill the screen
NO_MEMORY = "out of memory: take smaller images or a smaller size, or end other programs"
INTERRUPTED_STATUS = 130  # by Ctrl-C: 128 + SIGINT, as a shell has it
OVERVIEW = """ssmde: monocular depth from plain video

{verbs}

Example:
  ssmde predict photo.jpg depth
  ssmde adapt walk.mp4 here
  ssmde predict here walk.mp4 depth

ssmde VERB --help explains a verb, ssmde --version names the version,
--debug behind a verb shows where an error comes from."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Args:
        argv: The words behind `ssmde`; by default those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that it cannot show must not end the work
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or os.environ.get("SSMDE_DEBUG") == "1"
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help"):
        lines = (f"  {verb:10}{inspect.getdoc(VERBS[verb])}".splitlines()[0] for verb in VERBS)
        print(OVERVIEW.format(verbs="\n".join(lines)))
        return 0
    if words[0] == "--version":
        print(f"ssmde {__version__}")
        return 0
    verb = words.pop(0)
    if verb not in VERBS:
        return _complain("", f"unknown verb {verb!r}: {did_you_mean(verb, VERBS)}")
    try:
        return _run(verb, words)
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        if not debug and is_out_of_memory(error):
            reason = shorten(str(error) or type(error).__name__)
            return _complain(verb, f"{NO_MEMORY} ({reason})", FAILED_STATUS)
        if debug or not _is_explained(error):
            raise
        bad = isinstance(error, BAD_INPUT) or getattr(error, "errno", None) in BAD_NAMES
        status = BAD_INPUT_STATUS if bad else FAILED_STATUS
        return _complain(verb, error, status)


def _run(verb: str, words: list[str]) -> int:
    """Parse and run one verb; a stop by the parser or by a signal becomes an exit status."""
    found: Verb | None = None
    stop: BaseException
    try:
        with stop_on_sigterm():
            found = parse(verb, words)
            found.run()
    except SystemExit as end:
        # Lightning turns a stop before its first step into an exit.
        if not isinstance(end.__context__, KeyboardInterrupt):
            return end.code if isinstance(end.code, int) else FAILED_STATUS
        stop = end.__context__
    except KeyboardInterrupt as signal:
        stop = signal
    except BrokenPipeError:  # `ssmde train --help | head`
        if found is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED_STATUS
    else:
        return 0
    if is_first_process():
        done = f", {stop}" if str(stop) else ""
        way_on = ""
        if isinstance(found, Train):
            way_on = f"; {_way_on(found, words)}"
        elif isinstance(found, Adapt):
            way_on = "; the same command goes on"
        print(f"ssmde {verb}: stopped{done}{way_on}", file=sys.stderr)
    return getattr(stop, "status", INTERRUPTED_STATUS)


def parse(verb: str, words: Sequence[str]) -> Verb:
    """The record that the words behind a verb describe.

    Raises:
        SystemExit: After help was printed, or a word that does not fit was explained.
        ValueError: If `train` has no start, or one that cannot be read, or an option is no more.
    """
    if gone := former_option(verb, words):
        raise ValueError(gone)
    start: dict[str, Any] = {}
    if verb == "train":
        start["default"] = Train(config=_start_values(words))
    found = tyro.cli(
        VERBS[verb],
        args=words,
        prog=f"ssmde {verb}",
        description=inspect.getdoc(VERBS[verb]),
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
        registry=SWITCHES,
        **start,
    )
    if isinstance(found, Train):
        _check_start(found, words)
        refuse_idle(differences(start["default"].config, found.config), found.config)
    return found


SWITCHES = ConstructorRegistry()


@SWITCHES.primitive_rule
def _switch(asked: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[bool] | None:
    """Switches of the configuration read as in YAML: true or false, after their name."""
    if asked.type is not bool:
        return None

    def read(words: list[str]) -> bool:
        if words[0].lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {words[0]!r}")
        return words[0].lower() == "true"

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="true|false",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, bool),
        str_from_instance=lambda value: [str(value).lower()],
    )


def _start_values(words: Sequence[str]) -> Config:
    """The configuration that PRESET or FILE names; the options change its fields."""
    if words and not words[0].startswith("-"):
        return find_preset(words[0])
    for i, word in enumerate(words):
        name, has_value, value = word.partition("=")
        if name == "--config" and (has_value or i + 1 < len(words)):
            return read_config(Path(value if has_value else words[i + 1]))
    return Config()


def _check_start(found: Train, words: Sequence[str]) -> None:
    if found.preset is None and found.file is None:
        raise ValueError(f"give PRESET ({', '.join(PRESETS)}) or --config FILE")
    if found.preset is not None and found.file is not None:
        raise ValueError(f"give PRESET or --config, not both, got {found.preset} and {found.file}")
    if found.preset is not None and found.preset != words[0]:
        raise ValueError(f"PRESET comes first: ssmde train {found.preset}, then the options")


def _way_on(found: Train, words: Sequence[str]) -> str:
    """How a training that was stopped goes on."""
    folder = found.config.output / found.config.name
    if found.config.method != "both" and not (folder / "last.ckpt").exists():
        return f"there is no checkpoint yet: delete {folder} and start again"
    again = [*(word for word in words if word != "--resume"), "--resume"]
    return f"go on with: ssmde train {shlex.join(again)}"


def _is_explained(error: Exception) -> bool:
    """True for errors whose message says it all; others need their traceback."""
    if isinstance(error, ValueError | OSError):
        return True
    if isinstance(error, ImportError):
        return error.name is None  # ours, about an extra; Python's own name the module
    from ssmde.training.module import TrainingError  # only now, for it is slow

    return isinstance(error, TrainingError)


def _complain(verb: str, error: Exception | str, status: int = BAD_INPUT_STATUS) -> int:
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    if len(text) > LONGEST_MESSAGE:
        text = f"{text[:LONGEST_MESSAGE]}... ({len(text):,} characters)"
    print(f"{f'ssmde {verb}'.strip()}: error: {text}", file=sys.stderr)
    return status
