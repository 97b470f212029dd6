"""Puts pages into the navigation that no list names: a new decision needs no other change."""

from pathlib import Path
from typing import Any

LATER = {"Start": ("export.md",), "Know": ("training-at-scale.md",)}
"""Pages that join a section where they exist."""


def on_config(config: Any) -> Any:
    """Complete the navigation from the files that are there."""
    folder = Path(config.docs_dir)
    for section in config.nav:
        for name, pages in section.items() if isinstance(section, dict) else ():
            pages += [page for page in LATER.get(name, ()) if (folder / page).is_file()]
    decisions = sorted((folder / "decisions").glob("*.md"))
    config.nav.append({"Decisions": [f"decisions/{page.name}" for page in decisions]})
    return config
