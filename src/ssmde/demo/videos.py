"""The drawn films of the demo: their first parts to learn from, and their later parts to judge.

And stand-in labels, for benchmarks and tests: depth as a labeling network might see it. Such a
network gets shape and order about right, and scale, shift and contrast wrong, differently in every
image.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from numpy.random import Generator
from PIL import Image
from scipy import ndimage

from ssmde.data.images import read_depth
from ssmde.data.pseudo_labels import FOLDER, LabelInfo, write_labels
from ssmde.data.scene_files import write_list
from ssmde.data.sequence import FrameSequence
from ssmde.synthetic import draw_clip, write_clip

KIND, SIZE = "room", (144, 192)
STEP, ROTATION = 0.1, 1.5  # metres and degrees from frame to frame: somebody who looks around
MOVERS = ("across", "across")  # of each film
LEARNED, JUDGED = 20, 10  # frames of each film
LATER = "_later"  # what the name of the later part of a film ends in
SEEDS = 1000  # places a demo seed has for itself
WORKERS = 2
PER_FRAME = ("images", "depth", "poses", "motion_mask")  # fields of a clip

SCALE = (0.5, 2.0)  # factor on the depth of a frame
POWER = (0.8, 1.15)  # exponent: flattens or stretches the range
SHIFT = (-0.1, 0.25)  # added, in median depths of the frame
WAVES = 0.08  # standard deviation of slow waves in log depth: hills that are not there
WAVE_CELLS = (4, 6)  # hills along the image
BLUR = 0.05  # width of the window that blurs edges, as a share of the width of the image
NEAREST = 0.2  # of the median depth: a shift may not put anything nearer


def draw_films(root: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    """Draw films as scene folders below `root`.

    The first part of each is in train.txt, what comes later in val.txt: the camera looks elsewhere,
    and people have walked on.
    """
    names = [f"room_{number + 1}" for number in range(len(MOVERS))]
    films = [
        (root / name, movers, SEEDS * seed + number, size)
        for number, (name, movers) in enumerate(zip(names, MOVERS, strict=True))
    ]
    root.mkdir()
    write_list(root, "train", names)
    write_list(root, "val", [name + LATER for name in names])
    # A fresh process each: one that is forked beside the threads of torch can hang.
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        for drawn in [pool.submit(_draw, *film) for film in films]:
            drawn.result()


def _draw(folder: Path, movers: str, seed: int, size: tuple[int, int]) -> None:
    clip = draw_clip(
        KIND, frames=LEARNED + JUDGED, size=size, seed=seed, movers=movers, step=STEP,
        rotation=ROTATION,
    )  # fmt: skip
    later = folder.with_name(folder.name + LATER)
    for part, target in ((slice(LEARNED), folder), (slice(LEARNED, None), later)):
        maps = {name: getattr(clip, name)[part] for name in PER_FRAME}
        write_clip(replace(clip, **maps), target)


def distort(depth: Float[np.ndarray, "h w"], rng: Generator) -> Float32[np.ndarray, "h w"]:
    """True depth as a labeling network might see it; 0 where there is none, as in the sky.

    scale (blurred depth^power + shift) e^waves.
    """
    known = depth > 0
    if not known.any():
        return np.zeros(depth.shape, np.float32)
    middle = float(np.median(depth[known]))
    logs = np.where(known, np.log(np.where(known, depth, 1.0) / middle), 0.0)
    seen = _blur(logs, known) * rng.uniform(*POWER)
    hills = rng.normal(0.0, WAVES, WAVE_CELLS).astype(np.float32)
    size = (depth.shape[1], depth.shape[0])
    waves = np.asarray(Image.fromarray(hills).resize(size, Image.Resampling.BICUBIC))
    label = (np.exp(seen) + rng.uniform(*SHIFT)).clip(NEAREST) * np.exp(waves)
    return np.where(known, rng.uniform(*SCALE) * middle * label, 0).astype(np.float32)


def _blur(values: Float[np.ndarray, "h w"], known: np.ndarray) -> Float[np.ndarray, "h w"]:
    """Mean of the known values in a window about each pixel."""
    window = 2 * round(BLUR * values.shape[1] / 2) + 1
    maps = (np.where(known, values, 0.0), known.astype(np.float64))
    total, count = (ndimage.uniform_filter(m, window, mode="constant") for m in maps)
    return total / count.clip(min=1e-9)


def label_scene(folder: Path, scene: FrameSequence, seed: int) -> float:
    """Write the stand-in labels of a drawn scene, with a label.json that says what they are.

    Gives the mean of |label - truth| / truth, each label with the factor that makes the medians
    equal. `scene` is that of the folder, with depth.
    """
    assert scene.depth is not None, "a drawn scene has depth"
    info = LabelInfo(
        source="stand-in of the demo: drawn depth, distorted", kind="depth", affine=True,
        licence="MIT",
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    truths = {p.stem: read_depth(p, scene.depth_units_per_metre) for p in scene.depth if p}
    labels = {name: distort(depth, rng) for name, depth in truths.items()}
    write_labels(folder / FOLDER, info, labels)
    errors: list[float] = []
    for name, truth in truths.items():
        label, depth = labels[name][truth > 0], truth[truth > 0]
        label = label * (np.median(depth) / np.median(label))
        errors.append(float((np.abs(label - depth) / depth).mean()))
    return float(np.mean(errors))
