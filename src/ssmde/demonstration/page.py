"""The page of the demo: a record of what happened, told as HTML that needs no network."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from ssmde.config import Config, dump_config
from ssmde.demonstration.film import Film
from ssmde.demonstration.shipped import Shipped, shipped_section
from ssmde.demonstration.world import World
from ssmde.evaluation.result import Evaluation, Region
from ssmde.io import write_text
from ssmde.reporting.curves import Chart
from ssmde.reporting.exhibits import Exhibit, exhibit_article
from ssmde.reporting.report import figures, style
from ssmde.reporting.table import NAMES, results_table

COMMANDS = (
    ("frames of the video become a scene folder", "ssmde prepare walk.mp4 data --hfov-degrees 60"),
    (
        "labels, motion, teacher, student, report; --resume goes on after a stop",
        "ssmde train ss_mde --data.root data",
    ),
    ("depth for every frame", "ssmde predict runs/ss_mde walk.mp4 depth"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What happened, from the drawing to the pictures."""

    first: Config
    """The training run of stage 1."""
    second: Config
    """That of stage 2."""
    world: World
    results: tuple[Evaluation, Evaluation]
    """Of the held-out frames: teacher and student."""
    exhibits: tuple[Exhibit, ...]
    film: Film | None
    charts: tuple[Chart, ...]
    shipped: Shipped
    """The network of the package, beside that of the demo."""
    seconds: dict[str, float]
    """Wall-clock time of each step, by its name; `teacher` and `student` are the trainings."""


def write_page(folder: Path, story: Story) -> Path:
    """Write `index.html` into the folder that holds the pictures, and return it."""
    template = Template(files("ssmde.demonstration").joinpath("page.html").read_text("utf-8"))
    teacher, student = story.results
    trained = story.seconds["teacher"] + story.seconds["student"]
    text = template.substitute(
        style=style(),
        headline=f"Depth of scenes that move, learnt in {in_words(trained)}",
        train_frames=story.world.train_frames,
        film="" if story.film is None else _film(story.film),
        numbers="\n".join(_numbers(teacher, student)),
        steps="\n".join(_steps(story)),
        labels=_labels(story.world),
        verdict=_verdict(teacher, student),
        table=results_table({"teacher": teacher, "student": student}),
        notes="".join(f" {escape(note)}." for note in student.notes),
        exhibits="\n".join(exhibit_article(exhibit) for exhibit in story.exhibits),
        curves=figures(story.charts),
        shipped=shipped_section(story.shipped),
        expect=_expect(student, story.first.train.steps + story.second.train.steps),
        commands="\n".join(
            f'<span class="say"># {escape(why)}</span>\n{escape(command)}'
            for why, command in COMMANDS
        ),
        first=escape(dump_config(story.first)),
        second=escape(dump_config(story.second)),
        footer=_footer(story),
    )
    page = folder / "index.html"
    write_text(page, text)
    return page


def in_words(seconds: int | float) -> str:
    """A length of time for a sentence: `38 seconds`, `a minute`, `2.5 minutes`."""
    if seconds < 55:
        return f"{max(1, round(seconds))} seconds" if round(seconds) > 1 else "a second"
    minutes = round(2 * seconds / 60) / 2
    return "a minute" if minutes == 1 else f"{minutes:g} minutes"


def _film(film: Film) -> str:
    height, width = film.size
    return (
        f'<div class="film"><picture><source srcset="{film.still}" '
        'media="(prefers-reduced-motion: reduce)">'
        f'<img src="{film.moving}" width="{width}" height="{height}" '
        'alt="A held-out video: frame, predicted depth and true depth side by side"></picture>'
        "<ol><li>held-out video</li><li>depth of the student</li><li>true depth</li></ol></div>"
    )


def _numbers(teacher: Evaluation, student: Evaluation) -> Iterator[str]:
    """The figures worth a large type: errors of the student, and what they compare to."""
    constant = student.baselines.get("constant")
    regions: dict[Region, str] = {"static": "what stands still", "dynamic": "what moves by itself"}
    for region, words in regions.items():
        ours, before = (r.region(region).mean() or r.full for r in (student, teacher))
        rivals = f"teacher {before.abs_rel:.1%}"
        if constant is not None:
            rival = constant.region(region).mean() or constant.full
            rivals += f", one constant distance {rival.abs_rel:.1%}"
        meaning = f"mean error of the student's distance on {words}; {rivals}"
        yield _number(f"{ours.abs_rel:.1%}", meaning)
    yield _number(f"{student.full.d1:.0%}", "of all pixels within 25 % of the truth")
    yield _number(str(student.n_images), "held-out frames measured")


def _number(value: str, meaning: str) -> str:
    return f"<div><dd>{value}</dd><dt>{meaning}</dt></div>"


def _steps(story: Story) -> Iterator[str]:
    first, second = story.first, story.second
    height, width = first.data.image_size
    yield _step(
        "Videos were drawn",
        f"{len(story.world.train)} to learn from ({story.world.train_frames} frames) and "
        f"{len(story.world.held_out)} held out, in other places: people and cars walk and drive "
        "through them. Depth and motion of every pixel are known by formula.",
    )
    yield _step(
        "Stage 1: the teacher",
        "One network says the depth of a frame, another how the camera moved to the next. Together "
        "they rebuild each frame from its neighbours: the better the depth, the better the copy. "
        "Rough labels show shape and order. "
        f"{first.train.steps} steps of {first.train.batch_size} frames at {width} by {height} "
        "pixels, from random weights.",
    )
    yield _step(
        "Stage 2: the student",
        f"It begins as its teacher and learns {second.train.steps} steps more: from the views "
        "without what moves, from labels that are forgotten step by step, and from the teacher "
        "where the mask filter trusts it.",
    )
    yield _step(
        "The result was measured",
        "On the held-out videos, against the depth they were drawn from, beside two guesses that "
        "never look at the image. No truth was used before this moment: the weights are those of "
        "the last step, not the best of several.",
    )


def _step(title: str, text: str) -> str:
    return f"<li><h3>{title}</h3><p>{text}</p></li>"


def _labels(world: World) -> str:
    """What the labels are, and what that means for the numbers."""
    return escape(
        "A real run asks a network that knows photographs (ssmde label). The demo downloads "
        "nothing, so its labels are a stand-in: the drawn depth, distorted in every frame anew by "
        "a scale, an exponent, a shift, slow waves and a blur. By the measure below they are off "
        f"by {world.label_error:.0%} themselves. The numbers show what the method makes of labels "
        "of this quality, not what it finds without them. The held-out videos have no labels."
    )


def _verdict(teacher: Evaluation, student: Evaluation) -> str:
    """The numbers in sentences, and which baselines they beat."""
    where = "what stands still" if student.static else "the held-out frames"
    ours, before = ((e.static or e.full).abs_rel for e in (student, teacher))
    words = f"On {where}, the student is off by {ours:.1%} on average, its teacher by {before:.1%}."
    if student.dynamic is not None and teacher.dynamic is not None:
        words += (
            f" On what moves by itself: {student.dynamic.abs_rel:.1%} and "
            f"{teacher.dynamic.abs_rel:.1%}."
        )
    words += (
        " The student is the teacher, trained on: some of the difference is the longer training."
    )
    for name, other in student.baselines.items():
        theirs = (other.static or other.full).abs_rel
        outcome = "beaten" if ours < theirs else "not beaten in so short a training"
        words += f" {NAMES.get(name, name).capitalize()}: {theirs:.1%}, {outcome}."
    return escape(words)


def _expect(student: Evaluation, steps: int) -> str:
    words = (
        f"{steps} steps from random weights are a beginning: edges are soft and small things are "
        "missed. Networks one finds in papers start from weights that know photographs, and train "
        "a hundred times as long."
    )
    if student.dynamic is not None and student.static is not None:
        words += (
            " Things that move by themselves break the rule that views agree: what keeps pace with "
            "the camera looks infinitely far, what comes towards it too near. Labels and filter "
            f"are there for them; the error is {student.dynamic.abs_rel:.0%} here, against "
            f"{student.static.abs_rel:.0%} for what stands still."
        )
    return escape(words)


def _footer(story: Story) -> str:
    t = story.first.train
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in story.seconds.items())
    return escape(
        f"ssmde {version('ssmde')}, seed {t.seed}, CPU with {t.threads or 'all'} threads. {parts}."
        " Beside this page: the videos (data), the runs with their weights (runs), metrics.json "
        "and the worst frames (evaluation)."
    )
