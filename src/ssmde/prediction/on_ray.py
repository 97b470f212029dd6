"""Prediction of many images by many processes and machines; see `ssmde.cluster`.

A piece of work is some images. Its worker notes each image whose files are all written in a journal
of the piece, so where the piece is done once more these are left out: each image gets its files
once. The journals are left behind by an interruption, and the same command reads them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from ssmde.cluster import work_on_ray
from ssmde.prediction.formats import films, frame_files
from ssmde.prediction.jobs import Job, Summary, shots_of_images, with_progress
from ssmde.prediction.journal import ImageJournal

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
    source: Path,
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
        source: What holds them, for the journals.
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
    work = job.work(source)
    journal = ImageJournal(job.out, work)
    journal.take_in_parts()
    left = iter([item for item in images.items() if item[0] not in journal.done])
    parts = iter(lambda: dict(islice(left, piece_size)), {})
    pieces = [Piece(number=number, images=part) for number, part in enumerate(parts)]
    skipped: list[str] = []

    def done() -> Iterator[str]:
        results = work_on_ray(open_job, partial(predict_piece, work), pieces, lost=_say_lost)
        for piece, reasons in results if pieces else ():
            skipped.extend(reasons)
            journal.take_in(piece.number)
            yield from piece.images

    for _ in with_progress(done(), sum(len(piece.images) for piece in pieces)):
        pass
    files = [frame_files(job.out, name, job.formats) for name in images if name in journal.done]
    journal.close()
    return Summary(
        written=tuple(path for each in files for path, _ in each), skipped=tuple(skipped)
    )


def predict_piece(work: str, job: Job, piece: Piece) -> list[str]:
    """Write what a lost worker has not written of a piece; why images were skipped.

    Args:
        work: From `Job.work`.
        job: What to do.
        piece: The images.
    """
    journal, skipped = ImageJournal(job.out, work, part=piece.number), list[str]()
    left = {name: path for name, path in piece.images.items() if name not in journal.done}
    for name, shot in shots_of_images(job, left.items(), skipped):
        job.write(name, shot)
        journal.add(name)
    return skipped


def _say_lost(piece: Piece, tries: int) -> str:
    names = list(piece.images)
    return (
        f"a worker was lost {tries} times over {len(names)} images, {names[0]} to {names[-1]}; "
        "what was written so far is kept"
    )
