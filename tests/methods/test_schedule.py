"""The forgetting factor and the ramp: both ends exact, and no way back in between."""

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmde.config import Forgetting, PseudoDepthConfig
from ssmde.methods.schedule import forgetting_factor, ramp

FORMS = get_args(Forgetting)
FALLING = ("exponential", "linear", "cosine", "delayed")


@pytest.mark.parametrize("form", FALLING)
@pytest.mark.parametrize("end", [0.05, 0.5])
def test_every_falling_form_is_one_at_the_start_and_its_end_at_the_end(form, end):
    assert forgetting_factor(0.0, form, end=end) == pytest.approx(1.0, abs=1e-12)
    assert forgetting_factor(1.0, form, end=end) == pytest.approx(end, abs=1e-12)
    assert forgetting_factor(1.7, form, end=end) == pytest.approx(end, abs=1e-12)


@given(a=st.floats(0, 1), b=st.floats(0, 1), form=st.sampled_from(FORMS))
def test_what_is_forgotten_never_comes_back(a, b, form):
    early, late = sorted((a, b))
    assert forgetting_factor(early, form) >= forgetting_factor(late, form) - 1e-12
    assert 0 <= forgetting_factor(late, form) <= 1


def test_the_exponential_falls_by_the_same_share_in_every_step():
    factors = [forgetting_factor(p, "exponential", end=0.01) for p in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert [b / a for a, b in pairwise(factors)] == pytest.approx([0.01**0.25] * 4)


def test_the_other_forms_by_hand():
    assert [forgetting_factor(p, "constant") for p in (0.0, 0.5, 1.0)] == [1, 1, 1]
    assert [forgetting_factor(p, "zero") for p in (0.0, 0.5, 1.0)] == [0, 0, 0]
    assert forgetting_factor(0.5, "linear") == pytest.approx(0.525)
    assert forgetting_factor(0.5, "cosine") == pytest.approx(0.525)


def test_a_ramp_rises_from_nothing_to_one():
    assert [ramp(p, 0.5) for p in (0.0, 0.25, 0.5, 1.0)] == [0, 0.5, 1, 1]
    assert ramp(0.0, 0.0) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"normals": -1.0}, "normals must be at least 0, got -1"),
        ({"forgetting": "never"}, "pseudo_depth.forgetting"),
    ],
)
def test_weights_and_factors_that_are_none_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        PseudoDepthConfig(**value)
