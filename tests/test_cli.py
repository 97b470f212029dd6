"""The command line: what it takes is frozen here; how it ends is one line and an exit status."""

import ctypes
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from PIL import Image

import ssmde
from ssmde.cli import main, parse
from ssmde.config import Config, dump_config
from ssmde.data.images import ImageError
from ssmde.datasets import PROTOCOLS
from ssmde.diagnosis import Finding
from ssmde.evaluation import scale
from ssmde.inference import (
    FORMATS,
    CameraSpec,
    PredictOptions,
    Summary,
    WriterOptions,
    predict_files,
)
from ssmde.metrics import AlignmentName
from ssmde.preparation import prepare
from ssmde.preparation.archives import prepare_dataset
from ssmde.preparation.packing import Packed, pack
from ssmde.presets import PRESETS
from ssmde.signals import Stopped, signals_wait, stop_on_sigterm
from ssmde.verbs import VERBS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "command-line.md").read_text("utf-8")


def frozen_command_line() -> dict[str, tuple[list[str], set[str]]]:
    """Words and options of every verb; they change on purpose only: scripts of users name them."""
    frozen: dict[str, tuple[list[str], set[str]]] = {}
    verb = ""
    for line in (Path(__file__).parent / "goldens" / "command_line.txt").read_text().splitlines():
        if line.startswith("  "):
            frozen[verb][1].add(line.strip())
        elif not line.startswith("#"):
            verb, *places = line.split()
            frozen[verb] = (places, set())
    return frozen


FROZEN = frozen_command_line()
EACH_VERB = pytest.mark.parametrize("verb", FROZEN)


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch, tmp_path):
    """A wide terminal, no switches in the environment, and a folder to work in."""
    monkeypatch.setenv("COLUMNS", "110")
    for name in ("SSMDE_DEBUG", "RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def verb_calls(monkeypatch):
    """Puts a recorder in the place of every verb's function; the calls, as (name, args, kwargs)."""
    calls = []

    def stand_in(name, answer):
        def function(*args, **kwargs):
            calls.append((name, args, kwargs))
            return answer

        return function

    monkeypatch.setattr("ssmde.preparation.prepare", stand_in("prepare", Path("data/walk")))
    replace_verb(monkeypatch, "stages", "train_stages", stand_in("train", Path("runs/mine")))
    answer = "numbers: evaluation/metrics.json"
    monkeypatch.setattr("ssmde.evaluation.evaluate", stand_in("evaluate", answer))
    summary = Summary(written=(Path("a"), Path("b")), skipped=("c.jpg: truncated",))
    monkeypatch.setattr("ssmde.inference.predict_files", stand_in("predict", summary))
    replace_verb(monkeypatch, "demo", "demo", stand_in("demo", Path("demo/index.html")))
    return calls


def replace_verb(monkeypatch, module, name, function):
    monkeypatch.setitem(sys.modules, f"ssmde.{module}", SimpleNamespace(**{name: function}))


def fail_with(monkeypatch, error, module="stages", name="train_stages"):
    def function(*args, **kwargs):
        raise error

    replace_verb(monkeypatch, module, name, function)


def help_of(verb, capsys, *words):
    assert main([verb, *words, "--help"]) == 0
    return capsys.readouterr().out


def commands_in(text):
    """The lines that are commands, without their first word."""
    lines = [line.strip() for line in text.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("ssmde ")]
    return [command[1:] for command in words if command[1:2] and command[1] in VERBS]


# What it takes


def test_the_verbs_are_frozen():
    assert list(VERBS) == list(FROZEN)


@EACH_VERB
def test_words_and_options_of_a_verb_are_frozen(verb, capsys):
    text = help_of(verb, capsys)
    places, options = FROZEN[verb]
    assert re.findall(r"(?m)^[│ ] \[?([A-Z]+)\b", text) == places
    assert set(re.findall(r"(?m)^[│ ] (?:-h, )?(--[a-z][a-z.-]*)", text)) == {"--help", *options}


@EACH_VERB
def test_the_help_of_every_verb_has_an_example_that_parses(verb, capsys):
    Path("runs/photometric").mkdir(parents=True)
    Path("runs/photometric/config.yaml").write_text(dump_config(PRESETS["photometric"]))
    examples = commands_in(help_of(verb, capsys).split("Example:")[1])
    assert examples
    for words in examples:
        assert isinstance(parse(words[0], words[1:]), VERBS[verb])


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


def test_every_command_of_the_page_parses():
    Path("runs/photometric").mkdir(parents=True)
    Path("runs/photometric/config.yaml").write_text(dump_config(PRESETS["photometric"]))
    for words in commands_in("\n".join(re.findall(r"(?ms)^```bash\n(.*?)^```", PAGE))):
        if "--help" not in words:
            assert isinstance(parse(words[0], words[1:]), VERBS[words[0]])


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_without_a_verb_all_verbs_are_listed_with_an_example(words, capsys):
    assert main(words) == 0
    text = capsys.readouterr().out
    for verb in VERBS:
        assert re.search(rf"(?m)^  {verb} +[A-Z].*\.$", text)
    for words in commands_in(text.split("Example:")[1]):
        parse(words[0], words[1:])


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert capsys.readouterr().out == f"ssmde {project['version']}\n"


def test_the_help_names_what_there_is_to_choose(capsys):
    train, evaluate = help_of("train", capsys), help_of("evaluate", capsys)
    assert all(name in train for name in PRESETS)
    assert all(name in evaluate for name in PROTOCOLS)
    assert f"--align {{{','.join(get_args(AlignmentName))}}}" in evaluate
    assert all(name in help_of("predict", capsys) for name in FORMATS)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "predict a.mp4 out --refine 20",
            r"--refine is no more: train .*--model\.start",
        ),
        (
            "train ss_mde --model.intrinsics=learned",
            r"--model\.intrinsics is no more: .ssmde",
        ),
        ("train ss_mde --train.camera-rate 2", r"--train\.camera-rate is no more: .ssmde track"),
    ],
)
def test_an_option_of_a_former_version_is_refused_by_its_name(words, says, capsys):
    assert main(words.split()) == 2
    text = capsys.readouterr().err
    assert re.search(says, text)
    assert len(text.splitlines()) == 1


# What becomes of the words


def test_prepare_hands_its_words_on(verb_calls, capsys):
    words = "prepare walk.mp4 data --step 2 --intrinsics 500 501 320 240.5 --width 64 --overwrite"
    assert main(words.split()) == 0
    [(_, args, given)] = verb_calls
    assert not args
    inspect.signature(prepare).bind(**given)
    assert (given["source"], given["out"]) == (Path("walk.mp4"), Path("data"))
    assert given["intrinsics"] == (500.0, 501.0, 320.0, 240.5)
    assert (given["step"], given["width"], given["overwrite"]) == (2, 64, True)
    assert "data/walk" in capsys.readouterr().out


def finding(severity, what, remedy):
    return Finding(name="test", severity=severity, scene="room", what=what, remedy=remedy)


def test_train_says_what_a_quick_look_finds_before_it_begins(verb_calls, monkeypatch, capsys):
    asked = []

    def look(data, **options):
        asked.append((data, options))
        return [finding("warning", "a frame is blurred", "leave it out")]

    monkeypatch.setattr("ssmde.diagnosis.doctor", look)
    Path("data").mkdir()
    assert main(["train", "photometric", "--data.root", "data"]) == 0
    said = capsys.readouterr().out
    assert "a frame is blurred" in said
    [(root, options)] = asked
    assert (root, options["split"], options["quick"]) == (Path("data"), "train", True)
    assert main(["train", "photometric", "--data.root", "data", "--resume"]) == 0
    assert len(asked) == 1, "not again after a stop"


def test_the_doctor_ends_with_1_on_a_blocking_finding(monkeypatch, capsys):
    found = [finding("blocking", "too few frames", "film more")]
    monkeypatch.setattr("ssmde.diagnosis.doctor", lambda *_, **__: found)
    assert main(["doctor", "data"]) == 1
    assert "film more" in capsys.readouterr().out
    monkeypatch.setattr("ssmde.diagnosis.doctor", lambda *_, **__: [])
    assert main(["doctor", "data"]) == 0


def test_prepare_hands_an_archive_on(verb_calls, monkeypatch, capsys):
    words = "prepare raw data --dataset kitti_raw --test-list eigen.txt --width 640"
    given = {}

    def record(dataset, **rest):
        inspect.signature(prepare_dataset).bind(dataset, **rest)
        given.update(rest, dataset=dataset)
        return []

    monkeypatch.setattr("ssmde.preparation.prepare_dataset", record)
    assert main(words.split()) == 0
    assert not verb_calls
    assert (given["dataset"], given["source"], given["out"]) == (
        "kitti_raw", Path("raw"), Path("data"),
    )  # fmt: skip
    assert given["lists"] == {"test": Path("eigen.txt")}
    assert (given["width"], given["truth"], given["improved"]) == (640, "eigen", None)


def test_prepare_packs_scene_folders(verb_calls, monkeypatch, capsys):
    given = {}

    def record(data, out, **rest):
        inspect.signature(pack).bind(data, out, **rest)
        given.update(rest, data=data, out=out)
        return Packed(folder=out, frames={"train": 3}, bytes=7000000, skipped=("a.jpg: empty",))

    monkeypatch.setattr("ssmde.preparation.pack", record)
    assert (
        main(["prepare", "data", "packed", "--pack", "--size", "256", "320", "--codec", "jpeg"])
        == 0
    )
    assert given == {
        "data": Path("data"), "out": Path("packed"), "size": (256, 320), "codec": "jpeg",
        "overwrite": False,
    }  # fmt: skip
    said = capsys.readouterr()
    assert "packed: packed, 3 frames for train, 7.0 MB" in said.out
    assert "a.jpg: empty" in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("prepare a b --size 32 64", "--size does not go without --pack"),
        ("prepare a b --pack", "--pack needs --size HEIGHT WIDTH: data.image_size of the training"),
        ("prepare a b --pack --size 32 64 --width 9", "--width does not go with --pack"),
        ("prepare a b --test-list c", "--test-list does not go without --dataset"),
        ("prepare a b --dataset tum --step 2", "--step does not go with --dataset"),
    ],
)
def test_words_of_archives_and_of_own_video_do_not_mix(words, says, capsys):
    assert main(words.split()) == 2
    assert says in capsys.readouterr().err


def test_without_options_prepare_and_predict_do_what_python_does():
    own = inspect.signature(prepare).parameters
    asked = parse("prepare", ["a", "b"])
    archive = inspect.signature(prepare_dataset).parameters
    options = {option.removeprefix("--").replace("-", "_") for option in FROZEN["prepare"][1]}
    assert all(getattr(asked, n) == own[n].default for n in options & set(own))
    alone = options & set(archive) - set(own) - {"dataset"}  # none unless asked for
    assert all(getattr(asked, n) == archive[n].default for n in alone)
    asked, own = parse("predict", ["a", "b", "c"]), inspect.signature(predict_files).parameters
    assert asked.format is own["formats"].default
    assert asked.resolution is own["resolution"].default


def test_evaluate_hands_its_words_on(verb_calls, capsys):
    words = "evaluate run data --protocol bonn --align least-squares --split test --max-frames 9"
    assert main([*words.split(), "--confidence"]) == 0
    [(_, args, given)] = verb_calls
    assert args == (Path("run"), Path("data"))
    assert given == {
        "protocol": "bonn", "align": "least-squares", "split": "test", "max_frames": 9,
        "confidence": True, "out": Path("evaluation"), "trust": False,
    }  # fmt: skip
    assert "evaluation/metrics.json" in capsys.readouterr().out


def test_evaluate_tells_aligning_by_nothing_from_not_asking():
    assert parse("evaluate", ["a", "b", "--align", "none"]).align == "none"
    assert parse("evaluate", ["a", "b"]).align is None


def test_predict_hands_its_words_on_and_names_what_it_skipped(verb_calls, capsys):
    words = "predict run photos out --format png16,npz --resolution 64 96"
    assert main(words.split()) == 0
    [(_, args, given)] = verb_calls
    assert args == (Path("run"), "photos", Path("out"))
    assert given == {
        "formats": ("png16", "npz"), "resolution": (64, 96), "options": PredictOptions(),
        "writer": WriterOptions(),
        "max_frames": None, "engine": "local", "overwrite": False, "trust": False,
    }  # fmt: skip
    said = capsys.readouterr()
    assert "2 files" in said.out
    assert said.err == "skipped: c.jpg: truncated\n"


def test_predict_hands_on_what_a_cloud_needs(verb_calls):
    words = "predict run 0 out --confidence --least-confidence 0.8 --temporal --tiles 2 --mesh"
    more = "--hfov-degrees 65 --max-points 500 --max-frames 7"
    assert main(f"{words} {more}".split()) == 0
    [(_, args, given)] = verb_calls
    assert args[1] == "0"
    camera = CameraSpec(hfov_degrees=65.0)
    assert given["options"] == PredictOptions(
        confidence=True, temporal=True, tiles=2, camera=camera
    )
    assert given["writer"] == WriterOptions(mesh=True, max_points=500, least_confidence=0.8)
    assert given["max_frames"] == 7


def test_scale_hands_its_words_on_and_prints_the_error_bar(monkeypatch, capsys):
    given = {}

    def record(*args, **rest):
        bound = inspect.signature(scale).bind(*args, **rest)
        given.update(bound.arguments)
        return "1 scene unit = 7 m +- 1.2 %"

    monkeypatch.setattr("ssmde.evaluation.scale", record)
    assert main(["scale", "run", "data", "--camera-height", "1.65", "--out", "m.safetensors"]) == 0
    assert (given["weights"], given["data"], given["out"]) == (
        Path("run"), Path("data"), Path("m.safetensors"),
    )  # fmt: skip
    assert given["camera_height"] == 1.65
    assert given["speed"] is given["points"] is None
    said = capsys.readouterr().out
    assert "+- 1.2 %" in said
    assert main(["scale", "run", "--points", "p.csv"]) == 0
    assert given["data"] is None


def test_odometry_and_benchmark_hand_their_words_on(monkeypatch):
    given = {}

    def record(*args, **rest):
        given.update(rest, args=args)

    monkeypatch.setattr("ssmde.evaluation.odometry", record)
    assert main(["odometry", "tracked", "data", "--split", "val"]) == 0
    assert given["args"] == ("tracked", Path("data"))
    assert (given["split"], given["out"]) == ("val", Path("odometry"))
    monkeypatch.setattr("ssmde.evaluation.benchmark", record)
    assert main(["benchmark", "kitti", "data", "a=run", "files", "--kind", "disparity"]) == 0
    assert given["args"] == ("kitti", Path("data"), ("a=run", "files"))
    assert (given["kind"], given["align"], given["split"]) == ("disparity", None, None)


def test_demo_hands_its_words_on(verb_calls, capsys):
    assert main(["demo", "--minutes", "0.5", "--seed", "3"]) == 0
    assert verb_calls == [("demo", (Path("demo"),), {"minutes": 0.5, "seed": 3})]
    assert "demo/index.html" in capsys.readouterr().out


@pytest.mark.parametrize("name", PRESETS)
def test_train_starts_from_a_preset_unchanged(name, verb_calls):
    assert main(["train", name]) == 0
    assert verb_calls == [("train", (PRESETS[name],), {"resume": False})]


@pytest.mark.parametrize("gaps", ["--data.frame-gaps", "--data.frame_gaps"])
def test_options_change_fields_of_the_preset_and_nothing_else(gaps, verb_calls, capsys):
    words = f"train photometric --data.root d {gaps} 3 5 8 --model.pretrained none --name mine"
    assert main([*words.split(), "--loss.auto-mask", "false", "--resume"]) == 0
    start = PRESETS["photometric"]
    expected = replace(
        start,
        name="mine",
        data=replace(start.data, root=Path("d"), frame_gaps=(3, 5, 8)),
        loss=replace(start.loss, auto_mask=False),
    )
    assert verb_calls == [("train", (expected,), {"resume": True})]
    assert "ssmde evaluate runs/mine DATA" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--config", "run.yaml"], ["--config=run.yaml"]])
def test_train_starts_from_a_file(words, verb_calls):
    Path("run.yaml").write_text("name: mine\nloss: {geometry: 0.5}\n")
    assert main(["train", "--train.steps", "7", *words]) == 0
    [(_, (config,), _)] = verb_calls
    start = Config()
    assert config == replace(
        start,
        name="mine",
        loss=replace(start.loss, geometry=0.5),
        train=replace(start.train, steps=7),
    )


@pytest.mark.parametrize("name", PRESETS)
def test_the_help_of_train_shows_docstrings_and_the_values_of_the_preset(name, capsys):
    text = " ".join(help_of("train", capsys, name).split())
    assert "Distance of the two sources from the target, in stored frames" in text
    loss = PRESETS[name].loss
    for option, value in {"geometry": loss.geometry, "weight-mask": loss.weight_mask}.items():
        shown = re.search(rf"--loss.{option} .*?\(default: (.*?)\)", text)
        assert shown[1] == str(value).lower()


def test_switches_are_written_as_in_yaml():
    words = ["photometric", "--loss.auto-mask"]
    for word, expected in {"true": True, "True": True, "false": False, "False": False}.items():
        assert parse("train", [*words, word]).config.loss.auto_mask is expected


# How it ends


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("trian", "ssmde: error: unknown verb 'trian': closest match is 'train', there are "),
        ("train", "ssmde train: error: give PRESET (photometric, consistent, "),
        ("train fotometric", "'fotometric': closest match is 'photometric', there are "),
        ("train --train.steps 3 photometric", "PRESET comes first: ssmde train photometric"),
        ("train photometric --config a.yaml", "give PRESET or --config, not both"),
        ("train --config no.yaml", "ssmde train: error: no.yaml: no such file"),
        ("predict nowhere nothing out", "ssmde predict: error: nothing: no such file"),
        ("prepare nothing out", "ssmde prepare: error: nothing: no such file or folder"),
    ],
)
def test_a_bad_input_is_one_line_and_status_2(words, says, capsys):
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("train photometric --train.step 3", "--train.steps"),
        ("train photometric --data.frme-gaps 3", "--data.frame-gaps"),
        ("train photometric --data.image-size 30 64", "must be multiples of 32, got (30, 64)"),
        ("train photometric --train.steps many", "many"),
        ("train photometric --loss.auto-mask maybe", "expected true or false, got 'maybe'"),
        ("evaluate run data --align men", "median"),
        ("evaluate run data --align None", "median"),
        ("evaluate run", "DATA"),
        ("predict run photos out --fromat npz", "--format"),
    ],
)
def test_a_word_that_does_not_fit_is_explained_with_status_2(words, says, capsys):
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (ValueError("size must be 3, got 4"), 2, "size must be 3, got 4"),
        (ImageError("a.jpg: truncated"), 2, "a.jpg: truncated"),
        (FileNotFoundError("runs/x: no such run"), 2, "runs/x: no such run"),
        (PermissionError(13, "Permission denied", "a.png"), 2, "a.png: Permission denied"),
        (OSError(28, "No space left on device", "a.png"), 1, "a.png: No space left on device"),
        (ConnectionError("the hub cannot be reached"), 1, "the hub cannot be reached"),
        (ValueError(), 2, "ValueError"),
    ],
)
def test_an_error_of_a_verb_is_one_line(error, status, says, monkeypatch, capsys):
    fail_with(monkeypatch, error)
    assert main(["train", "photometric"]) == status
    assert capsys.readouterr().err == f"ssmde train: error: {says}\n"


def test_a_training_that_fails_is_one_line_and_status_1(monkeypatch, capsys):
    from ssmde.training.module import TrainingError

    fail_with(monkeypatch, TrainingError("the loss is nan at step 3"))
    assert main(["train", "photometric"]) == 1
    assert capsys.readouterr().err == "ssmde train: error: the loss is nan at step 3\n"


def test_a_name_that_is_too_long_is_a_bad_input(tmp_path, capsys):
    assert main(["predict", "small", "x" * 300 + ".jpg", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("x.jpg: File name too long\n")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 9 bytes")])
def test_the_end_of_memory_is_one_line_and_status_1(error, monkeypatch, capsys):
    fail_with(monkeypatch, error)
    assert main(["train", "photometric"]) == 1
    assert capsys.readouterr().err.startswith("ssmde train: error: out of memory: take smaller")


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), KeyError("x")])
def test_an_error_nobody_explained_keeps_its_traceback(error, monkeypatch):
    fail_with(monkeypatch, error)
    with pytest.raises(type(error)):
        main(["train", "photometric"])


def test_debug_shows_the_traceback_wherever_it_is_asked_for(monkeypatch):
    fail_with(monkeypatch, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        main(["train", "photometric", "--debug"])
    monkeypatch.setenv("SSMDE_DEBUG", "1")
    with pytest.raises(ValueError, match="broken"):
        main(["train", "photometric"])


class StoppedByLightning:
    """Lightning answers Ctrl-C with an exit of its own."""

    def __call__(self, *args, **kwargs):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)


def stop(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize("function", [stop, StoppedByLightning()])
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_ctrl_c_ends_a_training_with_the_command_that_goes_on(
    function, resume, monkeypatch, capsys
):
    replace_verb(monkeypatch, "stages", "train_stages", function)
    Path("my runs/photometric").mkdir(parents=True)
    Path("my runs/photometric/last.ckpt").touch()
    assert main(["train", "photometric", *resume, "--output", "my runs"]) == 130
    assert capsys.readouterr().err == (
        "ssmde train: stopped; go on with: ssmde train photometric --output 'my runs' --resume\n"
    )


def test_ctrl_c_before_the_first_checkpoint_says_so(monkeypatch, capsys):
    replace_verb(monkeypatch, "stages", "train_stages", stop)
    assert main(["train", "photometric"]) == 130
    said = capsys.readouterr().err
    assert "no checkpoint yet" in said
    assert "runs/photometric" in said


def test_ctrl_c_in_a_run_of_both_stages_goes_on_wherever_it_stood(monkeypatch, capsys):
    replace_verb(monkeypatch, "stages", "train_stages", stop)
    assert main(["train", "ss_mde"]) == 130
    assert "go on with: ssmde train ss_mde --resume" in capsys.readouterr().err


def test_sigterm_ends_a_verb_as_a_fault_does(monkeypatch):
    tidied = []

    def work(*args, **options):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            tidied.append(True)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("ssmde.inference.predict_files", work)
    assert main(["predict", "a", "b", "c"]) == 143
    assert tidied
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_ends_other_verbs_with_a_line(monkeypatch, capsys):
    monkeypatch.setattr("ssmde.inference.predict_files", stop)
    assert main(["predict", "a", "b", "c"]) == 130
    assert capsys.readouterr().err == "ssmde predict: stopped\n"


def terminate(*args, **kwargs):
    signal.raise_signal(signal.SIGTERM)


def saved(*args, **kwargs):
    raise Stopped(signal.SIGTERM, "saved at step 7")


def test_a_name_that_the_output_cannot_show_ends_no_work(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-m", "ssmde", "doctor", str(tmp_path / "日本")],
        env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert b"\\u65e5\\u672c: no such" in ended.stderr


def test_sigterm_ends_a_verb_with_a_line(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("ssmde.inference.predict_files", terminate)
    assert main(["predict", "a", "b", "c"]) == 143
    assert capsys.readouterr().err == "ssmde predict: stopped\n"
    assert signal.getsignal(signal.SIGTERM) is before


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


def test_sigterm_in_a_training_says_the_step_and_the_command_that_goes_on(monkeypatch, capsys):
    replace_verb(monkeypatch, "stages", "train_stages", saved)
    assert main(["train", "ss_mde"]) == 143
    assert capsys.readouterr().err == (
        "ssmde train: stopped, saved at step 7; go on with: ssmde train ss_mde --resume\n"
    )


def test_an_exit_of_a_verb_keeps_its_status(monkeypatch):
    fail_with(monkeypatch, SystemExit(7))
    assert main(["train", "photometric"]) == 7


def test_of_several_processes_only_the_first_speaks(verb_calls, monkeypatch, capsys):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert main(["train", "photometric"]) == 0
    assert capsys.readouterr().out == ""


# What it costs, and the names beside it


def test_help_and_prediction_load_nothing_they_do_not_need(tmp_path):
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "photo.png")
    script = """
import sys
from ssmde.cli import main
slow = {"lightning", "matplotlib", "torch", "tensorboard"}
main([]); main(["train", "photometric", "--help"])
assert not slow & set(sys.modules), slow & set(sys.modules)
assert main(["predict", "photo.png", "out"]) == 0
engine = {"lightning", "tensorboard", "torchmetrics", "torch.utils.tensorboard"}
extras = {"onnx", "onnxruntime", "openvino", "ray", "rerun", "transformers"}
others = {"gradio", "huggingface_hub", "matplotlib", "OpenEXR", "scipy", "trimesh"}
slow = engine | extras | others | {"torch._dynamo", "torch._inductor"}
assert not slow & set(sys.modules), slow & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "2 files with depth by small: out/photo_depth.png, out/photo_color.png\n" in done.stdout


def test_public_names_are_there_and_no_verb_hides_its_module():
    assert all(hasattr(ssmde, name) for name in ssmde.__all__)
    assert set(ssmde.__all__) <= set(dir(ssmde))
    assert ssmde.Config is Config
    modules = {path.stem for path in Path(ssmde.__file__).parent.iterdir()}
    assert not modules & set(ssmde.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        _ = ssmde.Predicter


def test_two_words_after_predict_take_the_weights_of_the_package(verb_calls, capsys):
    assert main(["predict", "walk.mp4", "out"]) == 0
    assert verb_calls[0][1] == (Path("small"), "walk.mp4", Path("out"))
    assert capsys.readouterr().out == "2 files with depth by small: a, b\n"


@pytest.mark.parametrize("weights", ["run", "a.safetensors", "model.onnx"])
def test_weights_and_an_input_without_a_folder_are_refused(weights, verb_calls, capsys):
    Path("run").mkdir()
    Path("run/last.safetensors").write_bytes(b"")
    assert main(["predict", weights, "walk.mp4"]) == 2
    assert "predict takes [WEIGHTS] INPUT OUT" in capsys.readouterr().err
    assert not verb_calls


def test_an_input_alone_is_told_what_is_missing(verb_calls, capsys):
    assert main(["predict", "photo.jpg"]) == 2
    assert "got 'photo.jpg' alone: say where to write to as well" in capsys.readouterr().err
    assert not verb_calls
