"""Pictures: what each color means, and that nothing depends on what was drawn before."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import colormaps

from ssmde.inference import pictures


def ramp(height: int = 4, width: int = 6) -> np.ndarray:
    return np.linspace(1, 5, height * width).reshape(height, width).astype(np.float32)


def color(name: str, level: float) -> np.ndarray:
    return np.round(np.array(colormaps[name](level)[:3]) * 255)


def test_colors_are_linear_in_disparity_from_the_near_end_to_the_far_one_and_cut_beyond():
    found = pictures.colorize(np.array([[1.0, 4.0]]), near=1.0, far=4.0, color_map="viridis")
    np.testing.assert_array_equal(found[0], [color("viridis", 1.0), color("viridis", 0.0)])
    depth = np.array([[0.5, 1.0, 1.6, 4.0, 90.0]])  # 1 / 1.6 is in the middle of 1 and 1 / 4
    found = pictures.colorize(depth, near=1.0, far=4.0, color_map="gray")
    np.testing.assert_allclose(found[0, :, 0].astype(int), [255, 255, 127, 0, 0], atol=1)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_pixels_without_a_value_are_gray_and_flat_ones_are_not(bad):
    found = pictures.colorize(np.array([[2.0, bad, 2.0]]))
    np.testing.assert_array_equal(found[0, 1], [pictures.GRAY] * 3)
    assert (found[0, [0, 2]] != pictures.GRAY).any(axis=1).all()
    assert (pictures.colorize(np.full((2, 3), bad)) == pictures.GRAY).all()
    assert pictures.depth_range(np.full((2, 3), bad)) is None


def test_the_unit_changes_no_color_and_those_of_a_video_follow_slowly():
    np.testing.assert_array_equal(pictures.colorize(ramp()), pictures.colorize(ramp() * 8))
    first = pictures.color_ends(ramp())
    assert first == pictures.depth_range(ramp())
    found = pictures.color_ends(10 * ramp(), first)
    np.testing.assert_allclose(found, 0.9 * np.array(first) + 0.1 * 10 * np.array(first))
    assert pictures.color_ends(np.zeros((2, 2))) == (1.0, 2.0)


def test_errors_are_dark_where_right_bright_from_a_half_on_and_gray_without_truth():
    truth = np.array([[2.0, 2.0, 2.0, 0.0]])
    found = pictures.colorize_error(np.array([[2.0, 3.0, 9.0, 5.0]]), truth)
    ends = [color("inferno", level) for level in (0.0, 1.0, 1.0)]
    np.testing.assert_array_equal(found[0], [*ends, [pictures.GRAY] * 3])


def test_pictures_side_by_side_keep_their_pixels_below_their_titles():
    left, right = np.full((3, 60, 3), 10, np.uint8), np.full((5, 2, 3), 20, np.uint8)
    row = pictures.side_by_side([left, right], ["depth", ""])
    head = row.shape[0] - 5
    np.testing.assert_array_equal(row[head : head + 3, :60], left)
    np.testing.assert_array_equal(row[head:, -2:], right)
    assert (row[head + 3 :, :60] == 255).all()
    assert (row[:head, :60] < 128).any()


def test_what_cannot_be_drawn_is_refused():
    for draw, message in [
        (lambda: pictures.side_by_side([]), "at least one picture"),
        (lambda: pictures.side_by_side([np.zeros((2, 2, 3), np.uint8)] * 2, ["one"]),
         "2 pictures need as many titles, got 1"),
        (lambda: pictures.colorize(ramp(), color_map="magme"), "unknown colour map 'magme'"),
        (lambda: pictures.colorize(ramp(), near=4.0, far=2.0), "0 < near < far, got 4 and 2"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=message):
            draw()


def test_a_panel_shows_truth_and_error_where_there_is_truth():
    image = np.zeros((40, 60, 3), np.uint8)
    without = pictures.PanelRow(image=image, depth=ramp())
    with_truth = replace(without, truth=ramp(8, 12), title="scene/000001")
    page = pictures.panel([with_truth, without], height=20)
    assert page.shape[1] == 4 * 30 + 3 * 4
    assert (page[-20:, -30:] == 255).all()  # no truth in the second row
    # Prediction and truth share the colors of the truth.
    truth, wrong = np.array([[1.0, 2.0, 4.0, 8.0]]), np.array([[1.0, 2.0, 4.0, 800.0]])
    page = pictures.panel(
        [pictures.PanelRow(image=np.zeros((1, 4, 3), np.uint8), depth=wrong, truth=truth)]
    )
    np.testing.assert_array_equal(page[-1, 8:12], page[-1, 16:20])  # 8 m is black, so is 800 m
    np.testing.assert_array_equal(page[-1, 16:20], pictures.colorize(truth)[0])


@pytest.mark.parametrize("name", ["magma", "inferno"])
def test_the_color_tables_of_the_package_are_those_of_matplotlib(name):
    levels = np.linspace(1, 0, 256)
    found = pictures.colorize(1 / (1e-3 + levels[None]), near=1 / 1.001, far=1e3, color_map=name)
    np.testing.assert_array_equal(found[0], [color(name, level) for level in levels])
