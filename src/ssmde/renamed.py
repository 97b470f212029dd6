"""Modules that have another name now: an import by the old one fails and says the new one."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder

RENAMED = {
    "ssmde.application": "ssmde.app",
    "ssmde.demonstration": "ssmde.demo",
    "ssmde.doctor": "ssmde.diagnosis",
}


class _RenamedFinder(MetaPathFinder):
    """Asked last, for modules that nothing else found."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> None:
        if fullname in RENAMED:
            raise ModuleNotFoundError(f"{fullname} is now {RENAMED[fullname]}: import that")


sys.meta_path.append(_RenamedFinder())
