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
    same: object = ANYTHING
    """The value whose meaning is what is still done; files may have it."""


TRACK = "`ssmde track DATA` finds the focal length of scenes without cam.txt"
FORMER_FIELDS: Mapping[str, Former] = {
    "model.intrinsics": Former(instead=TRACK, same="given"),
    "model.shared_camera": Former(instead=TRACK),
    "model.initial_hfov_degrees": Former(instead=TRACK),
    "model.pixel_aspect": Former(instead=TRACK),
    "train.camera_rate": Former(instead=TRACK),
}
"""By their dotted names."""
FORMER_OPTIONS: Mapping[tuple[str, str], str] = {
    (
        "predict",
        "refine",
    ): "train on the clip from these weights, with --model.start; an "
    "example is docs/examples/finetune-on-a-clip.md",
}
"""Options of verbs that are no fields of a run, and what to do instead."""


def without_former_fields(tree: Any, *, stored: bool) -> Any:
    """A tree of plain values without the fields that are no more.

    Args:
        tree: Sections by name, as YAML has them; anything else is handed through.
        stored: Take them out whatever they say.

    Raises:
        ValueError: If one of them asks for what is no longer done, unless `stored`.
    """
    for name, former in FORMER_FIELDS.items():
        *path, field = name.split(".")
        section = tree
        for step in path:
            section = section.get(step) if isinstance(section, dict) else None
        if not isinstance(section, dict) or field not in section:
            continue
        value = section.pop(field)  # of a tree that was made for this call
        if not stored and former.same is not ANYTHING and value != former.same:
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
        field = FORMER_FIELDS.get(key) if verb == "train" else None
        instead = field.instead if field else FORMER_OPTIONS.get((verb, key))
        if name.startswith("--") and instead is not None:
            return f"{name} is no more: {instead}"
    return None
