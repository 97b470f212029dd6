"""The source `grounded:<weights>`: labels of one's own, from video alone.

A network that was trained here with tracked motion knows the static scene. What moves is found by
comparing each frame with others of its video, and stands on the ground: `methods/grounding.py`.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8

from ssmde.data.images import ImageError, read_image, resize_image
from ssmde.data.pseudo_depth import LabelInfo
from ssmde.data.sequence import FrameSequence
from ssmde.geometry.camera import scale_intrinsics
from ssmde.labelling.source import Asked, Maps, Source, to_batch
from ssmde.labelling.weights import open_own
from ssmde.methods.grounding import find_movers, ground_plane, least_error, stand_on_ground

# Frames a frame is compared with: near ones look alike, in far ones the mover has gone.
OFFSETS = (6, 12, 18, 24, 36, 48, 64, 80)


class _Views(NamedTuple):
    """A frame, others of its video, and how the camera moved between them."""

    images: UInt8[np.ndarray, "n h w 3"]
    T_other_view: Float[np.ndarray, "m 4 4"]
    intrinsics: Float[np.ndarray, "3 3"]


def open_grounded(asked: Asked) -> Source:
    """Static depth of a network trained here, and movers on the ground, in the network's own unit.

    The network was trained with `data.poses tracked` on the same motion, so that is the unit of the
    motion too.

    Raises:
        FileNotFoundError: If there are no weights.
        ValueError: If they are of another kind.
    """
    own = open_own(asked)
    size = own.info.network_size
    assert size is not None

    def read(scene: FrameSequence, index: int) -> _Views:
        return _read_views(scene, index, size)

    @torch.inference_mode()
    def label(frames: list[_Views]) -> Maps:
        depths = own.label([views.images[0] for views in frames])
        return [
            _grounded(views, torch.from_numpy(depth).to(asked.device))
            for views, depth in zip(frames, depths, strict=True)
        ]

    info = LabelInfo(
        source=own.info.source.replace("ssmde:", "grounded:"), version=own.info.version,
        kind="depth", affine=False, licence=own.info.licence, network_size=size,
    )  # fmt: skip
    return Source(info=info, label=label, read=read)


def _read_views(scene: FrameSequence, index: int, size: tuple[int, int]) -> _Views:
    """A frame with the others it is compared with.

    Raises:
        ImageError: If it cannot be read, or its motion is not known.
        ValueError: If the scene was not tracked, or its camera is not known.
    """
    folder = scene.images[0].parent
    poses, parts = scene.tracked_poses, scene.tracked_parts
    if poses is None or parts is None or scene.intrinsics is None:
        raise ValueError(
            f"scene '{scene.name}': source 'grounded' needs {folder / 'cam.txt'} and the motion "
            f"that `ssmde track {folder.parent}` finds"
        )
    known = np.isfinite(poses).all((1, 2)) & (parts == parts[index])
    near = (index + sign * offset for offset in OFFSETS for sign in (1, -1))
    others = [i for i in near if 0 <= i < len(scene) and known[i]]
    if not known[index] or not others:
        raise ImageError(f"{scene.frame_name(index)}: its motion is not known")
    images = [resize_image(read_image(scene.images[i]), size) for i in (index, *others)]
    scale = size[1] / scene.image_size[1], size[0] / scene.image_size[0]
    camera = torch.from_numpy(scene.intrinsics.astype(np.float64))
    return _Views(
        images=np.stack(images),
        T_other_view=np.linalg.inv(poses[others].astype(np.float64)) @ poses[index],
        intrinsics=scale_intrinsics(camera, *scale).numpy(),
    )


def _grounded(views: _Views, depth: Float[torch.Tensor, "h w"]) -> np.ndarray:
    """Depth of a frame; 0 on movers where no ground is found."""
    device = depth.device
    images = to_batch(list(views.images), device)
    static = depth[None, None]
    T = torch.from_numpy(views.T_other_view).float().to(device)
    intrinsics = torch.from_numpy(views.intrinsics).float()[None].to(device)
    movers = find_movers(least_error(images[:1], images[1:], static, T, intrinsics))
    ground = ground_plane(static, movers)
    if ground is None:
        found = torch.where(movers, torch.zeros_like(static), static)
    else:
        found = stand_on_ground(static, movers, ground)
    return found[0, 0].cpu().numpy()
