"""Fields, options and presets of former versions: what became of them, and what to use instead.

Files that were written with them are still read. Who asks for one is told by its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANYTHING = object()


@dataclass(frozen=True, kw_only=True, slots=True)
class Former:
    """A field that is no more."""

    instead: str
    """What to do now; the end of a sentence."""
    same: tuple[object, ...] = (ANYTHING,)
    """The values whose meaning is what is still done; files may have them."""


TRACK = "`ssmde track DATA` finds the focal length of scenes without cam.txt"
NO_CONFIDENCE = "the confidence hardly ordered the errors; leave it out"
COMPAT = "the terms are as they should be; leave it out"


def _constant(*values: object) -> Former:
    """A switch that became a constant, for nothing measured better."""
    return Former(instead=f"it is always {values[0]}; leave it out", same=values)


FORMER_FIELDS: Mapping[str, Former] = {
    "model.intrinsics": Former(instead=TRACK, same=("given",)),
    "model.shared_camera": Former(instead=TRACK),
    "model.initial_hfov_degrees": Former(instead=TRACK),
    "model.pixel_aspect": Former(instead=TRACK),
    "model.initial_depth": Former(instead="it follows from model.depth_range; leave it out"),
    "model.pose_scale": _constant(0.01),
    "train.camera_rate": Former(instead=TRACK),
    "train.recompute_activations": Former(
        instead="make train.batch_size or data.image_size smaller", same=(False,)
    ),
    "train.clip_gradient": _constant(1.0),
    "train.validation_frames": _constant(200),
    "train.keep_best": _constant(3),
    "train.channels_last": _constant(True),
    "data.brightness": _constant(0.2),
    "data.contrast": _constant(0.2),
    "data.saturation": _constant(0.2, 0.4),
    "data.hue": _constant(0.1, 0.05),
    "data.least_baseline": _constant(0.0),
    "data.keep_proportions": Former(
        instead="single pictures keep their proportions, snippets do not; leave it out"
    ),
    "loss.ssim_share": _constant(0.85),
    "loss.pose": _constant(1.0),
    "loss.geometry_ramp": _constant(0.0),
    "loss.normalise_depth": _constant(True, False),
    "loss.rotation_first": Former(instead="take loss.warmup, for both warm-ups"),
    "loss.upright_first": Former(instead="take loss.warmup, for both warm-ups"),
    "loss.weight_mask": Former(instead="it follows from loss.geometry; leave it out"),
    "loss.both_directions": Former(instead="it follows from loss.geometry; leave it out"),
    "loss.auto_mask": _constant(True),
    "loss.minimum_reprojection": _constant(True),
    "pseudo_depth.compat": Former(instead=COMPAT, same=("fixed",)),
    "student.cache": Former(
        instead="the teacher predicts at each step; leave it out", same=(False,)
    ),
    "student.teacher_mode": _constant("frozen"),
    "student.ema_momentum": Former(instead="the teacher is frozen; leave it out"),
    "student.start": _constant("teacher"),
    "student.distillation_ramp": _constant(0.1),
    "student.gradient": _constant(0.0, 0.1),
    "student.dynamic_ranking": _constant(0.0, 0.1),
    "student.features": _constant(0.0, 0.05),
    "student.forgets": _constant("weight"),
    "student.mask_dynamic": _constant(True),
    "student.filter": Former(instead="the multi-view mask filter has one form; leave it out"),
    "pseudo_depth.normals": Former(instead="take pseudo_depth.structure"),
    "pseudo_depth.ranking": Former(instead="take pseudo_depth.structure"),
    "pseudo_depth.edge_normals": Former(instead="take pseudo_depth.structure"),
    "affine.regression": Former(instead="take affine.leres"),
    "affine.gradient": Former(instead="take affine.leres"),
    "affine.ranking": Former(instead="take affine.leres"),
    "affine.normals": Former(instead="it is always 0.0; leave it out"),
    "pseudo_depth.region": _constant("all"),
    "pseudo_depth.align": Former(
        instead="labels follow the tracked points with data.poses tracked; leave it out"
    ),
    "pseudo_depth.margin": _constant(1.15),
    "pseudo_depth.forgetting": Former(
        instead="labels stay in stage 1; stage 2 has student.forgetting", same=("constant",)
    ),
    "pseudo_depth.forgetting_start": _constant(0.25),
    "pseudo_depth.forgetting_end": _constant(0.05),
    "student.pseudo_depth": Former(
        instead="both stages have the weights of pseudo_depth; where and how long they act in "
        "stage 2 say student.labels and student.forgetting"
    ),
}
"""By their dotted names."""
RENAMED_FIELDS: Mapping[str, str] = {
    "data.colour_jitter": "data.color_jitter",
    "loss.points": "loss.sparse_depth",
    "train.pose_rate": "train.pose_lr_multiplier",
    "train.encoder_rate": "train.encoder_lr_multiplier",
}
"""Old dotted name to new; files may have either, the command line only the new one."""
FORMER_OPTIONS: Mapping[tuple[str, str], str] = {
    (
        "predict",
        "refine",
    ): "train on the clip from these weights, with --model.start; an "
    "example is docs/your-own-video.md",
    ("predict", "confidence"): NO_CONFIDENCE,
    ("predict", "least_confidence"): NO_CONFIDENCE,
    ("evaluate", "confidence"): NO_CONFIDENCE,
}
"""Options of verbs that are no fields of a run, and what to do instead."""
FORMER_SOURCES: Mapping[str, str] = {
    "grounded": "take ssmde:small, the network of the package; `ssmde adapt` fits it to a film"
}
"""Of labels, for `label` and `pseudo_depth.source`; labels that they made are still read."""
FORMER_PRESETS: Mapping[str, str] = {
    "sc_depth_v3_compat": "take sc_depth_v3, which has the same terms without the defects of the "
    "released code",
}


def without_former_fields(tree: Any, *, stored: bool) -> Any:
    """A tree of plain values without the fields that are no more, and with the names of today.

    Args:
        tree: Sections by name, as YAML has them; anything else is handed through.
        stored: Take them out whatever they say.

    Raises:
        ValueError: If one of them asks for what is no longer done, unless `stored`.
    """
    labels = tree.get("pseudo_depth") if isinstance(tree, dict) else None
    if stored and isinstance(labels, dict) and labels.get("source") in FORMER_SOURCES:
        del labels["source"]
    for name in (*FORMER_FIELDS, *RENAMED_FIELDS):
        *path, field = name.split(".")
        section = tree
        for step in path:
            section = section.get(step) if isinstance(section, dict) else None
        if not isinstance(section, dict) or field not in section:
            continue
        value = section.pop(field)  # of a tree that was made for this call
        if new := RENAMED_FIELDS.get(name):
            section.setdefault(new.rpartition(".")[2], value)
            continue
        former = FORMER_FIELDS[name]
        if not stored and ANYTHING not in former.same and value not in former.same:
            raise ValueError(f"{name} {value} is no more: {former.instead}")
    return tree


def former_option(verb: str, words: Sequence[str]) -> str | None:
    """What to say of the first word that is an option of a former version; None if there is none.

    Args:
        verb: The verb.
        words: The words behind it.
    """
    for word in words:
        name = word.partition("=")[0]
        key = name.removeprefix("--").replace("-", "_")
        if not name.startswith("--"):
            continue
        if verb == "train" and (new := RENAMED_FIELDS.get(key)):
            return f"{name} is now --{new.replace('_', '-')}"
        fields = [f for n, f in FORMER_FIELDS.items() if key == n or key.startswith(f"{n}.")]
        field = fields[0] if fields and verb == "train" else None
        instead = field.instead if field else FORMER_OPTIONS.get((verb, key))
        if instead is not None:
            return f"{name} is no more: {instead}"
    return None
