"""Image, depth and mask files: pixels in, pixels out.

An `ImageError` names a file that is missing, broken, too large or no image, a `ShapeError` a map
that does not fit its image.
"""

import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Integer, Num, UInt8, UInt16
from PIL import ExifTags, Image, UnidentifiedImageError, features
from torch.nn import functional

from ssmde.arrays import read_npy, read_npz
from ssmde.data.sequence import DepthMap, Pixels, Size
from ssmde.io import FileError, check_file, read_bytes, whole_file

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

Levels = tuple[int, int] | None
"""Lowest and highest value of 16-bit gray that is stretched to 8 bits; None: the upper 8 bits."""
Stretch = Levels | Literal["folder"]
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
DEPTH_SUFFIXES = (".png", ".npy", ".npz")
READABLE = (
    *IMAGE_SUFFIXES, ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
    *([".avif"] if features.modules.get("avif") and features.check_module("avif") else []),
)  # fmt: skip
PHONES = re.compile(b"avi[fs]|he[iv][cx]|hei[ms]|m[is]f1")  # HEIC and AVIF, in their heads
RUNS_PROGRAMS = ("EPS", "WMF")  # kinds that Pillow hands to Ghostscript or to Windows
MOST_PIXELS = 110_000_000
"""A picture or a frame of a film with more is refused by its header, before anything is decoded:
phones take 108 million. Predicting one stays under 4 GiB."""
LIMIT = f"the limit is {MOST_PIXELS / 1e6:.0f} million: make it smaller"
REDUCTIONS = (8, 4, 2, 1)  # the sizes a JPEG can be decoded at: an eighth, a quarter, a half, full
_T = Image.Transpose
TURNS = {
    1: None, 2: _T.FLIP_LEFT_RIGHT, 3: _T.ROTATE_180, 4: _T.FLIP_TOP_BOTTOM, 5: _T.TRANSPOSE,
    6: _T.ROTATE_270, 7: _T.TRANSVERSE, 8: _T.ROTATE_90,
}  # fmt: skip
"""What sets an image of each EXIF orientation upright."""
SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's names for 16 bits a pixel
GRAY_SUFFIXES = (".png", ".tif", ".tiff", ".pgm")  # of files that may hold them
MOST_SAMPLED = 32  # images that tell the levels of a source
OUTLIERS = (0.1, 99.9)  # percent: dead and hot pixels are no range
BROKEN_FILE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, struct.error, zlib.error,
    zipfile.BadZipFile, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow and NumPy raise on broken bytes; an unknown format is an OSError."""
# A map may be squeezed a little to the size of a network: 1024 x 320 of KITTI's 1242 x 375 is 3.5 %
# off. The cut of its depth, 1216 x 352, is 4.3 % off. Where one side is that of the image, nothing
# was squeezed: the other side was cut.
MOST_SQUEEZED, MOST_CUT = 0.04, 0.02
NO_VALUE = 65535  # the largest number of 16 bits, which cameras and renderers write for none
FARTHEST = 1e4  # meters: beyond lies what stands for the sky, such as 65504 and 1e10

# Freeing one large block makes glibc keep the memory of a frame for the next one: else each frame
# pays for fresh pages, more than for its decoding.
np.empty(1 << 24, np.uint8)
# Pillow warns of less than is allowed here, and the warning could not be told from a fault.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageError(ValueError):
    """A file that should hold an image, a depth map or a mask and does not."""


class ShapeError(ImageError):
    """A map that is turned, cut or of another aspect ratio than its image."""


@contextmanager
def _naming(where: Path | str) -> Generator[None]:
    """Turn whatever a broken file raises into an `ImageError` with its name and the reason."""
    try:
        yield
    except ImageError:
        raise
    except FileError as error:
        raise ImageError(str(error)) from error
    except FileNotFoundError as error:
        raise ImageError(f"{where}: no such file") from error
    except BROKEN_FILE as error:
        reason = re.sub(f" '{re.escape(str(where))}'| <_io.BytesIO.*?>", "", str(error))
        reason = reason or type(error).__name__
        said = f"cannot be read ({reason}); copy or extract it again"
        if isinstance(where, str):
            said = f"cannot be read as an image ({reason})"
        elif where.is_file() and where.stat().st_size == 0:
            said = "the file is empty; copy or extract it again"
        raise ImageError(f"{where}: {said}") from error


# What may be opened


def too_many_pixels(size: Size) -> str | None:
    """Why a picture or frame of this size (height, width) is not decoded; None if it may be."""
    count = size[0] * size[1]
    said = f"has {count / 1e6:,.0f} million pixels ({size[1]} x {size[0]}), {LIMIT}"
    return said if count > MOST_PIXELS else None


def not_read(kind: str) -> str:
    """What to say of a kind of picture that is known and not read."""
    return f"{kind}, which is not read: save it as JPEG or PNG"


def is_phone_picture(file: Path | BytesIO) -> bool:
    """Whether this is HEIC or AVIF, whatever the name says."""
    with file.open("rb") if isinstance(file, Path) else BytesIO(file.getvalue()) as opened:
        head = opened.read(64)
    return head[4:8] == b"ftyp" and PHONES.search(head) is not None


@contextmanager
def open_image(file: Path | BytesIO, where: Path | str) -> Generator[Image.Image]:
    """An image file of which only the header was read; what must not be decoded is refused."""
    if isinstance(file, Path):
        check_file(file, "picture")  # a pipe would be waited for
    try:
        image = Image.open(file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{where}: has too many pixels, {LIMIT}") from error
    except UnidentifiedImageError as error:
        if is_phone_picture(file):
            raise ImageError(f"{where}: {not_read('HEIC or AVIF')}") from error
        raise
    with image:
        reason = too_many_pixels((image.height, image.width))
        if image.format in RUNS_PROGRAMS:
            reason = f"{image.format} needs other programs; save it as PNG"
        if reason:
            raise ImageError(f"{where}: {reason}")
        yield image


def read_size(path: Path) -> Size:
    """Size (height, width) of an image as `read_image` would return it; reads the header only."""
    with _naming(path), open_image(path, path) as image:
        return image.size if _orientation(image) >= 5 else (image.height, image.width)


def size_of_bytes(content: bytes, name: str) -> Size:
    """Size (height, width) of an image file in memory, as stored; reads the header only."""
    with _naming(name), open_image(BytesIO(content), name) as image:
        return image.height, image.width


def read_orientation(path: Path) -> int:
    """How the camera says it was held (EXIF), 1 to 8, 1 is upright; reads the header only."""
    with _naming(path), open_image(path, path) as image:
        return _orientation(image)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8; 5 and above lie on their side."""
    # Pillow turns TIFF by itself; asking a PNG further would decode it.
    if image.format == "TIFF" or (image.format in ("JPEG", "PNG") and "exif" not in image.info):
        return 1
    with suppress(*BROKEN_FILE, TypeError):  # broken marks, or another type of number
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(value) if value in TURNS else 1  # some cameras write 0 or 9
    return 1


def turn_upright(image: Image.Image) -> Image.Image:
    """The image as its orientation mark (EXIF) wants it; the mark itself is dropped."""
    turn = TURNS[_orientation(image)]
    return image if turn is None else image.transpose(turn)


# Colors


def read_image(path: Path, *, reduction: int = 1, levels: Stretch = "folder") -> Pixels:
    """Colors of an image, RGB, upright (EXIF): any file Pillow can read, or a .npy of bytes.

    Gray becomes RGB, 16 bits become 8, transparency is dropped.

    Args:
        path: The .npy has the shape (height, width, 3).
        levels: Of 16-bit gray, from `gray_levels`; by default those of all images of its folder.
        reduction: Decode at a half, a quarter or an eighth of the size: 2, 4 or 8. The result has
            `height // reduction` rows, and pixel u of the file lies at (u + 0.5) / reduction - 0.5
            whatever the remainder. Much faster for JPEG.
    """
    with _naming(path):
        content, pixels = read_bytes(path), None
        if path.suffix == ".npy":
            pixels = np.require(read_npy(content), requirements="W")
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
                got = f"{pixels.dtype} {pixels.shape}"
                raise ValueError(f"pixels are bytes, height x width x 3, got {got}")
            stored = pixels.shape[:2]
        else:
            with open_image(BytesIO(content), path) as image:
                stored, upright = (image.height, image.width), _orientation(image) == 1
                if upright and image.format == "JPEG" and image.mode in ("RGB", "L"):
                    pixels = decode_jpeg(content, stored, reduction)
                if pixels is None:
                    if reduction > 1 and upright:  # Pillow decodes at a reduced size where it can
                        height, width = (max(side // reduction, 1) for side in stored)
                        image.draft("RGB", (width, height))
                    if levels == "folder":
                        levels = _folder_levels(path, image)
                    pixels = np.array(_rgb(path, turn_upright(image), levels))
    if pixels.shape[:2] not in (stored, stored[::-1]):
        # The last row and column of a reduced image may hold a part of a pixel.
        return pixels[: stored[0] // reduction, : stored[1] // reduction]
    if reduction == 1:
        return pixels
    rows, columns = (side // reduction for side in pixels.shape[:2])
    return np.array(Image.fromarray(pixels).reduce(reduction))[:rows, :columns]


def read_image_bytes(content: bytes, name: str) -> Pixels:
    """Colors of an image in the bytes of a file, as `read_image`; `name` is for the message."""
    with _naming(name), open_image(BytesIO(content), name) as image:
        return np.array(_rgb(name, turn_upright(image), _folder_levels(None, image)))


def decode_jpeg(content: bytes | bytearray, stored: Size, reduction: int) -> Pixels | None:
    """Pixels of a JPEG by `simplejpeg`, where it is installed; None where Pillow has to do it.

    Both wrap libjpeg-turbo and give the same pixels; Pillow copies them twice on the way, which
    takes as long as the decoding. Reduced sizes are rounded up: the last pixels may be parts of
    one.
    """
    if simplejpeg is None:
        return None
    height, width = (-(-side // reduction) for side in stored)
    smallest: dict[str, Any] = {"min_height": height, "min_width": width} if reduction > 1 else {}
    try:
        pixels = simplejpeg.decode_jpeg(content, "RGB", **smallest)
    except ValueError:  # broken or of a rare kind: Pillow reads it, or says what is wrong
        return None
    return pixels if pixels.shape[:2] == (height, width) else None


def _rgb(where: Path | str, image: Image.Image, levels: Levels) -> Image.Image:
    if image.mode in SIXTEEN_BIT:
        return Image.fromarray(gray_to_bytes(np.asarray(image), levels)).convert("RGB")
    if image.mode == "F":
        raise ImageError(f"{where}: floating-point pixels are no colours; store 8 or 16 bits each")
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def resize_image(pixels: Pixels, size: Size) -> UInt8[np.ndarray, "k m 3"]:
    """The whole image (RGB) at another size (height, width), bilinear, without aliasing."""
    return resize_images(pixels[None], size)[0].transpose(1, 2, 0)


def resize_images(pixels: UInt8[np.ndarray, "n h w 3"], size: Size) -> UInt8[np.ndarray, "n 3 k m"]:
    """Images at another size, as by `resize_image`; together they take two thirds as long."""
    # The colors of a pixel still lie side by side in memory.
    # On bytes in one block this is four times as fast as Pillow's resize, with the same values.
    planes = torch.from_numpy(np.require(pixels, requirements=("C", "W"))).permute(0, 3, 1, 2)
    return functional.interpolate(planes, size, mode="bilinear", antialias=True).numpy()


def write_image(path: Path, pixels: Pixels, *, quality: int = 95) -> None:
    """Write RGB as JPEG (quality 1 to 100) or PNG, by the ending of `path`; whole or not at all."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"{path}: images are written as {', '.join(IMAGE_SUFFIXES)}")
    kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    with whole_file(path) as part:
        Image.fromarray(pixels).save(part, kind, quality=quality)


def write_png16(path: Path, values: UInt16[np.ndarray, "h w"]) -> None:
    """Write 16-bit gray values; the file appears whole or not at all."""
    with whole_file(path) as part:
        Image.fromarray(values).save(part, "PNG")


# 16-bit gray: one stretch from the lowest to the highest value of a whole source


def gray_levels(files: Sequence[Path]) -> Levels:
    """Lowest and highest value of the 16-bit gray images of one source, of 32 at most.

    None where they use more than half of what 16 bits hold, or where there are none: a thermal
    camera uses a hundredth, of which the upper 8 bits alone would leave four grays.
    """
    some = [path for path in files if path.suffix.lower() in GRAY_SUFFIXES]

    def gray() -> Iterator[np.ndarray]:
        for path in some[:: max(1, -(-len(some) // MOST_SAMPLED))]:
            with suppress(*BROKEN_FILE), open_image(path, path) as image:
                if image.mode in SIXTEEN_BIT:
                    yield np.asarray(image)

    return array_levels(gray())


def is_gray16(path: Path) -> bool:
    """Whether a file is gray of 16 bits; False for what cannot be opened."""
    if path.suffix.lower() in GRAY_SUFFIXES:
        with suppress(*BROKEN_FILE), open_image(path, path) as image:
            return image.mode in SIXTEEN_BIT
    return False


def array_levels(images: Iterable[Integer[np.ndarray, "..."]]) -> Levels:
    """The levels of 16-bit gray images together."""
    ends = [np.percentile(values, OUTLIERS) for values in images if values.size]
    low = int(min((low for low, _ in ends), default=0))
    high = int(max((high for _, high in ends), default=NO_VALUE))
    return (low, max(high, low + 1)) if high - low < NO_VALUE // 2 else None


def _folder_levels(path: Path | None, image: Image.Image) -> Levels:
    """The levels of all images of its folder, so that a frame and the next keep their brightness.

    Its own where it is of a shard or of no file.
    """
    if image.mode not in SIXTEEN_BIT:
        return None
    if path is None or not path.parent.is_dir():
        return array_levels([np.asarray(image)])
    return _levels_of_folder(path.parent, path.parent.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _levels_of_folder(folder: Path, changed: int) -> Levels:  # `changed` forgets an older state
    return gray_levels(sorted(folder.iterdir()))


def gray_to_bytes(values: Integer[np.ndarray, "..."], levels: Levels) -> UInt8[np.ndarray, "..."]:
    """16-bit values as 8 bits: from the lowest to the highest level, or the upper 8 bits."""
    if levels is None:
        return (values >> 8).clip(0, 255).astype(np.uint8)
    low, high = levels
    share = (values.astype(np.float32) - low) / (high - low)
    return (255 * share.clip(0, 1)).round().astype(np.uint8)


def stretch_note(levels: Levels) -> list[str]:
    """What to say of levels: a line, or nothing."""
    return [f"16-bit grey, {levels[0]} to {levels[1]} become 0 to 255"] if levels else []


# Depth, labels and masks


def check_shape(path: Path, shape: tuple[int, ...], image_size: Size) -> None:
    """Refuse a map whose aspect ratio is not that of its image; another resolution is fine.

    It would be stretched over the image, and each number then belongs to another pixel.
    """
    (height, width), (rows, columns) = shape[:2], image_size
    share = MOST_CUT if height == rows or width == columns else MOST_SQUEEZED
    if abs(height - width * rows / columns) > max(1.0, share * height):  # a pixel is rounding
        turned = abs(width - height * rows / columns) <= max(1.0, MOST_SQUEEZED * width)
        raise ShapeError(
            f"{path}: has {width} x {height} pixels, its image {columns} x {rows}: "
            + ("rows and columns are swapped" if turned else "it is cut or stretched")
            + "; give the whole view of the image, at any resolution"
        )


def read_shape(path: Path) -> Size:
    """Size (height, width) of a depth map, label or mask; of a PNG only the header is read."""
    if path.suffix.lower() in (".npy", ".npz"):
        height, width = read_map(path).shape
        return height, width
    with _naming(path), open_image(path, path) as image:
        return image.height, image.width


def read_depth(
    path: Path, units_per_metre: int | float | None = None, *, image_size: Size | None = None
) -> DepthMap:
    """Measured depth in meters; 0 where there is no value.

    That is where the file has 0 or less, nan, infinity, 65535 in 16 bits, or 10 km and more.

    Args:
        path: A 16-bit PNG; or .npy or .npz in meters, dense or sparse (csr) as scipy saves it.
        units_per_metre: What 1 m is in the PNG, such as 5000 (TUM, Bonn) or 1000; a .npy or .npz
            does not need it.
        image_size: Size (height, width) of its image, which it has to fit; None does not ask.
    """
    depth = read_map(path, units_per_metre, image_size=image_size, full_is_none=True)
    depth[depth >= FARTHEST] = 0
    return depth


def read_map(
    path: Path, units_per_metre: int | float | None = None, *, image_size: Size | None = None,
    full_is_none: bool = False,
) -> DepthMap:  # fmt: skip
    """As `read_depth`, of networks: 65535 is a value, as the nearest, if not `full_is_none`."""
    is_png = path.suffix.lower() not in (".npy", ".npz")
    with _naming(path):
        depth = _stored(path)
    if is_png and units_per_metre is None:
        raise ImageError(
            f"{path}: the unit of this depth is unknown; write it into the scene's scene.json, "
            'such as {"depth_units_per_metre": 1000} for millimetres'
        )
    if depth.ndim == 3 and 1 in (depth.shape[0], depth.shape[-1]):
        depth = depth[0] if depth.shape[0] == 1 else depth[..., 0]
    if depth.ndim != 2 or depth.dtype.kind not in "fiu" or not depth.size:
        got = f"{depth.dtype} of shape {depth.shape}"
        raise ImageError(f"{path}: a depth map is one number a pixel, height x width, got {got}")
    if reason := too_many_pixels(depth.shape):
        raise ImageError(f"{path}: {reason}")
    if image_size is not None:
        check_shape(path, depth.shape, image_size)
    if full_is_none and (is_png or depth.dtype == np.uint16):
        depth = depth * (depth != NO_VALUE)
    if is_png:
        depth = depth / np.float32(units_per_metre or 1)
    depth = depth.astype(np.float32)
    depth[~(np.isfinite(depth) & (depth > 0))] = 0
    return depth


def read_mask(path: Path, *, image_size: Size | None = None) -> UInt8[np.ndarray, "h w"]:
    """Gray values of a mask image: in a motion mask 255 moves, 0 is static, 128 unknown."""
    with _naming(path), open_image(BytesIO(read_bytes(path)), path) as image:
        if image_size is not None:
            check_shape(path, (image.height, image.width), image_size)
        return np.array(image.convert("L"))


def _stored(path: Path) -> Num[np.ndarray, "..."]:
    content, kind = read_bytes(path), path.suffix.lower()
    if kind == ".npy":
        return read_npy(content)
    if kind == ".npz":
        return _dense(path, read_npz(content))
    with open_image(BytesIO(content), path) as image:
        if image.mode not in SIXTEEN_BIT:
            wanted = "a depth PNG has 16 bits a pixel and one channel"
            raise ImageError(f"{path}: {wanted}, got mode {image.mode}")
        return np.array(image)


def _dense(path: Path, arrays: Mapping[str, np.ndarray]) -> Num[np.ndarray, "..."]:
    """The array of an .npz: the only one, `depth`, or a sparse matrix (csr) of scipy."""
    if not {"data", "shape"} <= set(arrays):
        if "depth" in arrays or len(arrays) == 1:
            return arrays["depth"] if "depth" in arrays else next(iter(arrays.values()))
        raise ImageError(f"{path}: expected one array, or one named `depth`, got {sorted(arrays)}")
    kind = bytes(arrays["format"].item()).decode() if "format" in arrays else "csr"
    if kind != "csr" or not {"indices", "indptr"} <= set(arrays):
        raise ImageError(f"{path}: sparse depth must be csr, got {kind}: save depth.tocsr()")
    shape = tuple(int(side) for side in arrays["shape"])
    if len(shape) != 2 or not 0 < shape[0] * shape[1] <= MOST_PIXELS:
        raise ImageError(f"{path}: a sparse depth map of shape {shape} is not read, {LIMIT}")
    depth, starts = np.zeros(shape, arrays["data"].dtype), arrays["indptr"]
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    depth[rows, arrays["indices"]] = arrays["data"]
    return depth
