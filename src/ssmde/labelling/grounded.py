"""The source `grounded:<weights>`: labels of one's own, from video alone.

A network that was trained here with tracked motion knows the static scene. What moves is found by
comparing each frame with others of its video, and stands on the ground: `methods/grounding.py`.
"""

import numpy as np
import torch
from jaxtyping import Float

from ssmde.data.motion import SourceFrames, read_source_frames
from ssmde.data.pseudo_labels import LabelInfo
from ssmde.data.sequence import FrameSequence
from ssmde.labelling.source import Asked, Maps, Source, to_batch
from ssmde.labelling.weights import open_own
from ssmde.methods.grounding import find_movers, ground_plane, least_error, stand_on_ground


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

    def read(scene: FrameSequence, index: int) -> SourceFrames:
        return read_source_frames(scene, index, size)

    @torch.inference_mode()
    def label(frames: list[SourceFrames]) -> Maps:
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


def _grounded(views: SourceFrames, depth: Float[torch.Tensor, "h w"]) -> np.ndarray:
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
