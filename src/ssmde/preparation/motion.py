"""What is measured on every frame before some are chosen: image motion, sharpness, difference."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from PIL import Image

from ssmde.data.image_motion import FLAT, tile_flow
from ssmde.data.video import GreyFrame

LOOK_SIDE = 640  # longest side of the pictures that blur is measured on, in pixels
MOTION_SIDE = 160  # longest side of the pictures that motion is measured on, in pixels
FOUND = 0.6  # correlation from which a tile counts as found again
SAME_PLACE = 0.45  # share of tiles found again; two places reach 0.33, real video stays above 0.69
FEWEST_TILES = 3  # found again, for a median
NOISE = 1.0 / 255  # keeps the sharpness of an empty picture finite


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageMotion:
    """How one picture became the other."""

    moved: float
    """Median way of the tiles, as a share of the width; nan if the pictures show two places."""
    found: float
    """Share of the tiles that are found again, among those with texture, in [0, 1]."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """What was measured on the frames of a source: one number each."""

    numbers: Int[np.ndarray, " n"]
    """Place in the source, from 0; those of frames that cannot be decoded are missing."""
    moved: Float[np.ndarray, " n"]
    """Motion since the frame before, as a share of the width; nan where another place begins."""
    way: Float[np.ndarray, " n"]
    """Way since the first frame, as a share of the width; trembling and noise add nothing."""
    sharpness: Float[np.ndarray, "n 2"]
    """Fine detail as a share of all detail, in both directions; see `sharpness`."""
    difference: Float[np.ndarray, " n"]
    """Mean absolute difference of brightness to the frame before, in [0, 1]."""

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.moved)


def measure(frames: Iterable[GreyFrame], least_motion: float) -> Measured:
    """Motion, sharpness and difference of all frames; holds no more than three of them.

    The way is measured from an anchor: the last frame that lay `least_motion` from the anchor
    before it. What comes between is compared with the anchor itself, so that errors do not add up.

    Args:
        frames: All frames of a source, in order; another size begins another place.
        least_motion: Step of the way, as a share of the width.
    """
    rows: list[tuple[float, ...]] = []
    before = anchor = None
    base = ahead = 0.0  # way of the anchor; at most so far from it
    for frame in frames:
        picture = motion_picture(frame.grey)
        moved = difference = 0.0
        if frame.begins or before is None or anchor is None:
            if before is not None:
                moved, base = float("nan"), base + ahead + least_motion
            anchor, ahead = picture, 0.0
        else:
            moved = image_motion(before, picture).moved
            difference = float(np.abs(picture - before).mean())
            ahead += moved
            if not ahead < least_motion and anchor is not before:
                ahead = image_motion(anchor, picture).moved
            if not ahead < least_motion:  # so far, or nobody knows how far
                base += ahead if ahead >= least_motion else least_motion
                anchor, ahead = picture, 0.0
        rows.append((frame.number, moved, base + ahead, difference, *sharpness(frame.grey)))
        before = picture
    table = np.array(rows, np.float64).reshape(-1, 6)
    numbers, moves, way, differences = table[:, :4].T
    return Measured(
        numbers=numbers.astype(np.int64), moved=moves, way=way, difference=differences,
        sharpness=table[:, 4:],
    )  # fmt: skip


def motion_picture(grey: UInt8[np.ndarray, "h w"]) -> Float32[np.ndarray, "k m"]:
    """Grey values in [0, 1] of the small picture that motion is measured on.

    Signed floats before anything is averaged or subtracted: a difference of bytes wraps around.
    """
    height, width = grey.shape
    scale = min(1, MOTION_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(grey.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(small) / np.float32(255)


def image_motion(
    before: Float32[np.ndarray, "h w"], after: Float32[np.ndarray, "h w"]
) -> ImageMotion:
    """How far the picture moved, and how much of it is found again.

    The median over tiles: somebody who walks through the view does not count.

    Args:
        before: Grey values in [0, 1], as `motion_picture` gives them.
        after: The other picture, of the same size.
    """
    flow = tile_flow(before, after)
    textured = np.isfinite(flow.likeness)
    if not textured.any():  # two empty walls, or an empty one and something else
        same = float(np.abs(before - after).mean()) < FLAT
        return ImageMotion(moved=0.0 if same else float("nan"), found=float(same))
    again = flow.likeness > FOUND  # False for nan
    found = float(again.sum() / textured.sum())
    if found < SAME_PLACE or again.sum() < min(FEWEST_TILES, int(textured.sum())):
        return ImageMotion(moved=float("nan"), found=found)
    way = np.hypot(flow.motion[again, 0], flow.motion[again, 1])
    return ImageMotion(moved=float(np.median(way)) / before.shape[1], found=found)


def sharpness(grey: UInt8[np.ndarray, "h w"]) -> tuple[float, float]:
    """Fine detail as a share of all detail, down the columns and along the rows, in [0, 4].

    Mean squared second difference over mean squared first difference. A variance of the Laplacian
    also falls when the camera turns from a shelf to a wall, to a quarter of its running median on
    hand-held video; and a pan smears one direction only, which a sum of both hides.

    Args:
        grey: Brightness, 0 to 255; the finer the picture, the smaller the blur that shows.
    """
    return _fine_share(grey, 0), _fine_share(grey, 1)


def _fine_share(grey: UInt8[np.ndarray, "h w"], axis: int) -> float:
    first = np.diff(grey.astype(np.float32) / 255, axis=axis)
    second = np.diff(first, axis=axis)
    if not second.size:
        return 0.0
    return float((second * second).mean() / ((first * first).mean() + NOISE**2))
