"""Which frames of a source become scenes, and why the others do not: numbers in, numbers out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import numpy as np
from jaxtyping import Bool, Float

from ssmde.preparation.motion import Measured

LEAST_MOTION = 0.005  # of the width, 3 pixels of 640: less teaches nothing about depth
MOST_MOTION = 0.15  # of the width between two frames: too far for a network to match
FEWEST_FRAMES = 10  # of a scene: the last tenth of each validates
BLURRED = (
    0.6  # of the usual sharpness; a blur of 2 pixels in 640 gives 0.2, real video is above 0.7
)
NEIGHBOURS = 30  # frames to either side whose median is the usual sharpness
STANDSTILL = 30  # frames without enough motion in a row that are called still, not close
ROUNDING = 1e-6  # relative; a sum of steps is not exact
DUPLICATE = 0.05 / 255  # mean difference of brightness below which nothing is new, not even noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Frames of a source by what becomes of them."""

    scenes: tuple[Sequence[int], ...]
    """Frames that are kept, a scene each."""
    dropped: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Frames that are not, by reason: `close` (moved too little since the last one that is kept),
    `still` (so are many in a row), `duplicate`, `blurred`, `short` (of a scene of too few)."""
    splits: tuple[int, ...] = ()
    """Frames that do not continue what is before them: cuts, and jumps of the camera."""


def choose_frames(
    measured: Measured,
    *,
    least_motion: float = LEAST_MOTION,
    most_motion: float = MOST_MOTION,
    fewest_frames: int = FEWEST_FRAMES,
) -> Choice:
    """Frames to keep: sharp, and each a step of the image away from the one before.

    A blurred frame is passed over for the next sharp one. Where the picture changes to another
    place, or moves further than `most_motion` between neighbours, a new scene begins.

    Args:
        measured: Numbers of every frame.
        least_motion: Way of the image from one kept frame to the next, as a share of its width.
        most_motion: Motion between two neighbours from which they are two scenes.
        fewest_frames: Scenes of fewer kept frames are dropped.
    """
    reasons: dict[int, str] = {}
    scenes: list[list[int]] = []
    for piece in _pieces(measured.moved, most_motion):
        reasons |= {i: "blurred" for i in piece[is_blurred(measured.sharpness[piece])].tolist()}
        sharp = [i for i in piece.tolist() if i not in reasons]
        kept = _steps(measured.way, sharp, least_motion)
        reasons |= _passed_over(measured, sharp, set(kept))
        scenes += _connected(measured.way, kept, most_motion)
    long = [scene for scene in scenes if len(scene) >= fewest_frames]
    reasons |= {i: "short" for scene in scenes if scene not in long for i in scene}
    numbers = measured.numbers.tolist()
    return Choice(
        scenes=tuple([numbers[i] for i in scene] for scene in long),
        dropped={
            reason: tuple(numbers[i] for i in sorted(reasons) if reasons[i] == reason)
            for reason in dict.fromkeys(reasons.values())
        },
        splits=tuple(numbers[scene[0]] for scene in scenes[1:]),
    )


def is_blurred(sharpness: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    """True for frames far less sharp, in one direction, than the median of those around them."""
    usual = [
        np.median(sharpness[max(0, i - NEIGHBOURS) : i + NEIGHBOURS + 1], axis=0)
        for i in range(len(sharpness))
    ]
    low = sharpness < BLURRED * np.reshape(usual, (-1, 2))
    return low[:, 0] | low[:, 1]


def _pieces(moved: Float[np.ndarray, " n"], most_motion: float) -> Iterator[np.ndarray]:
    """Indices of the frames between two cuts or jumps."""
    begins = np.flatnonzero(~(moved[1:] <= most_motion)) + 1  # nan begins one as well
    return (piece for piece in np.split(np.arange(len(moved)), begins) if len(piece))


def _steps(way: Float[np.ndarray, " n"], frames: list[int], least_motion: float) -> list[int]:
    """The first frame, and then each that lies far enough from the last one kept."""
    kept = frames[:1]
    for i in frames[1:]:
        if way[i] - way[kept[-1]] >= least_motion * (1 - ROUNDING):
            kept.append(i)
    return kept


def _passed_over(measured: Measured, frames: list[int], kept: set[int]) -> dict[int, str]:
    """Why frames between the kept ones are not: many in a row stand still."""
    reasons: dict[int, str] = {}
    for is_kept, group in groupby(frames, key=lambda i: i in kept):
        run = list(group)
        if is_kept:
            continue
        if len(run) >= STANDSTILL:
            reasons |= dict.fromkeys(run, "still")
            continue
        same = measured.difference < DUPLICATE
        reasons |= {i: "duplicate" if same[i] else "close" for i in run}
    return reasons


def _connected(
    way: Float[np.ndarray, " n"], frames: list[int], most_motion: float
) -> list[list[int]]:
    """Kept frames, split where too much was passed over between two of them."""
    scenes = [frames[:1]] if frames else []
    for before, i in pairwise(frames):
        if way[i] - way[before] > most_motion:
            scenes.append([])
        scenes[-1].append(i)
    return scenes
