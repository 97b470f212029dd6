"""What a teacher that stays as it is says of every frame, computed once and kept on disk.

A file holds two maps of a whole frame, in 16 bits: the depth of the frame, and that of its mirror
image, mirrored back. A mirrored view takes them the other way round, so mirroring is exact. A
zoomed
view takes its part of the maps, which is not quite what the teacher would say of the view itself.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16, UInt8
from torch import Tensor

from ssmde.data.augment import Framing, whole_frame
from ssmde.data.images import ImageError, read_image, whole_file
from ssmde.data.npy import read_npy
from ssmde.data.sequence import FrameSequence

ABOUT = "about.json"
BATCH = 8  # frames at once

Say = Callable[[UInt8[Tensor, "b 3 h w"]], Float[Tensor, "b h w"]]
"""Depth of images."""
Frame = tuple[FrameSequence, int]


def keep_teacher_depth(
    folder: Path,
    sequences: Sequence[FrameSequence],
    image_size: tuple[int, int],
    say: Say,
    *,
    teacher: str,
    follow: Callable[[list[Frame]], Iterator[Frame]] = iter,
) -> None:
    """Write what the teacher says of every frame that has no file yet and can be read.

    Args:
        folder: Where to; what another teacher said is thrown away.
        sequences: The frames.
        image_size: Size (height, width) the teacher sees.
        say: Asks it.
        teacher: Tells this teacher from others.
        follow: Goes through the frames; may show how far it is.
    """
    about = json.dumps({"teacher": teacher, "image_size": list(image_size)})
    if not (folder / ABOUT).is_file() or (folder / ABOUT).read_text("utf-8") != about:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with whole_file(folder / ABOUT) as part:
            part.write_text(about, "utf-8")
    frames = [(s, i) for s in sequences for i in range(len(s)) if not _file(folder, s, i).is_file()]
    waiting = follow(frames)
    while group := list(islice(waiting, BATCH)):
        read = [(frame, view) for frame in group if (view := _view(*frame, image_size)) is not None]
        if not read:
            continue
        images = torch.from_numpy(np.stack([view for _, view in read]))
        depth = say(torch.cat([images, images.flip(-1)])).cpu()
        straight, mirrored = depth[: len(read)], depth[len(read) :].flip(-1)
        maps = torch.stack([straight, mirrored], dim=1).to(torch.float16).numpy()
        for ((sequence, index), _), values in zip(read, maps, strict=True):
            path = _file(folder, sequence, index)
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as part, part.open("wb") as file:
                np.save(file, values)


def read_teacher_depth(
    folder: Path, sequence: FrameSequence, frames: Sequence[int], framing: Framing
) -> Float16[Tensor, "1 m h w"]:
    """Depth of each view of a snippet, then that of the mirrored first one, mirrored back.

    Args:
        folder: Of `keep_teacher_depth`.
        sequence: The scene.
        frames: The target and its sources.
        framing: How their frames became views.

    Raises:
        ImageError: If one of them has no file: it could not be read.
    """
    same, other = (1, 0) if framing.flip else (0, 1)
    kept = [_read(_file(folder, sequence, index)) for index in frames]
    maps = [values[same] for values in kept] + [kept[0][other]]
    views = [framing.smooth(values, sequence.image_size) for values in maps]
    return torch.from_numpy(np.stack(views))[None]


def _read(path: Path) -> Float16[np.ndarray, "2 h w"]:
    try:
        return read_npy(path.read_bytes())
    except FileNotFoundError as error:
        raise ImageError(f"{path}: the teacher has not seen this frame") from error


def _view(
    sequence: FrameSequence, index: int, image_size: tuple[int, int]
) -> UInt8[np.ndarray, "3 h w"] | None:
    """The whole frame as the teacher sees it; None where it cannot be read."""
    framing = whole_frame(sequence.image_size, image_size)
    try:
        pixels = read_image(sequence.images[index], reduction=framing.reduction)
    except ImageError:
        return None
    stored = tuple(side // framing.reduction for side in sequence.image_size)
    return framing.image(pixels) if pixels.shape[:2] == stored else None


def _file(folder: Path, sequence: FrameSequence, index: int) -> Path:
    return folder / f"{sequence.frame_name(index)}.npy"
