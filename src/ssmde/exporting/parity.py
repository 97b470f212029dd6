"""Does an exported file say what PyTorch says, and how fast: the report of an export."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from ssmde.inference.engines import Exported
from ssmde.inference.predictor import Predictor

TIMED_ROUNDS = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """Largest relative difference of depth that an export may have."""

    most: float
    """In any pixel."""
    mean: float
    """Over the pixels."""


BOUNDS = {
    "fp32": Bound(most=1e-3, mean=1e-4),
    "fp16": Bound(most=3e-2, mean=2e-3),
    "bf16": Bound(most=3e-1, mean=2e-2),
    "int8": Bound(most=float("inf"), mean=1e-1),
}
"""By the precision of the network; that of int8 is judged by a metric, see `export`."""
RESIZED = 20
"""So many times as much at sizes that are resized to that of the network, which differs in one byte
of a thousand: `small` differs by 1.1e-3 in the mean at 32 x 64, by 1.4e-4 at 64 x 96."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Of the exported file from PyTorch, over the pictures of one size."""

    size: tuple[int, int]
    """Height and width."""
    most: float
    """Largest |a - b| / b of a pixel."""
    mean: float
    """Mean of it."""


Pixels = UInt8[np.ndarray, "_ _ 3"]


def compare(
    predictor: Predictor, exported: Exported, pictures: Sequence[Pixels]
) -> list[Difference]:
    """Differences on three sizes, two of them odd: that of the network, a larger, a smaller.

    Args:
        predictor: What the file was made from.
        exported: The file.
        pictures: RGB bytes (h, w, 3); the first few are taken, at each of the sizes.
    """
    differences: list[Difference] = []
    for size in checked_sizes(predictor.image_size):
        views = np.stack([cut(picture, size) for picture in pictures[:4]])
        wanted = np.stack([found.depth for found in predictor.predict_many(views)])
        difference = np.abs(exported.run(views) - wanted) / wanted
        differences.append(
            Difference(size=size, most=float(difference.max()), mean=float(difference.mean()))
        )
    return differences


def checked_sizes(image_size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The working size, and two with odd sides."""
    height, width = image_size
    return image_size, (2 * height + 1, 2 * width - 1), (height - 15, width // 2 + 3)


def cut(picture: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "k m 3"]:
    """The upper left part of a picture, repeated in mirrored tiles where it is too small."""
    below, right = (
        max(0, wanted - side) for wanted, side in zip(size, picture.shape, strict=False)
    )
    return np.pad(picture, ((0, below), (0, right), (0, 0)), "symmetric")[: size[0], : size[1]]


def drawn_pictures(count: int = 2) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Smooth shapes with fine grain, for a check without the user's frames."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:480, :640]
    pictures: list[UInt8[np.ndarray, "h w 3"]] = []
    for _ in range(count):
        waves = [
            np.sin(rows * a + b) + np.cos(columns * c + d)
            for a, b, c, d in random.uniform(0, 0.1, (3, 4)) * (1, 60, 1, 60)
        ]
        grain = random.normal(0, 12, (*rows.shape, 3))
        values = 128 + 50 * np.stack(waves, axis=-1) + grain
        pictures.append(values.clip(0, 255).astype(np.uint8))
    return pictures


def milliseconds(
    runs: dict[str, Callable[[], object]], rounds: int = TIMED_ROUNDS
) -> dict[str, float]:
    """CPU time of each function, summed over its threads: medians of interleaved rounds."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if number:  # the first call makes plans
                taken[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in taken.items()}


def time_both(predictor: Predictor, exported: Exported, picture: Pixels) -> dict[str, float]:
    """CPU milliseconds of one picture of the working size, PyTorch beside the exported file."""
    view = cut(picture, predictor.image_size)
    return milliseconds(
        {
            "PyTorch": lambda: predictor.predict(view),
            exported.engine: lambda: exported.run(view[None]),
        }
    )
