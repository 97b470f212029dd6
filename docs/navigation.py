"""Puts the decisions into the navigation: a new one needs no other change."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Complete the navigation from the files that are there, folded away below its last part."""
    decisions = sorted((Path(config.docs_dir) / "decisions").glob("*.md"))
    (last,) = config.nav[-1].values()
    last.append({"Decisions": [f"decisions/{page.name}" for page in decisions]})
    return config
