"""A scene with measured depth; the image of frame i has the gray level i, which a network knows."""

from pathlib import Path

import numpy as np
from PIL import Image

from ssmde.data.sequence import FrameSequence

HEIGHT, WIDTH, UNITS = 20, 30, 1000


def write_scene(folder: Path, truths: list[np.ndarray | None], masks=None) -> FrameSequence:
    """Images, depth in whole millimetres, and masks if they are given."""
    paths: dict[str, list[Path | None]] = {"depth": [], "motion_mask": []}
    images = [folder / f"{i:03d}.png" for i in range(len(truths))]
    for i, truth in enumerate(truths):
        stored = None if truth is None else (truth * UNITS).round().astype(np.uint16)
        for kind, values in (("depth", stored), ("motion_mask", masks and masks[i])):
            path = None if values is None else folder / kind / images[i].name
            paths[kind].append(path)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (i, i, i)).save(images[i])
    (folder / "scene.json").write_text(f'{{"depth_units_per_metre": {UNITS}}}')
    return FrameSequence(
        name=folder.name, images=tuple(images), image_size=(HEIGHT, WIDTH),
        depth=tuple(paths["depth"]), depth_units_per_metre=float(UNITS),
        motion_masks=tuple(paths["motion_mask"]) if masks else None,
    )  # fmt: skip


def knows(depths):
    """A predictor that looks the depth up by the gray level of the image."""
    return lambda pixels: np.asarray(depths[int(pixels[0, 0, 0])], dtype=np.float32)
