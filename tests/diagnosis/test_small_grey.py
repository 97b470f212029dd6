"""Small grey images: signed values, and a size that shows enough."""

import numpy as np
import pytest
from PIL import Image

from ssmde.diagnosis.small_grey import read_small_grey, small_reduction


def test_grey_values_are_signed_and_small(tmp_path):
    for name, level in (("a", 10), ("b", 12)):
        Image.new("RGB", (400, 300), (level, level, level)).save(tmp_path / f"{name}.png")
    a, b = (read_small_grey(tmp_path / f"{name}.png", (300, 400)) for name in "ab")
    assert a.shape == (150, 200)
    assert np.allclose(a - b, -2 / 255, atol=1e-6)


@pytest.mark.parametrize(("size", "reduction"), [((480, 640), 4), ((128, 416), 1), ((50, 60), 1)])
def test_the_shorter_side_stays_above_96(size, reduction):
    assert small_reduction(size) == reduction
