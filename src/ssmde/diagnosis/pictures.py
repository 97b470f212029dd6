"""The pictures themselves: broken, repeated, blurred, of jumping brightness, or with a frame."""

import numpy as np
from jaxtyping import Bool

from ssmde.console import counted
from ssmde.diagnosis.finding import Finding
from ssmde.diagnosis.footage import Footage

SAME_LEVELS = 2.0  # of 255: what coding does to a repeated frame
REPEATED_SHARE = 0.9  # of the pairs, from which on nothing moved at all: a static camera
MANY = 0.05  # share of the frames from which on a note is a warning
BLURRED = 0.75  # sharpness, as a share of that of the frames around
AROUND = 15  # frames before and behind that are around
FEWEST_AROUND = 5
EXPOSURE = 0.2  # change of the brightness's logarithm between frames that is a jump
BLACK = 24.0  # of 255: a bar is darker
CONSTANT = 1.5  # standard deviation over time of what does not change, in levels of 255
UNIFORM = 6.0  # of 255: range of a bar's pixels
MOST_BAR = 0.45  # share of the image that a bar on one side may cover
OVERLAY_EDGE = 12.0  # levels of 255 a pixel: a contrast that stands still
OVERLAY_STILL = 0.12  # pixels that it moves by over time, as a standard deviation
OVERLAY_PIXELS = 8  # fewest of the small image
OVERLAY_FRAMES = 8  # fewest frames that tell
OVERLAY_MOTION = 0.02  # share of the longer side that the camera has to move the image by


def check_pictures(footage: Footage) -> list[Finding]:
    """Findings about single pictures, and about what is the same in all of them."""
    findings = [*_broken(footage), *_repeated(footage), *_blurred(footage), *_exposure(footage)]
    bars = _bars(footage)
    return [*findings, *_bar_finding(footage, bars), *_overlay(footage, bars)]


def _broken(footage: Footage) -> list[Finding]:
    if not footage.broken:
        return []
    frames, reasons = zip(*footage.broken, strict=True)
    return [
        Finding(
            name="broken-images", severity="warning", scene=footage.sequence.name, frames=frames,
            what=f"{counted(len(frames), 'image')} cannot be read: {'; '.join(reasons[:2])}",
            remedy="copy or extract them again; training leaves them out",
        )
    ]  # fmt: skip


def _repeated(footage: Footage) -> list[Finding]:
    pairs = footage.pairs[1]
    same = pairs.change <= SAME_LEVELS
    if not same.any() or same.mean() > REPEATED_SHARE:
        return []
    return [
        Finding(
            name="duplicates", severity="warning" if same.mean() > MANY else "note",
            scene=footage.sequence.name, frames=tuple((pairs.first[same] + 1).tolist()),
            what=f"{same.mean():.0%} of the frames repeat the one before",
            remedy="delete them, or take fewer frames of the video (`ssmde prepare` drops still "
            "frames)",
        )
    ]  # fmt: skip


def _blurred(footage: Footage) -> list[Finding]:
    frames, sharp = footage.frames, footage.sharpness
    blurred: list[int] = []
    for index, value in zip(frames.tolist(), sharp.tolist(), strict=True):
        around = sharp[np.abs(frames - index) <= AROUND]
        if len(around) > FEWEST_AROUND and value < BLURRED * np.median(around):
            blurred.append(index)
    if not blurred:
        return []
    share = len(blurred) / len(frames)
    return [
        Finding(
            name="blur", severity="warning" if share > MANY else "note",
            scene=footage.sequence.name, frames=tuple(blurred),
            what="these frames are much more blurred than those around them",
            remedy="delete them (`ssmde prepare` drops blurred frames); a few do little harm",
        )
    ]  # fmt: skip


def _exposure(footage: Footage) -> list[Finding]:
    pairs = footage.pairs[1]
    change = np.abs(np.log(pairs.gain))
    jumps = change > EXPOSURE  # False for nan
    if not jumps.any():
        return []
    return [
        Finding(
            name="exposure-jumps", severity="warning" if jumps.mean() > MANY else "note",
            scene=footage.sequence.name, frames=tuple((pairs.first[jumps] + 1).tolist()),
            what=f"the same things are up to {np.exp(change[jumps].max()) - 1:.0%} brighter or "
            "darker in these frames than in the one before",
            remedy="record with exposure locked, or drop these frames; a few do little harm",
        )
    ]  # fmt: skip


def _bars(footage: Footage) -> tuple[int, int, int, int]:
    """Rows above and below, columns left and right that are black in all frames, in map pixels."""
    sides: list[int] = []
    for axis in (1, 0):
        dark = (footage.mean.max(axis) < BLACK) & (footage.spread.max(axis) < CONSTANT)
        dark &= np.ptp(footage.mean, axis=axis) < UNIFORM
        for line in (dark, dark[::-1]):
            width = len(line) if line.all() else int(line.argmin())
            sides.append(width if width <= MOST_BAR * len(line) else 0)
    top, bottom, left, right = sides
    return top, bottom, left, right


def _bar_finding(footage: Footage, bars: tuple[int, int, int, int]) -> list[Finding]:
    if not any(bars):
        return []
    top, bottom, left, right = (n * footage.reduction for n in bars)
    return [
        Finding(
            name="bars", severity="warning", scene=footage.sequence.name,
            what=f"black bars in all frames, about {top} rows above, {bottom} below, {left} columns"
            f" left and {right} right",
            remedy="cut them off, subtract what is cut at the left from cx and at the top from cy "
            "in cam.txt",
        )
    ]  # fmt: skip


def _overlay(footage: Footage, bars: tuple[int, int, int, int]) -> list[Finding]:
    """Edges that stand still while the camera moves: a logo, a clock, a bonnet."""
    widest = [*footage.pairs[max(footage.pairs)].motion, 0.0]
    if not np.nanmax(widest) > OVERLAY_MOTION or len(footage.frames) < OVERLAY_FRAMES:
        return []
    gy, gx = np.gradient(footage.mean)
    slope = np.hypot(gx, gy)
    # an edge of that slope that moved would change the pixel by the slope times the way
    fixed: Bool[np.ndarray, "h w"] = (slope > OVERLAY_EDGE) & (
        footage.spread < OVERLAY_STILL * slope
    )
    height, width = fixed.shape
    top, bottom, left, right = (n + 2 if n else 0 for n in bars)  # a bar's own edge is none
    inside = np.zeros_like(fixed)
    inside[top : height - bottom, left : width - right] = True
    fixed &= inside
    if fixed.sum() < OVERLAY_PIXELS:
        return []
    rows, columns = (np.flatnonzero(fixed.any(axis)) * footage.reduction for axis in (1, 0))
    last = footage.reduction - 1
    return [
        Finding(
            name="overlay", severity="warning", scene=footage.sequence.name,
            what="something stands still in all frames while the camera moves (a logo, a clock, "
            "a part of the vehicle, a car that is followed): within rows "
            f"{rows[0]} to {rows[-1] + last} and columns {columns[0]} to {columns[-1] + last}",
            remedy="record without it, or cut the images so that it is outside; training takes it "
            "for something infinitely far",
        )
    ]  # fmt: skip
