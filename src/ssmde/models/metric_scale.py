"""How many metres a scene unit is, as far as somebody found out, in the head of a weights file."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pydantic import TypeAdapter

from ssmde.console import shorten
from ssmde.io import parse_json

SCALE_KEY = "metric_scale"  # in the head of a weights file


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricScale:
    """The factor from scene units to metres, and how sure it is."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "allow_inf_nan": False}
    metres_per_unit: float
    """Depth in metres = this number * depth in scene units."""
    error: float | None
    """Standard error of the number, as a share of it; None where one estimate stands alone. What it
    was measured by, a height or a speed, has an error of its own, which nobody knows here."""
    spread: float | None
    """How far single frames lie off, as a share: half of the width of their middle 68 %; None where
    one estimate stands alone."""
    estimates: int
    """Frames or points behind the number."""
    source: str
    """What the metres come from, in words."""

    def __post_init__(self) -> None:
        """Refuse what is no factor."""
        if not 0 < self.metres_per_unit < math.inf:
            raise ValueError(
                f"metres_per_unit must be a positive number, got {self.metres_per_unit:g}"
            )

    def __str__(self) -> str:
        """The number with its error bar, in one line."""
        parts = [f"1 scene unit = {self.metres_per_unit:.4g} m"]
        if self.error is not None:
            parts.append(f"+- {100 * self.error:.1f} %")
        if self.spread is not None:
            parts.append(f"(single frames +- {100 * self.spread:.1f} %)")
        return f"{' '.join(parts)}, from {self.source}"


def stored_scale(metadata: Mapping[str, str], *, origin: str = "the weights") -> MetricScale | None:
    """The scale in the head of a weights file; None if nobody found it.

    Args:
        metadata: As `read_weights` gives it.
        origin: Name of the file, for the message.

    Raises:
        ValueError: If what is stored is no scale.
    """
    text = metadata.get(SCALE_KEY)
    if text is None:
        return None
    try:
        return TypeAdapter(MetricScale).validate_python(parse_json(text, origin))
    except ValueError as error:
        raise ValueError(
            f"{origin}: {SCALE_KEY} in the head is no scale: {shorten(text)}; find it again with "
            "`ssmde scale`"
        ) from error


def with_scale(metadata: Mapping[str, str], scale: MetricScale | None) -> dict[str, str]:
    """The head of a weights file with this scale; None takes a stored one out."""
    rest = {key: value for key, value in metadata.items() if key != SCALE_KEY}
    return rest if scale is None else {**rest, SCALE_KEY: json.dumps(asdict(scale))}
