"""The tree of knobs: what goes in comes out, and what cannot work is refused with its path."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ssmde.cli import parse
from ssmde.config import (
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
    dump_config,
    load_config,
    refuse_idle,
)
from ssmde.former import FORMER_FIELDS, RENAMED_FIELDS
from ssmde.presets import PRESETS
from ssmde.training.run import config_of_stage


def leaves(section: Any = Config, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and type of every field that is no section."""
    for field in fields(section):
        if is_dataclass(field.type):
            yield from leaves(field.type, f"{path}{field.name}.")
        else:
            yield path + field.name, field.type


def switched(kind: Any) -> Any:
    """A value of this type with true in place of each number."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is tuple:
        return [switched(part) for part in get_args(kind) if part is not Ellipsis]
    return True if kind in (int, float) else "a"


LEAVES = dict(leaves())


def test_a_new_knob_takes_the_place_of_another():
    assert 50 < len(LEAVES) <= 60
    names = [name.rpartition(".")[2] for name in LEAVES]
    assert not [name for name in names if name.startswith(("no_", "disable_", "not_"))]


def test_true_and_false_are_no_numbers():
    values = {name: switched(kind) for name, kind in LEAVES.items()}
    numbers = {name: value for name, value in values.items() if "True" in str(value)}
    assert len(numbers) > 35
    for name, value in numbers.items():
        section, field = name.split(".")
        with pytest.raises(ValidationError, match=rf"{section}\.{field}[.\d]*\n.* a valid number"):
            load_config(yaml.safe_dump({section: {field: value}}))


def test_a_file_is_plain_yaml_and_changes_only_what_it_names():
    assert load_config("") == Config()
    config = load_config("data: {flip: 0.25, root: d}\ntrain: {steps: 10}")
    data = DataConfig(flip=0.25, root=Path("d"))
    assert config == Config(data=data, train=TrainConfig(steps=10))
    tree = yaml.safe_load(dump_config(config))
    assert list(tree) == [field.name for field in fields(Config)]
    assert tree["data"]["image_size"] == [256, 320]
    assert tree["data"]["root"] == "d"


@given(
    flip=st.floats(0, 1),
    near=st.floats(1e-3, 1),
    gaps=st.lists(st.integers(1, 50), min_size=1, max_size=4).map(tuple),
    seed=st.integers(0, 2**31),
)
def test_numbers_survive_the_file_to_the_last_bit(flip, near, gaps, seed):
    config = Config(
        data=DataConfig(flip=flip, frame_gaps=gaps),
        model=ModelConfig(depth_range=(near, 100.0)),
        train=TrainConfig(seed=seed),
    )
    assert load_config(dump_config(config)) == config


NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *((lambda size=size: DataConfig(image_size=size), "data.image_size must be multiples of 32")
          for size in ((250, 832), (256, 0), (0, 0), (256, 330), (-32, 64))),
        (lambda: DataConfig(frame_gaps=()), "data.frame_gaps needs at least one gap"),
        (lambda: DataConfig(frame_gaps=(1, 0)), r"data.frame_gaps.1 must be at least 1, got 0"),
        (lambda: DataConfig(flip=1.5), "data.flip must be at most 1, got 1.5"),
        (lambda: DataConfig(color_jitter=-0.1), "data.color_jitter must be at least 0, got -0.1"),
        (lambda: DataConfig(zoom=0.9), "data.zoom must be at least 1, got 0.9"),
        (lambda: DataConfig(workers=-1), "data.workers must be at least 0, got -1"),
        (lambda: ModelConfig(depth_range=(0.0, 1.0)), "model.depth_range must be 0 < near < far"),
        (lambda: ModelConfig(depth_range=(5.0, 1.0)), r"got \(5.0, 1.0\)"),
        (lambda: LossConfig(smoothness=-1.0), "loss.smoothness must be at least 0, got -1.0"),
        (lambda: LossConfig(scales=()), r"loss.scales must be .*, got \(\)"),
        (lambda: LossConfig(scales=(1, 2)), r"loss.scales must be 0 and any of .* got \(1, 2\)"),
        (lambda: LossConfig(scales=(0, 4)), r"loss.scales.1 must be at most 3, got 4"),
        (lambda: DataConfig(zoom=17.0), "data.zoom must be at most 16, got 17"),
        (lambda: DataConfig(image_size=(32, 8224)), r"at most 8192 pixels, got \(32, 8224\)"),
        (lambda: TrainConfig(threads=10**9), "train.threads must be at most 1024"),
        (lambda: TrainConfig(steps=1 << 63), "train.steps cannot be 9223372036854775808"),
        (lambda: DataConfig(root=Path("a\0b")), r"data.root cannot be .*a.x00b"),
        (lambda: Config(name="\ud800"), "name cannot be"),
        (lambda: Config(name="a\0"), "name cannot be"),
        (lambda: TrainConfig(steps=0), "train.steps must be at least 1, got 0"),
        (lambda: TrainConfig(learning_rate=0.0), "train.learning_rate must be above 0, got 0.0"),
        (lambda: TrainConfig(average=1.0), r"train\.average must be below 1, got 1"),
        (lambda: TrainConfig(average=NAN), r"train\.average must be a finite number, got nan"),
        (lambda: TrainConfig(learning_rate=NAN), r"train\.learning_rate must be .*, got nan"),
        (lambda: TrainConfig(learning_rate=float("inf")), r"learning_rate must be .*, got inf"),
        (lambda: TrainConfig(pose_lr_multiplier=NAN), r"pose_lr_multiplier must be .*, got nan"),
        (lambda: TrainConfig(warmup_steps=-5), r"train\.warmup_steps must be .*, got -5"),
        (lambda: TrainConfig(threads=-1), r"train\.threads must be .*, got -1"),
        (lambda: TrainConfig(seed=-1), r"train\.seed must be .*, got -1"),
        (lambda: TrainConfig(batch_size=4, devices=3, nodes=2), "4 must divide evenly over 6"),
        *((lambda name=name: Config(name=name), "name must be that of a folder below output")
          for name in ("", ".", "..", "a/../b", "/a")),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused_with_its_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_run_is_a_value_that_nobody_changes():
    config = Config()
    with pytest.raises(FrozenInstanceError):
        config.data.flip = 0.0  # type: ignore[misc]
    changed = replace(config, data=replace(config.data, flip=0.0))
    assert (config.data.flip, changed.data.flip) == (0.5, 0.0)
    assert {config: "by value"}[Config()] == "by value"
    assert TrainConfig(batch_size=6, devices=3, nodes=2).batch_size == 6


# Former versions


@pytest.mark.parametrize(
    ("text", "stored", "config"),
    [
        ("model: {intrinsics: given}", False, Config()),  # asks for nothing
        ("train: {camera_rate: 3.0}", False, Config()),
        ("train: {clip_gradient: 1.0}\ndata: {hue: 0.05}", False, Config()),  # is always done
        ("data: {colour_jitter: 0.2}", False, Config(data=DataConfig(color_jitter=0.2))),
        ("model: {intrinsics: learned, encoder: resnet50}", True,
         Config(model=ModelConfig(encoder="resnet50"))),
        ("pseudo_depth: {source: grounded}", True, Config()),
    ],
)  # fmt: skip
def test_files_of_former_versions_are_read(text, stored, config):
    assert load_config(text, stored=stored) == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: {intrinsics: learned}", r"^model\.intrinsics learned is no more: .ssmde track"),
        ("train: {clip_gradient: 3.0}", r"^train.clip_gradient 3.0 is no more: it is always 1.0"),
        ("pseudo_depth: {source: grounded}", "source grounded is no more: take ssmde:small"),
        ("--train.pose-rate", r"^--train\.pose-rate is now --train\.pose-lr-multiplier"),
        ("--data.hue", r"^--data.hue is no more: it is always 0.1"),
    ],
)
def test_what_is_gone_is_refused_with_what_to_use_instead(text, says):
    with pytest.raises(ValueError, match=says):
        parse("train", ["photometric", text, "2"]) if text[0] == "-" else load_config(text)


def test_no_former_field_is_a_field():
    assert not {*FORMER_FIELDS, *RENAMED_FIELDS} & {*LEAVES}
    assert {*RENAMED_FIELDS.values()} <= {*LEAVES}


# What fields say together


@pytest.mark.parametrize("data", [{"degrade": 0.5}, {"scene_weights": (("a", 1.0),)}])
def test_what_acts_on_measured_depth_alone_is_refused_elsewhere(data):
    with pytest.raises(ValueError, match=r"act where depth is measured.*method is teacher"):
        Config(data=DataConfig(**data))
    assert Config(method="affine_depth", data=DataConfig(**data)).data == DataConfig(**data)


MADE_IN_PYTHON = """
import sys
from pathlib import Path
from ssmde.config import Config, DataConfig, LossConfig, TrainConfig, dump_config, load_config
inf = float("inf")
for make in (
    lambda: Config(train={"steps": "many"}), lambda: Config(data={"rot": "x"}),
    lambda: Config(model=3), lambda: LossConfig(geometry=inf),
    lambda: DataConfig(image_size=(64, 96, 3)), lambda: TrainConfig(schedule="y" * 10_000),
    lambda: TrainConfig(seed=10**30), lambda: Config(data={"zoom": True}),
):
    try:
        print("taken", make())
    except ValueError as error:
        print(error)
made = Config(output="runs", data={"root": "data", "image_size": [64, 96]}, train={"steps": 3})
data = DataConfig(root=Path("data"), image_size=(64, 96))
assert made == Config(output=Path("runs"), data=data, train=TrainConfig(steps=3))
assert load_config(dump_config(made)) == made
"""
REFUSED_IN_PYTHON = (
    r"train\.steps: .*'many'", r"unknown key data\.rot: closest match is 'root'.*",
    "model must hold keys with values, got 3", "loss.geometry must be a finite number, got inf",
    r"data\.image_size: .*\(64, 96, 3\)", r"train\.schedule: .*y\.\.\. \(10,002 characters\)",
    r"train\.seed cannot be 10+: .*", r"data\.zoom: .* a valid number, got True",
)  # fmt: skip


def test_a_configuration_made_in_python_is_checked_and_converted_as_a_file_is():
    # In a process of its own: here the types of all arguments are checked before.
    said = subprocess.run(
        [sys.executable, "-c", MADE_IN_PYTHON], check=True, capture_output=True, text=True
    )
    lines = said.stdout.splitlines()
    assert len(lines) == len(REFUSED_IN_PYTHON)
    for line, pattern in zip(lines, REFUSED_IN_PYTHON, strict=True):
        assert re.fullmatch(pattern, line)


@pytest.mark.parametrize(("preset", "option", "needs"), [
    ("sc_depth_v3", "--student.distillation 0.3", "method student or both"),
    ("sc_depth_v3", "--pseudo-depth.source midas", "method both"),
    ("ss_mde", "--pseudo-depth.structure 0 --pseudo-depth.depth 0 --student.labels static",
     "a weight of pseudo_depth above 0"),
    ("ss_mde", "--loss.warmup 0.2", "data.poses none"),
    ("affine_indoor", "--loss.smoothness 0.1", "another method"),
])  # fmt: skip
def test_an_option_that_cannot_act_is_refused(preset, option, needs):
    with pytest.raises(ValueError, match=rf"cannot act in this run: it needs {needs}"):
        parse("train", [preset, *option.split()])
    refuse_idle(["loss.sparse_depth", "student.learning_rate"], PRESETS[preset])  # off anywhere


def test_the_student_has_half_the_rate_unless_it_is_given_one():
    config = replace(PRESETS["ss_mde"], method="student")
    faster = replace(config, train=replace(config.train, learning_rate=4e-4))
    own = replace(faster, student=replace(config.student, learning_rate=1e-5))
    for asked, rate in ((config, 5e-5), (faster, 2e-4), (own, 1e-5)):
        runs = config_of_stage(asked)
        assert runs.train.learning_rate == runs.student.learning_rate == pytest.approx(rate)
