"""A small data folder with everything a frame can have, for tests of packed data."""

import json

import numpy as np
from PIL import Image

from ssmde.data.scene_files import write_tracked_points, write_tracked_poses


def write_scenes(root, size=(48, 96), frames=(12, 9), *, labels=True, seed=0):
    """Scenes `a`, `b` ... of noise with labels, tracked motion, points, depth and masks."""
    rng = np.random.default_rng(seed)
    height, width = size
    for name, count in zip("abcdef", frames, strict=False):
        scene = root / name
        for folder in ("depth", "motion_mask", *(["pseudo_depth"] if labels else [])):
            (scene / folder).mkdir(parents=True)
        coarse = rng.integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
        for i in range(count):
            smooth = Image.fromarray(coarse[i]).resize((width, height), Image.Resampling.BICUBIC)
            smooth.save(scene / f"{i:03d}.png")
            far = rng.integers(0, 60001, size).astype(np.uint16)
            Image.fromarray(far).save(scene / "depth" / f"{i:03d}.png")
            if labels and i % 5 != 3:
                Image.fromarray(far).save(scene / "pseudo_depth" / f"{i:03d}.png")
            mask = Image.fromarray((far % 2 * 255).astype(np.uint8))
            mask.save(scene / "motion_mask" / f"{i:03d}.png")
        if labels:
            (scene / "pseudo_depth" / "label.json").write_text('{"kind": "disparity"}')
        (scene / "cam.txt").write_text("70 0 47.3\n0 71 22.9\n0 0 1\n")
        (scene / "scene.json").write_text(json.dumps({"depth_units_per_metre": 1000, "fps": 10}))
        poses = np.tile(np.eye(4), (count, 1, 1))
        poses[:, :3, 3] = rng.normal(size=(count, 3))
        write_tracked_poses(scene, poses, np.zeros(count), "made up")
        points = {
            i: (rng.uniform(0, (width - 1, height - 1), (40, 2)), rng.uniform(0.5, 2, 40))
            for i in range(0, count, 2)
        }
        write_tracked_points(scene, points)
    (root / "train.txt").write_text("\n".join("abcdef"[: len(frames) - 1]) + "\n")
    (root / "val.txt").write_text("abcdef"[len(frames) - 1] + "\n")
    return root
