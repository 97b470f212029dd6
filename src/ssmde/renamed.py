"""Modules that moved: an import under the old name fails with the new one."""

import sys

RENAMED = {
    "ssmde.data.archives": "ssmde.datasets",
    "ssmde.data.drawing": "ssmde.synthetic",
    "ssmde.data.drawn": "ssmde.synthetic",
    "ssmde.prepare": "ssmde.preparation (`from ssmde.preparation import prepare`)",
}
"""Old name to new."""


class _Renamed:
    """The finder that Python asks after all others."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Nothing; raises for a module of `RENAMED`."""
        if name in RENAMED:
            raise ModuleNotFoundError(f"{name} is now {RENAMED[name]}", name=name)


def watch_imports() -> None:
    """Let imports of old names fail with the new ones."""
    if _Renamed not in sys.meta_path:
        sys.meta_path.append(_Renamed)
