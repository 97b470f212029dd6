"""Draw the videos of the ablation: rooms and streets with movers, and others that are held out.

    python benchmarks/drawn_world.py OUT [--size 64 96] [--frames 12] [--places 4] [--seed 0]

Places and movers of the held-out videos have seeds of their own. People and cars go across the
view, or ahead of the camera as fast as it is. A frame of a room is a step of 0.15 m. The
labels are the drawn depth, distorted in each frame anew, as a labelling network might err. Motion
and points are what `ssmde track` finds on real video: the drawn motion, and 400 static points a
frame that are 3 % off, in the unit of their median depth.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

import streets  # noqa: F401 - the kind "street" of draw_clip
from ssmde.data.pseudo_labels import FOLDER, LabelInfo, write_labels
from ssmde.data.scene_files import write_list, write_tracked_points, write_tracked_poses
from ssmde.synthetic import DrawnClip, draw_clip, write_clip

MOVERS = ("across", "followed", "mixed")
TRAIN = [(kind, who) for kind in ("room", "street") for who in (*MOVERS, "none")]
HELD_OUT = [(kind, who) for kind in ("room", "street") for who in MOVERS]
STEPS = {"room": 0.15, "street": None}  # metres a frame
FIRST_HELD_OUT = 500  # seed
POINTS, ERROR = 400, 0.03
LABELS = LabelInfo(source="drawn depth, distorted", kind="depth", affine=True, licence="MIT")
SCALE, POWER, SHIFT = (0.5, 2.0), (0.8, 1.15), (-0.1, 0.25)  # of a label; shift in median depths
WAVES, WAVE_CELLS = 0.08, (4, 6)  # deviation of slow waves in log depth, and hills along the image
BLUR, NEAREST = 0.05, 0.2  # share of the width, and of the median depth


def distort(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scale (blurred depth^power + shift) e^waves; 0 where there is no depth, as in the sky."""
    known = depth > 0
    middle = float(np.median(depth[known]))
    logs = np.where(known, np.log(np.where(known, depth, 1.0) / middle), 0.0)
    window = 2 * round(BLUR * depth.shape[1] / 2) + 1
    maps = (logs, known.astype(float))
    total, count = (ndimage.uniform_filter(m, window, mode="constant") for m in maps)
    seen = total / count.clip(min=1e-9) * rng.uniform(*POWER)
    hills = Image.fromarray(rng.normal(0.0, WAVES, WAVE_CELLS).astype(np.float32))
    waves = np.asarray(hills.resize(depth.shape[::-1], Image.Resampling.BICUBIC))
    label = (np.exp(seen) + rng.uniform(*SHIFT)).clip(NEAREST) * np.exp(waves)
    return np.where(known, rng.uniform(*SCALE) * middle * label, 0).astype(np.float32)


def write_motion(folder: Path, clip: DrawnClip, rng: np.random.Generator) -> None:
    """Write tracked_poses.txt and tracked_points.npz from what was drawn."""
    points = {}
    for frame, (depth, mask) in enumerate(zip(clip.depth, clip.motion_mask, strict=True)):
        rows, columns = np.nonzero((mask == 0) & (depth > 0))
        chosen = rng.choice(len(rows), min(POINTS, len(rows)), replace=False)
        v, u = rows[chosen], columns[chosen]
        found = depth[v, u] * rng.normal(1, ERROR, len(v)).clip(0.5, 1.5)
        points[frame] = (np.stack([u, v], axis=1).astype(np.float32), found)
    unit = float(np.median(np.concatenate([depth for _, depth in points.values()])))
    poses = clip.poses.copy()
    poses[:, :3, 3] /= unit
    write_tracked_poses(folder, poses, np.zeros(len(poses)), "drawn")
    write_tracked_points(folder, {i: (at, depth / unit) for i, (at, depth) in points.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 96))
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--places", type=int, default=4, help="of each kind and sort of movers")
    parser.add_argument("--seed", type=int, default=0, help="another one draws other places")
    asked = parser.parse_args()
    for split, first, movers in (
        ("train", asked.seed, TRAIN),
        ("val", asked.seed + FIRST_HELD_OUT, HELD_OUT),
    ):
        names = []
        for number, (kind, who) in enumerate(movers * asked.places):
            name = f"{split}_{number:02d}_{kind}_{who}"
            clip = draw_clip(
                kind, frames=asked.frames, size=tuple(asked.size), seed=first + number,
                movers=who, step=STEPS[kind],
            )  # fmt: skip
            write_clip(clip, asked.out / name)
            write_motion(asked.out / name, clip, np.random.default_rng(first + number))
            if split == "train":
                rng = np.random.default_rng(first + number)
                labels = {f"{i:06d}": distort(depth, rng) for i, depth in enumerate(clip.depth)}
                write_labels(asked.out / name / FOLDER, LABELS, labels)
            names.append(name)
        write_list(asked.out, split, names)


if __name__ == "__main__":
    main()
