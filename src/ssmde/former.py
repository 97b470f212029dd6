"""Fields, options and presets of former versions: what became of them, and what to use instead.

Files that were written with them are still read. Who asks for one is told by its name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

TRACK = "`ssmde track DATA` finds the focal length of scenes without cam.txt"
NO_CONFIDENCE = "the confidence hardly ordered the errors; leave it out"
EVALUATE = "`ssmde evaluate` measures the file, `ssmde evaluate WEIGHTS DATA` what it was made from"
# Switches that became constants, for nothing measured better: the value, and others as good.
CONSTANTS: Mapping[str, tuple[object, ...]] = {
    "model.pose_net": ("posecnn",), "model.pose_scale": (0.01,), "train.clip_gradient": (1.0,),
    "train.validation_frames": (200,), "train.keep_best": (3,), "train.channels_last": (True,),
    "data.brightness": (0.2,), "data.contrast": (0.2,), "data.saturation": (0.2, 0.4),
    "data.hue": (0.1, 0.05), "data.least_baseline": (0.0,), "data.augment_on": ("loader",),
    "loss.ssim_share": (0.85,), "loss.pose": (1.0,), "loss.geometry_ramp": (0.0,),
    "loss.normalise_depth": (True, False), "loss.auto_mask": (True,),
    "loss.minimum_reprojection": (True,), "student.teacher_mode": ("frozen",),
    "student.start": ("teacher",), "student.distillation_ramp": (0.1,),
    "student.gradient": (0.0, 0.1), "student.dynamic_ranking": (0.0, 0.1),
    "student.features": (0.0, 0.05), "student.forgets": ("weight",),
    "student.mask_dynamic": (True,), "student.cache": (False,), "pseudo_depth.region": ("all",),
    "pseudo_depth.margin": (1.15,), "pseudo_depth.forgetting_start": (0.25,),
    "pseudo_depth.forgetting_end": (0.05,), "pseudo_depth.compat": ("fixed",),
}  # fmt: skip
REPLACED: Mapping[str, str] = {
    TRACK: "model.shared_camera model.initial_hfov_degrees model.pixel_aspect train.camera_rate",
    "it follows from model.depth_range; leave it out": "model.initial_depth",
    "single pictures keep their shape, snippets do not; leave it out": "data.keep_proportions",
    "take loss.warmup, for both warm-ups": "loss.rotation_first loss.upright_first",
    "it follows from loss.geometry; leave it out": "loss.weight_mask loss.both_directions",
    "the teacher is frozen; leave it out": "student.ema_momentum",
    "the multi-view mask filter has one form; leave it out": "student.filter",
    "take pseudo_depth.structure":
        "pseudo_depth.normals pseudo_depth.ranking pseudo_depth.edge_normals",
    "take affine.leres": "affine.regression affine.gradient affine.ranking",
    "it is always 0.0; leave it out": "affine.normals",
    "labels follow the tracked points with data.poses tracked; leave it out": "pseudo_depth.align",
    "both stages have the weights of pseudo_depth; where and how long they act in stage 2 say "
    "student.labels and student.forgetting": "student.pseudo_depth",
}  # fmt: skip
"""What to do instead of fields that something else took the place of; files may say anything."""
FORMER_FIELDS: Mapping[str, tuple[str, tuple[object, ...] | None]] = {
    **{k: (f"it is always {v[0]}; leave it out", v) for k, v in CONSTANTS.items()},
    **{name: (instead, None) for instead, names in REPLACED.items() for name in names.split()},
    "model.intrinsics": (TRACK, ("given",)),
    "train.recompute_activations":
        ("make train.batch_size or data.image_size smaller", (False,)),
    "pseudo_depth.forgetting":
        ("labels stay in stage 1; stage 2 has student.forgetting", ("constant",)),
}  # fmt: skip
"""By their dotted names what to do now, and the values that mean what is still done."""
RENAMED_FIELDS: Mapping[str, str] = {
    "data.colour_jitter": "data.color_jitter", "loss.points": "loss.sparse_depth",
    "train.pose_rate": "train.pose_lr_multiplier",
    "train.encoder_rate": "train.encoder_lr_multiplier",
}  # fmt: skip
"""Old dotted name to new; files may have either, the command line only the new one."""
FORMER_OPTIONS: Mapping[str, str] = {
    "predict --refine": "train on the clip from these weights, with --model.start: see "
    "docs/your-own-video.md",
    "predict --confidence": NO_CONFIDENCE, "predict --least-confidence": NO_CONFIDENCE,
    "evaluate --confidence": NO_CONFIDENCE, "predict --tiles": "take a larger --resolution",
    "predict --max-points": "clouds have at most 1,000,000 points; take a smaller image",
    "prepare --quality": "JPEGs that are written have quality 95; give PNG to have them copied",
    "prepare --codec": "training frames are packed exactly, 3 bytes a pixel; a smaller --size "
    "takes less",
    "prepare --truth": "scans are as the published evaluation has them; --improved gives depth "
    "that is exact for the camera",
    "export --format": "the ending of OUT says it: .onnx, or .xml for OpenVINO",
    "export --name": "the file keeps the name of WEIGHTS",
    **dict.fromkeys(
        [f"export --{k}" for k in ("data", "protocol", "split", "max-frames")], EVALUATE
    ),
    "app --queue": "20 events wait, further ones are asked to come back later",
    "app --allowed-host": "reach the page from elsewhere by `ssh -L 7860:localhost:7860 MACHINE`, "
    "at http://localhost:7860, or take --share",
    "label --checkpoint": "name the file behind the source: --source leres:FILE",
    "scale --speed": "take --camera-height, a few --points, or --poses with a poses.txt",
}  # fmt: skip
"""Options of verbs that are no fields of a run, and what to do instead."""
FORMER_SOURCES: Mapping[str, str] = {
    "grounded": "take ssmde:small, the network of the package; `ssmde adapt` fits it to a film",
    "depth-anything-3": "take depth-anything-v2; labels made elsewhere come by folder:PATH",
}
"""Of labels, for `label` and `pseudo_depth.source`; labels that they made are still read."""
FORMER_FORMATS: Mapping[str, str] = {
    "rerun": "take ply, which its viewer reads",
    "exr": "take npz, which holds the same numbers",
}
"""Of `predict`."""
FORMER_PRESETS: Mapping[str, str] = {
    "sc_depth_v3_compat": "take sc_depth_v3, without the defects of the released code",
}


def without_former_fields(tree: Any, *, stored: bool) -> Any:
    """A tree of plain values, as YAML has them, without former fields and with the names of today.

    A ValueError comes from one that asks for what is no longer done, unless the tree is `stored`.
    """
    for section, values in tree.items() if isinstance(tree, dict) else ():
        for field in [*values] if isinstance(values, dict) else ():
            name = f"{section}.{field}"
            if name == "pseudo_depth.source" and stored and values[field] in FORMER_SOURCES:
                del values[field]
            if new := RENAMED_FIELDS.get(name):
                values.setdefault(new.partition(".")[2], values.pop(field))
            if name in FORMER_FIELDS:
                (instead, same), value = FORMER_FIELDS[name], values.pop(field)
                if not stored and same is not None and value not in same:
                    raise ValueError(f"{name} {value} is no more: {instead}")
    return tree


def former_option(verb: str, words: Sequence[str]) -> str | None:
    """What to say of the first word that is an option of a former version, or None."""
    for word in words:
        name = word.partition("=")[0]
        if not name.startswith("--"):
            continue
        field = ".".join(name[2:].replace("-", "_").split(".")[:2]) if verb == "train" else ""
        if new := RENAMED_FIELDS.get(field):
            return f"{name} is now --{new.replace('_', '-')}"
        gone = FORMER_FIELDS.get(field, (FORMER_OPTIONS.get(f"{verb} {name.replace('_', '-')}"),))
        if gone[0] is not None:
            return f"{name} is no more: {gone[0]}"
    return None
