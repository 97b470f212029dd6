"""Reading ahead: images are decoded in threads while the network computes."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

MOST_THREADS = 4  # more only fill the memory: the network is slower
Item = TypeVar("Item")
Read = TypeVar("Read")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Read], *, threads: int | None = None
) -> Iterator[Read]:
    """What `read` returns for each item, in order; a few are read before they are asked for.

    Args:
        items: What to read.
        read: Called in another thread; should return a fault instead of raising it, for what it
            raises ends the iteration.
        threads: How many; by default one a core, at most four.
    """
    count = threads or min(MOST_THREADS, os.cpu_count() or 1)
    waiting = iter(items)
    with ThreadPoolExecutor(count, thread_name_prefix="read") as pool:
        pending: deque[Future[Read]] = deque()
        try:
            pending.extend(pool.submit(read, item) for item in islice(waiting, 2 * count))
            while pending:
                found = pending.popleft().result()
                pending.extend(pool.submit(read, item) for item in islice(waiting, 1))
                yield found
        finally:
            for future in pending:
                future.cancel()
