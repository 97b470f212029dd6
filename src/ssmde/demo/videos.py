"""The drawn videos of the demo, some held out, and stand-in labels for those to learn from.

A network that names depth from one photograph gets shape and order about right, and scale, shift
and contrast wrong, differently in every image. None can be had here: the demo needs no download,
and none has seen drawn streets. So its labels are the truth, made wrong in the same manner; they
show what the method makes of labels of this quality, not what it finds without them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from numpy.random import Generator
from PIL import Image
from scipy import ndimage

from ssmde.data.images import read_depth
from ssmde.data.pseudo_labels import FOLDER, LabelInfo, write_labels
from ssmde.data.scene_files import write_list
from ssmde.data.scene_folder import read_scene, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.synthetic import DrawnClip, draw_clip, write_clip

KIND = "street"  # a camera that drives: large steps, hardly a turn
SIZE = (64, 96)  # of the videos to learn from
HELD_OUT_SIZE = (128, 192)  # larger, for the pictures; the network sees them at its own size
MOVERS = ("mixed", "across", "oblique", "none", "mixed", "across")  # of each video to learn from
HELD_OUT_MOVERS = ("mixed", "across")
FRAMES, HELD_OUT_FRAMES, ROOM_FRAMES = 40, 24, 6
SEEDS = 1000  # places a demo seed has for itself
HELD_OUT_SEEDS, ROOM_SEED = 500, 900  # the held-out places, and the room, begin here

SCALE = (0.5, 2.0)  # factor on the depth of a frame
POWER = (0.8, 1.15)  # exponent: flattens or stretches the range
SHIFT = (-0.1, 0.25)  # added, in median depths of the frame
WAVES = 0.08  # standard deviation of slow waves in log depth: hills that are not there
WAVE_CELLS = (4, 6)  # hills along the image
BLUR = 0.05  # width of the window that blurs edges, as a share of the width of the image
NEAREST = 0.2  # of the median depth: a shift may not put anything nearer


@dataclass(frozen=True, kw_only=True, slots=True)
class Videos:
    """What was drawn; the words say what each video shows."""

    train: tuple[str, ...]
    train_frames: int
    held_out: tuple[str, ...]
    fps: float
    label_error: float
    """AbsRel of the labels, each with the factor that brings its median to that of the truth."""


def draw_videos(root: Path, seed: int) -> Videos:
    """Draw the videos as scene folders below `root`, with train.txt and val.txt, and label them."""
    first = SEEDS * seed
    train = _clips("street", MOVERS, FRAMES, SIZE, first)
    held_out = _clips(
        "held_out", HELD_OUT_MOVERS, HELD_OUT_FRAMES, HELD_OUT_SIZE, first + HELD_OUT_SEEDS
    )
    for name, clip in (train | held_out).items():
        write_clip(clip, root / name)
    write_list(root, "train", list(train))
    write_list(root, "val", list(held_out))
    errors = [
        label_scene(scene.images[0].parent, scene, first + number)
        for number, scene in enumerate(read_scenes(root, "train"))
    ]
    return Videos(
        train=tuple(clip.source for clip in train.values()),
        train_frames=sum(len(clip.images) for clip in train.values()),
        held_out=tuple(clip.source for clip in held_out.values()),
        fps=next(iter(held_out.values())).fps,
        label_error=sum(errors) / len(errors),
    )


def draw_room(folder: Path, seed: int) -> FrameSequence:
    """A short drawn clip of a room where people walk, of the demo seed `seed`."""
    seed = SEEDS * seed + ROOM_SEED
    clip = draw_clip("room", frames=ROOM_FRAMES, size=HELD_OUT_SIZE, seed=seed, movers="across")
    write_clip(clip, folder)
    return read_scene(folder)


def _clips(
    name: str, movers: tuple[str, ...], frames: int, size: tuple[int, int], seed: int
) -> dict[str, DrawnClip]:
    return {
        f"{name}_{n + 1}": draw_clip(KIND, frames=frames, size=size, seed=seed + n, movers=who)
        for n, who in enumerate(movers)
    }


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
