"""The report at the end of a run of both stages: one HTML file that needs nothing beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ssmde.config import Config, dump_config
from ssmde.console import counted
from ssmde.data.images import read_image
from ssmde.data.sequence import FrameSequence
from ssmde.evaluation.report import REGIONS, Evaluation, Region
from ssmde.inference.loading import load
from ssmde.inference.pictures import WORST_ERROR
from ssmde.io import write_text
from ssmde.metrics.depth import METRICS
from ssmde.reporting.charts import STUDENT, TEACHER, line_chart, stage_charts
from ssmde.reporting.examples import (
    CAPTIONS,
    Example,
    embedded,
    finished_student,
    gradient,
    measured_example,
    plain_example,
    student_maps,
)

FILE = "report.html"  # in the folder of the run
EXAMPLES = 4
HEADINGS = {
    "abs_rel": "AbsRel", "sq_rel": "SqRel", "rmse": "RMSE", "rmse_log": "RMSE log",
    "log10": "log10", "d1": "δ < 1.25", "d2": "δ < 1.25²", "d3": "δ < 1.25³",
}  # fmt: skip
NAMES = {
    "teacher": "teacher, stage 1",
    "student": "student, stage 2",
    "constant": "one constant depth",
    "mean_map": "mean depth map",
}
REGION_NAMES: dict[Region, str] = {"full": "all pixels", "static": "static", "dynamic": "moving"}
HIGHER_IS_BETTER = ("d1", "d2", "d3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stages:
    """Both stages of a finished run."""

    folder: Path  # of the run; the stages lie in it as `teacher` and `student`
    teacher: Config
    student: Config
    weights: tuple[Path, Path]  # files of teacher and student that the report speaks of
    results: tuple[Evaluation, Evaluation] | None
    """Of these weights on the held-out frames; None without truth."""


def write_report(stages: Stages, held_out: Sequence[FrameSequence]) -> Path:
    """Write `report.html` into the folder of the run, with pictures of held-out scenes."""
    folder, results = stages.folder, stages.results
    constant = None if results is None else results[1].baselines.get("constant")
    references = {} if constant is None else errors_of_log(constant)
    examples, no_pictures = (), ""
    try:
        examples = tuple(_examples(stages, held_out))
    except ValueError as error:  # a single image can be evaluated, a filter needs neighbors
        no_pictures = str(error)
    page = folder / FILE
    text = render(
        "ssmde.reporting", "report.html", stages=stages, examples=examples, no_pictures=no_pictures,
        results=results and dict(zip((TEACHER, STUDENT), results, strict=True)),
        charts=stage_charts(folder / TEACHER, folder / STUDENT, references=references),
    )  # fmt: skip
    write_text(page, text)
    return page


def render(package: str, template: str, **values: object) -> str:
    """A page from a template of a package, which may import those of this one."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("ssmde.reporting")]),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    filters: dict[str, Any] = {
        "svg": lambda chart: Markup(line_chart(chart)), "yaml": dump_config, "rows": _rows,
    }  # fmt: skip
    words: dict[str, Any] = {
        "captions": CAPTIONS, "headings": HEADINGS, "names": NAMES, "gradient": gradient,
        "worst_error": WORST_ERROR, "version": version("ssmde"), "counted": counted,
    }  # fmt: skip
    environment.filters.update(filters)
    environment.globals.update(words)
    return environment.get_template(template).render(**values)


def errors_of_log(result: Evaluation) -> dict[str, float]:
    """Errors by the names that the log of a training has for them."""
    named = {"": result.full, "static_": result.static, "dynamic_": result.dynamic}
    return {f"val/{name}abs_rel": e.abs_rel for name, e in named.items() if e is not None}


def _rows(results: Mapping[str, Evaluation]) -> dict[str, list[tuple[str, list[tuple[str, bool]]]]]:
    """By network or baseline, for each region: its name, and each number with if it is the best.

    Args:
        results: Of networks, by name, over the same frames; the baselines are those of the last.
    """
    shown = {**results, **list(results.values())[-1].baselines}
    values: dict[tuple[str, Region, str], float] = {}
    for name, result in shown.items():
        for region in REGIONS:
            if (mean := result.region(region).mean()) is not None:
                values |= {(name, region, m): round(getattr(mean, m), 3) for m in METRICS}

    def cells(name: str, region: Region) -> Iterator[tuple[str, bool]]:
        for metric in METRICS:
            rivals = [v for (_, r, m), v in values.items() if (r, m) == (region, metric)]
            best = (max if metric in HIGHER_IS_BETTER else min)(rivals)
            value = values[name, region, metric]
            yield f"{value:.3f}", value == best

    return {
        name: [
            (REGION_NAMES[region], list(cells(name, region)))
            for region in REGIONS
            if (name, region, METRICS[0]) in values
        ]
        for name in shown
    }


def _examples(stages: Stages, held_out: Sequence[FrameSequence]) -> Iterator[Example]:
    """Pictures of a few frames, with truth where they were measured."""
    log = stages.folder / STUDENT / "log.csv"
    student = finished_student(stages.student, stages.weights[1], log)
    found = student_maps(student, stages.student.data, held_out, count=EXAMPLES)
    results, measured, predictors = stages.results, set[str](), None
    if results is not None:
        measured = {frame.frame.name for frame in results[1].frames}
        predictors = (load(stages.weights[0]), load(stages.weights[1]))
    images = {s.frame_name(i): s.images[i] for s in held_out for i in range(len(s))}
    for maps in found:
        if results is not None and predictors is not None and maps.name in measured:
            yield measured_example(maps, results, predictors, embedded)
        else:
            yield plain_example(maps, read_image(images[maps.name]), embedded)
