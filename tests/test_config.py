"""The tree of knobs: what goes in comes out, and what cannot work is refused with its path."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
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
    read_config,
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


LEAVES = dict(leaves())


def test_a_new_knob_takes_the_place_of_another():
    assert 50 < len(LEAVES) <= 60
    names = [name.rpartition(".")[2] for name in LEAVES]
    assert not [name for name in names if name.startswith(("no_", "disable_", "not_"))]


def test_true_and_false_are_no_numbers():
    for name, kind in LEAVES.items():
        section, _, field = name.rpartition(".")
        tree: dict[str, Any] = {field: True} if kind is not bool else {}
        with pytest.raises(ValidationError) if tree else nullcontext():
            load_config(yaml.safe_dump({section: tree} if section else tree))
    with pytest.raises(ValidationError, match=r"image_size\.1\n.* a valid number"):
        load_config("data: {image_size: [32, true]}")


def test_a_file_is_plain_yaml_and_changes_only_what_it_names():
    assert load_config("") == Config()
    config = load_config("data: {flip: 0.25, root: d}\ntrain: {steps: 10}")
    data = DataConfig(flip=0.25, root=Path("d"))
    assert config == Config(data=data, train=TrainConfig(steps=10))
    tree = yaml.safe_load(dump_config(config))
    assert list(tree) == [field.name for field in fields(Config)]
    assert (tree["data"]["image_size"], tree["data"]["root"]) == ([256, 320], "d")


@given(
    flip=st.floats(0, 1),
    near=st.floats(1e-3, 1),
    gaps=st.lists(st.integers(1, 50), min_size=1, max_size=4).map(tuple),
    seed=st.integers(0, 2**31),
    preset=st.sampled_from(sorted(PRESETS)),
)
def test_numbers_survive_the_file_to_the_last_bit(flip, near, gaps, seed, preset):
    start = PRESETS[preset]
    config = replace(
        start,
        data=replace(start.data, flip=flip, frame_gaps=gaps),
        model=replace(start.model, depth_range=(near, 100.0)),
        train=replace(start.train, seed=seed),
    )
    assert load_config(dump_config(config)) == config
    assert start.name == preset


NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *((lambda size=size: DataConfig(image_size=size), "data.image_size must be multiples of 32")
          for size in ((250, 832), (256, 0), (256, 330), (-32, 64))),
        (lambda: DataConfig(image_size=(32, 8224)), r"at most 8192 pixels, got \(32, 8224\)"),
        (lambda: DataConfig(frame_gaps=()), "data.frame_gaps needs at least one gap"),
        (lambda: DataConfig(frame_gaps=(1, 0)),
         r"data.frame_gaps.1 must be greater than or equal to 1, got 0"),
        (lambda: DataConfig(flip=1.5), "data.flip must be less than or equal to 1, got 1.5"),
        (lambda: DataConfig(root=Path("a\0b")), r"data.root cannot be .*a.x00b"),
        (lambda: ModelConfig(depth_range=(0.0, 1.0)), "model.depth_range must be 0 < near < far"),
        (lambda: ModelConfig(depth_range=(5.0, 1.0)), r"got \(5.0, 1.0\)"),
        (lambda: LossConfig(scales=()), r"loss.scales must be .*, got \(\)"),
        (lambda: LossConfig(scales=(1, 2)), r"loss.scales must be 0 and any of .* got \(1, 2\)"),
        (lambda: LossConfig(scales=(0, 4)), r"loss.scales.1 must be less than .* 3, got 4"),
        (lambda: TrainConfig(steps=1 << 63), "train.steps cannot be 9223372036854775808"),
        (lambda: TrainConfig(learning_rate=0.0), "learning_rate must be greater than 0, got 0.0"),
        (lambda: TrainConfig(average=1.0), r"train\.average must be less than 1, got 1"),
        (lambda: TrainConfig(average=NAN), r"train\.average must be a finite number, got nan"),
        (lambda: TrainConfig(learning_rate=float("inf")), r"learning_rate must be .*, got inf"),
        (lambda: TrainConfig(batch_size=4, devices=3, nodes=2), "4 must divide evenly over 6"),
        *((lambda name=name: Config(name=name), "name (cannot be|must be that of a folder below)")
          for name in ("", ".", "..", "a/../b", "/a", "\ud800", "a\0")),
        *((lambda data=data: Config(data=DataConfig(**data)), "act where depth is measured")
          for data in ({"degrade": 0.5}, {"scene_weights": (("a", 1.0),)})),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused_with_its_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data: {image_sze: 3}", "unknown key data.image_sze: closest match is 'image_size'"),
        ("nam: x", "unknown key nam: closest match is 'name'"),
        ("train: {batch_size: 2.5}", "train.batch_size must be a valid integer"),
        ("train: {batch_size: true}", "train.batch_size must be a valid number, got True"),
        ("model: {encoder: resnet19}", "model.encoder must be resnet18, "),
        ("data: {image_size: [32, 64, 96]}", "data.image_size"),
        ("data: {image_size: [30, 64]}", "data.image_size must be multiples of 32, got (30, 64)"),
        ("data: 3", "data must hold keys with values, got 3"),
        ("- a", "the whole must hold keys with values, got ['a']"),
        ("model: {intrinsics: learned}", "model.intrinsics learned is no more: `ssmde track"),
        ("train: {clip_gradient: 3.0}", "train.clip_gradient 3.0 is no more: it is always 1.0"),
        ("pseudo_depth: {source: grounded}", "source grounded is no more: take ssmde:small"),
        ("a: [", "no YAML: while parsing a flow node"),
        ("# later", "holds no field: name those that differ"),
        ("false", "holds no field: name those that differ"),
        (b"\xff\xfe\0", "is no text in UTF-8"),
        ("nam: x\ntrain: {stps: 3}\nmodel: {encoder: r18}", "3 faults\n  model.encoder must be "),
    ],
)
def test_faults_in_a_file_are_named_with_its_path_a_line_each(text, says, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"run\.yaml: ") as caught:
        read_config(file)
    assert says in str(caught.value)
    assert str(caught.value).count("\n") == (3 if "faults" in says else 0)
    assert "Value error" not in str(caught.value)


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


def test_no_former_field_is_a_field():
    assert not {*FORMER_FIELDS, *RENAMED_FIELDS} & {*LEAVES}
    assert {*RENAMED_FIELDS.values()} <= {*LEAVES}


MADE_IN_PYTHON = """
import sys
from pathlib import Path
from ssmde.config import Config, DataConfig, TrainConfig, dump_config, load_config
for make in (
    lambda: Config(train={"steps": "many"}), lambda: Config(data={"rot": "x"}),
    lambda: Config(model=3), lambda: DataConfig(image_size=(64, 96, 3)),
    lambda: TrainConfig(schedule="y" * 10_000), lambda: Config(data={"zoom": True}),
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
    r"train\.steps must .*'many'", r"unknown key data\.rot: closest match is 'root'.*",
    "model must hold keys with values, got 3", r"data\.image_size: .*\(64, 96, 3\)",
    r"train\.schedule must .*y\.\.\. \(10,002 characters\)",
    r"data\.zoom must be a valid number, got True",
)  # fmt: skip


def test_a_configuration_made_in_python_is_checked_and_converted_as_a_file_is():
    # In a process of its own: here the types of all arguments are checked before.
    said = subprocess.run(
        [sys.executable, "-c", MADE_IN_PYTHON], check=True, capture_output=True, text=True
    )
    for line, pattern in zip(said.stdout.splitlines(), REFUSED_IN_PYTHON, strict=True):
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
