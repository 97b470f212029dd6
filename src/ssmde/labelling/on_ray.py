"""Labelling by many processes and machines; see `ssmde.cluster`.

A piece of work is a few frames of one scene. Where it is done once more, it leaves out the frames
that have their label already. So whatever is lost on the way, each frame gets one label.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from ssmde.cluster import work_on_ray
from ssmde.data.sequence import FrameSequence
from ssmde.labelling.source import Source


class Piece(NamedTuple):
    """Some frames of one scene."""

    scene: FrameSequence
    frames: list[int]


Work = Callable[[Source, FrameSequence, list[int]], list[str]]
"""Labels some frames; for each that got no label, the reason."""


def label_on_ray(
    open_source: Callable[[], Source], work: Work, pieces: list[Piece], *, gpu: bool
) -> Iterator[tuple[Piece, list[str]]]:
    """Do all pieces of work on the processors of a Ray cluster; each when it is done.

    Args:
        open_source: Makes the source ready, in every worker.
        work: What to do with a piece.
        pieces: All of the work.
        gpu: Give each worker a GPU; else a processor.

    Raises:
        ImportError: If Ray is not installed.
        RuntimeError: If a piece of work loses its worker again and again.
    """
    return work_on_ray(open_source, partial(_label, work), pieces, gpu=gpu, lost=_say_lost)


def _label(work: Work, source: Source, piece: Piece) -> list[str]:
    return work(source, *piece)


def _say_lost(piece: Piece, tries: int) -> str:
    return (
        f"scene '{piece.scene.name}': a worker was lost {tries} times over frames "
        f"{piece.frames[0]} to {piece.frames[-1]}; the labels written so far are kept"
    )
