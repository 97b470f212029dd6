"""What was prepared; as text, the report of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssmde.console import counted, ranges

MOST_PROBLEMS = 50  # lines of a report; scene.json of each scene has them all
MEANING = {
    "close": "moved too little since the last frame that was kept",
    "still": "the camera stood still", "blurred": "far less sharp than the frames around",
    "short": "of a scene of too few frames",
}  # fmt: skip
"""Why frames are dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Frames of a source by what becomes of them."""

    scenes: tuple[Sequence[int], ...]  # frames that are kept, a scene each
    dropped: dict[str, tuple[int, ...]] = field(default_factory=dict)  # by reason, as in `MEANING`
    splits: tuple[int, ...] = ()  # frames that begin another picture: cuts, jumps of the camera

    def lines(self) -> list[str]:
        """What the report says of it."""
        found = [
            f"  {len(numbers)} {reason}, {MEANING[reason]}: {ranges(numbers)}"
            for reason, numbers in self.dropped.items()
        ]
        return found + [f"  another picture begins at {ranges(self.splits)}"] * bool(self.splits)


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedSource:
    """What became of one video, or of the images of one folder."""

    scenes: tuple[Path, ...]  # scene folders made of it
    report: str  # frames that were kept, where the intrinsics came from, what was noticed
    choice: Choice | None = None  # None if an earlier run made it

    def __str__(self) -> str:
        return "\n".join([*(f"scene folder: {folder}" for folder in self.scenes), self.report])


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What `prepare` made; as text, the report."""

    sources: tuple[PreparedSource, ...]
    present: bool = False  # True if all of it was there before, made of the same in the same way

    @property
    def scenes(self) -> tuple[Path, ...]:
        """All scene folders."""
        return tuple(folder for source in self.sources for folder in source.scenes)

    def __str__(self) -> str:
        before = ["there before, of the same sources and options:"] if self.present else []
        return "\n".join([*before, *map(str, self.sources)])


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenScene:
    """What became of one scene of an archive."""

    name: str  # empty for what concerns no scene that was read
    split: str | None
    folder: Path | None  # scene folder; None if nothing could be used
    frames: int = 0
    depths: int = 0  # frames with measured depth
    skipped: bool = False  # True if the folder was there, finished, before
    problems: tuple[str, ...] = ()  # what was left out, and why


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedDataset:
    """What became of an official archive."""

    scenes: tuple[WrittenScene, ...]

    def __str__(self) -> str:
        lines: list[str] = []
        for split in ("train", "val", "test"):
            scenes = [s for s in self.scenes if s.split == split and s.folder is not None]
            old = sum(s.skipped for s in scenes)
            before = f" ({old} of them were there)" if old else ""
            if scenes:
                lines.append(
                    f"{split}: {counted(len(scenes), 'scene')}{before}, "
                    f"{counted(sum(s.frames for s in scenes), 'frame')}, "
                    f"{sum(s.depths for s in scenes)} with depth"
                )
        problems = [problem for scene in self.scenes for problem in scene.problems]
        if problems:
            shown = (f"  {line}" for line in problems[:MOST_PROBLEMS])
            lines += [f"problems: {len(problems)}", *shown]
        if (more := len(problems) - MOST_PROBLEMS) > 0:
            lines.append(f"  and {more} more; scene.json of each scene names its own")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """What was packed."""

    folder: Path
    frames: dict[str, int]  # frames of each part
    bytes: int  # size of all shards
    skipped: tuple[str, ...]  # frames that could not be read, and why; training passes them over

    def __str__(self) -> str:
        counts = (f"{counted(count, 'frame')} for {part}" for part, count in self.frames.items())
        return f"packed: {self.folder}, {', '.join(counts)}, {self.bytes / 1e6:.1f} MB"
