"""Before stage 2 with `student.cache`: every frame is shown to the teacher once."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ssmde.config import Config
from ssmde.data.sequence import FrameSequence
from ssmde.data.teacher_depth import Frame, keep_teacher_depth
from ssmde.methods.asked_teacher import TeacherNetworks

FOLDER = "teacher_depth"


def keep_what_the_teacher_says(
    config: Config, folder: Path, sequences: list[FrameSequence], teacher: TeacherNetworks
) -> None:
    """Write the teacher's depth of every frame of the training; goes on where it stopped.

    Args:
        config: The run.
        folder: Where to.
        sequences: The scenes.
        teacher: The networks.
    """
    on_gpu = torch.cuda.is_available() and config.train.accelerator != "cpu"
    device = torch.device("cuda" if on_gpu else "cpu")
    network = teacher.depth_net.to(device)

    @torch.no_grad()
    def say(images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w"]:
        return network(images.to(device).float() / 255)[:, 0]

    keep_teacher_depth(
        folder,
        sequences,
        config.data.image_size,
        say,
        teacher=fingerprint(teacher),
        follow=_with_bar,
    )


def fingerprint(teacher: TeacherNetworks) -> str:
    """A text that differs for other weights of the depth network."""
    found = hashlib.sha256()
    for name, tensor in sorted(teacher.depth_net.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _with_bar(frames: list[Frame]) -> Iterator[Frame]:
    console = Console(stderr=True)
    yield from track(frames, "asking the teacher", console=console, transient=True)
