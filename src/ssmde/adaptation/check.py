"""Does a network agree with tracked points of frames it did not learn from? And its report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ssmde.data.images import read_image
from ssmde.data.pseudo_labels import plausible
from ssmde.data.scene_files import TRACKED_INFO, TRACKED_POINTS, read_tracked_points
from ssmde.data.scene_folder import read_scene
from ssmde.inference.pictures import colorize, depth_range, side_by_side, stack
from ssmde.inference.predictor import Predictor
from ssmde.io import read_json
from ssmde.models.checkpoint import read_weights, save_weights, stored_scale, with_scale
from ssmde.tracking.reliability import doubt_about_points

HELD_OUT = 0.2  # share of each window, its end, that only judges
FEWEST_POINTS = 20  # of a held-out frame that judges
SHOWN = 3  # frames in the picture

HeldOut = list[tuple[Path, Float[np.ndarray, "_ 2"], Float[np.ndarray, "_"]]]
"""Frames, with points (u, v) in pixels, and the depth of these."""


def find_doubt(scene: Path) -> str:
    """Why the tracked motion of a labeled scene cannot be trusted; empty if it can."""
    info = read_json(scene / TRACKED_INFO)
    if info["doubtful"] and not info["found"]:
        matches = f"it explains {info['explained']:.0%} of the matches of distant frames"
        return f"{matches}; most of what is seen moves, such as cars ahead as fast as the camera"
    # Its points also have to lie in the order of the start network's depth, in one unit.
    return doubt_about_points(scene)


def find_held_out(scenes: Sequence[Path]) -> HeldOut:
    """The end of every window, which nothing was learned from, if a frame of it sees points."""
    found: HeldOut = []
    for folder in scenes:
        scene = read_scene(folder)
        points = read_tracked_points(folder / TRACKED_POINTS)
        for i in range(round((1 - HELD_OUT) * len(scene)), len(scene)):
            pixels, depth = points.get(i, (np.zeros((0, 2)), np.zeros(0)))
            sure = plausible(depth)
            if sure.sum() >= FEWEST_POINTS:
                found.append((scene.images[i], pixels[sure], depth[sure]))
    if not found:
        raise ValueError(
            f"no frame at the end of the film sees {FEWEST_POINTS} points whose depth the camera's "
            "motion tells, so nothing could judge the result: film longer"
        )
    return found


def point_error(network: Predictor, held_out: HeldOut) -> float:
    """Mean difference of log depth from that of the points, without the median of each frame."""
    errors: list[float] = []
    for image, pixels, depth in held_out:
        found = network.predict(image).depth
        columns, rows = np.rint(pixels).astype(int).T
        said = found[rows.clip(0, found.shape[0] - 1), columns.clip(0, found.shape[1] - 1)]
        difference = np.log(said / depth)
        errors.append(float(np.abs(difference - np.median(difference)).mean()))
    return float(np.mean(errors))


def hand_out(
    chosen: Path, start: Path, target: Path, before: Predictor, after: Predictor, held_out: HeldOut
) -> None:
    """Copy the depth network; metres of the start go along, by how its unit changed."""
    tensors, metadata = read_weights(chosen)
    given = read_weights(start)[1]
    scale = stored_scale(given, origin=str(start))
    if chosen != start and scale is not None:
        unit = before.metres_per_unit or 1.0
        ratios = [
            np.median(before.predict(image).depth / unit / after.predict(image).depth)
            for image, _, _ in held_out
        ]
        metres = replace(scale, metres_per_unit=scale.metres_per_unit * float(np.median(ratios)))
        metadata = with_scale(metadata, metres)
    kept = {name: value for name, value in tensors.items() if name.startswith("depth_net.")}
    save_weights(target, kept, metadata)


def draw_comparison(networks: dict[str, Predictor], held_out: HeldOut) -> Any:
    """Held-out frames, and their depth by each network under its title, in the same colors."""
    rows: list[Any] = []
    for image, _, _ in held_out[:: max(1, len(held_out) // SHOWN)][:SHOWN]:
        pixels = read_image(image)
        depths = [network.predict(image).depth for network in networks.values()]
        near, far = depth_range(depths[0]) or (None, None)
        in_one_unit = [depth * np.median(depths[0] / depth) for depth in depths]
        colored = [colorize(depth, near=near, far=far) for depth in in_one_unit]
        rows.append(side_by_side([pixels, *colored], [image.name, *networks]))
    return stack(rows)
