"""Modules of version 0.1 that have another name now: their import fails and says the new one."""

import sys
from importlib.abc import MetaPathFinder

NEW = {
    "adaptation": "adapt", "app": "application", "datasets": "data.archives",
    "demo": "demonstration", "diagnosis": "doctor", "exporting": "export",
    "evaluation": "benchmark evaluate metrics.baselines odometry scale scaling trajectories",
    "inference": "predict prediction", "inference.pictures": "pictures",
    "labeling": "label labelling", "losses.alignment": "losses.distillation",
    "losses.pairs": "losses.normals losses.ranking", "losses.photometric": "losses.consistency",
    "metrics": "metrics.alignment metrics.distance metrics.regions",
    "metrics.depth": "metrics.protocol", "models.hub": "net", "preparation": "prepare",
    "synthetic": "data.drawing data.drawn", "tracking": "track", "training": "stages train",
}  # fmt: skip
"""New name to the old ones, below `ssmde`."""
RENAMED = {f"ssmde.{old}": f"ssmde.{new}" for new, names in NEW.items() for old in names.split()}
"""Old name to new."""


def new_name(old: str) -> str | None:
    """What took the place of a module, or of the package it was in; None if it was none."""
    return next((RENAMED[name] for name in RENAMED if f"{old}.".startswith(f"{name}.")), None)


class _RenamedFinder(MetaPathFinder):
    """Asked last, for modules that nothing else found."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if (new := new_name(fullname)) is not None:
            raise ImportError(f"{fullname} is now {new}: import that", name=fullname)


sys.meta_path.append(_RenamedFinder())
