"""The parts of a film that a reconstruction holds, each in a unit of its own."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ssmde.data.motion import turn_degrees
from ssmde.tracking.colmap import OVERLAP

LINKED = 0.1  # of the usual number of points that the two sides of a place have in common
LEAP, LOOSE = 4.0, 0.35  # times the usual step; of the usual number of points of two neighbors
JERK, SPIN, SLACK = 3.0, 2.0, 0.75  # times the step and turn around there; of the usual points
SHARP = 3.0  # degrees that a turn is more than those around it
AROUND = 6  # steps to either side

Points = list[tuple[Any, Any]]
"""For each frame of a part: image points (n, 2), in pixels, and their depth (n,)."""
Part = tuple[Any, Any, Points, float]
"""Indices of the frames, their camera-to-world matrices, points, median error in pixels."""


def find_parts(model: Any, names: Sequence[str]) -> list[Part]:
    """The parts of one reconstruction by COLMAP, in units of the median depth of their points.

    `names` are the files of all frames.
    """
    places = {name: i for i, name in enumerate(names)}
    xyz = {key: point.xyz for key, point in model.points3D.items()}
    images = {places[image.name]: image for image in model.images.values() if image.has_pose}
    where = np.array(sorted(images))
    rows = [images[i].cam_from_world().matrix() for i in where.tolist()]
    T_cam_world = np.array([np.vstack([row, (0, 0, 0, 1)]) for row in rows])
    T_world_cam = np.linalg.inv(T_cam_world)
    points: Points = []
    ids: list[list[int]] = []
    for i, T in zip(where.tolist(), T_cam_world, strict=True):
        seen = [p for p in images[i].points2D if p.has_point3D()]
        ids.append([p.point3D_id for p in seen])
        # Pixel centers of COLMAP lie at a half.
        pixels = np.array([p.xy for p in seen]).reshape(-1, 2) - 0.5
        X = np.array([xyz[key] for key in ids[-1]]).reshape(-1, 3)
        points.append((pixels, X @ T[2, :3] + T[2, 3]))
    steps = np.linalg.norm(np.diff(T_world_cam[:, :3, 3], axis=0), axis=1)
    turns = [turn_degrees(b @ a.T) for a, b in pairwise(T_cam_world[:, :3, :3])]
    cuts = find_cuts([set(keys) for keys in ids], steps.tolist(), turns)
    error = float(np.median([point.error for point in model.points3D.values()]))
    parts: list[Part] = []
    for a, b in pairwise([0, *cuts, len(where)]):
        if b - a > 1:
            unit = np.median(np.concatenate([depth for _, depth in points[a:b]]))
            T_world_cam[a:b, :3, 3] /= unit
            own = [(pixels, depth / unit) for pixels, depth in points[a:b]]
            parts.append((where[a:b], T_world_cam[a:b], own, error))
    return parts


def find_cuts(
    seen: Sequence[set[int]], steps: Sequence[float], turns: Sequence[float]
) -> list[int]:
    """Places k where little ties the frames from k on to those before: a cut of the film.

    Across a cut nothing tells how large the one side is beside the other, though some chance match
    may have joined them: the sides are parts of their own. It is where the two sides have hardly a
    point in common, or where the camera leaps and few points go along, or where it leaps and spins
    beside the frames around and some points are lost: a sharp corner that came out wrong.

    `seen` are the numbers of the points that each frame sees, in the order of time; `steps` and
    `turns` how far the camera goes and turns, in degrees, between neighboring frames, one fewer.
    """
    if len(seen) < 2:
        return []
    places = range(1, len(seen))
    near = np.array([len(seen[k - 1] & seen[k]) for k in places])
    sides = ((seen[max(0, k - OVERLAP) : k], seen[k : k + OVERLAP]) for k in places)
    wide = np.array([len(set[int]().union(*a) & set[int]().union(*b)) for a, b in sides])
    usual = _around(turns)
    leaps = np.array(steps) > LEAP * np.median(steps)
    jerks = np.array(steps) > JERK * _around(steps)
    spins = (np.array(turns) > SPIN * usual) & (np.array(turns) > usual + SHARP)
    cut = wide < LINKED * np.median(wide)
    cut |= leaps & (near < LOOSE * np.median(near))
    cut |= jerks & spins & (near < SLACK * np.median(near))
    return (np.flatnonzero(cut) + 1).tolist()


def _around(values: Sequence[float]) -> Any:
    """The median of each value and its neighbors (n,)."""
    n = range(len(values))
    return np.array([np.median(values[max(0, k - AROUND) : k + AROUND + 1]) for k in n])
