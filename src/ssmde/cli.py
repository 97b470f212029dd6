"""`ssmde VERB ...`: from words to a function that runs, and from how it ends to an exit status.

What is slow to import is imported by the verb that needs it. A fault ends in one line on stderr:
exit status 2 for a bad input, 1 for a run that failed, 130 after Ctrl-C, 143 after SIGTERM.
`--debug`, or SSMDE_DEBUG=1 in the environment, shows the traceback instead.
"""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from io import TextIOWrapper

from ssmde import __version__
from ssmde.console import did_you_mean, is_later_rank, is_out_of_memory, shorten
from ssmde.signals import stop_on_sigterm

BAD_INPUT = (
    ValueError, FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError,
    PermissionError,
)  # fmt: skip
BAD_NAMES = (errno.ENAMETOOLONG, errno.ELOOP)
BAD_INPUT_STATUS, FAILED_STATUS = 2, 1
LONGEST_MESSAGE = 1500  # characters: a broken file must not fill the screen
NO_MEMORY = "out of memory: take smaller images or a smaller size, or end other programs"
INTERRUPTED_STATUS = 130  # by Ctrl-C: 128 + SIGINT, as a shell has it
VERBS = {
    "prepare": "ssmde.preparation:prepare", "doctor": "ssmde.diagnosis:doctor",
    "track": "ssmde.tracking:track", "label": "ssmde.labeling:label",
    "adapt": "ssmde.adaptation:adapt", "train": "ssmde.train_options:Train",
    "evaluate": "ssmde.evaluation:evaluate", "predict": "ssmde.inference:predict_files",
    "export": "ssmde.exporting:export", "app": "ssmde.app:app", "demo": "ssmde.demo:demo",
    "scale": "ssmde.evaluation:scale", "odometry": "ssmde.evaluation:odometry",
    "benchmark": "ssmde.evaluation:benchmark",
}  # fmt: skip
"""What each verb runs: a module, which is imported then, and a function of it."""
GOES_ON = ("adapt", "train")  # with what was done before it was stopped
OVERVIEW = """ssmde: monocular depth from plain video

  ssmde predict photo.jpg depth                  depth of a photo, a folder or a video
  ssmde adapt walk.mp4 here                      a network made better at the place of your film
  ssmde train photometric --data.root data       a network from a folder of scenes
  ssmde export here depth.onnx                   one file for other programs
  ssmde app                                      a web page for pictures, videos and a webcam

  prepare   Turn a video, images, or the official archive of a data set into scene folders.
  doctor    Say what stands in the way of training on DATA, with frame numbers and the remedy.
  track     Find how the camera moved in each training scene, from its own frames.
  label     Write pseudo-depth for every frame, by a network or from files.
  adapt     Make a network better at the place that your own film shows, from the film alone.
  train     Train a depth network and a pose network on scene folders.
  evaluate  Measure weights on frames with measured depth, beside two baselines.
  predict   Write the depth of images, a video or a camera to files.
  export    Write weights as one ONNX or OpenVINO file, checked against PyTorch.
  app       Serve a web page that shows the depth of pictures, videos and a webcam, until Ctrl-C.
  demo      Draw films of rooms where people walk, adapt a network to them, and show the change.
  scale     Find how many metres a scene unit is, and store it with the weights.
  odometry  Measure the path of the camera, by the pose network or as tracked, against the true one.
  benchmark Measure several methods on the images of a published table, beside published figures.

ssmde VERB --help explains a verb, ssmde --version names the version,
--debug behind a verb shows where an error comes from."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, by default that of the process, and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name that it cannot show must not end the work
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or os.environ.get("SSMDE_DEBUG") == "1"
    verb, *words = [word for word in words if word != "--debug"] or ["--help"]
    if verb in ("-h", "--help", "--version"):
        _say(f"ssmde {__version__}" if verb == "--version" else OVERVIEW)
        return 0
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
        return _complain(verb, error, BAD_INPUT_STATUS if bad else FAILED_STATUS)


def _run(verb: str, words: list[str]) -> int:
    """Parse and run one verb; a stop by the parser or by a signal becomes an exit status."""
    call: Callable[[], object] | None = None
    stop: BaseException | None
    try:
        with stop_on_sigterm():
            call = parse(verb, words)
            return _show(call())
    except SystemExit as end:
        stop = end.__context__  # Lightning turns a stop before its first step into an exit
        if not isinstance(stop, KeyboardInterrupt):
            return end.code if isinstance(end.code, int) else FAILED_STATUS
    except KeyboardInterrupt as signal:
        stop = signal
    except BrokenPipeError:  # `ssmde train --help | head`
        if call is not None:
            raise
        _close_output()
        return FAILED_STATUS
    if not is_later_rank():
        done = f", {stop}" if str(stop) else ""
        # Only `Train` knows whether there is something to go on from.
        way_on = getattr(call, "way_on", lambda _: "the same command goes on")(words)
        way_on = f"; {way_on}" if call is not None and verb in GOES_ON else ""
        print(f"ssmde {verb}: stopped{done}{way_on}", file=sys.stderr)
    return getattr(stop, "status", INTERRUPTED_STATUS)


def parse(verb: str, words: Sequence[str]) -> Callable[[], object]:
    """What the words behind a verb ask for: a call of its function, or of a `Train`."""
    from ssmde.former import former_option

    if gone := former_option(verb, words):
        raise ValueError(gone)
    if verb == "train":
        from ssmde.train_options import read_training

        return read_training(words)
    from ssmde.verbs import find_name, read_words

    module, name = VERBS[verb].split(":")
    arguments = read_words(verb, find_name(module, name), words)
    return partial(getattr(import_module(module), name), **arguments)


def _say(text: object) -> None:
    """Print; quietly where nobody reads on, as in `ssmde --help | head`."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _close_output()


def _close_output() -> None:
    """Nobody reads: at its end Python would flush, and complain, once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show(result: object) -> int:
    """Print what came out, and on stderr what was left out; the exit status."""
    if result is not None:
        _say(result)
    skipped = [f"skipped: {reason}" for reason in getattr(result, "skipped", ())]
    for line in (*getattr(result, "notes", ()), *skipped):
        print(line, file=sys.stderr)
    return FAILED_STATUS if getattr(result, "is_blocking", False) else 0


def _is_explained(error: Exception) -> bool:
    """True for errors whose message says it all; others need their traceback."""
    if isinstance(error, ImportError):
        return error.name is None  # ours, about an extra; Python's own name the module
    # Its module is slow to import where nothing was trained.
    return isinstance(error, ValueError | OSError) or type(error).__name__ == "TrainingError"


def _complain(verb: str, error: Exception | str, status: int = BAD_INPUT_STATUS) -> int:
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    if len(text) > LONGEST_MESSAGE:
        text = f"{text[:LONGEST_MESSAGE]}... ({len(text):,} characters)"
    print(f"{f'ssmde {verb}'.strip()}: error: {text}", file=sys.stderr)
    return status
