"""The frames of a scene: how the image moves from one to another, and what follows from that.

Depth is learned from parallax: what no turn of the camera explains of the image motion. The limits
are those between recordings that networks were trained on with success: of `kitti_odom00` 1.0 % of
the image's longer side in the median from frame to frame, of `redkitchen` 0.7 % at gap 2, of
`bonn_crowd`, which needed tracked poses, 0.4 % at gap 12.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from ssmde.console import counted
from ssmde.data.images import REDUCTIONS, ImageError, read_image
from ssmde.data.motion import TileFlow, tile_flow
from ssmde.data.scene_files import TRACKED_INFO
from ssmde.data.sequence import FrameSequence, scaled_intrinsics
from ssmde.diagnosis import Finding
from ssmde.io import read_json

Values = Float64[np.ndarray, "_"]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
SHORT_SIDE = 96  # fewest rows or columns of a small gray image, where the frame has them
GAPS = (1, 2, 3, 5, 8, 12, 16, 24, 32)  # in stored frames
LOST = 0.3  # share of tiles found again at a gap, below which wider gaps are not looked at
FEWEST_TILES = 8  # that tell a rotation; three unknowns, and movers
ASSUMED_FOCAL = 0.8  # of the longer side, where the camera is unknown: 64 degrees
FULL, QUICK = (2000, 24), (20, 4)  # at most so many pairs of neighbors, and at each wider gap

STILL = 0.0012  # motion, as a share of the longer side, below which nothing moved: the noise
STILL_SHARE = 0.9  # of the pairs, from which on a camera is static
UNLIKE = 0.25  # share of tiles found again, below which two frames do not show the same
UNRELATED_SHARE = 0.25  # of the pairs, from which on they are no cuts in a video
FAR_FOUND = 0.5  # share of tiles found again from frame to frame, in the median
FAR_MOTION = 0.12  # motion from frame to frame, in the median
LEAST_PARALLAX = 0.004  # as a share of the longer side
LEAST_FOUND = 0.6  # share of tiles found again at a gap that is fit for training
MOST_GAPS = 3  # that are suggested
TURNING = 0.08  # parallax as a share of the motion, below which it is mostly rotation
ONLY_TURNING = 0.02  # and below which it is nothing else, within the precision of the tiles
TURNED = 0.02  # motion, as a share of the longer side, from which that share can be told

FEWEST_PAIRS = 4  # with poses
CLEARLY = 0.9  # error of another meaning, as a share of that of ours, that speaks for it
VOTES = 0.75  # share of the pairs that say so
UNEXPLAINED = 0.8  # share of the motion that is left over, above which poses explain nothing
NOISE = 0.1  # pixels that the motion of tiles is uncertain by
INVERSE_DEPTHS = np.concatenate([[0], np.geomspace(0.002, 0.5, 30)])  # of the camera's step
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # camera axes of OpenGL: y up, z backward
MEANINGS = (
    ("from world to camera", "write the inverse of each matrix"),
    ("from camera to world, but to a camera with y up and z backward",
     "negate the second and third column of each matrix"),
    ("from world to a camera with y up and z backward",
     "write the inverse of each matrix, then negate its second and third column"),
)  # fmt: skip
"""What poses may mean instead of camera to world, and what to do then."""


class Pairs(NamedTuple):
    """Motion between frames a fixed gap apart; lengths are shares of the longer side."""

    first: Int[np.ndarray, "n"]  # index of the earlier frame
    found: Values  # share of the tiles with texture that were found again; nan if none has any
    motion: Values  # length of the motion in the median over tiles; nan if too few were found
    parallax: Values
    """What no turn of the camera explains of it, in the median over tiles; nan as above."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class VideoStatistics:
    """How the image moves in a scene."""

    sequence: FrameSequence
    pairs: dict[int, Pairs]  # by their gap
    broken: dict[int, str]  # frames that could not be read, with the reason


def video_statistics(sequence: FrameSequence, neighbors: int, most: int) -> VideoStatistics:
    """Measure at most so many pairs of neighbors, and at most `most` at each wider gap."""
    broken: dict[int, str] = {}
    intrinsics = small_intrinsics(sequence)

    @lru_cache(64)
    def gray(index: int) -> Float32[np.ndarray, "h w"] | None:
        try:
            return read_gray(sequence, index)
        except ImageError as error:
            broken[index] = str(error)
            return None

    def measure(gap: int, most: int) -> Pairs:
        rows: list[tuple[float, ...]] = []
        for first in spread_out(len(sequence) - gap, most).tolist():
            a, b = gray(first), gray(first + gap)
            if a is None or b is None:
                continue
            flow, motion, parallax = tile_flow(a, b), np.nan, np.nan
            if (rest := fit_turn(flow, intrinsics)) is not None:
                way = np.linalg.norm(flow.motion[flow.found], axis=1)
                motion, parallax = (float(np.median(x)) / max(a.shape) for x in (way, rest))
            rows.append((first, flow.found_share, motion, parallax))
        first, *columns = np.array(rows, np.float64).reshape(-1, len(Pairs._fields)).T
        return Pairs(first.astype(int), *columns)

    pairs = {1: measure(1, neighbors)}
    for gap in GAPS[1:]:
        if 2 * gap >= len(sequence):  # no target has two sources
            break
        pairs[gap] = wide = measure(gap, most)
        if not (wide.found > LOST).sum() >= 0.5 * len(wide.found) > 0:
            break
    return VideoStatistics(sequence=sequence, pairs=pairs, broken=dict(sorted(broken.items())))


def fit_turn(flow: TileFlow, intrinsics: Float[np.ndarray, "3 3"]) -> Values | None:
    """Pixels of motion left over at each found tile by the turn that explains most of it.

    Under a rotation R a pixel p moves to K R K^-1 p, whatever its depth; what is left over is the
    parallax. The loss is nearly the distance, not its square, so that movers have little say.
    None if fewer than 8 tiles were found. `intrinsics` are in pixels of the flow.
    """
    if flow.found.sum() < FEWEST_TILES:
        return None
    after, rays = _tracks(flow, intrinsics)

    def left(turn: Values) -> Values:
        x, y, z = intrinsics @ Rotation.from_rotvec(turn).as_matrix() @ rays
        return (after - np.stack([x, y], 1) / np.maximum(z, 1e-6)[:, None]).ravel()

    # 0.1 pixels are none, and a hundredth is as good as exact.
    found = least_squares(left, np.zeros(3), loss="soft_l1", f_scale=0.1, ftol=1e-4, xtol=1e-5)
    return np.linalg.norm(left(found.x).reshape(-1, 2), axis=1)


def _tracks(
    flow: TileFlow, intrinsics: Float[np.ndarray, "3 3"]
) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, "3 n"]]:
    """Where the found tiles went, in pixels, and the rays on which they were."""
    before = flow.centers[flow.found].astype(np.float64)
    rays = np.linalg.solve(intrinsics, np.column_stack([before, np.ones(len(before))]).T)
    return before + flow.motion[flow.found], rays


def reduction_to(side: int, size: tuple[int, int]) -> int:
    """Pixels of a frame (height, width) that make one, each way, so that `side` are left at least.

    1 if the frame has no more.
    """
    return next((r for r in REDUCTIONS if min(size) // r >= side), 1)


def read_gray(sequence: FrameSequence, index: int) -> Float32[np.ndarray, "h w"]:
    """Gray values in [0, 1] of a frame, reduced until its shorter side is near 96.

    `ImageError` if it cannot be read or has another size than the scene.
    """
    path, size = sequence.images[index], sequence.image_size
    reduction = reduction_to(SHORT_SIDE, size)
    gray = read_image(path, reduction=reduction) @ (LUMA / 255)
    if gray.shape != (size[0] // reduction, size[1] // reduction):
        raise ImageError(f"{path}: has another size than the frames before")
    return gray


def small_intrinsics(sequence: FrameSequence) -> Float64[np.ndarray, "3 3"]:
    """Camera of the small gray images; that of an everyday lens if it is unknown."""
    reduction = reduction_to(SHORT_SIDE, sequence.image_size)
    if sequence.intrinsics is None:
        height, width = (n // reduction for n in sequence.image_size)
        focal = ASSUMED_FOCAL * max(height, width)
        return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    return scaled_intrinsics(sequence.intrinsics, 1 / reduction, 1 / reduction)


def spread_out(count: int, most: int) -> Int[np.ndarray, "n"]:
    """At most so many of the numbers from 0 to `count` - 1, evenly spread, both ends among them."""
    if count <= most:
        return np.arange(max(count, 0))
    return np.linspace(0, count - 1, most).round().astype(int)


def check_video(video: VideoStatistics) -> Iterator[Finding]:
    """Broken images; and motion of the camera: none, too little, too much, only turning, cuts."""
    if video.broken:
        frames, reasons = tuple(video.broken), "; ".join(list(video.broken.values())[:2])
        yield Finding(
            "broken-images", "warning",
            f"{counted(len(frames), 'image')} cannot be used: {reasons}",
            "copy or extract them again; training leaves them out", frames,
        )  # fmt: skip
    pairs = video.pairs[1]
    if not len(pairs.first):
        return
    lost = pairs.found < UNLIKE
    cuts = tuple((pairs.first + 1)[lost].tolist())
    if lost.mean() > UNRELATED_SHARE:
        yield Finding(
            "frames-too-far-apart", "blocking",
            f"{lost.mean():.0%} of the frames have next to nothing in common with the one before",
            "take more frames of the video (`ssmde prepare` with a smaller --step), and see "
            "that their names sort them by time", cuts,
        )  # fmt: skip
        return
    if cuts:
        yield Finding(
            "scene-cuts", "warning", "these frames have next to nothing in common with the one "
            "before; snippets across a cut teach nonsense",
            "split the scene there: `ssmde prepare` does it, or move the frames from each "
            "cut on into a folder of their own, with its cam.txt", cuts,
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
    share = _parallax_share(video)
    if share < ONLY_TURNING:
        yield Finding(
            "only-rotation", "blocking", f"a turn of the camera explains {1 - share:.0%} of the "
            "image motion; what only turns shows no depth",
            "leave the scene out, or record it while walking",
        )  # fmt: skip
        return
    yield from _check_gaps(video)
    if share < TURNING:  # not if nothing turned
        scene = video.sequence
        known = scene.tracked_poses is not None or scene.poses is not None
        which = "tracked" if scene.tracked_poses is not None else "file"
        yield Finding(
            "mostly-rotation", "note" if known else "warning",
            f"a turn of the camera explains {1 - share:.0%} of the image motion; a pose network "
            "that sees two frames is not exact enough for the rest",
            f"train with --data.poses {which}" if known else
            f"`ssmde track {scene.images[0].parent}`, then train with --data.poses tracked",
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


def _check_gaps(video: VideoStatistics) -> Iterator[Finding]:
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


def _parallax_share(video: VideoStatistics) -> float:
    """Share of the motion that no turn explains, in the median; nan if nothing turned."""
    shares = [np.zeros(0)]
    for gap in suggested_gaps(video):
        pairs = video.pairs[gap]
        turned = pairs.motion > TURNED
        shares.append(pairs.parallax[turned] / pairs.motion[turned])
    return _median(np.concatenate(shares))


def _pixels(video: VideoStatistics, share: float) -> float:
    """A share of the longer side in pixels of the stored images."""
    return share * max(video.sequence.image_size)


def _median(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def check_poses(video: VideoStatistics, most: int) -> Iterator[Finding]:
    """Whether poses.txt means something else than camera to world, by so many pairs of frames.

    Poses say on which line each part of the image moves, whatever its depth. What their author
    meant puts the lines closest to where the parts went.
    """
    sequence, poses = video.sequence, video.sequence.poses
    if poses is None or sequence.intrinsics is None:
        return
    intrinsics, gap = small_intrinsics(sequence), (suggested_gaps(video) or (1,))[0]
    known = np.isfinite(poses.sum((1, 2)))
    targets, rows = np.flatnonzero(known[:-gap] & known[gap:]), list[list[float]]()
    for target in targets[spread_out(len(targets), most)].tolist():
        try:
            flow = tile_flow(read_gray(sequence, target), read_gray(sequence, target + gap))
        except ImageError:  # a finding of its own
            continue
        if flow.found.sum() < FEWEST_TILES:
            continue
        first, second = poses[target], poses[target + gap]
        given, turned = np.linalg.inv(second) @ first, second @ np.linalg.inv(first)
        motions = (given, turned, FLIP @ given @ FLIP, FLIP @ turned @ FLIP, np.eye(4))
        rows.append([_missed(flow, T, intrinsics) for T in motions])
    if len(rows) < FEWEST_PAIRS:
        return
    errors = np.array(rows)
    ratios = errors / errors[:, :1]  # as they are, the three meanings, no motion at all
    medians = np.median(ratios, 0)
    best = 1 + int(medians[1:-1].argmin())
    limit = min(CLEARLY, UNEXPLAINED * medians[-1])
    if medians[best] < limit and (ratios[:, best] < 1).mean() >= VOTES:
        what, remedy = MEANINGS[best - 1]
        yield Finding(
            "pose-direction", "blocking", f"poses.txt seems to lead {what}",
            f"{remedy}; it has to be camera to world, with x right, y down, z forward (the image "
            f"motion is then missed by {medians[best]:.2f} of what it is now)",
        )  # fmt: skip


def _missed(
    flow: TileFlow, T: Float64[np.ndarray, "4 4"], intrinsics: Float64[np.ndarray, "3 3"]
) -> float:
    """Pixels between the tiles and where the best positive depth of each would put them."""
    after, rays = _tracks(flow, intrinsics)
    # A point at depth 1 / q lies at (R ray + q t) / q: the division by q drops out of the pixel.
    step = T[:3, 3] / max(float(np.linalg.norm(T[:3, 3])), 1e-9)
    points = (rays.T @ T[:3, :3].T)[:, None] + INVERSE_DEPTHS[:, None] * step
    ahead = points[..., 2] > 1e-3
    there = points @ intrinsics.T
    there = there[..., :2] / np.where(ahead, there[..., 2], 1)[..., None]
    distance = np.linalg.norm(there - after[:, None], axis=-1)
    return float(np.median(np.where(ahead, distance, np.inf).min(1))) + NOISE


def check_tracking(sequence: FrameSequence) -> Iterator[Finding]:
    """Frames whose motion, as `ssmde track` found it, cannot be trusted."""
    path = sequence.images[0].parent / TRACKED_INFO
    if sequence.tracked_poses is None or not path.is_file():
        return
    info = read_json(path)
    explained, doubtful, standing = (info[name] for name in ("explained", "doubtful", "standing"))
    if explained is None or not doubtful:
        return
    stands = f"; the camera stands in {counted(standing, 'frame')}" if standing else ""
    yield Finding(
        "tracked-motion-doubtful", "warning",
        f"tracked motion explains {explained:.0%} of the matches of distant frames{stands}; "
        f"{counted(doubtful, 'frame')} of {len(sequence)} are left out: most of what is seen there "
        "moves, such as cars ahead as fast as the camera",
        "train without --data.poses tracked, so that a pose network finds the motion, or leave "
        "the scene out",
    )  # fmt: skip
