"""Reading ahead: order, and how much waits."""

import threading

import pytest

from ssmde.prediction.reading import AHEAD, read_ahead


@pytest.mark.parametrize("size", [0, 1, AHEAD // 3, AHEAD, 3 * AHEAD])
def test_what_was_read_comes_in_order(size):
    found = read_ahead(range(20), lambda i: i * i, threads=3, pixels=lambda _: size)
    assert list(found) == [i * i for i in range(20)]


@pytest.mark.parametrize(("share", "most"), [(0.0, 8), (0.1, 8), (0.3, 3), (0.6, 1), (2.0, 1)])
def test_large_images_wait_in_small_numbers(share, most):
    begun, gate = [], threading.Event()

    def read(i):
        begun.append(i)
        gate.wait(5)
        return i

    found = read_ahead(range(20), read, threads=4, pixels=lambda _: int(share * AHEAD))
    first = threading.Thread(target=lambda: next(found))
    first.start()
    gate.set()
    first.join()
    assert len(begun) <= most  # nothing was asked for but the first
    assert list(found) == list(range(1, 20))
