"""The ray-caster: what a pinhole camera sees of a scene, with depth and motion by formula.

One ray a pixel finds the surface; its t is the depth. Where the surface changes between
neighboring pixels four more rays smooth the color, never the depth.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8
from numpy import ndarray

from ssmde.synthetic.scene import Indices, Pixels, Placed, Scene, Values, place
from ssmde.synthetic.shading import Camera, Pinhole, Pose, shade

NEAR = 0.02  # metres; parts nearer than this to the camera's plane are cut off when culled
MARGIN = 1e-6  # pixels, and metres, that a bound is widened against rounding
SPECK = 0.7  # pixels; parts that are smaller both ways are left out
EDGES = np.array(  # pairs of corners of a box that an edge joins
    [[a, a | bit] for a in range(8) for bit in (1, 2, 4) if not a & bit]
)
SUBPIXELS = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))


class Picture(NamedTuple):
    """One frame and its truth."""

    image: UInt8[ndarray, "h w 3"]  # RGB
    depth: Float32[ndarray, "h w"]  # metres along z; 0 where the ray meets nothing
    moving: UInt8[ndarray, "h w"]  # 255 where the surface moves by itself at this time, else 0
    body: Int32[ndarray, "h w"]  # index of the body in the scene; -1 where the ray meets nothing


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
    frame, nearest = _frames(points[part], camera)
    seen = np.flatnonzero((frame[:, 2:] - frame[:, :2]).max(axis=1) > SPECK)
    order = seen[np.argsort(nearest[seen], kind="stable")]
    part = part[order]
    eye = np.einsum("qi,qij->qj", camera.origin - placed.origins[part], placed.rotations[part])
    return Outlines(part, nearest[order], frame[order], eye)


def _frames(
    points: Float64[ndarray, "q 8 3"], camera: Camera
) -> tuple[Float64[ndarray, "q 4"], Float64[ndarray, " q"]]:
    """Rectangles around boxes given by their corners in the camera, and their least depths."""
    # An edge that crosses the camera's plane is cut there, so that its end can be projected.
    start, end = points[:, EDGES[:, 0]], points[:, EDGES[:, 1]]
    run = end[..., 2] - start[..., 2]
    share = (NEAR - start[..., 2]) / np.where(run == 0, 1.0, run)
    crosses = (share > 0) & (share < 1) & (run != 0)
    cuts = start + share[..., None] * (end - start)
    points = np.concatenate([points, cuts], axis=1)
    seen = np.concatenate([points[:, :8, 2] > NEAR, crosses], axis=1)
    z = np.where(seen, np.maximum(points[..., 2], NEAR), 1.0)[..., None]
    at, seen = camera.focal * points[..., :2] / z + camera.centre, seen[..., None]
    low = np.where(seen, at, np.inf).min(axis=1) - MARGIN
    high = np.where(seen, at, -np.inf).max(axis=1) + MARGIN
    nearest = np.where(seen, points, np.inf).min(axis=1)[:, 2] - MARGIN
    return np.concatenate([low, high], axis=1), nearest


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
    found = np.zeros(code.shape, bool)
    across, down = code[:, 1:] != code[:, :-1], code[1:] != code[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


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
    # The last entry of each table stands for part -1: nothing was met.
    moving = np.append(placed.moving, False)[part]
    body = np.append(placed.body, -1)[part]
    return Picture(
        image=np.rint(color.clip(0, 1) * 255).astype(np.uint8).reshape(*size, 3),
        depth=np.where(part >= 0, depth, 0).astype(np.float32).reshape(size),
        moving=np.where(moving, 255, 0).astype(np.uint8).reshape(size),
        body=body.astype(np.int32).reshape(size),
    )
