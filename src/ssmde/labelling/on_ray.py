"""Labelling by many processes and machines: Ray actors that each hold the network.

A piece of work is a few frames of one scene. Ray starts a lost worker again and gives its piece to
it once more; the piece then leaves out the frames that have their label already, and a label
appears whole under its own name. So whatever is lost on the way, each frame gets one label.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ssmde.data.sequence import FrameSequence
from ssmde.labelling.source import Source

TRIES = 4  # of one piece of work, before the run ends


class Piece(NamedTuple):
    """Some frames of one scene."""

    scene: FrameSequence
    frames: list[int]


Work = Callable[[Source, FrameSequence, list[int]], list[str]]
"""Labels some frames; for each that got no label, the reason."""


def label_on_ray(
    open_source: Callable[[], Source], work: Work, pieces: list[Piece], *, gpu: bool
) -> Iterator[tuple[Piece, list[str]]]:
    """Do all pieces of work on the processors of a Ray cluster; each when it is done.

    The cluster is the one this process is connected to, or that `RAY_ADDRESS` names, or else one
    that is started here. All machines must see the data folder under the same path.

    Args:
        open_source: Makes the source ready, in every worker.
        work: What to do with a piece.
        pieces: All of the work.
        gpu: Give each worker a GPU; else a processor.

    Raises:
        ImportError: If Ray is not installed.
        RuntimeError: If a piece of work loses its worker again and again.
    """
    ray = _import_ray()
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    kind = "GPU" if gpu else "CPU"
    count = min(max(1, int(ray.cluster_resources().get(kind, 0))), len(pieces))
    actor: Any = ray.remote(_Worker).options(
        num_cpus=0 if gpu else 1, num_gpus=1 if gpu else 0,
        max_restarts=-1, max_task_retries=TRIES - 1,
    )  # fmt: skip
    workers = [actor.remote(open_source, work) for _ in range(count)]
    waiting = iter(pieces)
    running: dict[Any, tuple[Piece, Any]] = {}
    try:
        for worker in workers:
            _give(worker, waiting, running)
        while running:
            (done,), _ = ray.wait(list(running), num_returns=1)
            piece, worker = running.pop(done)
            try:
                skipped = ray.get(done)
            except ray.exceptions.RayActorError as error:
                raise RuntimeError(
                    f"scene '{piece.scene.name}': a worker was lost {TRIES} times over frames "
                    f"{piece.frames[0]} to {piece.frames[-1]}; the labels written so far are kept"
                ) from error
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            _give(worker, waiting, running)
            yield piece, skipped
    finally:
        for worker in workers:
            ray.kill(worker)


def _give(worker: Any, waiting: Iterator[Piece], running: dict[Any, tuple[Piece, Any]]) -> None:
    """Give a worker the next piece of work, if there is one."""
    piece = next(waiting, None)
    if piece is not None:
        running[worker.label.remote(piece)] = (piece, worker)


class _Worker:
    """Holds a source in a process of Ray."""

    def __init__(self, open_source: Callable[[], Source], work: Work) -> None:
        self.source, self.work = open_source(), work

    def label(self, piece: Piece) -> list[str]:
        return self.work(self.source, *piece)


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError(f"--engine ray needs Ray: pip install 'ssmde[ray]' ({error})") from error
    return ray
