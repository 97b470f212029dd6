"""A source of pseudo-depth: frames in, depth or disparity out, and what is known about it."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from ssmde.data.images import read_image
from ssmde.data.pseudo_labels import Kind, LabelInfo
from ssmde.data.sequence import FrameSequence

Maps = Sequence[Float32[np.ndarray, "_ _"]]

CHECKSUM_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the user says about a source."""

    argument: str = ""
    """What stands behind the colon of its name."""
    checkpoint: Path | None = None
    """A file of weights."""
    kind: Kind | None = None
    """What the labels hold, where the source itself does not say."""
    size: tuple[int, int] | None = None
    """Size (height, width) the network is to see."""
    device: torch.device
    """Where to compute."""
    scenes: tuple[str, ...] = ()
    """Names of the scenes to label."""


def read_frame(scene: FrameSequence, index: int) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of a frame, RGB.

    Raises:
        ImageError: If it cannot be read.
    """
    return read_image(scene.images[index])


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One source, ready to label."""

    info: LabelInfo
    """What its labels are."""
    label: Callable[[list[Any]], Maps]
    """The maps of what `read` returned for some frames of one scene."""
    read: Callable[[FrameSequence, int], Any] = read_frame
    """What is needed of one frame; an `ImageError` says why there is nothing."""
    home: Path | None = None
    """Folder it reads from, if it is one."""


def to_batch(
    images: Sequence[UInt8[np.ndarray, "h w 3"]], device: torch.device
) -> Float[torch.Tensor, "b 3 h w"]:
    """Images of one size as a batch, RGB in [0, 1]."""
    batch = torch.from_numpy(np.stack(images)).to(device)
    return batch.permute(0, 3, 1, 2).float() / 255


def checksum(file: Path) -> str:
    """First digits of the SHA-256 of a file: which weights made a label."""
    with file.open("rb") as content:
        return "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()[:CHECKSUM_DIGITS]
