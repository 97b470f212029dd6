"""What every section of the configuration is: plain data that refuses what it cannot mean."""

import os
import re
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from ssmde.console import did_you_mean, shorten

LARGEST = 1 << 63  # what a counter of 64 bits holds


class Section:
    """A part of the tree; a key it does not name is an error, and so is a value of another type.

    What has the right meaning is converted, also where it is made in Python: text to a path, a list
    to a pair, a dict to a section.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "allow_inf_nan": False}

    def __post_init__(self) -> None:
        """Convert every value to its type.

        Raises:
            ValueError: If one cannot be, with the path of the field. Nan, inf and what no counter
                holds are no numbers; what no file can be called is no text.
        """
        for name, (kind, adapter) in _adapters(type(self)).items():
            value = getattr(self, name)
            # TrainConfig is train, PseudoDepthConfig is pseudo_depth.
            words = re.findall("[A-Z][a-z]+", type(self).__name__.removesuffix("Config"))
            start = f"{path}.{name}" if (path := "_".join(words).lower()) else name
            try:
                found = adapter.validate_python(value)
            except ValidationError as error:
                fault = error.errors(include_url=False)[0]
                raise ValueError(describe(fault, kind, f"{start}.")) from error
            refuse(
                not _is_usable(found),
                f"{start} cannot be {shorten(repr(value))}: numbers are below 9e18, text is what "
                "a file can be called",
            )
            if found is not value:
                object.__setattr__(self, name, found)


def _is_usable(value: Any) -> bool:
    """False for numbers that no counter holds, and text that cannot stand in a file's name."""
    if isinstance(value, tuple):
        return all(map(_is_usable, value))
    if isinstance(value, int | float):
        return abs(value) < LARGEST
    if not isinstance(value, str | Path):
        return True
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


@cache
def _adapters(section: type[Any]) -> dict[str, tuple[Any, Any]]:
    """The type of each field of a section, and what checks it."""
    plain: Any = {"allow_inf_nan": False}
    kinds: dict[str, Any] = {f.name: f.type for f in fields(section)}
    return {
        name: (kind, TypeAdapter(kind, config=None if is_dataclass(kind) else plain))
        for name, kind in kinds.items()
    }


def describe(fault: Any, checked: Any, start: str = "") -> str:
    """One fault that pydantic found, with its dotted path.

    Args:
        fault: Of `ValidationError.errors`.
        checked: The type that was checked.
        start: Path of what was checked, with a dot at its end.
    """
    path, value = [str(step) for step in fault["loc"]], shorten(repr(fault["input"]))
    where = f"{start}{'.'.join(path)}".rstrip(".") or "the whole"
    if fault["type"] == "unexpected_keyword_argument":
        return f"unknown key {where}: {did_you_mean(path[-1], _keys(checked, path[:-1]))}"
    if fault["type"] == "value_error":  # the configuration's own words, with the path
        return fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "finite_number":
        return f"{where} must be a finite number, got {value}"
    if fault["type"] == "dataclass_type":
        return f"{where} must hold keys with values, got {value}"
    return f"{where}: {fault['msg']}, got {value}"


def _keys(section: Any, path: list[str]) -> list[str]:
    """Names of the fields of a section, or of one in it."""
    for step in path:
        kinds = {f.name: f.type for f in fields(section)} if is_dataclass(section) else {}
        section = kinds.get(step)
    return [f.name for f in fields(section)] if is_dataclass(section) else []


def refuse(fault: bool, message: str) -> None:
    """Raise a ValueError with the message if there is a fault."""
    if fault:
        raise ValueError(message)
