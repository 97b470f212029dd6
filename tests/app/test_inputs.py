"""Bounds of what a visitor may ask for."""

import threading

import pytest

from ssmde.app.guard import RefusalError
from ssmde.app.inputs import COLOR_MAPS, FIELDS, Upload, checked
from ssmde.app.service import PixelRoom

ODD = [
    0, -1, float("nan"), float("inf"), 10**400, True, "x" * 10_000, "../../x", [[]], {}, object()
]  # fmt: skip
FAULTS = [
    *(("width", odd) for odd in [*ODD[1:], 141, "60"]),
    *(("color_map", odd) for odd in [*ODD, None, "jet"]),
    *(("weights", odd) for odd in [0, None, [], {}, "x" * 10_000]),
    *(("upload", odd) for odd in ["x", [], {}, {"path": 1}, {"path": "x" * 10_000}, 0]),
    *(("minutes", odd) for odd in [*ODD, None, 61, 1.5]),
]


@pytest.mark.parametrize(("name", "value"), FAULTS)
def test_a_field_out_of_its_bounds_is_refused_in_one_line(name, value):
    with pytest.raises(RefusalError, match=r"^.{10,120}$"):
        checked(**{name: value})


def test_what_the_page_sends_passes():
    given = {"weights": "a", "color_map": COLOR_MAPS[1], "width": 60, "upload": {"path": "/a"}}
    assert checked(**given) == ["a", COLOR_MAPS[1], 60.0, Upload(path="/a")]
    assert checked(width=None, upload=None) == [None, None]
    assert set(FIELDS) == {"weights", "color_map", "width", "upload", "minutes"}
    for path in ("/a/../b c.jpg", "x", "/"):
        assert "/" not in Upload(path="/a", orig_name=path).name


def test_large_pictures_wait_for_each_other_and_small_ones_pass():
    room, order = PixelRoom(100), []
    inside, leave = threading.Event(), threading.Event()

    def work(name, pixels):
        with room.take(pixels):
            order.append(name)
            if name == "large":
                inside.set()
                leave.wait(10)

    first = threading.Thread(target=work, args=("large", 90))
    first.start()
    inside.wait(10)
    second = threading.Thread(target=work, args=("other", 90))
    second.start()
    work("small", 10)
    assert order == ["large", "small"]
    leave.set()
    first.join()
    second.join()
    assert order == ["large", "small", "other"]
    work("more than there is", 1000)


def test_at_the_end_who_is_inside_is_waited_for_and_nobody_gets_in():
    room, inside, leave, order = PixelRoom(100), threading.Event(), threading.Event(), []

    def work():
        with room.take(90):
            inside.set()
            leave.wait(10)
            order.append("done")

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait(10)
    room.close(patience=0.01)
    assert order == []
    leave.set()
    room.close()
    assert order == ["done"]
    with pytest.raises(RefusalError, match="closed"), room.take(1):
        pass
    worker.join()
