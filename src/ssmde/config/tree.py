"""The whole of a run, and its form in YAML."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from pydantic import TypeAdapter

from ssmde.config.affine import AffineConfig
from ssmde.config.data import DataConfig
from ssmde.config.former import without_former_fields
from ssmde.config.loss import LossConfig
from ssmde.config.model import ModelConfig
from ssmde.config.pseudo_depth import PseudoDepthConfig
from ssmde.config.section import Section, refuse
from ssmde.config.student import StudentConfig
from ssmde.config.train import TrainConfig

FAST_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Plain values only; ten times faster where PyYAML was built with its C library."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config(Section):
    """Everything that defines a training run."""

    name: str = "run"
    """Name of the preset the run started from; names its folder."""
    output: Path = Path("runs")
    """Folder that holds the folders of runs."""
    method: Literal["teacher", "student", "both", "affine_depth"] = "teacher"
    """Stage 1 alone; stage 2 alone, with `student.teacher`; one after the other; or a network for
    pseudo-depth, from measured depth."""
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    pseudo_depth: PseudoDepthConfig = field(default_factory=PseudoDepthConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    affine: AffineConfig = field(default_factory=AffineConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        """Refuse labels that are to be fitted to points nobody asked for."""
        Section.__post_init__(self)
        refuse(
            # A stage of a run has a folder in that of the run: RUN/teacher.
            not {*self.name.split("/")}.isdisjoint(("", ".", "..")) or "\0" in self.name,
            f"name must be that of a folder below output, got {self.name!r}",
        )
        refuse(
            self.method != "affine_depth"
            and (self.data.degrade > 0 or bool(self.data.scene_weights)),
            "data.degrade and data.scene_weights act where depth is measured, in preset "
            f"affine_indoor; method is {self.method}",
        )
        fitted = "tracked" in (self.pseudo_depth.align, self.student.pseudo_depth.align)
        refuse(
            fitted and self.data.poses != "tracked",
            "pseudo_depth.align tracked puts labels into the unit of tracked poses: it needs "
            f"data.poses tracked, got {self.data.poses}",
        )
        refuse(
            self.pseudo_depth.source == "grounded" and self.data.poses != "tracked",
            "pseudo_depth.source grounded compares frames by their tracked motion: it needs "
            f"data.poses tracked, got {self.data.poses}",
        )
        refuse(
            self.loss.points > 0 and self.data.poses != "tracked",
            "loss.points needs the points of `ssmde track` and depth in their unit: "
            f"data.poses tracked, got {self.data.poses}",
        )


def load_config(text: str, *, stored: bool = False) -> Config:
    """Read a run from YAML.

    Args:
        text: The fields that differ from the defaults, or all of them.
        stored: The run is over and its weights are what counts: fields that were removed since are
            left out, whatever they said. Else they may say only what is still done.

    Raises:
        yaml.YAMLError: If it is no YAML, or has aliases: nine of nine of nine fill the memory.
        pydantic.ValidationError: If a key is unknown or a value is wrong; every fault is listed
            with its full path, such as `data.image_size`.
    """
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, FAST_LOADER)):
        raise yaml.YAMLError("aliases (*name) are not read: write their values out")
    tree = without_former_fields(yaml.load(text, FAST_LOADER) or {}, stored=stored)
    return TypeAdapter(Config).validate_python(tree)


def dump_config(config: Config) -> str:
    """Write a run as YAML that `load_config` reads back to an equal one."""
    return yaml.safe_dump(TypeAdapter(Config).dump_python(config, mode="json"), sort_keys=False)
