"""Predictions in files, named like the frames, as any method can write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from ssmde.data.images import ImageError, ShapeError, check_shape, read_map
from ssmde.data.scene_files import positive_number
from ssmde.evaluation.result import Answer, TruthFrame
from ssmde.io import read_json, read_npz

Kind = Literal["depth", "disparity"]
SUFFIXES = (".npz", ".npy", ".png")
ENDINGS = ("", "_depth")  # of our own files
UNIT_KEY = "png16_units_per_"  # beginning of its name in depth.json
CONFIDENCE = "confidence"


class PredictionFolder:
    """Depth maps of a folder as a method that is asked frame by frame.

    A frame `scene/000012` is `scene/000012.npz`, `.npy` or `.png`, or `000012_depth.npz` and so on
    as `ssmde predict` names them; without the folder of the scene where there is but one scene. An
    .npz may hold `confidence` besides `depth`. A PNG has 16 bits; its unit is that of depth.json
    beside it, and does not matter where the scale is aligned.

    Args:
        folder: The files.
        frames: Frames that are going to be asked for.
        kind: `disparity` is turned into depth, 1 / value, before it is resized.

    Raises:
        FileNotFoundError: If a frame has no file: methods would be compared on different images.
    """

    def __init__(self, folder: Path, frames: Sequence[TruthFrame], kind: Kind = "depth") -> None:
        self.kind = kind
        self.unit = _unit(folder)
        single = len({frame.name.rpartition("/")[0] for frame in frames}) == 1
        found = {frame.name: _file(folder, frame.name, single) for frame in frames}
        missing = [name for name, file in found.items() if file is None]
        if missing:
            raise FileNotFoundError(
                f"{folder}: {len(missing)} of {len(found)} frames have no prediction, first "
                f"{missing[0]!r}; expected {folder / missing[0]}.npz, .npy or .png"
            )
        self.files = {name: file for name, file in found.items() if file is not None}
        first = next(iter(self.files.values()), None)
        self.tells_confidence = first is not None and _confidence(first) is not None

    def __call__(self, frame: TruthFrame, pixels: UInt8[np.ndarray, "h w 3"]) -> Answer:
        """What the files say of a frame.

        Raises:
            ValueError: If a file is broken, of another shape than the image, or has a pixel without
                a positive value.
        """
        path = self.files[frame.name]
        size = (pixels.shape[0], pixels.shape[1])
        try:
            values = read_map(path, self.unit or 1.0, image_size=size)
        except ShapeError:
            raise
        except ImageError as error:  # a method is not let off its hardest images
            raise ValueError(f"prediction cannot be read: {error}") from error
        wrong = int((values <= 0).sum())
        if wrong:
            raise ValueError(
                f"{path}: {wrong} of {values.size} pixels are not positive and finite; a "
                "prediction has a value everywhere"
            )
        depth = 1 / values if self.kind == "disparity" else values
        confidence = _confidence(path)
        if confidence is not None:
            check_shape(path, confidence.shape, size)
        return Answer(depth=depth, confidence=confidence)


def _file(folder: Path, name: str, single: bool) -> Path | None:
    names = [name, name.rpartition("/")[2]] if single else [name]
    for stem in names:
        for ending in ENDINGS:
            for suffix in SUFFIXES:
                path = folder / f"{stem}{ending}{suffix}"
                if path.is_file():
                    return path
    return None


def _unit(folder: Path) -> float | None:
    """What the unit of a depth is in the PNGs of `ssmde predict`; None if nobody says."""
    path = folder / "depth.json"
    if not path.is_file():
        return None
    facts = read_json(path)
    units = (positive_number(facts, key, path) for key in facts if key.startswith(UNIT_KEY))
    return next(units, None)


def _confidence(path: Path) -> Float[np.ndarray, "h w"] | None:
    if path.suffix != ".npz":
        return None
    arrays = read_npz(path, [CONFIDENCE])
    return np.asarray(arrays[CONFIDENCE], dtype=np.float32) if arrays else None
