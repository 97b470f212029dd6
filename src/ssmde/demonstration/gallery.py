"""The pictures of the page: held-out frames with depth, truth, error and masks, and a film."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from ssmde.config import Config
from ssmde.data.dataset import SnippetDataset, spread
from ssmde.data.images import read_image, whole_file
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.result import Evaluation, FrameResult
from ssmde.methods.teacher import Teacher
from ssmde.metrics.protocol import Protocol, counted_pixels
from ssmde.pictures import WORST_ERROR, colourise, colourise_error, depth_range, write_png
from ssmde.prediction.images import resize_depth
from ssmde.prediction.predictor import Predictor

FOLDER = "pictures"  # inside the folder of the page
WIDTH = 384  # pixels of a picture in the gallery
FILM_WIDTH = 288  # pixels of each of the pictures in the film
FILM_GAP = 8  # transparent pixels between them
FILM_QUALITY = 82  # of WebP, 1 to 100

Picture = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exhibit:
    """A held-out frame; its pictures are files named relative to the page."""

    name: str
    """`scene/frame`."""
    abs_rel: float
    """Mean relative error over its pixels."""
    near: float
    """Depth of the brightest colour, in metres."""
    far: float
    """Depth of the darkest colour, in metres."""
    frame: str
    prediction: str
    truth: str
    error: str
    auto_mask: str
    weight_mask: str
    motion: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Film:
    """A held-out clip: frame, prediction and truth side by side."""

    moving: str
    """File of the animation, named relative to the page."""
    still: str
    """File of its first picture, for readers who want no motion."""
    size: tuple[int, int]
    """Height and width, in pixels."""


class _Seen(NamedTuple):
    """A measured frame with its depth maps, both at the size of the truth."""

    image: Picture
    prediction: Float[np.ndarray, "h w"]
    """Aligned to the truth and clipped to the protocol's range, in metres."""
    truth: Float[np.ndarray, "h w"]
    """In metres, 0 where nothing counts."""
    moving: Bool[np.ndarray, "h w"]


def hang_exhibits(
    page: Path,
    result: Evaluation,
    predictor: Predictor,
    teacher: Teacher,
    sequences: Sequence[FrameSequence],
    config: Config,
    *,
    count: int,
) -> tuple[Exhibit, ...]:
    """Write the pictures of a few measured frames, evenly spread; colours are in metres.

    Args:
        page: Folder of the page; the pictures go to a folder in it.
        result: Evaluation that holds the frames of `sequences`.
        predictor: The network that was evaluated.
        teacher: The method with the trained networks; its masks are shown.
        sequences: Held-out sequences, with truth.
        config: The training run, for size and frame gaps.
        count: Number of frames.
    """
    measured = {found.frame.name: found for found in result.frames}
    snippets = SnippetDataset(sequences, config.data, seed=config.train.seed, augment=False)
    teacher.eval()
    exhibits: list[Exhibit] = []
    for number, index in enumerate(spread(len(snippets), count), start=1):
        batch = snippets[index].to_batch()
        with torch.no_grad():
            maps = teacher(batch, 1.0).maps
        masks = {name: maps[name][0, 0].numpy() for name in ("auto_mask", "weight_mask")}
        found = measured[batch.names[0]]
        exhibits.append(_hang(page, number, found, _see(found, predictor, result.protocol), masks))
    return tuple(exhibits)


def _hang(
    page: Path,
    number: int,
    found: FrameResult,
    seen: _Seen,
    masks: dict[str, Float[np.ndarray, "_ _"]],
) -> Exhibit:
    """Write the pictures of one frame."""
    near, far = depth_range(seen.truth) or (1.0, 2.0)
    size = (round(WIDTH * seen.truth.shape[0] / seen.truth.shape[1]), WIDTH)
    smooth = {
        "frame": seen.image,
        "prediction": colourise(seen.prediction, near=near, far=far),
        "truth": colourise(seen.truth, near=near, far=far),
        "error": colourise_error(seen.prediction, seen.truth),
    }
    sharp = {name: grey(values) for name, values in masks.items()}
    sharp["motion"] = grey(seen.moving.astype(np.float32))
    files: dict[str, str] = {}
    for name, picture in (smooth | sharp).items():
        files[name] = f"{FOLDER}/{number:02d}_{name}.png"
        shown = resize(picture, size, smooth=name in smooth)
        write_png(page / files[name], shown)
    return Exhibit(name=found.frame.name, abs_rel=found.errors.abs_rel, near=near, far=far, **files)


def make_film(
    page: Path, result: Evaluation, predictor: Predictor, scene: str, *, fps: float
) -> Film:
    """Write a looping animation of the measured frames of one scene; one range of colours for all.

    Args:
        page: Folder of the page.
        result: Evaluation that holds frames of the scene.
        predictor: The network that was evaluated.
        scene: Name of the scene.
        fps: Frames a second.
    """
    found = [f for f in result.frames if f.frame.name.split("/")[0] == scene]
    seen = [_see(f, predictor, result.protocol) for f in found]
    near, far = depth_range(np.concatenate([s.truth for s in seen])) or (1.0, 2.0)
    pictures = [Image.fromarray(p) for p in _film_pictures(seen, near, far)]
    film, still = f"{FOLDER}/film.webp", f"{FOLDER}/film.png"
    (page / FOLDER).mkdir(parents=True, exist_ok=True)
    with whole_file(page / still) as part:
        pictures[0].save(part, "PNG")
    with whole_file(page / film) as part:
        pictures[0].save(
            part, "WEBP", save_all=True, append_images=pictures[1:], duration=round(1000 / fps),
            loop=0, quality=FILM_QUALITY,
        )  # fmt: skip
    return Film(moving=film, still=still, size=(pictures[0].height, pictures[0].width))


def _film_pictures(
    seen: Sequence[_Seen], near: float, far: float
) -> Iterator[UInt8[np.ndarray, "h w 4"]]:
    """RGBA: frame, prediction and truth of each moment, with see-through gaps between them."""
    for s in seen:
        size = (round(FILM_WIDTH * s.truth.shape[0] / s.truth.shape[1]), FILM_WIDTH)
        strip = np.zeros((size[0], 3 * FILM_WIDTH + 2 * FILM_GAP, 4), np.uint8)
        depths = (colourise(depth, near=near, far=far) for depth in (s.prediction, s.truth))
        for place, picture in enumerate((s.image, *depths)):
            left = place * (FILM_WIDTH + FILM_GAP)
            strip[:, left : left + FILM_WIDTH, :3] = resize(picture, size)
            strip[:, left : left + FILM_WIDTH, 3] = 255
        yield strip


def _see(found: FrameResult, predictor: Predictor, protocol: Protocol) -> _Seen:
    """Read a frame again and predict it as the evaluation did."""
    image, (truth, mask) = read_image(found.frame.image), found.frame.read_truth()
    depth = resize_depth(predictor.network_depth(image), truth.shape)
    aligned = found.alignment.apply(depth).clip(protocol.min_depth, protocol.max_depth)
    moving = np.zeros(truth.shape, bool) if mask is None else mask == 255
    counted = np.where(counted_pixels(truth, protocol), truth, np.float32(0))
    return _Seen(image, aligned, counted, moving)


def grey(values: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Values in [0, 1] from black to white."""
    level = (values.clip(0, 1) * 255).round().astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def resize(picture: Picture, size: tuple[int, int], *, smooth: bool = True) -> Picture:
    """A picture at another size (height, width), smooth or in sharp squares."""
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    height, width = size
    return np.asarray(Image.fromarray(picture).resize((width, height), how))


def gradient(kind: str) -> str:
    """Colours of `depth` from near to far, or of `error` from none to the worst, as CSS."""
    share = np.linspace(0, 1, 9)[None]
    if kind == "depth":  # from depth 1 to 2, even in disparity as the pictures are
        colours = colourise(1 / (1 - share / 2), near=1.0, far=2.0)
    else:
        colours = colourise_error(1 + WORST_ERROR * share, np.ones_like(share))
    stops = ", ".join("#" + bytes(colour).hex() for colour in colours[0])
    return f"linear-gradient(to right, {stops})"
