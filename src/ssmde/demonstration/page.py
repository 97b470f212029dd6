"""The page of the demo: a record of what happened, told as HTML that needs no network."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from ssmde.config import Config, dump_config
from ssmde.data.images import whole_file
from ssmde.demonstration.curves import Curve, line_chart
from ssmde.demonstration.gallery import Exhibit, Film, gradient
from ssmde.demonstration.world import World
from ssmde.evaluation.result import REGIONS, Evaluation, Region
from ssmde.metrics.depth import METRICS
from ssmde.pictures import WORST_ERROR

HEADINGS = {
    "abs_rel": "AbsRel", "sq_rel": "SqRel", "rmse": "RMSE", "rmse_log": "RMSE log",
    "log10": "log10", "d1": "δ &lt; 1.25", "d2": "δ &lt; 1.25²", "d3": "δ &lt; 1.25³",
}  # fmt: skip
PREDICTORS = {
    "network": "the network",
    "constant": "one constant depth",
    "mean_map": "mean depth map",
}
REGION_NAMES: dict[Region, str] = {
    "full": "all pixels",
    "static": "static",
    "dynamic": "moving",
}
HIGHER_IS_BETTER = ("d1", "d2", "d3")
Best = dict[tuple[Region, str], float]
COMMANDS = (
    ("frames of the video become a scene folder", "ssmde prepare walk.mp4 data --hfov-degrees 60"),
    ("train on it; --resume goes on after a stop", "ssmde train consistent --data.root data"),
    ("depth for every frame", "ssmde predict runs/consistent walk.mp4 depth"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What happened, from the drawing to the pictures."""

    config: Config
    """The training run."""
    world: World
    result: Evaluation
    """Of the held-out frames."""
    exhibits: tuple[Exhibit, ...]
    film: Film | None
    curves: tuple[Curve, ...]
    seconds: dict[str, float]
    """Wall-clock time of each stage, by its name; `training` is one of them."""


def write_page(folder: Path, story: Story) -> Path:
    """Write `index.html` into the folder that holds the pictures, and return it."""
    room = files("ssmde.demonstration")
    template = Template(room.joinpath("page.html").read_text(encoding="utf-8"))
    steps = story.config.train.steps
    text = template.substitute(
        style=room.joinpath("page.css").read_text(encoding="utf-8"),
        headline=f"Depth, learnt from plain video in {in_words(story.seconds['training'])}",
        train_frames=story.world.train_frames,
        training_time=in_words(story.seconds["training"]),
        film="" if story.film is None else _film(story.film),
        numbers="\n".join(_numbers(story.result)),
        steps="\n".join(_steps(story)),
        verdict=_verdict(story.result),
        table=results_table(story.result),
        notes="".join(f" {escape(note)}." for note in story.result.notes),
        exhibits="\n".join(_exhibit(exhibit) for exhibit in story.exhibits),
        curves="\n".join(_curve(curve) for curve in story.curves),
        expect=_expect(story.result, steps),
        commands="\n".join(
            f'<span class="say"># {escape(why)}</span>\n{escape(command)}'
            for why, command in COMMANDS
        ),
        settings=escape(dump_config(story.config)),
        footer=_footer(story),
    )
    page = folder / "index.html"
    with whole_file(page) as part:
        part.write_text(text, encoding="utf-8")
    return page


def in_words(seconds: int | float) -> str:
    """A length of time for a sentence: `38 seconds`, `a minute`, `2.5 minutes`."""
    if seconds < 55:
        return f"{max(1, round(seconds))} seconds" if round(seconds) > 1 else "a second"
    minutes = round(2 * seconds / 60) / 2
    return "a minute" if minutes == 1 else f"{minutes:g} minutes"


def results_table(result: Evaluation) -> str:
    """The numbers as a `<table>`, with protocol and alignment in its caption, baselines below."""
    p = result.protocol
    head = "".join(f"<th>{HEADINGS[metric]}</th>" for metric in METRICS)
    bodies = "\n".join(
        f"<tbody>\n{rows}\n</tbody>"
        for name, evaluation in {"network": result, **result.baselines}.items()
        if (rows := "\n".join(_rows(name, evaluation, _best_of_all(result))))
    )
    return (
        f"<table>\n<caption>Protocol <strong>{escape(p.name)}</strong> "
        f"({p.min_depth:g} to {p.max_depth:g} m, {'cropped' if p.crop else 'whole image'}), "
        f"alignment <strong>{escape(result.align)}</strong>, {result.n_images} held-out frames; "
        "best value of each group in green.</caption>\n"
        f'<thead><tr><th></th><th class="left">pixels</th>{head}</tr></thead>\n{bodies}\n</table>'
    )


def _rows(name: str, evaluation: Evaluation, best: Best) -> Iterator[str]:
    who = escape(PREDICTORS.get(name, name))
    for region in REGIONS:
        mean = evaluation.region(region).mean()
        if mean is None:
            continue
        cells = "".join(
            f"<td{_marked(value == best[region, metric])}>{value:.3f}</td>"
            for metric in METRICS
            for value in [round(getattr(mean, metric), 3)]
        )
        yield (
            f'<tr{_ours(name)}><th class="who">{who}</th>'
            f'<th class="left">{REGION_NAMES[region]}</th>{cells}</tr>'
        )
        who = ""


def _marked(is_best: bool) -> str:
    return ' class="best"' if is_best else ""


def _ours(name: str) -> str:
    return ' class="ours"' if name == "network" else ""


def _best_of_all(result: Evaluation) -> Best:
    """Best shown value of each region and metric, over the network and the baselines."""
    found: Best = {}
    for evaluation in (result, *result.baselines.values()):
        for region in REGIONS:
            mean = evaluation.region(region).mean()
            for metric in METRICS if mean is not None else ():
                value = round(getattr(mean, metric), 3)
                better = max if metric in HIGHER_IS_BETTER else min
                found[region, metric] = better(value, found.get((region, metric), value))
    return found


def _film(film: Film) -> str:
    height, width = film.size
    return (
        f'<div class="film"><picture><source srcset="{film.still}" '
        'media="(prefers-reduced-motion: reduce)">'
        f'<img src="{film.moving}" width="{width}" height="{height}" '
        'alt="A held-out video: frame, predicted depth and true depth side by side"></picture>'
        "<ol><li>held-out video</li><li>predicted depth</li><li>true depth</li></ol></div>"
    )


def _numbers(result: Evaluation) -> Iterator[str]:
    """The figures worth a large type."""
    static = result.static or result.full
    yield _number(f"{static.abs_rel:.1%}", "mean error of the distance on what stands still")
    if (constant := result.baselines.get("constant")) is not None:
        rival = constant.static or constant.full
        yield _number(f"{rival.abs_rel:.1%}", "the same for one constant distance an image")
    yield _number(f"{static.d1:.0%}", "of these pixels within 25 % of the truth")
    yield _number(str(result.n_images), "held-out frames measured")


def _number(value: str, meaning: str) -> str:
    return f"<div><dd>{value}</dd><dt>{meaning}</dt></div>"


def _steps(story: Story) -> Iterator[str]:
    c = story.config
    height, width = c.data.image_size
    yield _step(
        "Videos were drawn",
        f"{len(story.world.train)} to learn from ({story.world.train_frames} frames) and "
        f"{len(story.world.held_out)} held out, in other places: people and cars walk and drive "
        "through them. Depth and motion of every pixel are known by formula, and kept aside.",
    )
    yield _step(
        "Two networks learnt from the frames alone",
        "One says the depth of a frame, the other how the camera moved to the next. Together they "
        "rebuild each frame from its neighbours; the better the depth, the better the copy. They "
        "begin with the turn of the camera, go on with a plane that is nearer below, and then see "
        "for themselves. "
        f"{c.train.steps} steps of {c.train.batch_size} frames at {width} by {height} pixels, "
        "from random weights.",
    )
    yield _step(
        "The result was measured",
        "On the held-out videos, against the depth they were drawn from, beside two guesses that "
        "never look at the image. No truth was used before this moment: the weights are those of "
        "the last step, not the best of several.",
    )


def _step(title: str, text: str) -> str:
    return f"<li><h3>{title}</h3><p>{text}</p></li>"


def _verdict(result: Evaluation) -> str:
    """The numbers in a sentence, and which baselines they beat."""
    ours = (result.static or result.full).abs_rel
    where = "what stands still" if result.static else "the held-out frames"
    words = f"On {where}, the predicted distance is off by {ours:.0%} on average."
    for name, other in result.baselines.items():
        theirs = (other.static or other.full).abs_rel
        outcome = "beaten" if ours < theirs else "not beaten in so short a training"
        words += f" {PREDICTORS.get(name, name).capitalize()}: {theirs:.0%}, {outcome}."
    return escape(words)


def _expect(result: Evaluation, steps: int) -> str:
    words = (
        f"{steps} steps from random weights are a beginning: edges are soft and small things are "
        "missed. Networks one finds in papers start from weights that know photographs, and train "
        "a hundred times as long."
    )
    if result.dynamic is not None and result.static is not None:
        words += (
            f" Things that move by themselves have an error of {result.dynamic.abs_rel:.0%} here, "
            f"against {result.static.abs_rel:.0%} for what stands still: their motion breaks the "
            "rule the training rests on. What keeps pace with the camera looks infinitely far, "
            "what comes towards it looks too near. The masks soften this; they do not cure it."
        )
    return escape(words)


def _exhibit(exhibit: Exhibit) -> str:
    large = (
        _figure(exhibit.frame, "frame"),
        _figure(exhibit.prediction, "predicted depth"),
        _figure(exhibit.truth, "true depth"),
        _figure(exhibit.error, f"relative error, 0 to {WORST_ERROR:.0%} and more"),
    )
    small = (
        _figure(exhibit.auto_mask, "auto mask: white learns, black stands still or cannot be told"),
        _figure(exhibit.weight_mask, "weight mask: dark where two views disagree about the depth"),
        _figure(exhibit.motion, "truth: what moves by itself"),
    )
    return (
        f'<article class="exhibit"><header><h3>{escape(exhibit.name)}</h3>'
        f'<span class="soft">AbsRel {exhibit.abs_rel:.3f}</span></header>'
        f'<div class="large">{"".join(large)}</div><div class="small">{"".join(small)}'
        f'<div class="legend"><span class="bar" style="background:{gradient("depth")}"></span>'
        f'<span class="ends"><span>{exhibit.near:.1f} m</span><span>{exhibit.far:.0f} m</span>'
        f'</span><span class="bar" style="background:{gradient("error")}"></span>'
        f'<span class="ends"><span>no error</span><span>{WORST_ERROR:.0%}</span></span></div>'
        "</div></article>"
    )


def _figure(file: str, caption: str) -> str:
    return (
        f'<figure><img src="{file}" alt="{caption}" loading="lazy">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _curve(curve: Curve) -> str:
    return f"<figure><h3>{escape(curve.title)}</h3>{line_chart(curve)}</figure>"


def _footer(story: Story) -> str:
    t = story.config.train
    stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in story.seconds.items())
    return escape(
        f"ssmde {version('ssmde')}, seed {t.seed}, CPU with {t.threads or 'all'} threads. {stages}."
        " Beside this page: the videos (data), the run with its weights (runs), metrics.json and "
        "the worst frames (evaluation)."
    )
