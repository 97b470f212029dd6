"""The pictures of the page: held-out frames, each picture a file beside the page."""

from collections.abc import Sequence
from pathlib import Path

from ssmde.config import DataConfig
from ssmde.data.sequence import FrameSequence
from ssmde.demonstration.film import FOLDER
from ssmde.evaluation.result import Evaluation
from ssmde.inference.pictures import write_png
from ssmde.inference.predictor import Predictor
from ssmde.methods.student import Student
from ssmde.reporting.exhibits import Exhibit, Picture, measured_exhibit
from ssmde.reporting.looks import look_at


def hang_exhibits(
    page: Path,
    results: tuple[Evaluation, Evaluation],
    predictors: tuple[Predictor, Predictor],
    student: Student,
    sequences: Sequence[FrameSequence],
    data: DataConfig,
    *,
    count: int,
) -> tuple[Exhibit, ...]:
    """Write the pictures of a few measured frames, evenly spread; colours are in metres.

    Args:
        page: Folder of the page; the pictures go to a folder in it.
        results: Evaluations of teacher and student that hold the frames of `sequences`.
        predictors: The networks that were evaluated.
        student: The method with the trained networks; its filter is shown.
        sequences: Held-out sequences, with truth.
        data: Of the training run, for size and frame gaps.
        count: Number of frames.
    """
    exhibits: list[Exhibit] = []
    for number, look in enumerate(look_at(student, data, sequences, count=count), start=1):

        def hang(kind: str, picture: Picture, number: int = number) -> str:
            file = f"{FOLDER}/{number:02d}_{kind}.png"
            write_png(page / file, picture)
            return file

        exhibits.append(measured_exhibit(look, results, predictors, hang))
    return tuple(exhibits)
