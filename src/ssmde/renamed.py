"""Modules that have another name now: an import by the old one fails and says the new one."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder

RENAMED = {
    "ssmde.application": "ssmde.app",
    "ssmde.data.archives": "ssmde.datasets",
    "ssmde.data.drawing": "ssmde.synthetic",
    "ssmde.data.drawn": "ssmde.synthetic",
    "ssmde.demonstration": "ssmde.demo",
    "ssmde.doctor": "ssmde.diagnosis",
    "ssmde.net": "ssmde.models.hub",
    "ssmde.pictures": "ssmde.inference.pictures",
    "ssmde.predict": "ssmde.inference",
    "ssmde.prediction": "ssmde.inference",
    "ssmde.prepare": "ssmde.preparation",
}
"""Old name to new."""


def new_name(old: str) -> str | None:
    """What took the place of a module, or of the package it was in; None if it was none."""
    known = [name for name in RENAMED if old == name or old.startswith(f"{name}.")]
    return RENAMED[max(known, key=len)] if known else None


class _RenamedFinder(MetaPathFinder):
    """Asked last, for modules that nothing else found."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> None:
        if (new := new_name(fullname)) is not None:
            # Without `name`, or `from ssmde import OLD` would go on with a poorer message.
            raise ModuleNotFoundError(f"{fullname} is now {new}: import that")


sys.meta_path.append(_RenamedFinder())
