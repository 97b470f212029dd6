"""Frames that tell the scale: read, with their depth in scene units and their camera."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8

from ssmde.data.dataset import spread
from ssmde.data.images import ImageError, read_image, resize_image
from ssmde.data.motion import turn_degrees
from ssmde.data.sequence import FrameSequence
from ssmde.geometry.camera import scale_intrinsics
from ssmde.inference.loading import MotionPredictor
from ssmde.inference.predictor import Predictor
from ssmde.scaling.camera_height import height_over_ground
from ssmde.scaling.known_poses import View, coarse_factor, fine_factor

GAPS = (1, 4)  # frames between a frame and those it is rebuilt from, to either side
LARGEST_TURN = 20.0  # degrees between the two; beyond, they hardly show the same
FRAMES_FOR_COARSE = 8
PARTS_OF_WAY = 10  # of a video whose speed is known: each is one estimate

Scenes = Sequence[FrameSequence]
Advance = Callable[[float], None]
"""Told how much of the work is done, from 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Asked:
    """What is looked at, and by what."""

    scenes: Scenes
    predictor: Predictor
    max_frames: int
    advance: Advance

    def frames(self) -> list[tuple[FrameSequence, int]]:
        """At most `max_frames` frames of all scenes, evenly spread."""
        every = [(scene, i) for scene in self.scenes for i in range(len(scene))]
        return [every[i] for i in spread(len(every), self.max_frames)]

    def depth(self, pixels: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "k m"]:
        """Depth in scene units, at the size of the network."""
        return self.predictor.network_depth(pixels) / (self.predictor.metres_per_unit or 1.0)

    def intrinsics(self, scene: FrameSequence) -> Float64[np.ndarray, "3 3"]:
        """Pinhole matrix in pixels of the network's size.

        Raises:
            ValueError: If nobody knows it.
        """
        if scene.intrinsics is None:
            raise ValueError(
                f"scene '{scene.name}': its camera is unknown; write the 3 x 3 matrix to "
                f"{scene.images[0].parent / 'cam.txt'}, or measure a few points"
            )
        size = self.predictor.size_for(scene.image_size)
        sizes = zip(size, scene.image_size, strict=True)
        down, across = (network / stored for network, stored in sizes)
        camera = torch.from_numpy(scene.intrinsics.astype(np.float64))
        return scale_intrinsics(camera, across, down).numpy()


def from_camera_height(asked: Asked, height: float) -> list[float]:
    """Metres per unit, one estimate from each frame that shows ground."""
    found = list[float]()
    frames = asked.frames()
    for done, (scene, index) in enumerate(frames, 1):
        asked.advance(done / len(frames))
        try:
            depth = asked.depth(read_image(scene.images[index]))
        except ImageError:
            continue
        measured = height_over_ground(depth, asked.intrinsics(scene))
        if measured is not None:
            found.append(height / measured)
    return found


def from_poses(asked: Asked) -> list[float]:
    """Metres per unit, one estimate from each frame whose neighbours have poses.

    Raises:
        ValueError: If no scene has poses.
    """
    with_poses = [scene for scene in asked.scenes if scene.poses is not None]
    if not with_poses:
        raise ValueError(
            "no scene has a poses.txt: give camera height, speed or points, or write the poses"
        )
    views = list(_views(asked))
    middle = coarse_factor([views[i] for i in spread(len(views), FRAMES_FOR_COARSE)])
    asked.advance(0.5)
    if middle is None:
        return []
    found = list[float]()
    for done, view in enumerate(views, 1):
        factor = fine_factor(view, middle)
        asked.advance(0.5 + done / len(views) / 2)
        found += [] if factor is None else [factor]
    return found


def from_speed(asked: Asked, speed: float, motion: MotionPredictor) -> list[float]:
    """Metres per unit: the true way over the way the pose network saw, for each part of a video.

    Raises:
        ValueError: If a scene has no times.
    """
    found = list[float]()
    for place, scene in enumerate(asked.scenes):
        if scene.timestamps is None:
            raise ValueError(
                f"scene '{scene.name}': a speed needs times; write fps to "
                f"{scene.images[0].parent / 'scene.json'}"
            )
        starts = range(0, len(scene) - motion.gap, motion.gap)
        rows = list[tuple[float, float]]()
        for i in (starts[k] for k in spread(len(starts), asked.max_frames)):
            try:
                views = [motion.see(read_image(scene.images[j])) for j in (i, i + motion.gap)]
            except ImageError:
                continue
            seen = float(np.linalg.norm(motion(views[0], views[1])[:3, 3]))
            rows.append(
                (speed * float(scene.timestamps[i + motion.gap] - scene.timestamps[i]), seen)
            )
            asked.advance((place + i / len(scene)) / len(asked.scenes))
        for part in np.array_split(np.array(rows).reshape(-1, 2), PARTS_OF_WAY):
            true, seen = part.sum(0).tolist()
            found += [true / seen] if seen > 0 and true > 0 else []
    return found


def _views(asked: Asked) -> Iterator[View]:
    """Frames with neighbours whose motion in metres is known."""
    for scene, index in asked.frames():
        others = _others(scene, index)
        if not others:
            continue
        poses = scene.poses
        assert poses is not None
        try:
            pixels = [read_image(scene.images[i]) for i in (index, *others)]
        except ImageError:
            continue
        size = asked.predictor.size_for(pixels[0].shape)
        images = np.stack([resize_image(view, size) for view in pixels])
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        T = np.linalg.inv(poses[others].astype(np.float64)) @ poses[index]
        yield View(
            target=batch[:1],
            others=batch[1:],
            depth=torch.from_numpy(asked.depth(pixels[0]))[None, None].float(),
            T_other_target=torch.from_numpy(T).float(),
            intrinsics=torch.from_numpy(asked.intrinsics(scene))[None].float(),
        )


def _others(scene: FrameSequence, index: int) -> list[int]:
    """Neighbours whose motion is known, is some, and is no large turn."""
    poses = scene.poses
    if poses is None or not np.isfinite(poses[index]).all():
        return []
    found = list[int]()
    for other in (index + sign * gap for gap in GAPS for sign in (-1, 1)):
        if not 0 <= other < len(scene) or not np.isfinite(poses[other]).all():
            continue
        T = np.linalg.inv(poses[other].astype(np.float64)) @ poses[index]
        if turn_degrees(T[:3, :3]) <= LARGEST_TURN and np.linalg.norm(T[:3, 3]) > 0:
            found.append(other)
    return found
