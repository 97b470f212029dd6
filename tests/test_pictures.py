"""Pictures: what each colour means, and that nothing depends on what was drawn before."""

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from ssmde.pictures import (
    GREY,
    PanelRow,
    bands,
    colour_bar,
    colourise,
    colourise_error,
    depth_range,
    panel,
    side_by_side,
    stack,
    write_png,
)


def ramp(height: int = 4, width: int = 6) -> np.ndarray:
    return np.linspace(1, 5, height * width).reshape(height, width).astype(np.float32)


def colour(name: str, level: float) -> np.ndarray:
    return np.round(np.array(colormaps[name](level)[:3]) * 255)


def test_the_near_end_gets_the_last_colour_and_the_far_end_the_first():
    found = colourise(np.array([[1.0, 4.0]]), near=1.0, far=4.0, colour_map="viridis")
    np.testing.assert_array_equal(found[0, 0], colour("viridis", 1.0))
    np.testing.assert_array_equal(found[0, 1], colour("viridis", 0.0))


@pytest.mark.parametrize(("space", "middle"), [("depth", 2.5), ("disparity", 1.6)])
def test_colours_are_linear_in_the_space_asked_for(space, middle):
    found = colourise(np.array([[middle]]), near=1.0, far=4.0, colour_map="gray", space=space)
    assert abs(int(found[0, 0, 0]) - 127) <= 1


def test_depths_beyond_the_ends_are_cut():
    found = colourise(np.array([[0.5, 1.0, 4.0, 90.0]]), near=1.0, far=4.0, colour_map="gray")
    np.testing.assert_array_equal(found[0, :, 0], [255, 255, 0, 0])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_pixels_without_a_value_are_grey(bad):
    found = colourise(np.array([[1.0, bad, 2.0]]))
    np.testing.assert_array_equal(found[0, 1], [GREY] * 3)
    assert (found[0, [0, 2]] != GREY).any(axis=1).all()


def test_a_map_without_a_value_is_grey_all_over():
    assert (colourise(np.zeros((2, 3))) == GREY).all()
    assert depth_range(np.zeros((2, 3))) is None


def test_a_flat_map_has_a_colour():
    assert len(np.unique(colourise(np.full((3, 3), 2.0)).reshape(-1, 3), axis=0)) == 1


def test_one_end_alone_is_enough():
    assert colourise(ramp(), near=50.0).shape == (4, 6, 3)
    assert colourise(ramp(), far=0.5).shape == (4, 6, 3)


def test_the_unit_of_the_depth_does_not_change_the_picture():
    np.testing.assert_array_equal(colourise(ramp()), colourise(ramp() * 8))


def test_errors_are_dark_where_right_and_grey_without_truth():
    truth = np.array([[2.0, 2.0, 0.0]])
    found = colourise_error(np.array([[2.0, 9.0, 5.0]]), truth, worst=0.5, colour_map="gray")
    np.testing.assert_array_equal(found[0, :, 0], [0, 255, GREY])


def test_a_colour_bar_has_the_colours_of_the_map():
    bar = colour_bar(40, near=1.0, far=9.0, colour_map="viridis", unit="m")
    np.testing.assert_array_equal(bar[0, 0], colour("viridis", 1.0))
    assert bar.shape[0] == 40
    assert (bar[:, 14:] == 0).any()  # the two numbers


def test_pictures_side_by_side_keep_their_pixels():
    left, right = np.full((3, 4, 3), 10, np.uint8), np.full((5, 2, 3), 20, np.uint8)
    row = side_by_side([left, right])
    assert row.shape == (5, 4 + 4 + 2, 3)
    np.testing.assert_array_equal(row[:3, :4], left)
    np.testing.assert_array_equal(row[:, -2:], right)
    assert (row[3:, :4] == 255).all()


def test_a_title_stands_above_its_picture():
    row = side_by_side([np.full((9, 60, 3), 10, np.uint8)], ["depth"])
    np.testing.assert_array_equal(row[-9:], np.full((9, 60, 3), 10))
    assert (row[:-9] < 128).any()


def test_a_row_without_pictures_or_with_too_few_titles_is_refused():
    with pytest.raises(ValueError, match="at least one picture"):
        side_by_side([])
    with pytest.raises(ValueError, match="2 pictures need as many titles, got 1"):
        side_by_side([np.zeros((2, 2, 3), np.uint8)] * 2, ["one"])
    with pytest.raises(ValueError, match="at least one row"):
        stack([])


def test_a_panel_shows_truth_and_error_where_there_is_truth():
    image = np.zeros((40, 60, 3), np.uint8)
    with_truth = PanelRow(image=image, depth=ramp(), truth=ramp(8, 12), title="scene/000001")
    without = PanelRow(image=image, depth=ramp())
    page = panel([with_truth, without], height=20)
    assert page.shape[1] == 4 * 30 + 3 * 4
    assert (page[-20:, -30:] == 255).all()  # no truth in the second row
    np.testing.assert_array_equal(page, panel([with_truth, without], height=20))


def test_prediction_and_truth_share_the_colours_of_the_truth():
    truth = np.array([[1.0, 2.0, 4.0, 8.0]])
    wrong = np.array([[1.0, 2.0, 4.0, 800.0]])
    page = panel([PanelRow(image=np.zeros((1, 4, 3), np.uint8), depth=wrong, truth=truth)])
    np.testing.assert_array_equal(page[-1, 8:12], page[-1, 16:20])  # 8 m is black, so is 800 m
    np.testing.assert_array_equal(page[-1, 16:20], colourise(truth)[0])


def test_a_written_picture_is_whole_and_leaves_nothing_beside_it(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_png(tmp_path / "new" / "a.png", picture)
    with Image.open(tmp_path / "new" / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), picture)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_an_unknown_colour_map_or_range_is_refused():
    with pytest.raises(ValueError, match="unknown colour map 'magme'"):
        colourise(ramp(), colour_map="magme")
    with pytest.raises(ValueError, match="0 < near < far, got 4 and 2"):
        colourise(ramp(), near=4.0, far=2.0)


def test_the_magma_of_the_package_is_that_of_matplotlib():
    found = colourise(np.arange(1.0, 257)[None], near=1.0, far=256.0, space="depth")
    wanted = [colour("magma", level) for level in np.linspace(1, 0, 256)]
    np.testing.assert_array_equal(found[0], wanted)


@pytest.mark.parametrize("shape", [(37, 53), (1, 9), (40, 1)])
def test_large_maps_get_the_same_colours_in_bands(monkeypatch, shape):
    random = np.random.default_rng(0)
    depth = random.uniform(0.5, 9, shape).astype(np.float32)
    depth[0, 0] = 0
    whole = colourise(depth)
    monkeypatch.setattr("ssmde.pictures.BAND_PIXELS", 100)
    assert len(list(bands((37, 53)))) == 37
    np.testing.assert_array_equal(colourise(depth), whole)


def test_the_ends_are_the_percentiles_of_numpy():
    for count in (1, 2, 3, 50, 999, 1000):
        values = np.random.default_rng(count).uniform(1, 9, (1, count)).astype(np.float32)
        wanted = np.percentile(values.astype(np.float64), (2, 98))
        found = depth_range(values)
        if count > 2:
            np.testing.assert_allclose(found, wanted, rtol=1e-14)
        assert len(found) == 2
