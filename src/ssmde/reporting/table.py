"""The numbers of several networks and baselines as an HTML table."""

from collections.abc import Iterator, Mapping
from html import escape

from ssmde.evaluation.result import REGIONS, Evaluation, Region
from ssmde.metrics.depth import METRICS

HEADINGS = {
    "abs_rel": "AbsRel", "sq_rel": "SqRel", "rmse": "RMSE", "rmse_log": "RMSE log",
    "log10": "log10", "d1": "δ &lt; 1.25", "d2": "δ &lt; 1.25²", "d3": "δ &lt; 1.25³",
}  # fmt: skip
NAMES = {
    "teacher": "teacher, stage 1",
    "student": "student, stage 2",
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


def results_table(results: Mapping[str, Evaluation]) -> str:
    """The numbers as a `<table>`, with protocol and alignment in its caption, baselines below.

    Args:
        results: Of networks, by name, over the same frames; the baselines are those of the last,
            which is set off.
    """
    last = list(results)[-1]
    shown = {**results, **results[last].baselines}
    p, best = results[last].protocol, _best_of_all(shown)
    head = "".join(f"<th>{HEADINGS[metric]}</th>" for metric in METRICS)
    bodies = "\n".join(
        f"<tbody>\n{rows}\n</tbody>"
        for name, evaluation in shown.items()
        if (rows := "\n".join(_rows(name, evaluation, best, ours=name == last)))
    )
    return (
        f"<table>\n<caption>Protocol <strong>{escape(p.name)}</strong> "
        f"({p.min_depth:g} to {p.max_depth:g} m, {'cropped' if p.crop else 'whole image'}), "
        f"alignment <strong>{escape(results[last].align)}</strong>, {results[last].n_images} "
        "held-out frames; best value of each group in green.</caption>\n"
        f'<thead><tr><th></th><th class="left">pixels</th>{head}</tr></thead>\n{bodies}\n</table>'
    )


def _rows(name: str, evaluation: Evaluation, best: Best, *, ours: bool) -> Iterator[str]:
    who = escape(NAMES.get(name, name))
    for region in REGIONS:
        mean = evaluation.region(region).mean()
        if mean is None:
            continue
        cells = "".join(
            f"<td{_marked(value == best[region, metric])}>{value:.3f}</td>"
            for metric in METRICS
            for value in [round(getattr(mean, metric), 3)]
        )
        set_off = ' class="ours"' if ours else ""
        yield (
            f'<tr{set_off}><th class="who">{who}</th>'
            f'<th class="left">{REGION_NAMES[region]}</th>{cells}</tr>'
        )
        who = ""


def _marked(is_best: bool) -> str:
    return ' class="best"' if is_best else ""


def _best_of_all(results: Mapping[str, Evaluation]) -> Best:
    """Best shown value of each region and metric."""
    found: Best = {}
    for evaluation in results.values():
        for region in REGIONS:
            mean = evaluation.region(region).mean()
            for metric in METRICS if mean is not None else ():
                value = round(getattr(mean, metric), 3)
                better = max if metric in HIGHER_IS_BETTER else min
                found[region, metric] = better(value, found.get((region, metric), value))
    return found
