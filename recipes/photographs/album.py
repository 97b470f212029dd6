"""Albums: some photos of one size and focal length, each of its own place, as a scene folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray
from numpy.random import Generator
from PIL import Image

from photographs.photo import KINDS, draw

LYING, UPRIGHT, WIDE = (288, 384), (384, 288), (192, 640)
SIZES = {  # height and width, and how often
    "room": ((LYING, 0.6), (UPRIGHT, 0.4)),
    "street": ((WIDE, 0.5), (LYING, 0.3), (UPRIGHT, 0.2)),
    "mixed": ((LYING, 0.5), (UPRIGHT, 0.3), (WIDE, 0.2)),
}
FIELD = (68.0, 13.0)  # mean and spread of the field of view along the longer side, in degrees
NARROWEST, WIDEST = 40.0, 100.0
OFF_CENTRE = 0.015  # spread of the principal point, as a share of the picture
FINEST = 2000  # steps of a stored depth a metre, where 16 bits reach
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Album:
    """Photos and their truth; n photos."""

    source: str
    """What was drawn, in words."""
    images: UInt8[ndarray, "n h w 3"]
    depth: Float32[ndarray, "n h w"]
    """Metres along z; 0 for the sky and whatever is too far."""
    intrinsics: Float64[ndarray, "3 3"]
    """Pinhole matrix, in pixels of the photos."""


def draw_album(
    kind: str,
    seed: int,
    photos: int,
    size: tuple[int, int] | None = None,
    textures: Sequence[Sequence[Path]] = (),
) -> Album:
    """Photos of one size and focal length, each at a place of its own; same seed, same bytes.

    Args:
        kind: `room`, `street` or `mixed`.
        seed: Start of every random choice.
        photos: How many.
        size: Height and width; None: drawn, upright or lying.
        textures: Files of real photos, folder by folder, to cut textures from.

    Raises:
        ValueError: If the kind is unknown or there are to be no photos.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}: known are {', '.join(KINDS)}")
    if photos < 1:
        raise ValueError(f"photos must be at least 1, got {photos}")
    rng = np.random.default_rng([KINDS.index(kind), seed, 99])
    sizes, shares = zip(*SIZES[kind], strict=True)
    drawn_size = sizes[int(rng.choice(len(sizes), p=shares))]
    height, width = size or drawn_size
    intrinsics = _intrinsics(rng, height, width)
    taken = [
        draw(kind, (KINDS.index(kind), seed, number), intrinsics, (height, width), textures)
        for number in range(photos)
    ]
    return Album(
        source=f"drawn photos: {kind}, seed {seed}",
        images=np.stack([photo.image for photo in taken]),
        depth=np.stack([photo.depth for photo in taken]),
        intrinsics=intrinsics,
    )


def _intrinsics(rng: Generator, height: int, width: int) -> Float64[ndarray, "3 3"]:
    field = np.clip(rng.normal(*FIELD), NARROWEST, WIDEST)
    focal = 0.5 * max(height, width) / np.tan(np.radians(field) / 2)
    off = 1 + OFF_CENTRE * rng.normal(0, 1, 2).clip(-2, 2)
    return np.array(
        [[focal, 0, off[0] * (width - 1) / 2], [0, focal, off[1] * (height - 1) / 2], [0, 0, 1]]
    )


def write_album(album: Album, folder: Path) -> None:
    """Write a scene folder: frames as JPEG, cam.txt, depth as 16-bit PNG, scene.json last.

    The unit of the depth is as fine as 16 bits allow for the deepest point of the album, at most
    half a millimetre.
    """
    (folder / "depth").mkdir(parents=True, exist_ok=True)
    deepest = float(album.depth.max())
    unit = min(FINEST, int(np.iinfo(np.uint16).max / max(deepest, 1e-3)))
    for index, (image, depth) in enumerate(zip(album.images, album.depth, strict=True)):
        Image.fromarray(image).save(folder / f"{index:06d}.jpg", quality=JPEG_QUALITY)
        steps = np.rint(depth.astype(np.float64) * unit)
        # A surface that is near enough to round to 0 would read as sky.
        steps = np.where(depth > 0, np.maximum(steps, 1), 0).astype(np.uint16)
        Image.fromarray(steps).save(folder / "depth" / f"{index:06d}.png")
    np.savetxt(folder / "cam.txt", album.intrinsics, fmt="%.10g")
    info = {
        "source": album.source,
        "licence": "MIT",
        "fps": 1.0,
        "depth_units_per_metre": unit,
        "notes": "Single photos, each of another place; drawn by photographs, depth is exact.",
    }
    (folder / "scene.json").write_text(json.dumps(info, indent=2) + "\n")
