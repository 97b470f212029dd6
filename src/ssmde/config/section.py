"""What every section of the configuration is: plain data that refuses what it cannot mean."""

from typing import Any, ClassVar


class Section:
    """A part of the tree; a key it does not name is an error."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}


def refuse(fault: bool, message: str) -> None:
    """Raise a ValueError with the message if there is a fault."""
    if fault:
        raise ValueError(message)
