"""Paths of the camera as a pose network says them, or as `ssmde track` found them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from ssmde.data.images import read_image
from ssmde.data.sequence import FrameSequence
from ssmde.inference.loading import MotionPredictor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CameraPath:
    """Where the camera was at some frames of a video, in a world and a unit of its own."""

    name: str
    """Scene, and the part of it where there are several."""
    poses: Float64[np.ndarray, "n 4 4"]
    """Camera to world."""
    frames: Int64[np.ndarray, " n"]
    """Indices of the frames in the scene."""
    step: int = 1
    """Frames from one pose to the next."""


def chain(motions: list[Float64[np.ndarray, "4 4"]]) -> Float64[np.ndarray, "n 4 4"]:
    """Camera-to-world poses from the motion of each step; the first is the identity.

    T_world_src = T_world_tgt (T_src_tgt)^-1, the target being the frame before.

    Args:
        motions: `T_src_tgt` from each frame to the next.
    """
    poses = [np.eye(4)]
    for T_src_tgt in motions:
        poses.append(poses[-1] @ np.linalg.inv(T_src_tgt))
    return np.array(poses)


def predicted_path(
    scene: FrameSequence, motion: MotionPredictor, advance: Callable[[], None] = lambda: None
) -> CameraPath:
    """Path by a pose network, in steps of the smallest gap it was trained on.

    Args:
        scene: The video.
        motion: The network.
        advance: Called after each frame.

    Raises:
        ImageError: If a frame cannot be read: a path with a hole is none.
    """
    frames = np.arange(0, len(scene), motion.gap)
    motions = list[Float64[np.ndarray, "4 4"]]()
    before = motion.see(read_image(scene.images[0]))
    for index in frames[1:].tolist():
        now = motion.see(read_image(scene.images[index]))
        motions.append(motion(before, now))
        before = now
        advance()
    return CameraPath(name=scene.name, poses=chain(motions), frames=frames, step=motion.gap)


def tracked_paths(scene: FrameSequence) -> Iterator[CameraPath]:
    """Paths that `ssmde track` found, one for each part of the video.

    Raises:
        ValueError: If the scene was not tracked.
    """
    poses, parts = scene.tracked_poses, scene.tracked_parts
    if poses is None or parts is None:
        folder = scene.images[0].parent
        raise ValueError(
            f"scene '{scene.name}': {folder / 'tracked_poses.txt'} does not exist; "
            f"`ssmde track {folder.parent}` writes it"
        )
    known = np.isfinite(poses).all((1, 2))
    numbers = np.unique(parts[known]).tolist()
    for number in numbers:
        frames = np.flatnonzero(known & (parts == number))
        name = scene.name if len(numbers) == 1 else f"{scene.name}, part {number:.0f}"
        yield CameraPath(name=name, poses=poses[frames].astype(np.float64), frames=frames)
