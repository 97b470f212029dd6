"""Options that cannot act: what else has to be so for a field to mean anything."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from ssmde.config.tree import Config

Rule = tuple[tuple[str, ...], Callable[[Config], bool], str]


def _labels(section: str) -> Rule:
    """Fields of pseudo-depth, which mean nothing where every weight of it is 0."""
    names = ("region", "align", "margin", "forgetting")
    return (
        tuple(f"{section}.{name}" for name in names),
        lambda c: (c.student if "student" in section else c).pseudo_depth.wanted,
        f"a weight of {section} above 0, such as {section}.normals",
    )


RULES: tuple[Rule, ...] = (
    (("student.",), lambda c: c.method in ("student", "both"), "method student or both"),
    (("affine.",), lambda c: c.method == "affine_depth", "method affine_depth"),
    (("pseudo_depth.",), lambda c: c.method in ("teacher", "both"), "method teacher or both; "
     "the student has student.pseudo_depth"),
    (("loss.",), lambda c: c.method != "affine_depth", "another method than affine_depth"),
    (("pseudo_depth.source",), lambda c: c.method == "both", "method both; else `ssmde label`"),
    (("train.steps",), lambda c: c.method != "student" or c.student.steps in (0, c.train.steps),
     "student.steps 0: it counts the steps of the student"),
    (("train.learning_rate",), lambda c: c.method != "student" or c.student.learning_rate == 0,
     "student.learning_rate 0: it is the rate of the student"),
    (("student.teacher",), lambda c: c.method == "student", "method student"),
    (("student.ema_momentum",), lambda c: c.student.teacher_mode == "ema",
     "student.teacher_mode ema"),
    (("student.distillation_ramp",), lambda c: c.student.start == "fresh", "student.start fresh"),
    _labels("pseudo_depth"),
    _labels("student.pseudo_depth"),
    (("data.brightness", "data.contrast", "data.saturation", "data.hue"),
     lambda c: c.data.colour_jitter > 0, "data.colour_jitter above 0"),
    (("data.keep_proportions",), lambda c: c.data.zoom > 1, "data.zoom above 1"),
    (("loss.rotation_first", "loss.upright_first", "loss.normalise_depth"),
     lambda c: c.data.poses == "none", "data.poses none: known motion is not learnt first"),
    (("loss.pose",), lambda c: c.data.poses != "none", "data.poses tracked or file"),
    (("loss.geometry_ramp",), lambda c: c.loss.geometry > 0, "loss.geometry above 0"),
    (("loss.ssim_share",), lambda c: c.loss.photometric > 0, "loss.photometric above 0"),
    (("model.initial_depth",), lambda c: c.model.start == "none",
     "model.start none: the weights say their first depth"),
)  # fmt: skip
"""Fields, or sections with a point, what lets them act, and that in words."""


def refuse_idle(changed: Iterable[str], config: Config) -> None:
    """Refuse options that were asked for and cannot act in this run.

    Args:
        changed: Dotted names of the fields that were asked for.
        config: The run.

    Raises:
        ValueError: If there is one; it names the field and what it needs.
    """
    for name in changed:
        value: Any = config
        for step in name.split("."):
            value = getattr(value, step)
        for fields, acts, needs in RULES:
            if value and name.startswith(fields) and not acts(config):  # off is off anywhere
                option = name.replace("_", "-")
                raise ValueError(f"--{option} cannot act in this run: it needs {needs}")


def differences(a: Config, b: Config) -> list[str]:
    """Dotted names of the fields in which two configurations differ."""
    return _differences(asdict(a), asdict(b), "")


def _differences(a: dict[str, Any], b: dict[str, Any], prefix: str) -> list[str]:
    found: list[str] = []
    for name, value in a.items():
        if isinstance(value, dict):
            found += _differences(value, b[name], f"{prefix}{name}.")
        elif value != b[name]:
            found.append(prefix + name)
    return found
