"""Curves: read from logs, drawn as SVG, both stages on one axis."""

import re

import pytest

from ssmde.reporting.charts import Chart, line_chart, read_curve, stage_charts

HEAD = "step,cpu_seconds,name,value\n"


def test_a_curve_is_read_by_its_name(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(HEAD + "1,0.1,train/loss,0.5\n1,0.1,lr,1\n2,0.2,train/loss,0.25\n")
    assert read_curve(log, "train/loss") == ((1, 0.5), (2, 0.25))
    assert read_curve(log, "val/abs_rel") == ()
    log.write_text(f'step,name\n"{"x" * 200_000}')
    with pytest.raises(ValueError, match=r"log\.csv: cannot be read as CSV"):
        read_curve(log, "train/loss")


def drawn(svg, name):
    """Ends of a line in the picture, in its own units: (x, y) of the first and the last point."""
    group = svg.split(f'id="{name}"')[1].split("</g>")[0]
    numbers = re.findall(r"[ML] ([\d.]+) ([\d.]+)", group)
    return [tuple(map(float, pair)) for pair in (numbers[0], numbers[-1])]


def test_a_curve_that_meets_its_reference_is_drawn_on_it_and_one_without_points_is_refused():
    chart = Chart(title="x", lines={"": ((0, 2.0), (10, 1.0))}, reference=("goal", 1.0))
    svg = line_chart(chart)
    assert drawn(svg, "line-1")[1][1] == pytest.approx(drawn(svg, "reference")[0][1])
    assert svg.startswith('<svg role="img" aria-label="x: 2 at step 0, 1 at step 10; goal 1"')
    assert svg == line_chart(chart)
    for lines in ({}, {"": ()}, {"a": ((0, 1.0),), "b": ()}):
        with pytest.raises(ValueError, match="the chart 'x' needs at least one point"):
            line_chart(Chart(title="x", lines=lines))


def test_several_lines_have_names_and_share_their_axes():
    lines = {"a": ((0, 1.0), (4, 3.0)), "b<": ((0, 3.0), (4, 1.0))}
    svg = line_chart(Chart(title="x", lines=lines, divider=("then", 4)))
    first, second = drawn(svg, "line-1"), drawn(svg, "line-2")
    assert [y for _, y in first] == pytest.approx([y for _, y in reversed(second)])
    assert ">a</text>" in svg
    assert ">b&lt;</text>" in svg
    assert drawn(svg, "divider")[0][0] == pytest.approx(first[1][0])


def logs(tmp_path, first: str, second: str):
    for name, text in (("teacher", first), ("student", second)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.csv").write_text(HEAD + text)
    return tmp_path / "teacher", tmp_path / "student"


def test_the_second_stage_comes_behind_the_first(tmp_path):
    runs = logs(
        tmp_path,
        "5,1,train/loss,0.5\n10,2,train/loss,0.4\n10,2,val/static_abs_rel,0.3\n",
        "3,1,train/loss,0.2\n3,1,train/forgetting_factor,0.05\n3,1,train/filter_static,0.6\n"
        "3,1,train/filter_dynamic,0.1\n3,1,val/static_abs_rel,0.2\n3,1,val/abs_rel,0.9\n",
    )
    loss, factor, error, regions = stage_charts(*runs, references={"val/static_abs_rel": 0.7})
    assert loss.lines == {"teacher": ((5, 0.5), (10, 0.4)), "student": ((13, 0.2),)}
    assert loss.divider == ("stage 2", 10)
    assert factor.lines == {"student": ((13, 0.05),)}
    assert error.lines == {"teacher": ((10, 0.3),), "student": ((13, 0.2),)}
    assert error.reference == ("one constant depth", 0.7)
    assert regions.lines == {"static": ((3, 0.6),), "dynamic": ((3, 0.1),)}


def test_without_truth_the_views_of_held_out_frames_are_the_score(tmp_path):
    text = "3,1,train/loss,0.2\n3,1,val/photometric,0.12\n"
    titles = [chart.title for chart in stage_charts(*logs(tmp_path, text, text), references={})]
    assert titles[1] == "Difference between frame and copy, held-out frames"
