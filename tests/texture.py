"""Drawn textures looked at through a window: what moves, and how far, is known exactly."""

import numpy as np

SIZE = 640, 360  # of the window, in pixels


def texture(seed: int, size: int = 1400, cell: int = 24) -> np.ndarray:
    """Grey values of a smooth random pattern with detail of several sizes, 20 to 235."""
    random = np.random.default_rng(seed)
    total = np.zeros((size, size))
    for octave in (1, 2, 4):
        knots = random.normal(size=(size * octave // cell + 3,) * 2)
        at = np.arange(size) * octave / cell
        low, part = at.astype(int), at % 1
        part = part * part * (3 - 2 * part)
        rows = knots[low] * (1 - part)[:, None] + knots[low + 1] * part[:, None]
        total += (rows[:, low] * (1 - part) + rows[:, low + 1] * part) / octave
    spread = np.clip(total / total.std(), -2, 2)
    return 127.5 + 107.5 * spread / 2


def view(pattern: np.ndarray, x: float, y: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Grey bytes of a window with its corner at (x, y), to a part of a pixel; bilinear."""
    width, height = size
    column, row = int(x), int(y)
    u, v = x - column, y - row
    cut = pattern[row : row + height + 1, column : column + width + 1]
    cut = cut[:-1] * (1 - v) + cut[1:] * v
    return np.rint(cut[:, :-1] * (1 - u) + cut[:, 1:] * u).astype(np.uint8)


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A picture of which no two pixels are alike."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def noisy(grey: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """The picture as a sensor would see it a second time."""
    noise = np.random.default_rng(seed).normal(0, sigma, grey.shape)
    return np.clip(np.rint(grey + noise), 0, 255).astype(np.uint8)


def blurred(grey: np.ndarray, radius: int) -> np.ndarray:
    """The picture smeared along its rows, as by a fast pan."""
    wide = np.pad(grey.astype(float), ((0, 0), (radius, radius)), mode="edge")
    sums = np.cumsum(np.pad(wide, ((0, 0), (1, 0))), axis=1)
    length = 2 * radius + 1
    return np.rint((sums[:, length:] - sums[:, :-length]) / length).astype(np.uint8)


def sliding(number: int, size: tuple[int, int], step: int = 2) -> np.ndarray:
    """RGB of a frame of waves that slide past, `step` pixels a frame."""
    height, width = size
    rows, columns = np.mgrid[:height, step * number : step * number + width]
    waves = [np.sin(columns / (3 + c) + rows / (4 - c)) for c in range(3)]
    return (127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)
