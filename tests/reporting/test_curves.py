"""Curves: read from logs, drawn with even numbers, both stages on one axis."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.reporting.curves import Chart, line_chart, read_curve, ticks
from ssmde.reporting.stage_curves import stage_charts

HEAD = "step,cpu_seconds,name,value\n"


def test_a_curve_is_read_by_its_name(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text(HEAD + "1,0.1,train/loss,0.5\n1,0.1,lr,1\n2,0.2,train/loss,0.25\n")
    assert read_curve(log, "train/loss") == ((1, 0.5), (2, 0.25))
    assert read_curve(log, "val/abs_rel") == ()


def test_a_curve_that_meets_its_reference_is_drawn_on_it():
    chart = Chart(title="x", lines={"": ((0, 2.0), (10, 1.0))}, reference=("goal", 1.0))
    svg = line_chart(chart)
    last = svg.split('points="')[1].split('"')[0].split()[-1]
    assert f'class="reference" x1="52" x2="468" y1="{last.split(",")[1]}"' in svg
    assert 'aria-label="x: 2 at step 0, 1 at step 10; goal 1"' in svg


def test_several_lines_have_names_and_colours_and_share_their_axes():
    lines = {"a": ((0, 1.0), (4, 3.0)), "b<": ((0, 3.0), (4, 1.0))}
    svg = line_chart(Chart(title="x", lines=lines, divider=("then", 4)))
    first, second = (part.split('"')[0].split() for part in svg.split('points="')[1:])
    assert [p.split(",")[1] for p in first] == [p.split(",")[1] for p in reversed(second)]
    assert 'class="curve line-1 of-a"' in svg
    assert 'class="curve line-2"' in svg
    assert ">a</text>" in svg
    assert ">b&lt;</text>" in svg
    assert f'class="divider" x1="{first[-1].split(",")[0]}"' in svg


def test_a_chart_without_points_is_refused():
    for lines in ({}, {"": ()}, {"a": ((0, 1.0),), "b": ()}):
        with pytest.raises(ValueError, match="the chart 'x' needs at least one point"):
            line_chart(Chart(title="x", lines=lines))


@given(low=st.floats(-1e3, 1e3), span=st.floats(1e-3, 1e4))
def test_ticks_are_a_few_even_numbers_inside_the_range(low, span):
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 7
    assert low - 1e-6 * span <= found[0]
    assert found[-1] <= low + span * (1 + 1e-6)
    np.testing.assert_allclose(np.diff(found), found[1] - found[0], atol=1e-8)


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
    titles = [chart.title for chart in stage_charts(*logs(tmp_path, text, text))]
    assert titles[1] == "Difference between frame and copy, held-out frames"
