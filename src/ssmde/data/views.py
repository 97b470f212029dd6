"""A frame with others of its video, and how the camera moved between them as it was tracked."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8

from ssmde.data.images import ImageError, read_image, resize_image
from ssmde.data.sequence import FrameSequence
from ssmde.geometry.camera import scale_intrinsics

# Frames a frame is compared with: near ones look alike, in far ones a mover has gone.
OFFSETS = (6, 12, 18, 24, 36, 48, 64, 80)


class Views(NamedTuple):
    """A frame, others of its video, and how the camera moved between them."""

    images: UInt8[np.ndarray, "n h w 3"]
    """The frame, then the others."""
    T_other_view: Float[np.ndarray, "m 4 4"]
    """Motion from the camera of the frame to that of each other one, in the tracked unit."""
    intrinsics: Float[np.ndarray, "3 3"]
    """Pinhole matrix of all, in pixels of these images."""


def read_views(
    scene: FrameSequence,
    index: int,
    size: tuple[int, int],
    offsets: tuple[int, ...] = OFFSETS,
) -> Views:
    """A frame of a tracked scene with the others it is compared with.

    Args:
        scene: The video.
        index: The frame.
        size: Height and width of what is returned.
        offsets: The others are so many frames before and after.

    Raises:
        ImageError: If it cannot be read, or its motion is not known.
        ValueError: If the scene was not tracked, or its camera is not known.
    """
    folder = scene.images[0].parent
    poses, parts = scene.tracked_poses, scene.tracked_parts
    if poses is None or parts is None or scene.intrinsics is None:
        raise ValueError(
            f"scene '{scene.name}': to compare a frame with others needs {folder / 'cam.txt'} and "
            f"the motion that `ssmde track {folder.parent}` finds"
        )
    known = np.isfinite(poses).all((1, 2)) & (parts == parts[index])
    near = (index + sign * offset for offset in offsets for sign in (1, -1))
    others = [i for i in near if 0 <= i < len(scene) and known[i]]
    if not known[index] or not others:
        raise ImageError(f"{scene.frame_name(index)}: its motion is not known")
    images = [resize_image(read_image(scene.images[i]), size) for i in (index, *others)]
    scale = size[1] / scene.image_size[1], size[0] / scene.image_size[0]
    camera = torch.from_numpy(scene.intrinsics.astype(np.float64))
    return Views(
        images=np.stack(images),
        T_other_view=np.linalg.inv(poses[others].astype(np.float64)) @ poses[index],
        intrinsics=scale_intrinsics(camera, *scale).numpy(),
    )
