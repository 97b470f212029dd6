"""Every protocol against a second implementation, written in torch and by loops over pixels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssmde.datasets import PROTOCOLS, find_protocol
from ssmde.metrics import METRICS, Protocol, counted_pixels, measure

RANGES = {
    "kitti": (0.1, 80.0),
    "nyuv2": (0.1, 10.0),
    "ddad": (0.1, 200.0),
    "bonn": (0.1, 10.0),
    "tum": (0.1, 10.0),
    "generic": (0.1, 1000.0),
}


def inside_reference_crop(name: str, row: int, column: int, height: int, width: int) -> bool:
    if name == "kitti":
        return int(0.40810811 * height) <= row < int(0.99189189 * height) and (
            int(0.03594771 * width) <= column < int(0.96405229 * width)
        )
    if name == "nyuv2":
        return int(45 * height / 480) <= row < int(471 * height / 480) and (
            int(41 * width / 640) <= column < int(601 * width / 640)
        )
    return True


def reference(name: str, prediction: np.ndarray, truth: np.ndarray, how: str) -> dict[str, float]:
    low, high = RANGES[name]
    pairs = [
        (float(prediction[row, column]), float(truth[row, column]))
        for row in range(truth.shape[0])
        for column in range(truth.shape[1])
        if inside_reference_crop(name, row, column, *truth.shape)
        and low < truth[row, column] < high
    ]
    p, g = torch.tensor(pairs, dtype=torch.float64).T
    if how == "median":
        p = p * (g.quantile(0.5) / p.quantile(0.5))
    elif how == "least-squares":
        system = torch.stack([p, torch.ones_like(p)], dim=1)
        p = system @ torch.linalg.lstsq(system, g[:, None]).solution[:, 0]
    p = p.clamp(low, high)
    factor = torch.exp((p.log() - g.log()).abs())
    found = {
        "abs_rel": (p / g - 1).abs().mean(),
        "sq_rel": ((p - g).square() / g).mean(),
        "rmse": torch.dist(p, g) / math.sqrt(len(g)),
        "rmse_log": torch.dist(p.log(), g.log()) / math.sqrt(len(g)),
        "log10": (p / g).log10().abs().mean(),
        "d1": (factor < 1.25).double().mean(),
        "d2": (factor < 1.5625).double().mean(),
        "d3": (factor < 1.953125).double().mean(),
    }
    return {metric: float(value) for metric, value in found.items()}


def drawn_image(seed: int, far: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.exp(random.uniform(np.log(0.05), np.log(2 * far), (37, 51))).astype(np.float32)
    truth[random.random(truth.shape) < 0.2] = 0
    prediction = (truth + 0.3) * np.exp(random.normal(0, 0.4, truth.shape)) / 3
    return prediction.astype(np.float32), truth


@pytest.mark.parametrize("how", ["median", "least-squares", "none"])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_agrees_with_a_second_implementation(name, how):
    prediction, truth = drawn_image(len(name), RANGES[name][1])
    found = measure(prediction, truth, PROTOCOLS[name], align_by=how).errors.full
    assert found is not None
    expected = reference(name, prediction, truth, how)
    assert {m: getattr(found, m) for m in METRICS} == pytest.approx(expected, rel=1e-6)


def test_the_crops_of_the_field_in_their_own_sizes():
    kitti = PROTOCOLS["kitti"].crop.mask(375, 1242)
    nyu = PROTOCOLS["nyuv2"].crop.mask(480, 640)
    rows, columns = np.nonzero(kitti)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (153, 371, 44, 1197)
    rows, columns = np.nonzero(nyu)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (45, 471, 41, 601)


def test_the_ends_of_the_range_do_not_count():
    bonn = PROTOCOLS["bonn"]
    truth = np.array([[0.0, 0.1, 0.2, 9.9, 10.0, 11.0, np.nan, np.inf]])
    np.testing.assert_array_equal(
        counted_pixels(truth, bonn), [[False, False, True, True, False, False, False, False]]
    )


def test_predictions_are_clipped_after_they_are_aligned():
    protocol = Protocol(name="short", min_depth=1.0, max_depth=10.0)
    truth = np.array([[2.0, 4.0, 9.0]])
    found = measure(np.array([[0.01, 1.0, 900.0]]), truth, protocol).errors.full
    assert found is not None  # scale 4: 0.04, 4, 3600 -> 1, 4, 10
    assert found.abs_rel == pytest.approx((1 / 2 + 0 + 1 / 9) / 3)


def test_the_scale_comes_from_the_full_image():
    truth = np.full((1, 4), 2.0)
    prediction = np.array([[1.0, 1.0, 1.0, 3.0]])
    mask = np.array([[0, 0, 128, 255]], dtype=np.uint8)
    errors = measure(prediction, truth, PROTOCOLS["bonn"], motion_mask=mask).errors
    assert errors.static.abs_rel == 0.0
    assert errors.dynamic.abs_rel == 2.0  # 3 * 2 / 1; its own scale would make it 0
    assert errors.full.abs_rel == 0.5


def test_pixels_without_truth_make_no_error():
    truth, mask = np.array([[2.0, 0.0, 0.0]]), np.array([[0, 0, 255]], dtype=np.uint8)
    errors = measure(np.full((1, 3), 4.0), truth, PROTOCOLS["bonn"], motion_mask=mask).errors
    assert errors.dynamic is None
    assert errors.static.abs_rel == 0.0


def test_an_image_without_truth_has_no_errors():
    found = measure(np.ones((2, 2)), np.zeros((2, 2)), PROTOCOLS["bonn"])
    assert found.alignment is None
    assert found.errors.full is None


@given(scale=st.floats(1e-3, 1e3))
def test_a_perfect_prediction_up_to_scale_has_no_error(scale):
    _, truth = drawn_image(5, 10.0)
    found = measure(scale * np.where(truth > 0, truth, 1), truth, PROTOCOLS["bonn"]).errors.full
    assert found is not None
    assert found.rmse == pytest.approx(0, abs=1e-6)
    assert found.d1 == 1.0


def test_an_unknown_protocol_is_refused_with_the_closest():
    with pytest.raises(ValueError, match="unknown protocol 'kity': closest match is 'kitti'"):
        find_protocol("kity")
    with pytest.raises(ValueError, match="there are kitti, nyuv2"):
        find_protocol("?")
