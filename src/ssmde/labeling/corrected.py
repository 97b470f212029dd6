"""Labels that tracked points correct, written as if they had been measured."""

import shutil
from pathlib import Path

import numpy as np

from ssmde.data.images import write_png16
from ssmde.data.pseudo_labels import fit_to_points, read_pseudo_depth
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points, write_scene_info
from ssmde.data.scene_folder import read_scene
from ssmde.io import hidden_part

STEPS_PER_UNIT = 1000  # of the depth files; the unit is the median depth of the tracked points
FARTHEST = 65534  # steps; one more means no value


def write_corrected(
    scene_folder: Path, target: Path, *, until: float = 1.0, uncorrected: bool = False
) -> int:
    """Write a scene folder of the frames that see enough points, corrected labels as their depth.

    It appears whole or not at all. Returns the number of frames in it; without any there is no
    folder.

    Args:
        scene_folder: It was tracked and labeled.
        target: The folder to make; it must not be there.
        until: Share of the frames, from the first on.
        uncorrected: Ask no points: every frame that has a label, and the label as it is, in units
            of its own median.

    Raises:
        ValueError: If the scene has no labels, or no tracked points.
    """
    scene = read_scene(scene_folder)
    if scene.pseudo_depth is None:
        raise ValueError(f"scene '{scene.name}' has no labels: run `ssmde label {scene_folder}`")
    points = read_tracked_points(scene_folder / TRACKED_POINTS)
    part = hidden_part(target)
    shutil.rmtree(part, ignore_errors=True)
    (part / "depth").mkdir(parents=True)
    written = 0
    for i in range(round(until * len(scene))):
        image, label = scene.images[i], scene.pseudo_depth[i]
        if label is None or not (uncorrected or i in points):
            continue
        depth = read_pseudo_depth(label)
        if uncorrected:
            depth = depth / np.median(depth[depth > 0])
        else:
            affine = scene.pseudo_depth_affine
            depth = fit_to_points(depth, *points[i], scene.image_size, affine=affine)
        if depth.any():
            shutil.copyfile(image, part / image.name)
            steps = np.rint(depth * STEPS_PER_UNIT).clip(0, FARTHEST).astype(np.uint16)
            write_png16(part / "depth" / f"{image.stem}.png", steps)
            written += 1
    if written:
        write_scene_info(part, {"depth_units_per_metre": STEPS_PER_UNIT})
        part.rename(target)
    else:
        shutil.rmtree(part)
    return written
