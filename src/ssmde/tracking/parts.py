"""The parts of a film that a reconstruction holds, each in a unit of its own."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ssmde.data.motion import turn_degrees
from ssmde.tracking.colmap import OVERLAP, Seen, read_frames

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
    """The parts of one reconstruction, each in units of the median depth of its points."""
    frames, error = read_frames(model, names)
    where = sorted(frames)
    centers = np.linalg.inv(np.array([frames[i].T_cam_world for i in where]))[:, :3, 3]
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1).tolist()
    rotations = [frames[i].T_cam_world[:3, :3] for i in where]
    turns = [turn_degrees(b @ a.T) for a, b in pairwise(rotations)]
    cuts = find_cuts([set(frames[i].ids.tolist()) for i in where], steps, turns)
    pieces = [where[a:b] for a, b in pairwise([0, *cuts, len(where)])]
    return [_part(piece, frames, error) for piece in pieces if len(piece) > 1]


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
    places = range(1, len(seen))
    near = [len(seen[k - 1] & seen[k]) for k in places]
    wide = [len(_all(seen[max(0, k - OVERLAP) : k]) & _all(seen[k : k + OVERLAP])) for k in places]
    if not near:
        return []
    apart = np.array(wide) < LINKED * np.median(wide)
    leaps = np.array(steps) > LEAP * np.median(steps)
    loose = np.array(near) < LOOSE * np.median(near)
    jerks = np.array(steps) > JERK * _around(steps)
    usual = _around(turns)
    spins = (np.array(turns) > SPIN * usual) & (np.array(turns) > usual + SHARP)
    slack = np.array(near) < SLACK * np.median(near)
    cut = apart | (leaps & loose) | (jerks & spins & slack)
    return [k for k in places if cut[k - 1]]


def _around(values: Sequence[float]) -> Any:
    """The median of each value and its neighbors (n,)."""
    n = range(len(values))
    return np.array([np.median(values[max(0, k - AROUND) : k + AROUND + 1]) for k in n])


def _all(sets: Sequence[set[int]]) -> set[int]:
    return set[int]().union(*sets)


def _part(piece: list[int], frames: dict[int, Seen], error: float) -> Part:
    """Poses and points of some frames, in units of the median depth of their points."""
    own = [frames[i] for i in piece]
    T_world_cam = np.linalg.inv(np.array([frame.T_cam_world for frame in own]))
    unit = np.median(np.concatenate([frame.depth for frame in own]))
    T_world_cam[:, :3, 3] /= unit
    return np.array(piece), T_world_cam, [(f.pixels, f.depth / unit) for f in own], error
