"""One look at the frames of a scene: every number about the pictures that the checks need."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float32, Float64, Int

from ssmde.data.image_motion import TileFlow, tile_flow
from ssmde.data.images import ImageError
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis.rotation import assumed_intrinsics, fit_turn
from ssmde.diagnosis.small_grey import read_small_grey, small_reduction

GAPS = (1, 2, 3, 5, 8, 12, 16, 24, 32)  # in stored frames
LOST = 0.3  # share of tiles found again at a gap, below which wider gaps are not looked at
SPREAD_FRAMES = 40  # frames that tell which pixels never change
SMOOTHING = 5  # pixels of the box that a sharp image suffers from
LEVELS = 255.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Thoroughness:
    """How many frames of a scene are looked at."""

    neighbours: int
    """Pairs of consecutive frames, at most."""
    pairs: int
    """Pairs at each wider gap, at most."""


FULL = Thoroughness(neighbours=2000, pairs=24)
QUICK = Thoroughness(neighbours=20, pairs=4)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pairs:
    """Motion between frames a fixed gap apart; lengths are shares of the longer side."""

    first: Int[np.ndarray, "n"]
    """Index of the earlier frame."""
    found: Float64[np.ndarray, "n"]
    """Share of the tiles with texture that were found again; nan if none has any."""
    motion: Float64[np.ndarray, "n"]
    """Length of the motion in the median over tiles; nan if too few were found."""
    parallax: Float64[np.ndarray, "n"]
    """What no turn of the camera explains of it, in the median over tiles; nan as above."""
    gain: Float64[np.ndarray, "n"]
    """Brightness of the second frame divided by that of the first, where both show the same."""
    change: Float64[np.ndarray, "n"]
    """Difference of grey that one pixel in a thousand exceeds, in levels of 255."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Footage:
    """Numbers about the pictures of a scene."""

    sequence: FrameSequence
    """The scene."""
    reduction: int
    """Pixels of a frame that make one of the maps below, each way."""
    frames: Int[np.ndarray, "n"]
    """Indices of the frames that were looked at."""
    sharpness: Float64[np.ndarray, "n"]
    """Of each of them: 1 for a blurred image, 2 for a sharp one."""
    pairs: dict[int, Pairs]
    """By their gap."""
    mean: Float32[np.ndarray, "h w"]
    """Grey over about 40 frames, in levels of 255."""
    spread: Float32[np.ndarray, "h w"]
    """Its standard deviation."""
    broken: tuple[tuple[int, str], ...]
    """Frames that could not be read, with the reason."""


def look(
    sequence: FrameSequence, how: Thoroughness, advance: Callable[[], None] = lambda: None
) -> Footage | None:
    """Read the frames once, in order, and measure them.

    Args:
        sequence: The scene.
        how: How many frames to look at.
        advance: Called after each pair.

    Returns:
        None if no frame could be read.
    """
    reader = _Reader(sequence)
    pairs = {1: _measure(reader, spread_out(len(sequence) - 1, how.neighbours), 1, advance)}
    for gap in GAPS[1:]:
        if 2 * gap >= len(sequence):  # no target has two sources
            break
        wide = _measure(reader, spread_out(len(sequence) - gap, how.pairs), gap, advance)
        pairs[gap] = wide
        if np.sum(wide.found > LOST) < 0.5 * len(wide.found) or not len(wide.found):
            break
    return reader.footage(pairs)


def small_intrinsics(sequence: FrameSequence) -> Float64[np.ndarray, "3 3"]:
    """Camera of the small grey images; that of an everyday lens if it is unknown."""
    reduction = small_reduction(sequence.image_size)
    if sequence.intrinsics is None:
        height, width = (n // reduction for n in sequence.image_size)
        return assumed_intrinsics((height, width))
    intrinsics = sequence.intrinsics.astype(np.float64)
    intrinsics[:2] /= reduction
    intrinsics[:2, 2] += 0.5 / reduction - 0.5  # borders stay borders
    return intrinsics


class _Reader:
    """Reads frames, forgets those that lie behind, and keeps what each of them says."""

    def __init__(self, sequence: FrameSequence) -> None:
        self.sequence = sequence
        self.reduction = small_reduction(sequence.image_size)
        height, width = (n // self.reduction for n in sequence.image_size)
        self.intrinsics = small_intrinsics(sequence)
        self.size = (height, width)
        self.cache: dict[int, Float32[np.ndarray, "h w"] | None] = {}
        self.sharpness: dict[int, float] = {}
        self.broken: dict[int, str] = {}
        self.kept = set(spread_out(len(sequence), SPREAD_FRAMES).tolist())
        self.sums = np.zeros((2, height, width))
        self.summed = 0

    def forget_before(self, index: int) -> None:
        self.cache = {i: grey for i, grey in self.cache.items() if i >= index}

    def grey(self, index: int) -> Float32[np.ndarray, "h w"] | None:
        """Small grey image of a frame; None if it cannot be read or has another size."""
        if index not in self.cache:
            self.cache[index] = self._read(index)
        return self.cache[index]

    def _read(self, index: int) -> Float32[np.ndarray, "h w"] | None:
        if index in self.broken:
            return None
        try:
            grey = read_small_grey(self.sequence.images[index], self.sequence.image_size)
        except ImageError as error:
            self.broken[index] = str(error)
            return None
        if grey.shape != self.size:
            return None
        if index not in self.sharpness:
            self.sharpness[index] = sharpness(grey)
            if index in self.kept:
                levels = LEVELS * grey.astype(np.float64)
                self.sums += np.stack([levels, levels * levels])
                self.summed += 1
        return grey

    def footage(self, pairs: dict[int, Pairs]) -> Footage | None:
        for index in self.kept:
            self.grey(index)
        if not self.summed:
            return None
        mean, square = self.sums / self.summed
        frames = sorted(self.sharpness)
        return Footage(
            sequence=self.sequence,
            reduction=self.reduction,
            frames=np.array(frames),
            sharpness=np.array([self.sharpness[i] for i in frames]),
            pairs=pairs,
            mean=mean.astype(np.float32),
            spread=np.sqrt((square - mean * mean).clip(0)).astype(np.float32),
            broken=tuple(sorted(self.broken.items())),
        )


def _measure(
    reader: _Reader, firsts: Int[np.ndarray, "n"], gap: int, advance: Callable[[], None]
) -> Pairs:
    rows: list[tuple[float, ...]] = []
    reader.cache = {}
    for first in firsts.tolist():
        reader.forget_before(first)
        a, b = reader.grey(first), reader.grey(first + gap)
        if a is not None and b is not None:
            rows.append((first, *_pair(tile_flow(a, b), reader), _change(a, b)))
        advance()
    columns = np.array(rows, dtype=np.float64).reshape(-1, len(fields(Pairs)))
    first, found, motion, parallax, gain, change = columns.T
    return Pairs(
        first=first.astype(int), found=found, motion=motion, parallax=parallax, gain=gain,
        change=change,
    )  # fmt: skip


def _pair(flow: TileFlow, reader: _Reader) -> Iterator[float]:
    """Share found, motion, parallax and gain."""
    yield flow.found_share
    turn = fit_turn(flow, reader.intrinsics)
    if turn is None:
        yield from (np.nan, np.nan, np.nan)
        return
    side = max(reader.size)
    yield float(np.median(np.linalg.norm(flow.motion[flow.found], axis=1))) / side
    yield float(np.median(turn.rest[flow.found])) / side
    yield float(np.median(flow.gain[flow.found]))


def _change(a: Float32[np.ndarray, "h w"], b: Float32[np.ndarray, "h w"]) -> float:
    return LEVELS * float(np.quantile(np.abs(b - a), 0.999))


def sharpness(grey: Float32[np.ndarray, "h w"]) -> float:
    """How much a blur takes from an image: near 1 if it is blurred already, about 2 if sharp.

    Sum of differences between neighbours, divided by what is left of it after the mean over five
    pixels, along rows or columns, whichever suffers less: blur by motion has a direction
    (after Crete et al., 2007, https://doi.org/10.1117/12.702790).
    """
    ratios: list[float] = []
    for image in (grey, grey.T):
        total = np.cumsum(np.pad(image, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
        smooth = (total[SMOOTHING:] - total[:-SMOOTHING]) / SMOOTHING
        before, after = (float(np.abs(np.diff(x, axis=0)).sum()) for x in (image, smooth))
        ratios.append((before + 1e-6) / (after + 1e-6))
    return min(ratios)


def spread_out(count: int, most: int) -> Int[np.ndarray, "n"]:
    """At most so many of the numbers from 0 to `count` - 1, evenly spread."""
    if count <= most:
        return np.arange(max(count, 0))
    return np.linspace(0, count - 1, most).round().astype(int)
