"""A short film of a held-out clip: frame, predicted depth and true depth side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ssmde.evaluation.result import Evaluation
from ssmde.inference.pictures import colorize, depth_range
from ssmde.inference.predictor import Predictor
from ssmde.io import whole_file
from ssmde.reporting.exhibits import Seen, resize, see

FOLDER = "pictures"  # inside the folder of the page
WIDTH = 288  # pixels of each of the pictures
GAP = 8  # transparent pixels between them
QUALITY = 82  # of WebP, 1 to 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Film:
    """A held-out clip: frame, prediction and truth side by side."""

    moving: str
    """File of the animation, named relative to the page."""
    still: str
    """File of its first picture, for readers who want no motion."""
    size: tuple[int, int]
    """Height and width, in pixels."""


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
    seen = [see(f, predictor, result.protocol) for f in found]
    near, far = depth_range(np.concatenate([s.truth for s in seen])) or (1.0, 2.0)
    pictures = [Image.fromarray(p) for p in _strips(seen, near, far)]
    film, still = f"{FOLDER}/film.webp", f"{FOLDER}/film.png"
    (page / FOLDER).mkdir(parents=True, exist_ok=True)
    with whole_file(page / still) as part:
        pictures[0].save(part, "PNG")
    with whole_file(page / film) as part:
        pictures[0].save(
            part, "WEBP", save_all=True, append_images=pictures[1:], duration=round(1000 / fps),
            loop=0, quality=QUALITY,
        )  # fmt: skip
    return Film(moving=film, still=still, size=(pictures[0].height, pictures[0].width))


def _strips(seen: Sequence[Seen], near: float, far: float) -> Iterator[UInt8[np.ndarray, "h w 4"]]:
    """RGBA: frame, prediction and truth of each moment, with see-through gaps between them."""
    for s in seen:
        size = (round(WIDTH * s.truth.shape[0] / s.truth.shape[1]), WIDTH)
        strip = np.zeros((size[0], 3 * WIDTH + 2 * GAP, 4), np.uint8)
        depths = (colorize(depth, near=near, far=far) for depth in (s.prediction, s.truth))
        for place, picture in enumerate((s.image, *depths)):
            left = place * (WIDTH + GAP)
            strip[:, left : left + WIDTH, :3] = resize(picture, size)
            strip[:, left : left + WIDTH, 3] = 255
        yield strip
