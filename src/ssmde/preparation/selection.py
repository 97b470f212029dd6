"""Which frames of a source become scenes, by their motion and sharpness."""

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from PIL import Image

from ssmde.data.motion import FLAT, Gray, tile_flow
from ssmde.data.sequence import PerFrame
from ssmde.data.video import GrayFrame
from ssmde.preparation.results import Choice

LOOK_SIDE = 640  # longest side of the pictures that blur is measured on, in pixels
MOTION_SIDE = 160  # longest side of the pictures that motion is measured on, in pixels
FOUND = 0.6  # correlation from which a tile counts as found again
SAME_PLACE = 0.45  # share of tiles found again; two places reach 0.33, real video stays above 0.69
FEWEST_TILES = 3  # found again, for a median
NOISE = 1.0 / 255  # keeps the sharpness of an empty picture finite
LEAST_MOTION = 0.005  # of the width, 3 pixels of 640: less teaches nothing about depth
MOST_MOTION = 0.15  # of the width between two frames: too far for a network to match
FEWEST_FRAMES = 10  # of a scene: the last tenth of each validates
# Of the usual sharpness; a blur of 2 pixels in 640 gives 0.2, real video is above 0.7.
BLURRED = 0.6
NEIGHBORS = 30  # frames to either side whose median is the usual sharpness
STANDSTILL = 30  # frames without enough motion in a row that are called still, not close
ROUNDING = 1e-6  # relative; a sum of steps is not exact


class Measured(NamedTuple):
    """What was measured on the frames of a source: one number each."""

    numbers: Int[np.ndarray, " n"]  # from 0; those of frames that cannot be decoded are missing
    moved: PerFrame  # since the frame before, as a share of the width; nan: another place begins
    way: PerFrame  # since the first frame, in the same unit; trembling and noise add nothing
    sharpness: Float[np.ndarray, "n 2"]  # as `sharpness` gives it


def measure(frames: Iterable[GrayFrame], least_motion: float) -> Measured:
    """Motion and sharpness of all frames, in order; holds no more than three of them.

    The way is measured from an anchor: the last frame that lay `least_motion` (a share of the
    width) from the anchor before it. What comes between is compared with the anchor itself, so that
    errors do not add up. Another size begins another place.
    """
    rows: list[tuple[float, ...]] = []
    before = anchor = None
    base = ahead = 0.0  # way of the anchor; at most so far from it
    for frame in frames:
        picture = motion_picture(frame.gray)
        moved = 0.0
        if frame.begins or before is None or anchor is None:
            if before is not None:
                moved, base = float("nan"), base + ahead + least_motion
            anchor, ahead = picture, 0.0
        else:
            moved = image_motion(before, picture)
            ahead += moved
            # Sums of small steps drift: before a step counts it is measured from the anchor.
            if not ahead < least_motion and anchor is not before:
                ahead = image_motion(anchor, picture)
            if not ahead < least_motion:  # so far, or nobody knows how far
                base += ahead if ahead >= least_motion else least_motion
                anchor, ahead = picture, 0.0
        rows.append((frame.number, moved, base + ahead, *sharpness(frame.gray)))
        before = picture
    table = np.array(rows, np.float64).reshape(-1, 5)
    numbers, moved, way = table[:, :3].T
    return Measured(numbers.astype(int), moved, way, table[:, 3:])


def motion_picture(gray: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "k m"]:
    """Grey values in [0, 1] of the small picture that motion is measured on.

    Signed floats before anything is averaged or subtracted: a difference of bytes wraps around.
    """
    height, width = gray.shape
    scale = min(1, MOTION_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(gray.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(small) / np.float32(255)


def image_motion(before: Gray, after: Gray) -> float:
    """How far the picture moved, as a share of its width; nan if the two show two places.

    The median over tiles: somebody who walks through the view does not count. Both pictures are as
    `motion_picture` gives them, of one size.
    """
    flow = tile_flow(before, after)
    textured = int(np.isfinite(flow.likeness).sum())
    if not textured:  # two empty walls, or an empty one and something else
        return 0.0 if float(np.abs(before - after).mean()) < FLAT else float("nan")
    again = flow.likeness > FOUND  # False for nan
    if again.sum() < max(SAME_PLACE * textured, min(FEWEST_TILES, textured)):
        return float("nan")
    way = np.hypot(flow.motion[again, 0], flow.motion[again, 1])
    return float(np.median(way)) / before.shape[1]


def sharpness(gray: UInt8[np.ndarray, "h w"]) -> tuple[float, float]:
    """Fine detail as a share of all detail, down the columns and along the rows, in [0, 4].

    Mean squared second difference over mean squared first difference. A variance of the Laplacian
    also falls when the camera turns from a shelf to a wall, to a quarter of its running median on
    hand-held video; and a pan smears one direction only, which a sum of both hides. The finer the
    picture (0 to 255), the smaller the blur that shows.
    """

    def share(axis: int) -> float:
        first = np.diff(gray.astype(np.float32) / 255, axis=axis)
        second = np.diff(first, axis=axis)
        if not second.size:
            return 0.0
        return float((second * second).mean() / ((first * first).mean() + NOISE**2))

    return share(0), share(1)


def choose_frames(measured: Measured, *, least_motion: float, fewest_frames: int) -> Choice:
    """Frames to keep: sharp, and each `least_motion` of the width away from the one before.

    A blurred frame gives way to the next sharp one. Where the picture changes to another place, or
    moves further than `MOST_MOTION`, a scene begins; one of fewer than `fewest_frames` is dropped.
    """
    reasons: dict[int, str] = {}
    scenes: list[list[int]] = []
    way = measured.way
    cuts = np.flatnonzero(~(measured.moved[1:] <= MOST_MOTION)) + 1  # nan is one as well
    for piece in np.split(np.arange(len(way)), cuts):
        reasons |= dict.fromkeys(piece[is_blurred(measured.sharpness[piece])].tolist(), "blurred")
        sharp = [i for i in piece.tolist() if i not in reasons]
        kept = sharp[:1]
        for i in sharp[1:]:
            if way[i] - way[kept[-1]] >= least_motion * (1 - ROUNDING):
                kept.append(i)
        for is_kept, group in groupby(sharp, key=set(kept).__contains__):
            if not is_kept:
                run = list(group)
                reasons |= dict.fromkeys(run, "still" if len(run) >= STANDSTILL else "close")
        # Split where too much was passed over between two kept frames.
        jumps = np.flatnonzero(np.diff(way[kept]) > MOST_MOTION) + 1
        scenes += [part.tolist() for part in np.split(np.array(kept, int), jumps) if len(part)]
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
        np.median(sharpness[max(0, i - NEIGHBORS) : i + NEIGHBORS + 1], axis=0)
        for i in range(len(sharpness))
    ]
    low = sharpness < BLURRED * np.reshape(usual, (-1, 2))
    return low[:, 0] | low[:, 1]
