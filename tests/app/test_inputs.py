"""Bounds of what a visitor may ask for."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ssmde.app.guard import RefusalError
from ssmde.app.inputs import FIELDS, Upload, checked
from ssmde.app.service import PixelRoom

ODD = [
    0, -1, float("nan"), float("inf"), 10**400, True, "x" * 10_000, "../../x", [[]], {}, object()
]  # fmt: skip
FAULTS = [
    *(("width", odd) for odd in [*ODD, None, 4, 141, "60"]),
    *(("weights", odd) for odd in [0, None, [], {}, "x" * 10_000]),
    *(("upload", odd) for odd in ["x", [], {}, {"path": 1}, {"path": "x" * 10_000}, 0]),
    *(("minutes", odd) for odd in [*ODD, None, 61, 1.5]),
]


@pytest.mark.parametrize(("name", "value"), FAULTS)
def test_a_field_out_of_its_bounds_is_refused_in_one_line(name, value):
    with pytest.raises(RefusalError, match=r"^.{10,120}$"):
        checked(**{name: value})


def test_what_the_page_sends_passes():
    given = {"weights": "a", "width": 60, "upload": {"path": "/a"}, "minutes": 10}
    assert checked(**given) == ["a", 60.0, Upload(path="/a"), 10]
    assert checked(upload=None) == [None]
    assert set(FIELDS) == set(given)
    for path in ("/a/../b c.jpg", "x", "/"):
        assert "/" not in Upload(path="/a", orig_name=path).name


def test_large_pictures_wait_for_each_other_small_ones_pass_and_the_end_waits_for_who_is_inside():
    room, order, open_gate = PixelRoom(100), [], threading.Event()
    gates = {"large": threading.Event(), "other": threading.Event()}
    open_gate.set()

    def work(name, pixels):
        with room.take(np.broadcast_to(np.uint8(0), (pixels, 1, 3))):
            order.append(name)
            assert gates.get(name, open_gate).wait(60)

    def begun(name):
        while name not in order:
            time.sleep(0.01)

    work("more than there is", 1000)
    with ThreadPoolExecutor() as pool:
        pool.submit(work, "large", 90)
        begun("large")
        other = pool.submit(work, "other", 90)
        work("small", 10)
        gates["large"].set()
        begun("other")
        assert order[1:] == ["large", "small", "other"]
        room.close(patience=0.01)
        assert not other.done()
        pool.submit(gates["other"].set)
        room.close()
        with pytest.raises(RefusalError, match="closed"):
            work("late", 1)
        assert "late" not in order
