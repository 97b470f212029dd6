"""Image, depth and mask files: pixels in, pixels out, and one kind of error that names the file."""

import re
import struct
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Num, UInt8, UInt16
from PIL import ExifTags, Image
from torch import Tensor
from torch.nn import functional

from ssmde.data.files import IMAGE_SUFFIXES
from ssmde.data.grey import SIXTEEN_BIT, array_levels, folder_levels, grey_to_bytes
from ssmde.data.jpeg import decode_jpeg
from ssmde.data.npz import NoDepthError, dense
from ssmde.data.opening import ImageError, open_image, too_many_pixels
from ssmde.data.store import RemoteError
from ssmde.io import FileError, read_bytes, read_npy, read_npz, whole_file

Levels = tuple[int, int] | None
DEPTH_SUFFIXES = (".png", ".npy", ".npz")
REDUCTIONS = (8, 4, 2, 1)  # the sizes a JPEG can be decoded at: an eighth, a quarter, a half, full
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets an image of each EXIF orientation upright."""
# What Pillow and NumPy raise on broken bytes; an unknown format is an OSError.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, KeyError, struct.error, zlib.error)
BROKEN_FILE = (*BROKEN, zipfile.BadZipFile, Image.DecompressionBombError)  # of a later part
KEPT_MEMORY = 1 << 24  # bytes
# A map may be squeezed a little to the size of a network: 1024 x 320 of KITTI's 1242 x 375 is 3.5 %
# off. The cut of its depth, 1216 x 352, is 4.3 % off. Where one side is that of the image, nothing
# was squeezed: the other side was cut.
MOST_SQUEEZED, MOST_CUT = 0.04, 0.02
NO_VALUE = 65535  # the largest number of 16 bits, which cameras and renderers write for none
FARTHEST = 1e4  # metres: beyond lies what stands for the sky, such as 65504 and 1e10


def _keep_memory() -> None:
    """Let the process keep the memory of a frame for the next one.

    By default glibc gives every large block back to the system, and each frame pays for fresh
    pages: more than the decoding itself. Freeing one larger block raises that limit to its size.
    """
    np.empty(KEPT_MEMORY, np.uint8)  # freed at once


_keep_memory()


@contextmanager
def _naming(path: Path, name: str = "") -> Generator[None]:
    """Turn whatever a broken file raises into an `ImageError` with its name and the reason."""
    try:
        yield
    except (ImageError, RemoteError):  # what the net does is no fault of the file
        raise
    except FileError as error:
        raise ImageError(str(error)) from error
    except NoDepthError as error:
        raise ImageError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except BROKEN_FILE as error:
        if name:  # no file
            reason = str(error).split(" <_io")[0]
            raise ImageError(f"{name}: cannot be read as an image ({reason})") from error
        if path.is_file() and path.stat().st_size == 0:
            raise ImageError(f"{path}: the file is empty; copy or extract it again") from error
        reason = re.sub(f" '{re.escape(str(path))}'| <_io.BytesIO.*?>", "", str(error))
        reason = reason or type(error).__name__
        raise ImageError(f"{path}: cannot be read ({reason}); copy or extract it again") from error


def read_size(path: Path) -> tuple[int, int]:
    """Size (height, width) of an image as `read_image` would return it; reads the header only.

    Raises:
        ImageError: If the file is missing or no image.
    """
    with _naming(path), open_image(path, path) as image:
        width, height = image.size
        return (width, height) if _orientation(image) >= 5 else (height, width)


def size_of_bytes(content: bytes, name: str) -> tuple[int, int]:
    """Size (height, width) of an image file in memory, as stored; reads the header only.

    Raises:
        ImageError: If it is none, or has too many pixels.
    """
    with _naming(Path(name), name), open_image(BytesIO(content), Path(name)) as image:
        return image.height, image.width


def read_orientation(path: Path) -> int:
    """How the camera says it was held (EXIF), 1 to 8, 1 is upright; reads the header only.

    Raises:
        ImageError: If the file is missing or no image.
    """
    with _naming(path), open_image(path, path) as image:
        return _orientation(image)


def read_image(
    path: Path, *, reduction: int = 1, levels: tuple[int, int] | Literal["folder"] | None = "folder"
) -> UInt8[np.ndarray, "h w 3"]:
    """Colours of an image, RGB, upright.

    The camera's orientation mark (EXIF) is applied, grey becomes RGB, 16 bits become 8,
    transparency is dropped.

    Args:
        path: Any file Pillow can read, or bytes of shape (height, width, 3) in a .npy.
        levels: Of 16-bit grey, from `grey_levels`; by default those of all images of its folder.
        reduction: Decode at a half, a quarter or an eighth of the size: 2, 4 or 8. The result has
            `height // reduction` rows, and pixel u of the file lies at (u + 0.5) / reduction - 0.5
            whatever the remainder. Much faster for JPEG.

    Raises:
        ImageError: If the file is missing, truncated or no image.
    """
    with _naming(path):
        content = read_bytes(path)
        if path.suffix == ".npy":
            pixels = read_pixels(content)
            return pixels if reduction == 1 else _average(pixels, reduction)
        with open_image(BytesIO(content), path) as image:
            width, height = image.size
            upright = _orientation(image) == 1
            pixels = None
            if upright and image.format == "JPEG" and image.mode in ("RGB", "L"):
                pixels = decode_jpeg(content, (height, width), reduction)
            if pixels is None:
                if levels == "folder":
                    levels = None
                    if image.mode in SIXTEEN_BIT and path.parent.is_dir():
                        levels = folder_levels(path.parent, path.parent.stat().st_mtime_ns)
                    elif image.mode in SIXTEEN_BIT:  # of a shard
                        levels = array_levels(np.asarray(image))
                pixels = _decode(path, image, reduction, levels, upright=upright)
    if pixels.shape[:2] in ((height, width), (width, height)):
        return pixels if reduction == 1 else _average(pixels, reduction)
    # The last row and column of a reduced image may hold a part of a pixel.
    return pixels[: height // reduction, : width // reduction]


def read_image_bytes(content: bytes, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """The same of the content of a file.

    Args:
        content: All bytes of a file Pillow can read.
        name: Where they come from, for the message.

    Raises:
        ImageError: If they are truncated or no image.
    """
    path = Path(name)
    with _naming(path, name), open_image(BytesIO(content), path) as image:
        levels = array_levels(np.asarray(image)) if image.mode in SIXTEEN_BIT else None
        return np.array(_rgb(path, turn_upright(image), levels))


def read_pixels(content: bytes | bytearray) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of an image in the bytes of a .npy.

    Raises:
        ValueError: If they hold something else.
    """
    pixels = read_npy(content)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels are bytes, height x width x 3, got {pixels.dtype} {pixels.shape}")
    return pixels if pixels.flags.writeable else pixels.copy()


def resize_image(
    pixels: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "k m 3"]:
    """The whole image at another size, bilinear, without aliasing.

    Args:
        pixels: RGB.
        size: New size (height, width).
    """
    return resize_images(pixels[None], size)[0].transpose(1, 2, 0)


def resize_images(
    pixels: UInt8[np.ndarray, "n h w 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "n 3 k m"]:
    """Images at another size, as `resize_image` makes them; together they take two thirds as long.

    The colours of a pixel still lie side by side in memory.

    Args:
        pixels: RGB, all of one size.
        size: New size (height, width).
    """
    # On bytes in one block this is four times as fast as Pillow's resize, with the same values.
    planes = torch.from_numpy(np.require(pixels, requirements=("C", "W"))).permute(0, 3, 1, 2)
    return resize_bytes(planes, size).numpy()


def resize_bytes(
    images: UInt8[Tensor, "n 3 h w"], size: tuple[int, int], *, as_floats: bool = False
) -> UInt8[Tensor, "n 3 k m"]:
    """Images at another size (height, width), bilinear, without aliasing.

    Args:
        images: RGB.
        size: New size.
        as_floats: Compute in float32: on GPUs there is no other way.
    """
    values = images.float() if as_floats else images
    view = functional.interpolate(
        values, size, mode="bilinear", antialias=True, align_corners=False
    )
    return view.round().clamp(0, 255).to(torch.uint8) if as_floats else view


class ShapeError(ImageError):
    """A map that is turned, cut or of another aspect ratio than its image."""


def check_shape(path: Path, shape: tuple[int, ...], image_size: tuple[int, int]) -> None:
    """Refuse a map whose aspect ratio is not that of its image; another resolution is fine.

    It would be stretched over the image, and each number then belongs to another pixel.

    Args:
        path: File of the map, for the message.
        shape: Its (height, width).
        image_size: Size (height, width) of the image.

    Raises:
        ShapeError: If they do not fit; it has both sizes.
    """
    (height, width), (rows, columns) = shape[:2], image_size
    wanted = width * rows / columns
    share = MOST_CUT if height == rows or width == columns else MOST_SQUEEZED
    if abs(height - wanted) > max(1.0, share * height):  # a pixel is rounding
        turned = abs(width - height * rows / columns) <= max(1.0, MOST_SQUEEZED * width)
        raise ShapeError(
            f"{path}: has {width} x {height} pixels, its image {columns} x {rows}: "
            + ("rows and columns are swapped" if turned else "it is cut or stretched")
            + "; give the whole view of the image, at any resolution"
        )


def read_shape(path: Path) -> tuple[int, int]:
    """Size (height, width) of a depth map, label or mask; of a PNG only the header is read.

    Raises:
        ImageError: If the file is missing, broken or no map.
    """
    if path.suffix.lower() in (".npy", ".npz"):
        height, width = read_map(path).shape
        return height, width
    with _naming(path), open_image(path, path) as image:
        return image.height, image.width


def read_depth(
    path: Path,
    units_per_metre: int | float | None = None,
    *,
    image_size: tuple[int, int] | None = None,
) -> Float32[np.ndarray, "h w"]:
    """Measured depth in metres; 0 where there is no value.

    That is where the file has 0 or less, nan, infinity, 65535 in 16 bits, or 10 km and more.

    Args:
        path: A 16-bit PNG; or .npy or .npz in metres, dense or sparse as scipy saves it.
        units_per_metre: What 1 m is in the PNG, such as 5000 (TUM, Bonn) or 1000; a .npy or .npz
            does not need it.
        image_size: Size (height, width) of its image, which it has to fit; None does not ask.

    Raises:
        ImageError: If the file is missing, broken or no depth map, or the unit is unknown.
        ShapeError: If it does not fit its image.
    """
    depth = read_map(path, units_per_metre, image_size=image_size, full_is_none=True)
    return np.where(depth < FARTHEST, depth, np.float32(0))


def read_map(
    path: Path,
    units_per_metre: int | float | None = None,
    *,
    image_size: tuple[int, int] | None = None,
    full_is_none: bool = False,
) -> Float32[np.ndarray, "h w"]:
    """Map of one number a pixel, as networks write them; 0 where it is not finite and positive.

    Args:
        path: As in `read_depth`.
        units_per_metre: As in `read_depth`.
        image_size: As in `read_depth`.
        full_is_none: 65535 in 16 bits is no value; a disparity has its nearest pixel there.

    Raises:
        ImageError: If the file is missing, broken or no depth map, or the unit is unknown.
        ShapeError: If it does not fit its image.
    """
    with _naming(path):
        if path.suffix.lower() == ".npy":
            depth = read_npy(read_bytes(path))
        elif path.suffix.lower() == ".npz":
            depth = dense(read_npz(read_bytes(path)))
            if reason := too_many_pixels((depth.shape[0], depth.size // max(1, depth.shape[0]))):
                raise NoDepthError(reason)
        else:
            depth = _png_depth(path, units_per_metre, full_is_none=full_is_none)
    if full_is_none and depth.dtype == np.uint16:
        depth = np.where(depth == NO_VALUE, 0, depth)
    if depth.ndim == 3 and 1 in (depth.shape[0], depth.shape[-1]):
        depth = depth[0] if depth.shape[0] == 1 else depth[..., 0]
    if depth.ndim != 2 or depth.dtype.kind not in "fiu" or not depth.size:
        raise ImageError(
            f"{path}: a depth map is one number a pixel, height x width, "
            f"got {depth.dtype} of shape {depth.shape}"
        )
    if image_size is not None:
        check_shape(path, depth.shape, image_size)
    depth = depth.astype(np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def read_mask(path: Path, *, image_size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "h w"]:
    """Grey values of a mask image, as stored: in a motion mask 255 moves, 0 is static, 128 unknown.

    Args:
        path: The mask.
        image_size: Size (height, width) of its image, which it has to fit; None does not ask.

    Raises:
        ImageError: If the file is missing, truncated or no image.
        ShapeError: If it does not fit its image.
    """
    with _naming(path), open_image(BytesIO(read_bytes(path)), path) as image:
        if image_size is not None:
            check_shape(path, (image.height, image.width), image_size)
        return np.array(image.convert("L"))


def write_image(path: Path, pixels: UInt8[np.ndarray, "h w 3"], *, quality: int = 95) -> None:
    """Write RGB as JPEG or PNG, by the ending of `path`; the file appears whole or not at all.

    Args:
        path: Where to; its folder exists.
        pixels: RGB.
        quality: JPEG quality, 1 to 100.
    """
    with whole_file(path) as part:
        Image.fromarray(pixels).save(part, _format(path), quality=quality)


def write_png16(path: Path, values: UInt16[np.ndarray, "h w"]) -> None:
    """Write 16-bit grey values; the file appears whole or not at all."""
    with whole_file(path) as part:
        Image.fromarray(values).save(part, "PNG")


def _format(path: Path) -> str:
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"{path}: images are written as {', '.join(IMAGE_SUFFIXES)}")
    return "PNG" if path.suffix.lower() == ".png" else "JPEG"


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) to 8; 5 and above lie on their side."""
    if image.format == "TIFF":
        return 1  # Pillow turns it by itself
    if image.format in ("JPEG", "PNG") and "exif" not in image.info:
        return 1  # asking a PNG further would decode it
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(value) if value in TURNS else 1  # some cameras write 0 or 9
    except (*BROKEN, TypeError):  # broken marks, or another type of number: the pixels are fine
        return 1


def turn_upright(image: Image.Image) -> Image.Image:
    """The image as its orientation mark (EXIF) wants it; the mark itself is dropped."""
    turn = TURNS[_orientation(image)]
    return image if turn is None else image.transpose(turn)


def _decode(
    path: Path, image: Image.Image, reduction: int, levels: Levels, *, upright: bool
) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels by Pillow, at a reduced size where the format can."""
    if reduction > 1 and upright:
        width, height = (max(side // reduction, 1) for side in image.size)
        image.draft("RGB", (width, height))
    return np.array(_rgb(path, turn_upright(image), levels))


def _rgb(path: Path, image: Image.Image, levels: tuple[int, int] | None) -> Image.Image:
    if image.mode in SIXTEEN_BIT:
        return Image.fromarray(grey_to_bytes(np.asarray(image), levels)).convert("RGB")
    if image.mode == "F":
        raise ImageError(f"{path}: floating-point pixels are no colours; store 8 or 16 bits each")
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def _average(pixels: UInt8[np.ndarray, "h w 3"], reduction: int) -> UInt8[np.ndarray, "k m 3"]:
    """Mean of every block of `reduction` x `reduction` pixels."""
    rows, columns = pixels.shape[0] // reduction, pixels.shape[1] // reduction
    whole = Image.fromarray(pixels[: rows * reduction, : columns * reduction])
    return np.array(whole.reduce(reduction))


def _png_depth(
    path: Path, units_per_metre: int | float | None, *, full_is_none: bool
) -> Num[np.ndarray, "..."]:
    with open_image(BytesIO(read_bytes(path)), path) as image:
        if image.mode not in SIXTEEN_BIT:
            raise ImageError(
                f"{path}: a depth PNG has 16 bits a pixel and one channel, got mode {image.mode}"
            )
        values = np.array(image)
    if units_per_metre is None:
        raise ImageError(
            f"{path}: the unit of this depth is unknown; write it into the scene's scene.json, "
            'such as {"depth_units_per_metre": 1000} for millimetres'
        )
    if full_is_none:
        values = np.where(values == NO_VALUE, 0, values)
    return values / np.float32(units_per_metre)
