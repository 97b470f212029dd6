"""The tree of knobs: what goes in comes out, and what cannot work is refused with its path."""

import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

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
)
from ssmde.former import FORMER_FIELDS, RENAMED_FIELDS
from ssmde.presets import PRESETS
from ssmde.training.run import config_of_stage


def test_an_empty_file_is_the_default_run():
    assert load_config("") == Config()


def test_what_is_written_is_read_back_equal():
    config = Config(
        name="mine",
        output=Path("some") / "where",
        data=DataConfig(root=Path("videos"), image_size=(128, 416), frame_gaps=(1, 2, 4)),
        model=ModelConfig(encoder="resnet50", depth_range=(0.5, 10.0)),
        loss=LossConfig(geometry=0.1, scales=(0, 1, 2, 3)),
        train=TrainConfig(steps=7, batch_size=6, devices=3, precision="bf16"),
    )
    assert load_config(dump_config(config)) == config


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


def test_the_file_is_plain_yaml_with_one_block_per_section():
    tree = yaml.safe_load(dump_config(Config()))
    assert list(tree) == [
        "name",
        "output",
        "method",
        "data",
        "model",
        "loss",
        "pseudo_depth",
        "student",
        "affine",
        "train",
    ]
    assert tree["data"]["image_size"] == [256, 320]
    assert tree["data"]["root"] == "data"


def test_a_file_changes_only_what_it_names():
    config = load_config("data: {flip: 0.25}\ntrain: {steps: 10}")
    assert config == Config(data=DataConfig(flip=0.25), train=TrainConfig(steps=10))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("dta: {}", "dta"),
        ("data: {image_sise: [32, 64]}", "data.image_sise"),
        ("loss: {no_smoothness: true}", "loss.no_smoothness"),
        ("train: {steps: many}", "train.steps"),
        ("train: {batch_size: 2.5}", "train.batch_size"),
        ("model: {encoder: resnet19}", "model.encoder"),
        ("data: {image_size: [32, 64, 96]}", "data.image_size"),
    ],
)
def test_an_unknown_key_or_a_wrong_value_is_an_error_with_its_path(text, path):
    with pytest.raises(ValidationError) as caught:
        load_config(text)
    paths = [".".join(map(str, error["loc"])) for error in caught.value.errors()]
    assert any(found == path or found.startswith(f"{path}.") for found in paths), paths


def test_all_faults_of_a_file_are_listed_at_once():
    with pytest.raises(ValidationError) as caught:
        load_config("data: {flipp: 1}\ntrain: {stepps: 1}\nmodel: {encoder: vgg}")
    assert caught.value.error_count() == 3


@pytest.mark.parametrize("size", [(250, 832), (256, 0), (0, 0), (256, 330), (-32, 64)])
def test_an_image_size_off_the_grid_of_32_is_refused(size):
    with pytest.raises(ValueError, match=r"data.image_size must be multiples of 32, got \("):
        DataConfig(image_size=size)


@pytest.mark.parametrize(
    ("make", "message"),
    [
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
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_batch_that_does_not_divide_over_the_processes_is_refused():
    assert TrainConfig(batch_size=6, devices=3, nodes=2).batch_size == 6
    with pytest.raises(ValueError, match=r"batch_size 4 must divide evenly over 6 processes"):
        TrainConfig(batch_size=4, devices=3, nodes=2)


def test_a_refusal_inside_a_file_names_the_section_too():
    with pytest.raises(ValidationError, match=r"data.image_size must be multiples of 32"):
        load_config("data: {image_size: [250, 832]}")


def test_a_run_is_a_value_that_nobody_changes():
    config = Config()
    with pytest.raises(FrozenInstanceError):
        config.data.flip = 0.0  # type: ignore[misc]
    changed = replace(config, data=replace(config.data, flip=0.0))
    assert (config.data.flip, changed.data.flip) == (0.5, 0.0)
    assert {config: "by value"}[Config()] == "by value"


def test_two_default_runs_share_no_state():
    assert Config() == Config()
    assert Config().data is not Config().data


def test_no_switch_is_named_for_what_it_turns_off():
    sections = [getattr(Config(), field.name) for field in fields(Config)]
    names = [f.name for section in sections if is_dataclass(section) for f in fields(section)]
    assert len(names) > 30
    assert not [name for name in names if name.startswith(("no_", "disable_", "not_"))]


@pytest.mark.parametrize("text", ["model: {intrinsics: given}", "train: {camera_rate: 3.0}"])
def test_a_former_field_that_asks_for_nothing_is_left_out(text):
    assert load_config(text) == Config()


def test_a_former_field_that_asks_for_what_is_gone_is_refused_with_what_to_use_instead():
    with pytest.raises(ValueError, match=r"^model\.intrinsics learned is no more: .ssmde track"):
        load_config("model: {intrinsics: learned}")


def test_weights_that_were_made_with_a_former_field_are_read():
    text = "model: {intrinsics: learned, pixel_aspect: 2.0, encoder: resnet50}"
    assert load_config(text, stored=True) == Config(model=ModelConfig(encoder="resnet50"))


def test_a_file_with_a_former_name_is_read_and_the_option_says_the_new_one():
    assert load_config("data: {colour_jitter: 0.2}") == Config(data=DataConfig(color_jitter=0.2))
    assert load_config("loss: {points: 0.3}\ndata: {poses: tracked}").loss.sparse_depth == 0.3
    with pytest.raises(ValueError, match=r"^--train\.pose-rate is now --train\.pose-lr-multiplier"):
        parse("train", ["photometric", "--train.pose-rate", "2"])


def test_a_former_switch_may_say_what_is_always_done():
    assert load_config("train: {clip_gradient: 1.0}\ndata: {hue: 0.05}") == Config()
    with pytest.raises(ValueError, match=r"^train.clip_gradient 3.0 is no more: it is always 1.0"):
        load_config("train: {clip_gradient: 3.0}")
    with pytest.raises(ValueError, match=r"^--data.hue is no more: it is always 0.1"):
        parse("train", ["photometric", "--data.hue", "0.2"])


def test_a_former_source_of_labels_is_refused_and_read_from_stored_runs():
    with pytest.raises(ValueError, match=r"source grounded is no more: take ssmde:small"):
        load_config("pseudo_depth: {source: grounded}")
    assert load_config("pseudo_depth: {source: grounded}", stored=True) == Config()


def test_no_former_field_is_a_field():
    names = {f.name for f in fields(Config)}
    for name in (*FORMER_FIELDS, *RENAMED_FIELDS):
        section: Any = Config()
        *path, last = name.split(".")
        for step in path:
            section = getattr(section, step, None)
        assert section is None or last not in {f.name for f in fields(section)}
    assert not {name for name in FORMER_FIELDS if "." not in name} & names


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("average", 1.0), ("average", float("nan")), ("learning_rate", float("nan")),
        ("learning_rate", float("inf")), ("warmup_steps", -5), ("threads", -1), ("seed", -1),
        ("pose_lr_multiplier", float("nan")),
    ],
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=rf"train\.{field} must be .*, got {value}"):
        TrainConfig(**{field: value})


@pytest.mark.parametrize("name", ["", ".", "..", "a/../b", "/a"])
def test_a_name_that_is_no_folder_is_refused(name):
    with pytest.raises(ValueError, match="name must be that of a folder below output"):
        Config(name=name)


@pytest.mark.parametrize("data", [{"degrade": 0.5}, {"scene_weights": (("a", 1.0),)}])
def test_what_acts_on_measured_depth_alone_is_refused_elsewhere(data):
    with pytest.raises(ValueError, match=r"act where depth is measured.*method is teacher"):
        Config(data=DataConfig(**data))
    assert Config(method="affine_depth", data=DataConfig(**data)).data == DataConfig(**data)


MADE_IN_PYTHON = """
import sys
from pathlib import Path
from ssmde.config import Config, DataConfig, LossConfig, TrainConfig, dump_config, load_config
nan, inf = float("nan"), float("inf")
for make in (
    lambda: Config(train={"steps": "many"}), lambda: Config(data={"rot": "x"}),
    lambda: Config(model=3), lambda: TrainConfig(steps="many"),
    lambda: TrainConfig(learning_rate=nan), lambda: LossConfig(geometry=inf),
    lambda: DataConfig(image_size=(64, 96, 3)), lambda: TrainConfig(schedule="y" * 10_000),
    lambda: TrainConfig(average=-1), lambda: TrainConfig(seed=10**30),
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
    "model must hold keys with values, got 3", r"train\.steps: .*'many'",
    "train.learning_rate must be a finite number, got nan",
    "loss.geometry must be a finite number, got inf", r"data\.image_size: .*\(64, 96, 3\)",
    r"train\.schedule: .*y\.\.\. \(10,002 characters\)",
    "train.average must be at least 0, got -1", r"train\.seed cannot be 10+: .*",
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
    parse("train", [preset, "--loss.warmup", "0"])  # off is off anywhere


def test_the_student_has_half_the_rate_unless_it_is_given_one():
    config = replace(PRESETS["ss_mde"], method="student")
    faster = replace(config, train=replace(config.train, learning_rate=4e-4))
    own = replace(faster, student=replace(config.student, learning_rate=1e-5))
    for asked, rate in ((config, 5e-5), (faster, 2e-4), (own, 1e-5)):
        runs = config_of_stage(asked)
        assert runs.train.learning_rate == runs.student.learning_rate == pytest.approx(rate)
