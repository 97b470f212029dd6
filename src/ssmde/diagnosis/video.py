"""The frames of a scene: numbers from one look at them, and the findings that follow from these.

Depth is learned from parallax: what no turn of the camera explains of the image motion. The limits
are those between recordings that networks were trained on with success: of `kitti_odom00` 1.0 % of
the image's longer side in the median from frame to frame, of `redkitchen` 0.7 % at gap 2, of
`bonn_crowd`, which needed tracked poses, 0.4 % at gap 12.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int
from scipy.spatial.transform import Rotation

from ssmde.console import counted
from ssmde.data.images import REDUCTIONS, ImageError, read_image
from ssmde.data.motion import TileFlow, tile_flow
from ssmde.data.sequence import FrameSequence, scaled_intrinsics
from ssmde.diagnosis import Finding

Map = Float32[np.ndarray, "h w"]
Values = Float64[np.ndarray, "n"]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
SHORT_SIDE = 96  # fewest rows or columns of a small gray image, where the frame has them
LEVELS = 255.0
GAPS = (1, 2, 3, 5, 8, 12, 16, 24, 32)  # in stored frames
LOST = 0.3  # share of tiles found again at a gap, below which wider gaps are not looked at
SPREAD_FRAMES = 40  # frames that tell which pixels never change
SMOOTHING = 5  # pixels of the box that a sharp image suffers from
FEWEST_TILES = 8  # that tell a rotation; three unknowns, and movers
TURN_STEPS = 8
ASSUMED_FOCAL = 0.8  # of the longer side, where the camera is unknown: 64 degrees

STILL = 0.0012  # motion, as a share of the longer side, below which nothing moved: the noise
STILL_SHARE = 0.9  # of the pairs, from which on a camera is static
STRETCH = 5  # still pairs in a row that are worth naming
UNLIKE = 0.25  # share of tiles found again, below which two frames do not show the same
UNRELATED_SHARE = 0.25  # of the pairs, from which on they are no cuts in a video
JUMP = 0.15  # motion, as a share of the longer side, that is a jump
FAR_FOUND = 0.5  # share of tiles found again from frame to frame, in the median
FAR_MOTION = 0.12  # motion from frame to frame, in the median
LEAST_PARALLAX = 0.004  # as a share of the longer side
LEAST_FOUND = 0.6  # share of tiles found again at a gap that is fit for training
MOST_GAPS = 3  # that are suggested
TURNING = 0.08  # parallax as a share of the motion, below which it is mostly rotation
ONLY_TURNING = 0.02  # and below which it is nothing else, within the precision of the tiles
TURNED = 0.02  # motion, as a share of the longer side, from which that share can be told

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


class Thoroughness(NamedTuple):
    """How many frames of a scene are looked at."""

    neighbors: int  # pairs of consecutive frames, at most
    pairs: int  # pairs at each wider gap, at most


FULL = Thoroughness(neighbors=2000, pairs=24)
QUICK = Thoroughness(neighbors=20, pairs=4)


class Pairs(NamedTuple):
    """Motion between frames a fixed gap apart; lengths are shares of the longer side."""

    first: Int[np.ndarray, "n"]  # index of the earlier frame
    found: Values  # share of the tiles with texture that were found again; nan if none has any
    motion: Values  # length of the motion in the median over tiles; nan if too few were found
    parallax: Values
    """What no turn of the camera explains of it, in the median over tiles; nan as above."""
    gain: Values
    """Brightness of the second frame divided by that of the first, where both show the same."""
    change: Values  # difference of gray that one pixel in a thousand exceeds, in levels of 255


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoStatistics:
    """Numbers about the pictures of a scene."""

    sequence: FrameSequence  # the scene
    frames: Int[np.ndarray, "n"]  # indices of the frames that were looked at
    sharpness: Values  # of each of them: 1 for a blurred image, 2 for a sharp one
    pairs: dict[int, Pairs]  # by their gap
    mean: Map  # gray over about 40 frames, reduced as `read_small_gray` does, in levels of 255
    spread: Map  # its standard deviation
    broken: dict[int, str]  # frames that could not be read, with the reason


def video_statistics(sequence: FrameSequence, how: Thoroughness) -> VideoStatistics | None:
    """Read the frames once, in order, and measure them; None if no frame could be read."""
    reader = _Reader(sequence)
    pairs = {1: _measure(reader, spread_out(len(sequence) - 1, how.neighbors), 1)}
    for gap in GAPS[1:]:
        if 2 * gap >= len(sequence):  # no target has two sources
            break
        wide = _measure(reader, spread_out(len(sequence) - gap, how.pairs), gap)
        pairs[gap] = wide
        if np.sum(wide.found > LOST) < 0.5 * len(wide.found) or not len(wide.found):
            break
    for index in reader.kept:
        reader.gray(index)
    if not reader.summed:
        return None
    mean, square = reader.sums / reader.summed  # for variance = E[x^2] - E[x]^2
    frames = sorted(reader.sharpness)
    return VideoStatistics(
        sequence=sequence, frames=np.array(frames),
        sharpness=np.array([reader.sharpness[i] for i in frames]), pairs=pairs,
        mean=mean.astype(np.float32),
        spread=np.sqrt((square - mean * mean).clip(0)).astype(np.float32),
        broken=dict(sorted(reader.broken.items())),
    )  # fmt: skip


class _Reader:
    """Reads frames, forgets those that lie behind, and keeps what each of them says."""

    def __init__(self, sequence: FrameSequence) -> None:
        self.sequence, self.size = sequence, small_size(sequence.image_size)
        self.cache: dict[int, Map | None] = {}
        self.sharpness: dict[int, float] = {}
        self.broken: dict[int, str] = {}
        self.kept = set(spread_out(len(sequence), SPREAD_FRAMES).tolist())
        self.sums, self.summed = np.zeros((2, *self.size)), 0

    def gray(self, index: int) -> Map | None:
        """Small gray image of a frame; None if it cannot be read or has another size."""
        if index not in self.cache:
            self.cache[index] = self._read(index)
        return self.cache[index]

    def _read(self, index: int) -> Map | None:
        if index in self.broken:
            return None
        try:
            gray = read_small_gray(self.sequence.images[index], self.sequence.image_size)
        except ImageError as error:
            self.broken[index] = str(error)
            return None
        if gray.shape != self.size:
            return None
        if index not in self.sharpness:
            self.sharpness[index] = sharpness(gray)
            if index in self.kept:
                levels = LEVELS * gray.astype(np.float64)
                self.sums += np.stack([levels, levels * levels])
                self.summed += 1
        return gray


def _measure(reader: _Reader, firsts: Int[np.ndarray, "n"], gap: int) -> Pairs:
    rows: list[tuple[float, ...]] = []
    intrinsics = small_intrinsics(reader.sequence)
    reader.cache = {}
    for first in firsts.tolist():
        reader.cache = {i: gray for i, gray in reader.cache.items() if i >= first}
        a, b = reader.gray(first), reader.gray(first + gap)
        if a is None or b is None:
            continue
        flow, change = tile_flow(a, b), LEVELS * float(np.quantile(np.abs(b - a), 0.999))
        motion, parallax, gain = (np.nan, np.nan, np.nan)
        if (turn := fit_turn(flow, intrinsics)) is not None:
            way = np.linalg.norm(flow.motion[flow.found], axis=1)
            motion, parallax = (
                np.median(x) / max(reader.size) for x in (way, turn.rest[flow.found])
            )
            gain = np.median(flow.gain[flow.found])
        rows.append((first, flow.found_share, float(motion), float(parallax), float(gain), change))
    first, *columns = np.array(rows, np.float64).reshape(-1, len(Pairs._fields)).T
    return Pairs(first.astype(int), *columns)


class Turn(NamedTuple):
    """The rotation that explains most of an image motion."""

    rotation: Float64[np.ndarray, "3 3"]  # points of the first camera into the second
    rest: Float32[np.ndarray, "n"]  # pixels of motion left over at each tile; inf where not found


def fit_turn(flow: TileFlow, intrinsics: Float[np.ndarray, "3 3"]) -> Turn | None:
    """The rotation with the least sum of distances to the motion of the tiles.

    Under a rotation R a pixel p moves to K R K^-1 p, whatever its depth; what is left over is the
    parallax. Distances, not squares (reweighted least squares), so that movers have little say.
    None if fewer than 8 tiles were found. `intrinsics` are in pixels of the flow.
    """
    if flow.found.sum() < FEWEST_TILES:
        return None
    focal, center = np.diag(intrinsics)[:2], intrinsics[:2, 2]
    before = (flow.centers[flow.found] - center) / focal
    after = (flow.centers + flow.motion)[flow.found] - center
    rays = np.concatenate([before, np.ones((len(before), 1))], 1)
    turn = np.eye(3)
    for _ in range(TURN_STEPS):
        left, slope = _turn_step(turn, rays, after, focal)
        weight = 1 / np.sqrt(np.square(left).sum(1) + 0.01)[:, None, None]  # 0.1 pixels are none
        # Normal equations of the weighted step: a turn has three unknowns, whatever the tiles.
        square = (weight * slope).transpose(0, 2, 1) @ slope
        aim = (weight * slope * left[..., None]).sum((0, 1))
        turn = Rotation.from_rotvec(np.linalg.solve(square.sum(0), aim)).as_matrix() @ turn
    rest = np.full(len(flow.motion), np.inf, np.float32)
    rest[flow.found] = np.linalg.norm(_turn_step(turn, rays, after, focal)[0], axis=1)
    return Turn(turn, rest)


def _turn_step(
    turn: Float64[np.ndarray, "3 3"], rays: Float64[np.ndarray, "n 3"],
    after: Float64[np.ndarray, "n 2"], focal: Float64[np.ndarray, " 2"],
) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "n 2 3"]]:  # fmt: skip
    """What is left over of the motion, in pixels, and its derivative by a small further turn."""
    # Derivative of (x / z, y / z) by a small turn: the classic flow of a rotating camera
    # (Longuet-Higgins and Prazdny, 1980); no depth in it.
    x, y, z = turn @ rays.T
    x, y = x / np.maximum(z, 1e-6), y / np.maximum(z, 1e-6)
    slope = np.stack([-x * y, 1 + x * x, -y, -1 - y * y, x * y, x], 1).reshape(-1, 2, 3)
    return after - focal * np.stack([x, y], 1), focal[:, None] * slope


def sharpness(gray: Map) -> float:
    """How much a blur takes from an image: near 1 if it is blurred already, about 2 if sharp.

    Sum of differences between neighbors, divided by what is left of it after the mean over five
    pixels, along rows or columns, whichever suffers less: blur by motion has a direction
    (after Crete et al., 2007, https://doi.org/10.1117/12.702790).
    """
    ratios: list[float] = []
    for image in (gray, gray.T):
        total = np.cumsum(np.pad(image, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
        smooth = (total[SMOOTHING:] - total[:-SMOOTHING]) / SMOOTHING
        before, after = (float(np.abs(np.diff(x, axis=0)).sum()) for x in (image, smooth))
        ratios.append((before + 1e-6) / (after + 1e-6))
    return min(ratios)


def reduction_to(side: int, size: tuple[int, int]) -> int:
    """Pixels of a frame (height, width) that make one, each way, so that `side` are left at least.

    1 if the frame has no more.
    """
    return next((r for r in REDUCTIONS if min(size) // r >= side), 1)


def small_size(size: tuple[int, int]) -> tuple[int, int]:
    """Size (height, width) of the small gray image of a frame of this size."""
    reduction = reduction_to(SHORT_SIDE, size)
    return size[0] // reduction, size[1] // reduction


def read_small_gray(path: Path, size: tuple[int, int]) -> Map:
    """Gray values in [0, 1] of a frame of this size, reduced until its shorter side is near 96."""
    return read_image(path, reduction=reduction_to(SHORT_SIDE, size)) @ (LUMA / 255)


def small_intrinsics(sequence: FrameSequence) -> Float64[np.ndarray, "3 3"]:
    """Camera of the small gray images; that of an everyday lens if it is unknown."""
    height, width = small_size(sequence.image_size)
    if sequence.intrinsics is None:
        focal = ASSUMED_FOCAL * max(height, width)
        return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    reduction = reduction_to(SHORT_SIDE, sequence.image_size)
    return scaled_intrinsics(sequence.intrinsics, 1 / reduction, 1 / reduction)


def spread_out(count: int, most: int) -> Int[np.ndarray, "n"]:
    """At most so many of the numbers from 0 to `count` - 1, evenly spread."""
    if count <= most:
        return np.arange(max(count, 0))
    return np.linspace(0, count - 1, most).round().astype(int)


def check_motion(video: VideoStatistics) -> Iterator[Finding]:
    """Motion of the camera: none, too little, too much, only turning, or not of one shot."""
    pairs = video.pairs[1]
    if not len(pairs.first):
        return
    lost, second = pairs.found < UNLIKE, pairs.first + 1
    if lost.mean() > UNRELATED_SHARE:
        yield Finding(
            "frames-too-far-apart", "blocking",
            f"{lost.mean():.0%} of the frames have next to nothing in common with the one before",
            "take more frames of the video (`ssmde prepare` with a smaller --step), and see "
            "that their names sort them by time", tuple(second[lost].tolist()),
        )  # fmt: skip
        return
    if lost.any():
        yield Finding(
            "scene-cuts", "warning", "these frames have next to nothing in common with the one "
            "before; snippets across a cut teach nonsense",
            "split the scene there: `ssmde prepare` does it, or move the frames from each "
            "cut on into a folder of their own, with its cam.txt", tuple(second[lost].tolist()),
        )  # fmt: skip
    far = (pairs.motion > JUMP) & ~lost
    if far.any() and not _median(pairs.motion) > FAR_MOTION:
        yield Finding(
            "jumps", "warning", f"the image jumps to these frames, by {JUMP:.0%} to "
            f"{pairs.motion[far].max():.0%} of its longer side: a scene cut, a quick turn, or "
            "missing frames",
            "split the scene there as at a cut, or take more frames of these stretches",
            tuple(second[far].tolist()),
        )  # fmt: skip
    each = [(some.motion < STILL).mean() for some in video.pairs.values() if len(some.first)]
    if min(each) >= STILL_SHARE:
        yield Finding(
            "static-camera", "blocking", "the camera does not move: the image moves less than "
            f"{_pixels(video, STILL):.1f} pixels, also {max(video.pairs)} frames on",
            "leave the scene out; depth is learned from a moving camera, and neither zoom nor "
            "moving people replace it",
        )  # fmt: skip
        return
    turning = list(_turning(video))
    if not any(finding.severity == "blocking" for finding in turning):
        yield from _rests(pairs)
        yield from _gaps(video)
    yield from turning


def _rests(pairs: Pairs) -> Iterator[Finding]:
    """Stretches of a moving camera's video in which it rests."""
    still = pairs.motion < STILL
    rows = np.split(np.arange(len(pairs.first)), np.flatnonzero(np.diff(still)) + 1)
    resting = [row for row in rows if len(row) >= STRETCH and still[row[0]]]
    if not resting or np.median(np.diff(pairs.first)) > 1:  # a sample shows no stretches
        return
    frames = pairs.first[np.concatenate(resting)]
    share = len(frames) / len(pairs.first)
    yield Finding(
        "still-stretches", "note" if share < 0.2 else "warning",
        f"the camera rests in {share:.0%} of the frames; what moves there by itself looks "
        "infinitely far or near",
        "drop these frames (`ssmde prepare` does it), or train with a wider --data.frame-gaps",
        tuple(frames.tolist()),
    )  # fmt: skip


def suggested_gaps(video: VideoStatistics) -> tuple[int, ...]:
    """Gaps with enough parallax at which frames still show the same; the best one if none is fit.

    Empty if at no gap enough is seen again.
    """
    seen = {
        gap: _median(pairs.parallax)
        for gap, pairs in video.pairs.items()
        if _median(pairs.parallax) >= 0 and _median(pairs.found) >= LEAST_FOUND
    }
    fit = [gap for gap, parallax in seen.items() if parallax >= LEAST_PARALLAX]
    return tuple(fit[:MOST_GAPS] or sorted(seen, key=lambda gap: seen[gap])[-1:])


def _gaps(video: VideoStatistics) -> Iterator[Finding]:
    neighbors, gaps = video.pairs[1], suggested_gaps(video)
    found, motion = _median(neighbors.found), _median(neighbors.motion)
    if np.isnan(motion):
        yield Finding(
            "no-texture", "blocking",
            "the images show nothing that could be followed from frame to frame",
            "look at them: they are blank, out of focus, or too dark",
        )  # fmt: skip
    elif found < FAR_FOUND or motion > FAR_MOTION:
        yield Finding(
            "frames-too-far-apart", "warning",
            f"from frame to frame the image moves by {motion:.0%} of its longer side, and "
            f"{found:.0%} of it is found again, in the median",
            "take more frames of the video: `ssmde prepare` with a smaller --step",
        )  # fmt: skip
    elif gaps and gaps[0] > 1:
        words = " ".join(map(str, gaps))
        single = " ".join(f"{video.sequence.name} {gap}" for gap in gaps)
        parallax = [_median(video.pairs[gap].parallax) for gap in (1, gaps[0])]
        little = "; it is little even so: record with more motion"
        yield Finding(
            "frames-too-dense", "warning",
            f"from frame to frame the parallax is {_pixels(video, parallax[0]):.1f} pixels, "
            f"{gaps[0]} frames on {_pixels(video, parallax[1]):.1f}",
            f"train with --data.frame-gaps {words}, or for this scene alone "
            f"--data.scene-gaps {single}" + (little if parallax[1] < LEAST_PARALLAX else ""),
        )  # fmt: skip


def _turning(video: VideoStatistics) -> Iterator[Finding]:
    """Says if the camera mostly turns, and whether its motion is known."""
    shares = [np.zeros(0)]
    for gap in suggested_gaps(video):
        pairs = video.pairs[gap]
        turned = pairs.motion > TURNED
        shares.append((pairs.parallax / np.maximum(pairs.motion, TURNED))[turned])
    share, scene = _median(np.concatenate(shares)), video.sequence
    if share < ONLY_TURNING:
        yield Finding(
            "only-rotation", "blocking", f"a turn of the camera explains {1 - share:.0%} of the "
            "image motion; what only turns shows no depth",
            "leave the scene out, or record it while walking",
        )  # fmt: skip
    elif share < TURNING:  # not if nothing turned
        known = scene.tracked_poses is not None or scene.poses is not None
        which = "tracked" if scene.tracked_poses is not None else "file"
        yield Finding(
            "mostly-rotation", "note" if known else "warning",
            f"a turn of the camera explains {1 - share:.0%} of the image motion; a pose network "
            "that sees two frames is not exact enough for the rest",
            f"train with --data.poses {which}" if known else
            f"`ssmde track {scene.images[0].parent}`, then train with --data.poses tracked",
        )  # fmt: skip


def _pixels(video: VideoStatistics, share: float) -> float:
    """A share of the longer side in pixels of the stored images."""
    return share * max(video.sequence.image_size)


def _median(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def check_pictures(video: VideoStatistics) -> Iterator[Finding]:
    """The pictures: broken, repeated, blurred, of jumping brightness, with bars or an overlay."""
    pairs = video.pairs[1]
    if video.broken:
        frames, reasons = tuple(video.broken), "; ".join(list(video.broken.values())[:2])
        yield Finding(
            "broken-images", "warning",
            f"{counted(len(frames), 'image')} cannot be read: {reasons}",
            "copy or extract them again; training leaves them out", frames,
        )  # fmt: skip
    same = pairs.change <= SAME_LEVELS
    if same.any() and same.mean() <= REPEATED_SHARE:
        yield Finding(
            "duplicates", _by_share(same.mean()),
            f"{same.mean():.0%} of the frames repeat the one before",
            "delete them, or take fewer frames of the video (`ssmde prepare` drops still frames)",
            tuple((pairs.first[same] + 1).tolist()),
        )  # fmt: skip
    if blurred := _blurred(video):
        yield Finding(
            "blur", _by_share(len(blurred) / len(video.frames)),
            "these frames are much more blurred than those around them",
            "delete them (`ssmde prepare` drops blurred frames); a few do little harm", blurred,
        )  # fmt: skip
    change = np.abs(np.log(pairs.gain))
    jumps = change > EXPOSURE  # False for nan
    if jumps.any():
        yield Finding(
            "exposure-jumps", _by_share(jumps.mean()),
            f"the same things are up to {np.exp(change[jumps].max()) - 1:.0%} brighter or "
            "darker in these frames than in the one before",
            "record with exposure locked, or drop these frames; a few do little harm",
            tuple((pairs.first[jumps] + 1).tolist()),
        )  # fmt: skip
    yield from _bars_and_overlay(video)


def _by_share(share: float) -> Literal["warning", "note"]:
    return "warning" if share > MANY else "note"


def _blurred(video: VideoStatistics) -> tuple[int, ...]:
    def around(index: int) -> Values:
        return video.sharpness[np.abs(video.frames - index) <= AROUND]

    return tuple(
        index
        for index, value in zip(video.frames.tolist(), video.sharpness.tolist(), strict=True)
        if len(near := around(index)) > FEWEST_AROUND and value < BLURRED * np.median(near)
    )


def _bars_and_overlay(video: VideoStatistics) -> Iterator[Finding]:
    """Black borders in all frames, and edges that stand still: a logo, a clock, a bonnet."""
    reduction, bars = reduction_to(SHORT_SIDE, video.sequence.image_size), _bars(video)
    if any(bars):
        top, bottom, left, right = (n * reduction for n in bars)
        yield Finding(
            "bars", "warning", f"black bars in all frames, about {top} rows above, {bottom} below, "
            f"{left} columns left and {right} right",
            "cut them off, subtract what is cut at the left from cx and at the top from cy in "
            "cam.txt",
        )  # fmt: skip
    widest = [*video.pairs[max(video.pairs)].motion, 0.0]
    if not np.nanmax(widest) > OVERLAY_MOTION or len(video.frames) < OVERLAY_FRAMES:
        return
    gy, gx = np.gradient(video.mean)
    slope = np.hypot(gx, gy)
    # an edge of that slope that moved would change the pixel by the slope times the way
    fixed = (slope > OVERLAY_EDGE) & (video.spread < OVERLAY_STILL * slope)
    height, width = fixed.shape
    top, bottom, left, right = (n + 2 if n else 0 for n in bars)  # a bar's own edge is none
    inside = np.zeros_like(fixed)
    inside[top : height - bottom, left : width - right] = True
    fixed &= inside
    if fixed.sum() < OVERLAY_PIXELS:
        return
    rows, columns = (np.flatnonzero(fixed.any(axis)) * reduction for axis in (1, 0))
    last = reduction - 1
    yield Finding(
        "overlay", "warning", "something stands still in all frames while the camera moves (a "
        "logo, a clock, a part of the vehicle, a car that is followed): within rows "
        f"{rows[0]} to {rows[-1] + last} and columns {columns[0]} to {columns[-1] + last}",
        "record without it, or cut the images so that it is outside; training takes it for "
        "something infinitely far",
    )  # fmt: skip


def _bars(video: VideoStatistics) -> list[int]:
    """Rows above and below, columns left and right that are black in all frames, in map pixels."""
    sides: list[int] = []
    for axis in (1, 0):
        dark = (video.mean.max(axis) < BLACK) & (video.spread.max(axis) < CONSTANT)
        dark &= np.ptp(video.mean, axis=axis) < UNIFORM
        for line in (dark, dark[::-1]):
            width = len(line) if line.all() else int(line.argmin())
            sides.append(width if width <= MOST_BAR * len(line) else 0)
    return sides
