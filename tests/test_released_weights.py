"""The weights that come with the package: small, described, and sensible on what they never saw."""

import re

import numpy as np
import pytest
from scipy.stats import spearmanr

import ssmde
import streets  # noqa: F401 - the kind "street" of draw_clip
from ssmde.app import load_all
from ssmde.models.checkpoint import read_weights
from ssmde.synthetic import draw_clip
from ssmde.weights import DEFAULT_WEIGHTS, RELEASED, card_of, released_weights

LARGEST = 30e6  # bytes, all of them together


def test_all_of_them_are_small_and_the_page_shows_them_the_one_nobody_has_to_name_first():
    assert sum(released_weights(name).stat().st_size for name in RELEASED) < LARGEST
    assert list(load_all(tuple(RELEASED))) == list(RELEASED)
    assert next(iter(RELEASED)) == DEFAULT_WEIGHTS


@pytest.mark.parametrize("name", RELEASED)
def test_each_has_a_card_with_what_a_user_must_know_and_nothing_of_the_machine(name):
    _, metadata = read_weights(released_weights(name))
    assert not re.search(r"(?m)^\s*[\w-]+: /", metadata["config"])
    card = card_of(name)
    for heading in ("Data", "Licence", "How it was made", "Numbers", "What it is bad at"):
        assert f"\n## {heading}\n" in card, heading
    assert RELEASED[name].licence.split(":")[0] in card


@pytest.mark.parametrize(
    ("name", "place", "size"), [("small", "room", (192, 256)), ("small", "street", (128, 416))]
)
def test_a_network_orders_a_drawn_place_of_its_kind_that_it_never_saw(name, place, size):
    clip = draw_clip(place, frames=1, size=size, seed=77, movers="mixed")
    truth, depth = clip.depth[0], ssmde.load(name).predict(clip.images[0]).depth
    assert depth.shape == truth.shape
    assert (np.isfinite(depth) & (depth > 0)).all()
    known = truth > 0  # the sky has no depth
    assert spearmanr(depth[known], truth[known]).statistic > 0.8
