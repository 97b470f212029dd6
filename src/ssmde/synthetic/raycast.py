"""The ray-caster: what a pinhole camera sees of a scene, with depth and motion by formula.

One ray a pixel finds the surface; its t is the depth. Where the surface changes between
neighboring pixels four more rays smooth the color, never the depth.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from numpy import ndarray
from scipy import ndimage

from ssmde.synthetic.scene import Indices, Pixels, Placed, Scene, Values, place
from ssmde.synthetic.shading import Camera, Pinhole, Pose, shade

NEAR = 0.02  # metres from the camera's plane at which a part may be anywhere in the picture
MARGIN = 1e-6  # pixels, and metres, that a bound is widened against rounding
SPECK = 0.7  # pixels; parts that are smaller both ways are left out
SUBPIXELS = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))


class Picture(NamedTuple):
    """One frame and its truth."""

    image: UInt8[ndarray, "h w 3"]  # RGB
    depth: Float32[ndarray, "h w"]  # metres along z; 0 where the ray meets nothing
    moving: UInt8[ndarray, "h w"]  # 255 where the surface moves by itself at this time, else 0


class Outlines(NamedTuple):
    """Where the parts lie that a camera may see; q of the p parts, the nearest first."""

    part: Int64[ndarray, " q"]
    nearest: Float64[ndarray, " q"]  # least depth, in metres
    frame: Float64[ndarray, "q 4"]  # pixels around the part: left, top, right, bottom
    eye: Float64[ndarray, "q 3"]  # the camera's centre in the frame of the part


def outline(placed: Placed, camera: Camera, size: tuple[int, int], far: float) -> Outlines:
    """Rectangles around all parts that a camera may see, from the boxes around the parts.

    `size` is (height, width) in pixels, `far` the largest depth in metres.
    """
    points = (placed.corners - camera.origin) @ camera.rotation
    z = points[..., 2]
    low = (np.full(2, -1.0) - camera.centre) / camera.focal
    high = (np.array(size[::-1]) - camera.centre) / camera.focal
    # A part is out of sight if all its corners are beyond one side of the picture.
    hidden = (z < NEAR).all(1) | (z > far).all(1)
    for k in (0, 1):
        hidden |= (points[..., k] < low[k] * z).all(1) | (points[..., k] > high[k] * z).all(1)
    part = np.flatnonzero(~hidden)
    z, nearest = z[part], z[part].min(axis=1)
    at = camera.focal * points[part, :, :2] / np.maximum(z, NEAR)[..., None] + camera.centre
    frame = np.concatenate([at.min(axis=1) - MARGIN, at.max(axis=1) + MARGIN], axis=1)
    frame[nearest < NEAR] = [-np.inf, -np.inf, np.inf, np.inf]  # it reaches behind the camera
    nearest = np.maximum(nearest, NEAR) - MARGIN
    seen = np.flatnonzero((frame[:, 2:] - frame[:, :2]).max(axis=1) > SPECK)
    order = seen[np.argsort(nearest[seen], kind="stable")]
    part = part[order]
    eye = np.einsum("qi,qij->qj", camera.origin - placed.origins[part], placed.rotations[part])
    return Outlines(part, nearest[order], frame[order], eye)


def trace(
    placed: Placed, outlines: Outlines, camera: Camera, pixels: Pixels
) -> tuple[Values, Indices]:
    """Depth and part each pixel's ray meets first: infinite and -1 where it meets nothing."""
    # Sorted by row, the pixels a part can touch are close to one slice.
    order = np.argsort(pixels[:, 1], kind="stable")
    directions = camera.rays(pixels[order])
    u, v = np.ascontiguousarray(pixels[order].T)
    left, top, right, bottom = outlines.frame.T
    first, last = np.searchsorted(v, top), np.searchsorted(v, bottom, side="right")
    depth, met = np.full(len(pixels), np.inf), np.full(len(pixels), -1)
    for k in np.flatnonzero(first < last):
        here = slice(first[k], last[k])
        inside = (u[here] >= left[k]) & (u[here] <= right[k])
        # What lies before the whole part hides it.
        inside &= depth[here] >= outlines.nearest[k]
        pick = inside.nonzero()[0] + first[k]
        if len(pick):
            part = outlines.part[k]
            rays = directions[pick] @ placed.rotations[part]
            t = placed.parts[part].shape.meet(outlines.eye[k : k + 1], rays)
            closer = t < depth[pick]
            depth[pick[closer]], met[pick[closer]] = t[closer], part
    back = np.argsort(order)
    return depth[back], met[back]


def uneven(code: Int64[ndarray, "h w"]) -> Bool[ndarray, "h w"]:
    """Pixels that differ from a neighbor."""
    cross = ndimage.generate_binary_structure(2, 1)
    most = ndimage.maximum_filter(code, footprint=cross)
    return most != ndimage.minimum_filter(code, footprint=cross)


def render(
    scene: Scene, T_world_cam: Pose, intrinsics: Pinhole, size: tuple[int, int], time: float
) -> Picture:
    """Picture of a scene at one moment, in seconds, with its exact truth; size is height, width."""
    camera, placed = Camera.of(T_world_cam, intrinsics), place(scene, time)
    outlines = outline(placed, camera, size, scene.far)

    def look(pixels: Pixels) -> tuple[ndarray, ...]:
        """Depth, part, color, face, and whether it is lit."""
        depth, part = trace(placed, outlines, camera, pixels)
        part = np.where(depth > scene.far, -1, part)
        return depth, part, *shade(scene, placed, camera, pixels, depth, part)

    v, u = np.mgrid[: size[0], : size[1]].astype(np.float64)
    pixels = np.stack([u.ravel(), v.ravel()], axis=1)
    depth, part, color, face, lit = look(pixels)
    edge = np.flatnonzero(uneven(((part * 8 + face) * 2 + (lit > 0.5)).reshape(size)))
    if len(edge):
        finer = look(np.concatenate([pixels[edge] + np.array(shift) for shift in SUBPIXELS]))[2]
        color[edge] = finer.reshape(len(SUBPIXELS), -1, 3).mean(axis=0)
    moving = np.append(placed.moving, False)[part]  # the last for part -1: nothing was met
    return Picture(
        image=np.rint(color.clip(0, 1) * 255).astype(np.uint8).reshape(*size, 3),
        depth=np.where(part >= 0, depth, 0).astype(np.float32).reshape(size),
        moving=np.where(moving, 255, 0).astype(np.uint8).reshape(size),
    )
