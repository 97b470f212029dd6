"""What `prepare` says it did: which frames were kept, which were not, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from ssmde.preparation.choice import Choice

MEANING = {
    "close": "moved too little since the last frame that was kept",
    "still": "the camera stood still",
    "duplicate": "the same picture again",
    "blurred": "far less sharp than the frames around",
    "short": "of a scene of too few frames",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedSource:
    """What became of one video, or of the images of one folder."""

    source: str
    """Name of the file or folder."""
    scenes: tuple[Path, ...]
    """Scene folders made of it."""
    kept: int
    """Frames in these folders."""
    choice: Choice
    """Which frames were kept, and why the others were not."""
    camera: str
    """Where the intrinsics came from."""

    def __str__(self) -> str:
        """The report, in lines."""
        lines = [f"scene folder: {folder}" for folder in self.scenes]
        lines.append(f"{self.source}: {self.kept} frames kept; camera: {self.camera}")
        lines += [
            f"  {len(numbers)} {reason}, {MEANING[reason]}: {ranges(numbers)}"
            for reason, numbers in self.choice.dropped.items()
        ]
        if self.choice.splits:
            lines.append(f"  another picture begins at {ranges(self.choice.splits)}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What `prepare` made; as text, the report."""

    sources: tuple[PreparedSource, ...]

    @property
    def scenes(self) -> tuple[Path, ...]:
        """All scene folders."""
        return tuple(chain.from_iterable(source.scenes for source in self.sources))

    def __str__(self) -> str:
        """The report, in lines."""
        return "\n".join(map(str, self.sources))


def info_of(choice: Choice) -> dict[str, Any]:
    """The report on the choice, for scene.json; numbers are those of the source's frames."""
    kept = sum(map(len, choice.scenes))
    return {
        "frames": kept + sum(map(len, choice.dropped.values())),
        "kept": kept,
        "dropped": {reason: ranges(numbers) for reason, numbers in choice.dropped.items()},
        "another_picture_at": ranges(choice.splits),
    }


def ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as people write them.

    >>> ranges([3, 7, 8, 9])
    '3, 7-9'
    """
    runs = groupby(enumerate(numbers), key=lambda item: item[1] - item[0])
    ends = [[number for _, number in run] for _, run in runs]
    return ", ".join(str(e[0]) if len(e) == 1 else f"{e[0]}-{e[-1]}" for e in ends)
