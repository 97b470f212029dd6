"""The report of `prepare`: which frames were kept, which were not, and why."""

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ssmde.console import counted, ranges
from ssmde.preparation.selection import Choice

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
    camera: str
    """Where the intrinsics came from."""
    notes: tuple[str, ...] = ()
    """What was noticed while the source was read."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; the scenes without their folder."""
        scenes = [
            {"start": s.start, "stop": s.stop, "step": s.step} if isinstance(s, range) else list(s)
            for s in self.choice.scenes
        ]
        names = [scene.name for scene in self.scenes]
        choice = {"scenes": scenes, "dropped": self.choice.dropped, "splits": self.choice.splits}
        return {"source": self.source, "scenes": names, "kept": self.kept, "choice": choice,
                "camera": self.camera, "notes": list(self.notes)}  # fmt: skip

    @staticmethod
    def from_dict(content: dict[str, Any], out: Path) -> "PreparedSource":
        """Read back, for scenes in a data folder."""
        choice = content["choice"]
        scenes = [range(s["start"], s["stop"], s["step"]) if isinstance(s, dict) else s
                  for s in choice["scenes"]]  # fmt: skip
        dropped = {reason: tuple(numbers) for reason, numbers in choice["dropped"].items()}
        return PreparedSource(
            source=content["source"],
            scenes=tuple(out / name for name in content["scenes"]),
            kept=content["kept"],
            choice=Choice(scenes=tuple(scenes), dropped=dropped, splits=tuple(choice["splits"])),
            camera=content["camera"],
            notes=tuple(content.get("notes", ())),
        )

    def __str__(self) -> str:
        """The report, in lines."""
        lines = [f"scene folder: {folder}" for folder in self.scenes]
        lines.append(f"{self.source}: {counted(self.kept, 'frame')} kept; camera: {self.camera}")
        lines += [f"  {note}" for note in self.notes]
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
    present: bool = False
    """True if all of it was there before, made of the same in the same way."""

    @property
    def scenes(self) -> tuple[Path, ...]:
        """All scene folders."""
        return tuple(chain.from_iterable(source.scenes for source in self.sources))

    def __str__(self) -> str:
        """The report, in lines."""
        before = ["there before, of the same sources and options:"] if self.present else []
        return "\n".join([*before, *map(str, self.sources)])
