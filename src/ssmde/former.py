"""Fields, options and presets of former versions: what became of them, and what to use instead.

Files that were written with them are still read. Who asks for one is told by its name.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ANYTHING = object()


class Former(NamedTuple):
    """A field that is no more."""

    instead: str  # what to do now; the end of a sentence
    same: tuple[object, ...] = (ANYTHING,)  # values that mean what is still done; files may say so


TRACK = "`ssmde track DATA` finds the focal length of scenes without cam.txt"
NO_CONFIDENCE = "the confidence hardly ordered the errors; leave it out"
# Switches that became constants, for nothing measured better: the value, and others as good.
CONSTANTS: Mapping[str, tuple[object, ...]] = {
    "model.pose_net": ("posecnn",), "model.pose_scale": (0.01,), "train.clip_gradient": (1.0,),
    "train.validation_frames": (200,), "train.keep_best": (3,), "train.channels_last": (True,),
    "train.compile": (False,),
    "data.brightness": (0.2,), "data.contrast": (0.2,), "data.saturation": (0.2, 0.4),
    "data.hue": (0.1, 0.05), "data.least_baseline": (0.0,), "loss.ssim_share": (0.85,),
    "loss.pose": (1.0,), "loss.geometry_ramp": (0.0,), "loss.normalise_depth": (True, False),
    "loss.auto_mask": (True,), "loss.minimum_reprojection": (True,),
    "student.teacher_mode": ("frozen",), "student.start": ("teacher",),
    "student.distillation_ramp": (0.1,), "student.gradient": (0.0, 0.1),
    "student.dynamic_ranking": (0.0, 0.1), "student.features": (0.0, 0.05),
    "student.forgets": ("weight",), "student.mask_dynamic": (True,),
    "pseudo_depth.region": ("all",), "pseudo_depth.margin": (1.15,),
    "pseudo_depth.forgetting_start": (0.25,), "pseudo_depth.forgetting_end": (0.05,),
}  # fmt: skip
# What to do instead of fields that something else took the place of.
REPLACED: Mapping[str, tuple[str, ...]] = {
    TRACK: (
        "model.shared_camera", "model.initial_hfov_degrees", "model.pixel_aspect",
        "train.camera_rate",
    ),
    "it follows from model.depth_range; leave it out": ("model.initial_depth",),
    "single pictures keep their proportions, snippets do not; leave it out": (
        "data.keep_proportions",
    ),
    "take loss.warmup, for both warm-ups": ("loss.rotation_first", "loss.upright_first"),
    "it follows from loss.geometry; leave it out": ("loss.weight_mask", "loss.both_directions"),
    "the teacher is frozen; leave it out": ("student.ema_momentum",),
    "the multi-view mask filter has one form; leave it out": ("student.filter",),
    "take pseudo_depth.structure": (
        "pseudo_depth.normals", "pseudo_depth.ranking", "pseudo_depth.edge_normals",
    ),
    "take affine.leres": ("affine.regression", "affine.gradient", "affine.ranking"),
    "it is always 0.0; leave it out": ("affine.normals",),
    "labels follow the tracked points with data.poses tracked; leave it out": (
        "pseudo_depth.align",
    ),
    "both stages have the weights of pseudo_depth; where and how long they act in stage 2 say "
    "student.labels and student.forgetting": ("student.pseudo_depth",),
}  # fmt: skip
FORMER_FIELDS: Mapping[str, Former] = {
    **{k: Former(f"it is always {v[0]}; leave it out", v) for k, v in CONSTANTS.items()},
    **{name: Former(instead) for instead, names in REPLACED.items() for name in names},
    "model.intrinsics": Former(TRACK, ("given",)),
    "train.recompute_activations": Former(
        "make train.batch_size or data.image_size smaller", (False,)
    ),
    "pseudo_depth.compat": Former("the terms are as they should be; leave it out", ("fixed",)),
    "pseudo_depth.forgetting": Former(
        "labels stay in stage 1; stage 2 has student.forgetting", ("constant",)
    ),
    "data.augment_on": Former("the processes that read images cut them; leave it out", ("loader",)),
    "student.cache": Former("the teacher predicts at each step; leave it out", (False,)),
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
    ("predict", "refine"): "train on the clip from these weights, with --model.start; an example "
    "is docs/your-own-video.md",
    ("predict", "confidence"): NO_CONFIDENCE,
    ("predict", "least_confidence"): NO_CONFIDENCE,
    ("evaluate", "confidence"): NO_CONFIDENCE,
    ("label", "checkpoint"): "name the file behind the source: --source leres:FILE",
    ("predict", "tiles"): "take a larger --resolution",
    ("predict", "max_points"): "clouds have at most 1,000,000 points; take a smaller image",
    ("scale", "speed"): "take --camera-height, a few --points, or --poses with a poses.txt of the "
    "way that the speed gives",
}
"""Options of verbs that are no fields of a run, and what to do instead."""
FORMER_SOURCES: Mapping[str, str] = {
    "grounded": "take ssmde:small, the network of the package; `ssmde adapt` fits it to a film",
    "depth-anything-3": "take depth-anything-v2; labels made elsewhere come by folder:PATH",
}
"""Of labels, for `label` and `pseudo_depth.source`; labels that they made are still read."""
FORMER_PRESETS: Mapping[str, str] = {
    "sc_depth_v3_compat": "take sc_depth_v3, which has the same terms without the defects of the "
    "released code",
}


def without_former_fields(tree: Any, *, stored: bool) -> Any:
    """A tree of plain values, as YAML has them, without former fields and with the names of today.

    A ValueError comes from one that asks for what is no longer done, unless the tree is `stored`.
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
    """What to say of the first word that is an option of a former version, or None."""
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
