"""Motion between the frames of a sequence, where its poses are known."""

import numpy as np
from jaxtyping import Bool, Float, Float64

from ssmde.config import DataConfig
from ssmde.data.sequence import FrameSequence

MIRROR = np.diag((-1.0, 1.0, 1.0, 1.0))  # x to the left: the camera of a mirrored image


def known_poses(
    sequence: FrameSequence, data: DataConfig
) -> tuple[Float[np.ndarray, "n 4 4"], Float[np.ndarray, " n"]] | None:
    """Camera-to-world matrices as `data.poses` asks, and the part of the video each belongs to.

    Poses of two parts have worlds and units of their own. Unknown poses are nan.

    Returns:
        None if `data.poses` is `none`.

    Raises:
        ValueError: If the scene does not have them; the message says how to get them.
    """
    if data.poses == "none":
        return None
    folder = sequence.images[0].parent
    if data.poses == "file":
        if sequence.poses is None:
            raise ValueError(
                f"scene '{sequence.name}': data.poses is file, but {folder / 'poses.txt'} does not "
                "exist; write it, or let `ssmde track` find the motion and take tracked"
            )
        return sequence.poses, np.zeros(len(sequence))
    if sequence.tracked_poses is None or sequence.tracked_parts is None:
        raise ValueError(
            f"scene '{sequence.name}': data.poses is tracked, but {folder / 'tracked_poses.txt'} "
            f"does not exist; `ssmde track {folder.parent}` writes it"
        )
    return sequence.tracked_poses, sequence.tracked_parts


def relative_motion(
    poses: Float[np.ndarray, "n 4 4"], target: int, sources: tuple[int, ...], *, flip: bool
) -> Float64[np.ndarray, "s 4 4"]:
    """`T_src_tgt` of each source: points of the target camera into the source camera.

    Args:
        poses: Camera to world.
        target: Index of the target frame.
        sources: Indices of the source frames.
        flip: True if all images are mirrored left to right.
    """
    T = np.linalg.inv(poses[list(sources)].astype(np.float64)) @ poses[target]
    return MIRROR @ T @ MIRROR if flip else T


def usable_gaps(
    sequence: FrameSequence, data: DataConfig, gaps: tuple[int, ...]
) -> Bool[np.ndarray, "n g"]:
    """Whether a frame can be a target with its sources so far before and behind it.

    Both sources lie in the sequence. Where poses are asked for they are known, of one part of the
    video, of one part of the video.
    """
    count = len(sequence)
    usable = np.zeros((count, len(gaps)), dtype=bool)
    known = known_poses(sequence, data)
    for column, gap in enumerate(gaps):
        inside = slice(gap, max(gap, count - gap))
        usable[inside, column] = True
        if known is None or 2 * gap >= count:
            continue
        before = _moved(*known, gap) >= 0  # entry i: between i and i + gap
        usable[inside, column] = before[: count - 2 * gap] & before[gap:]
    return usable


def _moved(
    poses: Float[np.ndarray, "n 4 4"], parts: Float[np.ndarray, " n"], gap: int
) -> Float[np.ndarray, " m"]:
    """Way of the camera from each frame to the one `gap` later; -1 where nobody knows."""
    way = np.linalg.norm(poses[gap:, :3, 3] - poses[:-gap, :3, 3], axis=1)
    known = np.isfinite(way) & np.isfinite(poses[gap:]).all((1, 2)) & (parts[gap:] == parts[:-gap])
    return np.where(known & np.isfinite(poses[:-gap]).all((1, 2)), way, -1.0)


def turn_degrees(rotation: Float[np.ndarray, "3 3"]) -> float:
    """How far a rotation turns, in degrees, 0 to 180."""
    cosine = (np.trace(rotation) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
