"""Work done by many processes and machines: Ray actors that each hold a tool, such as a network.

Ray starts a lost worker again and gives its piece of work to it once more: files appear whole, and
doing a piece twice gives what doing it once gives.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

from ssmde.console import import_extra

TRIES = 4  # of one piece of work, before the run ends

Tool = TypeVar("Tool")
Piece = TypeVar("Piece")
Outcome = TypeVar("Outcome")


def work_on_ray(
    open_tool: Callable[[], Tool],
    work: Callable[[Tool, Piece], Outcome],
    pieces: list[Piece],
    *,
    gpu: bool | None = None,
    lost: Callable[[Piece, int], str],
) -> Iterator[tuple[Piece, Outcome]]:
    """Do all pieces of work on the processors of a Ray cluster; each when it is done.

    The cluster is the one this process is connected to, or that `RAY_ADDRESS` names, or else one
    that is started here; all machines see the same files under the same path. `open_tool` makes the
    tool ready in every worker, which has a GPU or a processor (`gpu`; None: a GPU if there is any).
    A RuntimeError says `lost` of a piece that lost its worker so many times.
    """
    ray = import_extra("ray", "--engine ray", "ssmde[ray]")
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    there: dict[str, float] = ray.cluster_resources()
    gpu = there.get("GPU", 0) >= 1 if gpu is None else gpu
    count = min(max(1, int(there.get("GPU" if gpu else "CPU", 0))), len(pieces))
    actor: Any = ray.remote(_Worker).options(
        num_cpus=0 if gpu else 1, num_gpus=1 if gpu else 0,
        max_restarts=-1, max_task_retries=TRIES - 1,
    )  # fmt: skip
    workers = [actor.remote(open_tool, work) for _ in range(count)]
    waiting = iter(pieces)
    running = {w.do.remote(piece): (piece, w) for w, piece in zip(workers, waiting, strict=False)}
    try:
        while running:
            (done,), _ = ray.wait(list(running), num_returns=1)
            piece, worker = running.pop(done)
            try:
                outcome = ray.get(done)
            except ray.exceptions.RayActorError as error:
                raise RuntimeError(lost(piece, TRIES)) from error
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            for following in islice(waiting, 1):
                running[worker.do.remote(following)] = (following, worker)
            yield piece, outcome
    finally:
        for worker in workers:
            ray.kill(worker)


class _Worker:
    """Holds a tool in a process of Ray."""

    def __init__(self, open_tool: Callable[[], Any], work: Callable[[Any, Any], Any]) -> None:
        self.tool, self.work = open_tool(), work

    def do(self, piece: Any) -> Any:
        return self.work(self.tool, piece)
