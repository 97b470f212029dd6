"""A confidence is good if it orders the errors, whatever its unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.metrics import confidence_calibration as calibration
from ssmde.metrics import mean_calibration

N = 200


def errors(seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(1, 10, N)
    return truth * (1 + rng.uniform(0, 0.5, N)), truth


def test_a_confidence_that_knows_the_error_has_no_area():
    prediction, truth = errors()
    found = calibration(prediction, truth, -np.abs(prediction - truth) / truth)
    assert found.ause == pytest.approx(0, abs=1e-12)
    assert found.curve == pytest.approx(found.best)
    assert list(found.table) == sorted(found.table, reverse=True)


def test_a_constant_confidence_is_as_good_as_chance():
    prediction, truth = errors()
    found = calibration(prediction, truth, np.full(N, 0.7))
    whole = (np.abs(prediction - truth) / truth).mean()
    assert found.ause == pytest.approx(found.random)
    assert found.curve == pytest.approx([whole] * 20)
    wrong_way = calibration(prediction, truth, np.abs(prediction - truth) / truth)
    assert wrong_way.ause > found.random


def test_the_area_is_that_of_a_hand():
    # 20 pixels, one of them wrong by 100 %, and the confidence puts it in the middle.
    truth, prediction = np.ones(20), np.ones(20)
    prediction[10] = 2.0
    found = calibration(prediction, truth, np.arange(20.0))
    assert found.best == pytest.approx([1 / 20] + [0] * 19)
    assert found.curve == pytest.approx([1 / (20 - k) if k <= 10 else 0 for k in range(20)])
    differences = [0.0] + [1 / (20 - k) if k <= 10 else 0 for k in range(1, 20)]
    assert found.ause == pytest.approx(sum(differences) / 20 / (1 / 20))
    assert found.random == pytest.approx(19 / 20 / 20 / (1 / 20) - (1 / 20) / 2 / 20 / (1 / 20))
    assert found.table == pytest.approx([0, 0, 0, 0, 0, 0.5, 0, 0, 0, 0])


@given(seed=st.integers(0, 99), power=st.floats(0.2, 5))
def test_only_the_order_of_a_confidence_counts(seed, power):
    prediction, truth = errors(seed)
    confidence = np.random.default_rng(seed).uniform(0.1, 1, N)
    one = calibration(prediction, truth, confidence)
    assert one == calibration(prediction, truth, 3 * confidence**power)


def test_images_count_once_in_the_mean():
    found = [calibration(*errors(s), np.arange(float(N))) for s in (1, 2)]
    mean = mean_calibration(found)
    assert mean["ause"] == pytest.approx((found[0].ause + found[1].ause) / 2)
    assert mean["curve"][3] == pytest.approx((found[0].curve[3] + found[1].curve[3]) / 2)
    assert mean["n_images"] == 2
    assert mean_calibration([]) is None


def test_what_tells_nothing_is_none_and_what_is_no_number_refused():
    ones = np.ones(N)
    assert calibration(ones, ones, ones) is None, "without an error there is no order"
    assert calibration(ones[:5] * 2, ones[:5], ones[:5]) is None
    with pytest.raises(ValueError, match="confidence must be finite, 1 of 200"):
        calibration(2 * ones, ones, np.where(np.arange(N) == 3, np.nan, 1.0))
