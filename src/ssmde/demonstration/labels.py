"""A stand-in for the answers of a labelling network: drawn depth, distorted in each frame anew.

A network that names depth from one photograph gets shape and order about right, and scale, shift
and contrast wrong, differently in every image. None can be had here: the demo needs no download,
and none has seen drawn streets. So its labels are the truth, made wrong in the same manner; they
show what the method makes of labels of this quality, not what it finds without them.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from numpy.random import Generator
from PIL import Image

from ssmde.data.images import read_depth
from ssmde.data.pseudo_depth import FOLDER, LabelInfo, write_labels
from ssmde.data.sequence import FrameSequence

SCALE = (0.5, 2.0)  # factor on the depth of a frame
POWER = (0.8, 1.15)  # exponent: flattens or stretches the range
SHIFT = (-0.1, 0.25)  # added, in median depths of the frame
WAVES = 0.08  # standard deviation of slow waves in log depth: hills that are not there
WAVE_CELLS = (4, 6)  # hills along the image
BLUR = 0.05  # width of the window that blurs edges, as a share of the width of the image
NEAREST = 0.2  # of the median depth: a shift may not put anything nearer


def distort(depth: Float[np.ndarray, "h w"], rng: Generator) -> Float32[np.ndarray, "h w"]:
    """The depth as a labelling network might see it; 0 where there is none, as in the sky.

    scale (blurred depth^power + shift) e^waves.

    Args:
        depth: True depth; 0 where there is none.
        rng: Where the distortion of this frame comes from.
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
    maps = torch.from_numpy(np.stack([np.where(known, values, 0.0), known.astype(np.float64)]))
    total, count = F.avg_pool2d(maps[None], window, 1, window // 2)[0].numpy()
    return total / count.clip(min=1e-9)


def label_scene(folder: Path, scene: FrameSequence, seed: int) -> float:
    """Write the stand-in labels of a drawn scene, with a label.json that says what they are.

    Args:
        folder: Folder of the scene.
        scene: The same, as read; has depth.
        seed: Start of every random number.

    Returns:
        Mean |label - truth| / truth, each label with the factor that makes the medians equal.
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
    return float(np.mean([_error(labels[name], depth) for name, depth in truths.items()]))


def _error(label: Float[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"]) -> float:
    label, depth = label[depth > 0], depth[depth > 0]
    label = label * (np.median(depth) / np.median(label))
    return float((np.abs(label - depth) / depth).mean())
