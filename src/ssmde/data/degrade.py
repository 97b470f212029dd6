"""What poor cameras do to a picture: light, colour, blur, low resolution, noise, JPEG.

A network that learns from drawn photos and a few sharp recordings meets all of these in the world.
Each fault comes by chance and by itself. Depth stays as it is.
"""

import io

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageFilter

# Widths of what is drawn, ours: as strong as phones, dashcams and web video are.
GAMMA = 0.3  # spread of the logarithm
GAIN = (0.55, 1.5)
CHANNELS = (0.85, 1.18)  # of each colour, as a wrong white balance has it
BLUR = 1.6  # pixels
LOWEST = 3.0  # least resolution, as a divisor
NOISE = 0.06  # deviation, of white
QUALITY = (20, 90)  # of JPEG
GREY = 0.3  # share of the given probability
RARE = 0.5


def degrade(
    rng: np.random.Generator, image: UInt8[np.ndarray, "h w 3"], probability: float
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as a worse camera takes it, of the same size.

    Args:
        rng: Source of chance.
        image: RGB.
        probability: Of light and colour; blur, resolution, noise and JPEG come half as often.
    """
    light, grey, blur, low, noise, jpeg = rng.random(6)
    if light < probability:
        image = _expose(rng, image)
    if grey < GREY * probability:
        image = np.repeat(np.asarray(Image.fromarray(image).convert("L"))[..., None], 3, axis=2)
    picture = Image.fromarray(image)
    if blur < RARE * probability:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, BLUR))))
    if low < RARE * probability:
        picture = _coarsen(picture, float(rng.uniform(1.2, LOWEST)))
    if noise < RARE * probability:
        picture = _add_noise(rng, picture)
    if jpeg < RARE * probability:
        picture = _compress(picture, int(rng.integers(*QUALITY)))
    return np.array(picture)


def _expose(
    rng: np.random.Generator, image: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Another exposure, contrast curve and white balance; bright parts burn out."""
    gamma = np.exp(rng.normal(0, GAMMA))
    gains = np.exp(rng.uniform(*np.log(GAIN))) * rng.uniform(*CHANNELS, 3)
    # One curve a colour for all 256 values.
    values = (np.arange(256) / 255)[:, None] ** gamma * gains
    curves = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    return np.stack([curves[image[..., c], c] for c in range(3)], axis=2)


def _coarsen(picture: Image.Image, divisor: float) -> Image.Image:
    """Through a lower resolution and back."""
    low = tuple(max(8, round(side / divisor)) for side in picture.size)
    small = picture.resize((low[0], low[1]), Image.Resampling.BILINEAR)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def _add_noise(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    pixels: Float32[np.ndarray, "h w 3"] = np.asarray(picture, np.float32)
    spread = 255 * NOISE * rng.random()
    noisy = pixels + spread * rng.standard_normal(pixels.shape, np.float32)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _compress(picture: Image.Image, quality: int) -> Image.Image:
    """Through JPEG and back."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")
