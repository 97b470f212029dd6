"""A shot in space: its pixels as coloured points or triangles, in PLY and GLB files.

Viewers of both formats look along -z with y up, so the points are those of the camera turned half
about its x axis: x right, y up, z towards the viewer. The camera stands at the origin.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64, UInt8

from ssmde.geometry.camera import backproject
from ssmde.io import whole_file
from ssmde.pictures import bands
from ssmde.prediction.ply import Cloud, write_ply
from ssmde.prediction.rasters import lower_camera
from ssmde.prediction.shot import Shot, Style

VIEWER_AXES = np.array((1, -1, -1), np.float32)
"""From camera axes (x right, y down, z forward) to those of viewers."""
JUMP = 1.1
"""A triangle whose farthest corner is so many times as far as its nearest spans two things."""


def write_shot_ply(path: Path, shot: Shot, style: Style) -> None:
    """Points, or triangles between them, with the colours of the image."""
    write_ply(path, lift_shot(shot, style))


def write_shot_glb(path: Path, shot: Shot, style: Style) -> None:
    """The same as GLB (glTF 2.0), whose vertex colours are linear light by its definition."""
    import trimesh  # slow to import, and few ask for it

    cloud = lift_shot(shot, style)
    colours = linear_light(cloud.colours)
    if cloud.faces is None:
        thing = trimesh.PointCloud(cloud.points, colors=colours)
    else:
        thing = trimesh.Trimesh(
            cloud.points, cloud.faces, vertex_colors=colours, process=False, validate=False
        )
    content: Any = thing.export(file_type="glb")
    with whole_file(path) as part:
        part.write_bytes(content)


def lift_shot(shot: Shot, style: Style) -> Cloud:
    """The pixels of a shot as points in the axes of viewers, in the unit of the depth.

    Pixels without depth or with too little confidence are left out; of a large image every
    so many-th row and column is taken.

    Raises:
        ValueError: If no intrinsics are known, or no pixel is left.
    """
    if shot.intrinsics is None:
        raise ValueError("a point cloud needs intrinsics: give fx fy cx cy or a field of view")
    height, width = shot.depth.shape
    step = math.ceil(math.sqrt(max(1.0, height * width / style.max_points)))
    rows, columns = (np.arange(n)[(step - 1) // 2 :: step] for n in (height, width))
    picked = np.ix_(rows, columns)
    depth = shot.depth[picked]
    kept = np.isfinite(depth) & (depth > 0)
    confidence = None if shot.confidence is None else shot.confidence[picked]
    if confidence is not None:
        kept &= confidence >= style.least_confidence
    if not kept.any():
        raise ValueError(
            f"no pixel has a confidence of {style.least_confidence:g} or more: ask for less"
        )
    points = np.concatenate(
        [
            _lift(shot.depth[band], lower_camera(shot.intrinsics, band.start))[
                np.ix_(rows[(rows >= band.start) & (rows < band.stop)] - band.start, columns)
            ]
            for band in bands(shot.depth.shape)
        ]
    )
    return Cloud(
        points=points[kept] * VIEWER_AXES,
        colours=np.ascontiguousarray(shot.pixels[picked][kept]),
        confidence=None if confidence is None else confidence[kept],
        faces=triangles(depth, kept) if style.mesh else None,
    )


def triangles(
    depth: Float[np.ndarray, "h w"], kept: Bool[np.ndarray, "h w"]
) -> Int32[np.ndarray, "m 3"]:
    """Two triangles for each four neighbouring pixels, none across a jump of the depth.

    Args:
        depth: Depth of a grid of pixels; positive where kept.
        kept: Pixels that are vertices; the triangles count only these.
    """
    number: Int64[np.ndarray, "h w"] = np.cumsum(kept).reshape(kept.shape) - 1
    corners = [
        (slice(None, -1), slice(None, -1)), (slice(1, None), slice(None, -1)),
        (slice(1, None), slice(1, None)), (slice(None, -1), slice(1, None)),
    ]  # fmt: skip
    found: list[np.ndarray] = []
    for trio in ((0, 1, 2), (0, 2, 3)):  # counter-clockwise for who stands at the camera
        z = np.stack([depth[corners[i]] for i in trio])
        whole = np.logical_and.reduce([kept[corners[i]] for i in trio])
        whole &= z.max(0) <= JUMP * z.min(0)
        found.append(np.stack([number[corners[i]][whole] for i in trio], axis=1))
    return np.concatenate(found).astype(np.int32)


def linear_light(colours: UInt8[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "n 3"]:
    """Bytes of sRGB as bytes of linear light (IEC 61966-2-1)."""
    share = np.arange(256) / 255
    table = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return (255 * table).round().astype(np.uint8)[colours]


def _lift(
    depth: Float[np.ndarray, "h w"], intrinsics: Float[np.ndarray, "3 3"]
) -> Float32[np.ndarray, "h w 3"]:
    maps = torch.from_numpy(np.require(depth, np.float32, "W"))[None, None]
    return backproject(maps, torch.from_numpy(intrinsics.astype(np.float32))[None])[0].numpy()
