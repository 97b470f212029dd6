"""The command line: what it takes is frozen here; how it ends is one line and an exit status."""

import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from inspect import signature
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Literal, get_args

import pytest
from PIL import Image

import ssmde
from ssmde.cli import OVERVIEW, VERBS, main, parse
from ssmde.config import Config, dump_config
from ssmde.data.images import ImageError
from ssmde.datasets import PROTOCOLS
from ssmde.inference import FORMATS, Predictor
from ssmde.metrics import AlignmentName
from ssmde.presets import PRESETS
from ssmde.signals import Stopped, signals_wait, stop_on_sigterm
from ssmde.synthetic import draw_clip, write_clip
from ssmde.train_options import Train
from ssmde.verbs import find_name, read_words

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "command-line.md").read_text("utf-8")


def frozen_command_line() -> dict[str, tuple[list[str], set[str]]]:
    """Words and options of every verb; they change on purpose only: scripts of users name them."""
    text = (ROOT / "tests" / "goldens" / "command_line.txt").read_text()
    verbs = re.findall(r"(?m)^([a-z]+)(.*)\n((?:  .*\n?)*)", text)
    return {verb: (places.split(), {*options.split()}) for verb, places, options in verbs}


FROZEN = frozen_command_line()
EACH_VERB = pytest.mark.parametrize("verb", FROZEN)


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch, tmp_path):
    """A wide terminal, no switches in the environment, and a folder to work in."""
    monkeypatch.setenv("COLUMNS", "110")
    for name in ("SSMDE_DEBUG", "RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@dataclass(frozen=True)
class Outcome:
    """What a verb of these tests returns."""

    notes: tuple[str, ...] = ("the camera is a guess",)
    skipped: tuple[str, ...] = ("c.jpg: truncated",)
    is_blocking: bool = False

    def __str__(self) -> str:
        return "2 files"


TIDIED: list[str] = []


def terminated() -> None:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    finally:
        TIDIED.append("here")


def ended_by_lightning() -> None:
    """Lightning answers Ctrl-C with an exit of its own."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


def training_error() -> None:
    from ssmde.training.module import TrainingError

    raise TrainingError("the loss is nan at step 3")


def end(
    how: str,
    folder: str | Path | Predictor = "out",
    *,
    size: tuple[int, int] | None = None,
    host: tuple[str, ...] = (),
    kind: Literal["depth", "disparity"] | None = None,
    rate: int | float = 0.5,
    quick: bool = False,
    network: Predictor | None = None,
    show_progress: bool = True,
) -> Outcome:
    """A verb that ends as it is asked to.

    With a paragraph.

    Example:
      ssmde end well

    Args:
        how: One of `ENDS`,
            or anything else.
        folder: Where to.

    Raises:
        Exception: If it is asked to.
    """
    ending = ENDS.get(how, [Outcome()])[0]
    if isinstance(ending, BaseException):
        raise ending
    return ending if isinstance(ending, Outcome) else ending()


# How a verb ends, the exit status and what stderr says.
ENDS = {
    "value": (ValueError("size must be 3, got 4"), 2, "error: size must be 3, got 4"),
    "image": (ImageError("a.jpg: truncated"), 2, "error: a.jpg: truncated"),
    "missing": (FileNotFoundError("runs/x: no such run"), 2, "error: runs/x: no such run"),
    "denied": (PermissionError(13, "Permission denied", "a.png"), 2,
               "error: a.png: Permission denied"),
    "full": (OSError(28, "No space left on device", "a.png"), 1,
             "error: a.png: No space left on device"),
    "hub": (ConnectionError("the hub cannot be reached"), 1, "error: the hub cannot be reached"),
    "nameless": (ValueError(), 2, "error: ValueError"),
    "training": (training_error, 1, "error: the loss is nan at step 3"),
    "memory": (MemoryError(), 1, "error: out of memory: take smaller .*"),
    "cuda": (RuntimeError("can't allocate memory: 9"), 1, "error: out of memory: take smaller .*"),
    "ctrl-c": (KeyboardInterrupt(), 130, "stopped"),
    "lightning": (ended_by_lightning, 130, "stopped"),
    "sigterm": (terminated, 143, "stopped"),
    "saved": (Stopped(signal.SIGTERM, "saved at step 7"), 143, "stopped, saved at step 7"),
}  # fmt: skip
ENDS |= {"blocking": (Outcome(is_blocking=True), 1, None), "exit": (SystemExit(7), 7, None)}
ENDS |= {"shapes": (RuntimeError("shapes differ"), None, None), "key": (KeyError("x"), None, None)}


@pytest.fixture
def own_verb(monkeypatch):
    monkeypatch.setitem(VERBS, "end", f"{__name__}:end")


@cache
def help_of(verb, *words):
    with redirect_stdout(StringIO()) as shown:
        assert main([verb, *words, "--help"]) == 0
    return shown.getvalue()


def commands_in(text):
    """The lines that are commands, without their first word."""
    lines = [line.strip().split("   ")[0] for line in text.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("ssmde ")]
    return [command[1:] for command in words if command[1:2] and command[1] in VERBS]


def parse_commands(commands):
    """Every command is understood."""
    Path("runs/photometric").mkdir(parents=True, exist_ok=True)
    Path("runs/photometric/config.yaml").write_text(dump_config(PRESETS["photometric"]))
    for verb, *words in commands:
        assert callable(parse(verb, words))
    return len(commands)


# What it takes


def test_the_verbs_are_frozen():
    assert list(VERBS) == list(FROZEN)


@EACH_VERB
def test_words_and_options_of_a_verb_are_frozen_and_its_help_has_an_example(verb):
    text, (places, options) = help_of(verb), FROZEN[verb]
    assert re.findall(r"(?m)^[│ ] \[?([A-Z]+)\b", text) == places
    assert set(re.findall(r"(?m)^[│ ] (?:-h, )?(--[a-z][a-z.-]*)", text)) == {"--help", *options}
    for option in re.split(r"(?m)^[│ ] (?=--[a-z])", text)[1:]:
        words = re.sub(r"^--\S+( [A-Z|]+)*( \{\S*\})?|\(default:[^)]*\)", "", option)
        assert re.search(r"[a-z]{3}", words), f"no help: {option}"
    assert re.search(rf"(?m)^  {verb} +{re.escape(text.splitlines()[2])}$", OVERVIEW)
    assert parse_commands(commands_in(text.split("Example:")[1])) > 0
    assert not re.search(r"(?m)^(Args|Returns|Raises):|--show.progress", text)
    assert "None)" not in " ".join(text.split())
    assert verb == "train" or "(default: )" not in " ".join(text.split())


@EACH_VERB
def test_the_page_shows_every_verb_with_its_options_and_an_example(verb):
    screen = re.search(rf"(?ms)^## {verb}\n(.*?)(?=^## |\Z)", PAGE)
    assert screen, f"docs/command-line.md has no part '## {verb}'"
    places, options = FROZEN[verb]
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z.-]*[a-z]", screen[1]))
    assert options <= flags, f"not on the page: {sorted(options - flags)}"
    assert flags <= {"--help", *options}, f"no such options: {sorted(flags - options)}"
    assert all(place in screen[1] for place in places)
    assert any(words[0] == verb for words in commands_in(screen[1]))
    assert len(screen[1].splitlines()) < 70


def test_without_a_verb_there_are_five_commands_to_begin_with_and_all_verbs(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ssmde {ssmde.__version__}\n"
    for words in ([], ["-h"], ["--help"]):
        assert main(words) == 0
        assert capsys.readouterr().out == f"{OVERVIEW}\n"
    assert parse_commands(commands_in(OVERVIEW)) == 5


def test_the_help_names_what_there_is_to_choose():
    assert all(name in help_of("train") for name in PRESETS)
    assert all(name in help_of("evaluate") for name in PROTOCOLS)
    assert f"--align {{{','.join(get_args(AlignmentName))}}}" in help_of("evaluate")
    assert all(name in help_of("predict") for name in FORMATS)
    assert [help_of(v).count("(required)") for v in ("predict", "benchmark")] == [2, 3]


@pytest.mark.parametrize("verb", sorted({*VERBS} - {"train"}))
def test_help_from_the_source_is_that_of_the_imported_function(verb):
    module, name = VERBS[verb].split(":")
    function = getattr(import_module(module), name)
    with redirect_stdout(StringIO()) as shown, pytest.raises(SystemExit):
        read_words(verb, function, ["--help"])
    assert help_of(verb) == shown.getvalue()
    read, real = (signature(f).parameters.values() for f in (find_name(module, name), function))
    assert [(p.name, p.default) for p in read] == [(p.name, p.default) for p in real]


# What becomes of the words


def test_a_function_is_a_verb(own_verb):
    words = "well data --size 3 4 --host a --host b --kind depth --rate 2 --quick"
    call = parse("end", words.split())
    assert isinstance(call, partial)
    assert call.keywords == {
        "how": "well", "folder": "data", "size": (3, 4), "host": ("a", "b"), "kind": "depth",
        "rate": 2.0, "quick": True,
    }  # fmt: skip
    app = parse("app", ["a", "b", "--port", "8000"])  # as many words as there are
    assert isinstance(app, partial)
    assert (app.keywords["weights"], app.keywords["port"]) == (("a", "b"), 8000)
    predict = parse("predict", ["walk.mp4", "out"])  # which finds weights of its own
    assert isinstance(predict, partial)
    assert (predict.keywords["weights"], predict.keywords["out"]) == ("walk.mp4", None)
    text = help_of("end")
    assert text.startswith("usage: ssmde end [-h] [OPTIONS] HOW [FOLDER]\n\nA verb that ends")
    assert "One of ENDS, or anything else. (required)" in text
    assert "--size HEIGHT WIDTH" in text


def test_options_change_fields_of_the_preset_and_nothing_else():
    words = "photometric --data.root d --data.frame_gaps 3 5 8 --model.pretrained none --name mine"
    start = PRESETS["photometric"]
    expected = replace(
        start,
        name="mine",
        data=replace(start.data, root=Path("d"), frame_gaps=(3, 5, 8)),
        model=replace(start.model, freeze_batch_norm=True),
    )
    found = parse("train", [*words.split(), "--model.freeze-batch-norm", "true", "--resume"])
    assert found == Train(preset="photometric", config=expected, resume=True)


def test_train_starts_from_a_file():
    Path("run.yaml").write_text("name: mine\nloss: {geometry: 0.5}\n")
    for words in (["--config", "run.yaml"], ["--config=run.yaml"]):
        found, start = parse("train", ["--train.steps", "7", *words]), Config()
        assert isinstance(found, Train)
        loss, train = replace(start.loss, geometry=0.5), replace(start.train, steps=7)
        assert found.config == replace(start, name="mine", loss=loss, train=train)


def test_the_help_of_train_shows_docstrings_and_the_values_of_the_preset():
    text = " ".join(help_of("train", "ss_mde").split())
    assert "Distance of the two sources from the target, in stored frames" in text
    defaults = {"method": "both", "loss.geometry": "0.1", "model.freeze-batch-norm": "false"}
    for option, value in defaults.items():
        assert re.findall(rf"--{option} .*?\(default: (.*?)\)", text)[:1] == [value]


# How it ends


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("trian", r"ssmde: error: unknown verb 'trian': closest match is 'train', there are "),
        ("train", r"ssmde train: error: give PRESET \(photometric, consistent, "),
        ("train fotometric", "'fotometric': closest match is 'photometric', there are "),
        ("train --train.steps 3 photometric", "PRESET comes first: ssmde train photometric"),
        ("train photometric --config a.yaml", "give PRESET or --config, not both"),
        ("train --config no.yaml", r"ssmde train: error: no\.yaml: no such file"),
        ("train ss_mde --model.intrinsics=learned", r"--model\.intrinsics is no more: .ssmde"),
        ("train ss_mde --data.hue 2", r"--data\.hue is no more: it is always 0\.1"),
        ("train ss_mde --train.pose_rate 2", r"--train\.pose_rate is now --train\.pose-lr-mult"),
        ("train ss_mde --student.pseudo-depth.depth 1", r"depth is no more: both stages have the"),
        ("predict a.mp4 out --refine 20", r"--refine is no more: train .*--model\.start"),
        ("predict a.jpg out --tiles 2", r"--tiles is no more: take a larger --resolution"),
        ("prepare a b --quality 90", r"--quality is no more: JPEGs .* have quality 95"),
        ("prepare a b --pack --codec jpeg", r"--codec is no more: .* are packed exact"),
        ("prepare a b --truth camera", r"--truth is no more: scans .* --improved gives depth"),
        ("predict a.jpg out --max-points 9", r"--max-points is no more: clouds have at most 1,000"),
        ("app --queue 9", "--queue is no more: 20 events wait"),
        ("app --allowed-host x", "--allowed-host is no more: .* .ssh -L"),
        ("evaluate small data --confidence", r"--confidence is no more: .* leave it out"),
        ("export small a.xml --format openvino", r"--format is no more: the ending of OUT says it"),
        ("export small a.xml --data data", r"--data is no more: .ssmde evaluate. measures the"),
        ("predict nowhere nothing out", "ssmde predict: error: nothing: no such file"),
        ("predict", r"predict takes \[WEIGHTS\] INPUT OUT, such as .*, got none\n"),
        ("predict run walk.mp4", r"predict takes \[WEIGHTS\] INPUT OUT"),
        ("predict photo.jpg", r"predict takes \[WEIGHTS\] INPUT OUT, .* got 'photo\.jpg'\n"),
        (f"predict small {'x' * 300}.jpg out", r"x\.jpg: File name too long\n$"),
        ("prepare nothing out", "ssmde prepare: error: nothing: no such file or folder"),
    ],
)
def test_a_bad_input_is_one_line_and_status_2(words, says, capsys):
    Path("run").mkdir()
    Path("run/last.safetensors").write_bytes(b"")
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert re.search(says, said.err)
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("train photometric --data.frme-gaps 3", "--data.frame-gaps"),
        ("train photometric --data.image-size 30 64", "must be multiples of 32, got (30, 64)"),
        ("train photometric --model.freeze-batch-norm maybe", "expected true or false, got"),
        ("evaluate run data --align None", "Expected one of ('median', 'median-dataset',"),
        ("evaluate run", "DATA"),
        ("predict run photos out --fromat npz", "--format"),
        ("benchmark kiti data run", "kitti"),
    ],
)
def test_a_word_that_does_not_fit_is_explained_with_status_2(words, says, capsys):
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""


def test_what_came_out_is_printed_and_what_was_left_out_goes_to_stderr(own_verb, capsys):
    assert main(["end", "well"]) == 0
    said = capsys.readouterr()
    assert said.out == "2 files\n"
    assert said.err == "the camera is a guess\nskipped: c.jpg: truncated\n"
    assert main(["end", "blocking"]) == 1
    assert main(["end", "exit"]) == 7


@pytest.mark.parametrize("how", [how for how, (_, _, says) in ENDS.items() if says])
def test_a_verb_that_fails_or_is_stopped_ends_with_a_line(how, own_verb, monkeypatch, capsys):
    before, _ = signal.getsignal(signal.SIGTERM), TIDIED.clear()
    _, status, says = ENDS[how]
    assert main(["end", how]) == status
    assert re.fullmatch(f"ssmde end: {says}\n", capsys.readouterr().err)
    assert signal.getsignal(signal.SIGTERM) is before
    assert bool(TIDIED) is (how == "sigterm")
    if says.startswith("stopped"):
        monkeypatch.setenv("LOCAL_RANK", "1")  # of several processes only the first speaks
        assert main(["end", how]) == status
        assert capsys.readouterr().err == ""


def test_a_traceback_is_shown_of_what_nobody_explained_and_with_debug(own_verb, monkeypatch):
    for words, error in (
        ("shapes", RuntimeError),
        ("key", KeyError),
        ("value --debug", ValueError),
    ):
        with pytest.raises(error):
            main(["end", *words.split()])
    monkeypatch.setenv("SSMDE_DEBUG", "1")
    with pytest.raises(ValueError, match="size must be 3"):
        main(["end", "value"])


def test_a_training_that_is_stopped_names_the_command_that_goes_on(monkeypatch, capsys):
    def stop(_):
        raise Stopped(signal.SIGTERM, "saved at step 7")

    monkeypatch.setattr(Train, "__call__", stop)
    Path("my runs/photometric").mkdir(parents=True)
    Path("my runs/photometric/last.ckpt").touch()
    go_on = "ssmde train: stopped, saved at step 7; go on with: ssmde train"
    assert main(["train", "photometric", "--resume", "--output", "my runs"]) == 143
    assert capsys.readouterr().err == f"{go_on} photometric --output 'my runs' --resume\n"
    assert main(["train", "ss_mde"]) == 143  # of two stages, wherever it stood
    assert capsys.readouterr().err == f"{go_on} ss_mde --resume\n"
    assert main(["train", "photometric"]) == 143
    assert "there is no checkpoint yet: delete runs/photometric" in capsys.readouterr().err


def test_train_says_what_the_doctor_finds_before_it_begins(capsys):
    write_clip(draw_clip("room", frames=3, size=(32, 64), seed=1), Path("data/room"))
    assert main(["doctor", "data", "--quick"]) == 1
    assert "blocking" in capsys.readouterr().out
    words = "photometric --data.root data --data.image-size 32 64 --model.pretrained none"
    assert main(["train", *words.split()]) == 2
    said = capsys.readouterr()
    assert "blocking" in said.out
    assert said.err.count("\n") == 1
    assert main(["train", *words.split(), "--resume"]) == 2
    assert capsys.readouterr().out == "", "not again after a stop"


def test_a_name_that_the_output_cannot_show_ends_no_work(monkeypatch):
    stream = TextIOWrapper(BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    assert main(["日本"]) == 2
    stream.flush()
    assert b"unknown verb '\\u65e5\\u672c'" in stream.buffer.getvalue()


def test_a_signal_waits_for_an_import_that_takes_the_signals():
    done = []

    def imported():
        with signals_wait():
            signal.raise_signal(signal.SIGTERM)
            ctypes.CDLL(None).signal(signal.SIGTERM, ctypes.c_void_p(0))  # to die, past Python
            done.append("imported")

    with stop_on_sigterm(), pytest.raises(Stopped):
        imported()
    assert done


# What it costs, and the names beside it


def test_help_and_prediction_load_nothing_they_do_not_need(tmp_path):
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "photo.png")
    script = """
import ssmde, sys
from ssmde.cli import main
main([]); main(["--help"])
slow = {"numpy", "pydantic", "rich", "ssmde.config", "torch", "tyro", "yaml"}
assert not slow & set(sys.modules), slow & set(sys.modules)
main(["train", "photometric", "--help"])
slow = {"lightning", "matplotlib", "torch", "tensorboard"}
assert not slow & set(sys.modules), slow & set(sys.modules)
assert main(["predict", "photo.png", "out"]) == 0
engine = {"lightning", "tensorboard", "torchmetrics", "torch.utils.tensorboard"}
extras = {"onnx", "onnxruntime", "openvino", "ray", "transformers"}
others = {"gradio", "huggingface_hub", "matplotlib", "scipy", "trimesh"}
slow = engine | extras | others | {"torch._dynamo", "torch._inductor"}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
    run = partial(subprocess.run, capture_output=True, text=True, cwd=tmp_path)
    done = run([sys.executable, "-c", script])
    assert done.returncode == 0, done.stderr
    assert "2 files with depth by small: out/photo_depth.png, out/photo_color.png\n" in done.stdout


def test_public_names_are_there():
    assert {*" ".join(ssmde.HOMES.values()).split()} == {*ssmde.__all__} - {"__version__"}
    assert all(hasattr(ssmde, name) for name in ssmde.__all__)
    assert {*ssmde.__all__} <= {*dir(ssmde)}
    modules = {path.stem for path in Path(ssmde.__file__).parent.iterdir()}
    assert not modules & set(ssmde.__all__), "its import would hide the name"
    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        _ = ssmde.Predicter


@pytest.mark.parametrize("words", [[], ["label", "--help"]])
def test_who_reads_only_the_beginning_sees_no_traceback(words):
    """As `ssmde --help | head -1`: the pipe is closed before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "ssmde", *words], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert ended.stderr == ""
