"""The report at the end of a run of both stages: one HTML file that needs nothing beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from ssmde.config import Config, dump_config
from ssmde.data.images import read_image
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.result import Evaluation
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.io import write_text
from ssmde.reporting.curves import Chart, line_chart
from ssmde.reporting.exhibits import (
    Exhibit,
    embedded,
    exhibit_article,
    measured_exhibit,
    plain_exhibit,
)
from ssmde.reporting.looks import Look, finished_student, look_at
from ssmde.reporting.stage_curves import STUDENT, TEACHER, stage_charts
from ssmde.reporting.table import results_table

FILE = "report.html"  # in the folder of the run
EXHIBITS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Stages:
    """Both stages of a finished run."""

    folder: Path
    """Of the run; the stages lie in it as `teacher` and `student`."""
    teacher: Config
    student: Config
    weights: tuple[Path, Path]
    """Files of teacher and student that the report speaks of."""
    results: tuple[Evaluation, Evaluation] | None
    """Of these weights on the held-out frames; None without truth."""


def write_report(stages: Stages, held_out: Sequence[FrameSequence]) -> Path:
    """Write `report.html` into the folder of the run, and return it.

    Args:
        stages: What was trained.
        held_out: The validation scenes, for the pictures.
    """
    folder = stages.folder
    references = _references(stages.results)
    charts = stage_charts(folder / TEACHER, folder / STUDENT, references=references)
    template = Template(read_text("report.html"))
    text = template.substitute(
        name=escape(stages.student.name.rpartition("/")[0] or stages.student.name),
        style=style(),
        lead=escape(_lead(stages)),
        evaluation=_evaluation(stages.results),
        exhibits="\n".join(_exhibits(stages, held_out)),
        curves=figures(charts),
        first=escape(dump_config(stages.teacher)),
        second=escape(dump_config(stages.student)),
        footer=escape(f"ssmde {version('ssmde')}, seed {stages.teacher.train.seed}."),
    )
    page = folder / FILE
    write_text(page, text)
    return page


def read_text(name: str) -> str:
    """A file of this room."""
    return files("ssmde.reporting").joinpath(name).read_text(encoding="utf-8")


def style() -> str:
    """The style sheet of every page."""
    return read_text("style.css")


def figures(charts: Sequence[Chart]) -> str:
    """The charts as HTML."""
    return "\n".join(
        f"<figure><h3>{escape(chart.title)}</h3>{line_chart(chart)}</figure>" for chart in charts
    )


def _lead(stages: Stages) -> str:
    height, width = stages.teacher.data.image_size
    steps = stages.student.student.steps or stages.student.train.steps
    return (
        f"Stage 1: a teacher, {stages.teacher.train.steps} steps. Stage 2: a student, {steps} "
        f"steps. {width} by {height} pixels, {stages.teacher.train.batch_size} frames a step, "
        f"data {stages.teacher.data.root}."
    )


def _references(results: tuple[Evaluation, Evaluation] | None) -> dict[str, float]:
    """What one constant depth scores on the same frames, by the names of the log."""
    constant = None if results is None else results[1].baselines.get("constant")
    if constant is None:
        return {}
    named = {"": constant.full, "static_": constant.static, "dynamic_": constant.dynamic}
    return {f"val/{name}abs_rel": e.abs_rel for name, e in named.items() if e is not None}


def _evaluation(results: tuple[Evaluation, Evaluation] | None) -> str:
    if results is None:
        return "<p>No held-out frame has measured depth.</p>"
    notes = "".join(f" {escape(note)}." for note in results[1].notes)
    return (
        f'<div class="sheet">\n{results_table(dict(zip((TEACHER, STUDENT), results, strict=True)))}'
        '\n</div>\n<p class="under soft">The weights are those that did best in the validations of '
        "their stage. The student starts as its teacher, so some of what it gains may be longer "
        f"training.{notes}</p>"
    )


def _exhibits(stages: Stages, held_out: Sequence[FrameSequence]) -> Iterator[str]:
    """Pictures of a few frames, or why there are none."""
    log = stages.folder / STUDENT / "log.csv"
    try:
        student = finished_student(stages.student, stages.weights[1], log)
        looks = look_at(student, stages.student.data, held_out, count=EXHIBITS)
    except ValueError as error:  # a single image can be evaluated, a filter needs neighbours
        yield f"<p>No pictures: {escape(str(error))}</p>"
        return
    predictors: tuple[Predictor, Predictor] | None = None
    if stages.results is not None:
        predictors = (load(stages.weights[0]), load(stages.weights[1]))
    for look in looks:
        yield exhibit_article(_exhibit(stages.results, predictors, look, held_out))


def _exhibit(
    results: tuple[Evaluation, Evaluation] | None,
    predictors: tuple[Predictor, Predictor] | None,
    look: Look,
    held_out: Sequence[FrameSequence],
) -> Exhibit:
    """With truth where this frame was measured."""
    measured = set() if results is None else {found.frame.name for found in results[1].frames}
    if results is not None and predictors is not None and look.name in measured:
        return measured_exhibit(look, results, predictors, embedded)
    image = next(
        s.images[i] for s in held_out for i in range(len(s)) if s.frame_name(i) == look.name
    )
    return plain_exhibit(look, read_image(image), embedded)
