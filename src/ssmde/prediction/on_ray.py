"""Prediction of many images by many processes and machines; see `ssmde.cluster`.

A piece of work is some images. Where its worker is lost it is done once more, from its start: files
are replaced whole, by equal ones.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ssmde.cluster import work_on_ray
from ssmde.console import counted
from ssmde.prediction.formats import films, frame_files
from ssmde.prediction.jobs import Job, Summary, shots_of_images, with_progress

PIECE = 32  # images: a few seconds of work, so that machines of unlike speed end together


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Some of the images."""

    number: int
    images: dict[str, Path | str]
    """Paths or addresses, by the name of the output."""


def predict_on_ray(
    open_job: Callable[[], Job],
    job: Job,
    images: dict[str, Path | str],
    *,
    piece_size: int = PIECE,
) -> Summary:
    """Files of every image, as `predict_images` writes them, by the workers of a Ray cluster.

    Each GPU of the cluster, or each processor where it has none, holds the network. All machines
    must see images and output under the same paths.

    Args:
        open_job: Makes `job` in a worker.
        job: What to do.
        images: Paths or addresses, by the name of the output.
        piece_size: Images of a piece.

    Raises:
        ImportError: If Ray is not installed.
        RuntimeError: If a piece of work loses its worker again and again.
        ValueError: If a format is one file for all images.
    """
    if films(job.formats):
        raise ValueError(
            f"--engine ray writes files for each image, {', '.join(films(job.formats))} is one "
            "file for all of them: leave it out, or leave out --engine ray"
        )
    left = iter(images.items())
    parts = iter(lambda: dict(islice(left, piece_size)), {})
    pieces = [Piece(number=number, images=part) for number, part in enumerate(parts)]
    good, skipped = set[str](), list[str]()

    def done() -> Iterator[str]:
        for piece, (names, reasons) in work_on_ray(open_job, predict_piece, pieces, lost=_say_lost):
            good.update(names)
            skipped.extend(reasons)
            yield from piece.images

    for _ in with_progress(done(), len(images)):
        pass
    files = [frame_files(job.out, name, job.formats) for name in images if name in good]
    return Summary(
        written=tuple(path for each in files for path, _ in each), skipped=tuple(skipped)
    )


def predict_piece(job: Job, piece: Piece) -> tuple[list[str], list[str]]:
    """Write the images of a piece: the names of those that were read, and why others were not."""
    good, skipped = list[str](), list[str]()
    for name, shot in shots_of_images(job, piece.images.items(), skipped):
        job.write(name, shot, piece.images[name])
        good.append(name)
    return good, skipped


def _say_lost(piece: Piece, tries: int) -> str:
    names = list(piece.images)
    return (
        f"a worker was lost {tries} times over {counted(len(names), 'image')}, {names[0]} to "
        f"{names[-1]}; what was written so far is kept"
    )
