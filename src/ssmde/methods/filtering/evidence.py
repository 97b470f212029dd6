"""What the source views say of every pixel of the target: depth, way back, colour."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssmde.geometry.camera import MIN_DEPTH
from ssmde.geometry.pose import invert_motion
from ssmde.geometry.warp import reproject, sample
from ssmde.losses.photometric import photometric_error
from ssmde.methods.filtering.records import FilterInput

REFERENCE_WIDTH = 320  # image width for which tolerances in pixels are stated


class Evidence(NamedTuple):
    """Maps on the target's grid, one per source; 0 or False where that source sees nothing."""

    visible: Bool[Tensor, "b s h w"]
    """True where the pixel lands inside the source, in front of its camera."""
    depth_difference: Float[Tensor, "b s h w"]
    """(z - D) / (z + D), in (-1, 1): z is the depth of the point in the source camera, D that of
    the surface seen there. Positive: the source sees a nearer surface, the point is hidden."""
    return_error: Float[Tensor, "b s h w"]
    """Distance between the pixel and where it comes back to through the depth of the source, in
    pixels of an image 320 wide."""
    error: Float[Tensor, "b s h w"]
    """Photometric error of the target rebuilt from the source, in [0, 1]."""
    identity_error: Float[Tensor, "b s h w"]
    """Photometric error of the source left where it is, in [0, 1]; known everywhere."""


def gather_evidence(inputs: FilterInput) -> Evidence:
    """Look at every source through the teacher's depth, and back.

    The way back uses the inverse of the same motion: two motions said independently would measure
    how little they fit each other.

    Args:
        inputs: Images, depths and motions of a batch.
    """
    shape = inputs.sources.shape[:2]
    target, depth, intrinsics = (
        m[:, None].expand(*shape, *m.shape[1:]).flatten(0, 1)
        for m in (inputs.target, inputs.depth, inputs.intrinsics)
    )
    sources, source_depth, T = (
        m.flatten(0, 1) for m in (inputs.sources, inputs.source_depth, inputs.T_src_tgt)
    )
    known = is_depth(depth)
    found = reproject(torch.where(known, depth, torch.ones_like(depth)), T, intrinsics)
    visible = found.visible & known
    pixels = torch.where(visible.movedim(1, -1), found.pixels, torch.zeros_like(found.pixels))
    readable = torch.where(is_depth(source_depth), source_depth, torch.zeros_like(source_depth))
    read = sample(torch.cat([sources, readable], dim=1), pixels)
    sampled = read[:, 3:].clamp(min=MIN_DEPTH)
    difference = (found.depth - sampled) / (found.depth + sampled)
    back = _return_error(pixels, sampled, invert_motion(T), intrinsics)
    # Unseen pixels are black in `read`; they must not darken the SSIM windows of their neighbours.
    error = photometric_error(torch.where(visible, read[:, :3], target), target)
    difference, back, error = (
        torch.where(visible, m, torch.zeros_like(m)) for m in (difference, back, error)
    )
    identity = inputs.identity_error
    if identity is None:
        identity = photometric_error(sources, target).squeeze(1).unflatten(0, shape)
    maps = (visible, difference, back, error)
    return Evidence(*(m.squeeze(1).unflatten(0, shape) for m in maps), identity_error=identity)


def is_depth(values: Tensor) -> Tensor:
    """True where a value can be a depth: finite and positive."""
    return values.isfinite() & (values > 0)


def _return_error(
    pixels: Float[Tensor, "b h w 2"],
    depth: Float[Tensor, "b 1 h w"],
    T_tgt_src: Float[Tensor, "b 4 4"],
    intrinsics: Float[Tensor, "b 3 3"],
) -> Float[Tensor, "b 1 h w"]:
    """How far from its start a pixel lands that is lifted in the source and sent back.

    Infinite where it would land behind the target's camera.

    Args:
        pixels: Where the target's pixels lie in the source.
        depth: Depth the source gives itself there.
        T_tgt_src: Motion from the source camera to the target camera.
        intrinsics: Pinhole matrix of both, in pixels.
    """
    # Plane by plane, as `reproject` does, and no matrix product: exact under autocast.
    height, width = depth.shape[-2:]
    motion, camera = T_tgt_src[..., None, None], intrinsics[..., None, None]
    (fx, cx), (fy, cy) = ((camera[:, i, i], camera[:, i, 2]) for i in (0, 1))
    u, v = pixels.unbind(-1)
    z = depth.squeeze(1)
    x, y = (u - cx) / fx * z, (v - cy) / fy * z
    back_x, back_y, back_z = (
        row[:, 0] * x + row[:, 1] * y + row[:, 2] * z + row[:, 3] for row in motion[:, :3].unbind(1)
    )
    divisor = back_z.clamp(min=MIN_DEPTH)
    to_u = torch.arange(width, dtype=depth.dtype, device=depth.device)
    to_v = torch.arange(height, dtype=depth.dtype, device=depth.device)[:, None]
    way_u = fx * back_x / divisor + cx - to_u
    way_v = fy * back_y / divisor + cy - to_v
    distance = (way_u.square() + way_v.square()).sqrt() * (REFERENCE_WIDTH / width)
    return distance.masked_fill(back_z <= MIN_DEPTH, torch.inf).unsqueeze(1)
