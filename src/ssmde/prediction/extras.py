"""Libraries that only some outputs need, imported when these are asked for."""

from importlib import import_module
from types import ModuleType


def import_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """The module, or an error that says how to get it.

    Args:
        module: Name to import.
        extra: Extra of this package that holds it.
        purpose: What needs it, for the message.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{purpose} need {module}, which is not installed: pip install 'ssmde[{extra}]'"
        ) from error
