"""What an exported file says about itself, as JSON in its metadata."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ssmde.config.data import MOST_SIDE
from ssmde.models.load import first_line

FACTS_KEY = "ssmde"
"""Name of the entry of a file's metadata that holds its `ExportFacts`."""
FACTS_VERSION = 1

WorkingSide = Annotated[int, Field(ge=32, le=MOST_SIDE, multiple_of=32)]
Depth = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportFacts:
    """What an exported file says about itself."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "strict": True}

    name: str
    """Of the weights."""
    licence: str
    """Of the weights."""
    image_size: tuple[WorkingSide, WorkingSide]
    """Size (height, width) the network inside works at; pictures may have any."""
    depth_range: tuple[Depth, Depth]
    """Smallest and largest depth that can come out, in `unit`."""
    unit: Literal["metres", "scene units"]
    """Of depth."""
    precision: Literal["fp32", "fp16", "bf16", "int8"]
    """Of the network inside."""
    ssmde: str
    """Version of this package that wrote the file."""
    version: int = FACTS_VERSION
    """Of this record."""

    def to_text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str | None, path: Path) -> "ExportFacts":
        """Read back.

        Raises:
            ValueError: If the file has no such record, one of another shape or another version.
        """
        if not text:
            raise ValueError(
                f"{path}: was not written by `ssmde export`, which says in the file what goes in "
                "and what comes out; export the weights with it"
            )
        try:
            values = json.loads(text)
            version = values.get("version") if isinstance(values, dict) else None
            if isinstance(version, int) and version != FACTS_VERSION:
                raise ValueError(
                    f"{path}: is of export version {version}, this package reads version "
                    f"{FACTS_VERSION}; export the weights again"
                )
            return TypeAdapter(ExportFacts).validate_json(text)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, fault["loc"])) or "the whole"
            reason = f"{where}: {fault['msg']}"
        except (json.JSONDecodeError, RecursionError) as error:
            reason = first_line(error)
        raise ValueError(
            f"{path}: its record {FACTS_KEY!r} is none of `ssmde export` ({reason}); export the "
            "weights again"
        )
