"""What is done already, on disk, so that an interrupted prediction goes on where it was.

The journal of a prediction lies beside its output and is removed when all is done. It is of use to
the same command alone: with other weights, formats or options the work starts again.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ssmde.data.images import whole_file
from ssmde.prediction.film import FilmPart
from ssmde.prediction.predictor import Predictor

IMAGES, PART = ".predict.journal", ".predict.{}.journal"
STATE = "state.npz"
ABOUT = "about"  # of the state: text


def describe_work(predictor: Predictor, source: Path, options: Mapping[str, Any]) -> str:
    """All that decides what comes out, as text: equal texts give equal files.

    Args:
        predictor: The network.
        source: What is predicted.
        options: Formats and everything else, of plain values.
    """
    # A sum tells weights that were trained on under the same name.
    tensors = predictor.network.state_dict().values()
    weights = [f"{t.double().sum().item():.12g}" for t in tensors if t.numel()]
    file = source.stat() if source.is_file() else None
    return json.dumps(
        {
            "source": str(source.resolve()),
            "file": None if file is None else [file.st_size, file.st_mtime_ns],
            "network": [predictor.source, list(predictor.image_size), weights],
            "options": options,
        },
        sort_keys=True,
        default=str,
    )


class ImageJournal:
    """Names of the images whose files are all written.

    Args:
        folder: Of the output.
        work: From `describe_work`.
        part: Number of a part of the work that has a journal of its own.
    """

    def __init__(self, folder: Path, work: str, *, part: int | None = None) -> None:
        self.folder, self.work = folder, work
        self.path = folder / (IMAGES if part is None else PART.format(part))
        lines = self.path.read_text("utf-8").split("\n") if self.path.is_file() else []
        same = bool(lines) and lines[0] == work
        self.done = {json.loads(line) for line in lines[1:-1]} if same else set[str]()
        """The last line may be a part of one; what has no end of line was not done."""
        whole = [work, *(json.dumps(name) for name in sorted(self.done))]
        with whole_file(self.path) as new:
            new.write_text("\n".join(whole) + "\n", "utf-8")

    def add(self, name: str) -> None:
        """Note that an image is done."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(name) + "\n")

    def take_in(self, part: int) -> None:
        """Note what the journal of a part says, and remove it."""
        other = ImageJournal(self.folder, self.work, part=part)
        for name in sorted(other.done - self.done):
            self.add(name)
        self.done |= other.done
        other.close()

    def take_in_parts(self) -> None:
        """Note what the journals say that an interruption left behind, and remove them."""
        for file in self.folder.glob(PART.format("*")):
            self.take_in(int(file.name.split(".")[-2]))

    def close(self) -> None:
        """All is done: nothing needs to be known any more."""
        self.path.unlink(missing_ok=True)


@dataclass(kw_only=True)
class _About:
    work: str
    frames: int = 0
    """Frames that are done."""
    starts: list[float] = field(default_factory=list)
    """When each part begins, in seconds."""


class FilmJournal:
    """The finished parts of a video's films, and what is carried on from their last frame.

    Args:
        folder: Of the parts; made if absent, emptied if it is of other work.
        work: From `describe_work`.
    """

    def __init__(self, folder: Path, work: str) -> None:
        self.folder = folder
        self.about, self.carried = _About(work=work), dict[str, np.ndarray]()
        if (folder / STATE).is_file():
            with np.load(folder / STATE) as arrays:
                about = _About(**json.loads(str(arrays[ABOUT])))
                if about.work == work:
                    self.about = about
                    self.carried = {name: arrays[name] for name in arrays if name != ABOUT}
        if not self.about.frames:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def frames(self) -> int:
        """Frames that are done."""
        return self.about.frames

    def next_part(self, suffix: str) -> Path:
        """Where the part of a film that is not done yet is to be written."""
        return self.folder / f"{len(self.about.starts):06d}{suffix}"

    def parts(self, suffix: str) -> list[FilmPart]:
        """The parts of a film that are done, in order."""
        starts = self.about.starts
        return [FilmPart(path=self.folder / f"{i:06d}{suffix}", start=s)
                for i, s in enumerate(starts)]  # fmt: skip

    def commit(self, frames: int, start: float, carried: Mapping[str, np.ndarray]) -> None:
        """Note that a part is done.

        Args:
            frames: Frames in it.
            start: When its first frame is shown, in seconds.
            carried: What the next frame needs to know of its last.
        """
        self.about.frames += frames
        self.about.starts.append(start)
        arrays: dict[str, Any] = {ABOUT: np.array(json.dumps(asdict(self.about))), **carried}
        with whole_file(self.folder / STATE) as part, part.open("wb") as file:
            np.savez(file, **arrays)

    def close(self) -> None:
        """All is done: the parts are not needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)
