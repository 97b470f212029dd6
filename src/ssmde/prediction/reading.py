"""Reading ahead: images are decoded in threads while the network computes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ssmde.data.opening import MOST_PIXELS

MOST_THREADS = 4  # more only fill the memory: the network is slower
AHEAD = MOST_PIXELS
"""Pixels that may wait or be read at a time, besides the image that is read next."""
Item = TypeVar("Item")
Read = TypeVar("Read")


def read_ahead(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    *,
    threads: int | None = None,
    pixels: Callable[[Item], int] = lambda _: 0,
) -> Iterator[Read]:
    """What `read` returns for each item, in order; a few are read before they are asked for.

    Args:
        items: What to read.
        read: Called in another thread; should return a fault instead of raising it, for what it
            raises ends the iteration.
        threads: How many; by default one a core, at most four.
        pixels: How large an item will be, so that large ones do not fill the memory.
    """
    count = threads or min(MOST_THREADS, os.cpu_count() or 1)
    waiting = ((pixels(item), item) for item in items)
    with ThreadPoolExecutor(count, thread_name_prefix="read") as pool:
        pending: deque[tuple[int, Future[Read]]] = deque()
        held = next(waiting, None)  # the next one, as long as there is no room for it
        try:
            while True:
                while held is not None and len(pending) < 2 * count:
                    if pending and held[0] > AHEAD - sum(size for size, _ in pending):
                        break
                    pending.append((held[0], pool.submit(read, held[1])))
                    held = next(waiting, None)
                if not pending:
                    return
                yield pending.popleft()[1].result()
        finally:
            for _, future in pending:
                future.cancel()
