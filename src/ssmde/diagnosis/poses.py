"""Poses that came with the frames: their direction and axes, tested by the image motion.

Poses say on which line each part of the image moves, whatever its depth. What their author meant
puts the lines closest to where the parts went.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64

from ssmde.console import counted
from ssmde.data.images import ImageError
from ssmde.data.motion import TileFlow, tile_flow
from ssmde.data.scene_files import TRACKED_INFO
from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis import Finding
from ssmde.diagnosis.video import (
    FEWEST_TILES,
    VideoStatistics,
    read_gray,
    small_intrinsics,
    spread_out,
    suggested_gaps,
)
from ssmde.io import read_json

FEWEST_PAIRS = 4
CLEARLY = 0.9  # error of another meaning, as a share of that of ours, that speaks for it
VOTES = 0.75  # share of the pairs that say so
UNEXPLAINED = 0.8  # share of the motion that is left over, above which the poses explain nothing
MOVED = 1.0  # pixels of motion from which on that can be told
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


def check_poses(video: VideoStatistics, most: int) -> Iterator[Finding]:
    """Findings about the poses.txt of a scene, from at most so many pairs of frames."""
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
    best, unexplained = 1 + int(medians[1:-1].argmin()), UNEXPLAINED * medians[-1]
    votes = (ratios[:, best] < 1).mean()
    if medians[best] < min(CLEARLY, unexplained) and votes >= VOTES:
        what, remedy = MEANINGS[best - 1]
        yield Finding(
            "pose-direction", "blocking", f"poses.txt seems to lead {what}",
            f"{remedy}; it has to be camera to world, with x right, y down, z forward (the image "
            f"motion is then missed by {medians[best]:.2f} of what it is now)",
        )  # fmt: skip
    elif unexplained <= 1 and np.median(errors[:, -1]) > MOVED:
        yield Finding(
            "poses-unlike", "warning", "poses.txt does not explain how the image moves",
            "check that there is one pose for each frame, of the color camera; or delete poses.txt "
            "and let `ssmde track` find the motion",
        )  # fmt: skip


def check_tracking(sequence: FrameSequence) -> Iterator[Finding]:
    """How far the motion that `ssmde track` found can be trusted."""
    path = sequence.images[0].parent / TRACKED_INFO
    if sequence.tracked_poses is None or not path.is_file():
        return
    info = read_json(path)
    explained, doubtful, standing = (info[name] for name in ("explained", "doubtful", "standing"))
    if explained is None:
        return
    what = f"tracked motion explains {explained:.0%} of the matches of distant frames"
    what += f"; the camera stands in {counted(standing, 'frame')}" if standing else ""
    if not doubtful:
        yield Finding("tracked-motion", "note", what, "good motion has 90 % and more: use it")
        return
    yield Finding(
        "tracked-motion-doubtful", "warning",
        f"{what}; {counted(doubtful, 'frame')} of {len(sequence)} are left out: most of what is "
        "seen there moves, such as cars ahead as fast as the camera",
        "train without --data.poses tracked, so that a pose network finds the motion, or leave "
        "the scene out",
    )  # fmt: skip


def _missed(
    flow: TileFlow, T: Float64[np.ndarray, "4 4"], intrinsics: Float64[np.ndarray, "3 3"]
) -> float:
    """Pixels between the tiles and where the best positive depth of each would put them."""
    before = flow.centers[flow.found]
    after = before + flow.motion[flow.found]
    rays = np.concatenate([before, np.ones((len(before), 1))], 1) @ np.linalg.inv(intrinsics).T
    # A point at depth 1 / q lies at (R ray + q t) / q: the division by q drops out of the pixel.
    step = T[:3, 3] / max(float(np.linalg.norm(T[:3, 3])), 1e-9)
    points = (rays @ T[:3, :3].T)[:, None] + INVERSE_DEPTHS[:, None] * step
    ahead = points[..., 2] > 1e-3
    there = points @ intrinsics.T
    there = there[..., :2] / np.where(ahead, there[..., 2], 1)[..., None]
    distance = np.linalg.norm(there - after[:, None], axis=-1)
    return float(np.median(np.where(ahead, distance, np.inf).min(1))) + NOISE
