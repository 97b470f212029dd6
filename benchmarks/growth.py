"""How a training step grows: CPU time and memory against image size, batch and processes.

    python benchmarks/growth.py [--run sc_depth_v3] [--rounds 3]

Each row is a set of processes of its own, because a peak of memory is never lowered again; rows are
visited in turn, round after round. CPU seconds are the sum over the processes of a row, one thread
each, without start-up, so they do not depend on what else the machine does. With several processes
(gloo) the batch is that of all together. What grows with the number of frames is in
`reading_data.py --index`. Results with hardware and date are in `benchmarks/results.md`.
"""

import argparse
import json
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

SIZES = ((64, 96), (96, 128), (128, 160), (192, 256))
BATCHES = (1, 2, 4, 8)
PROCESSES = (1, 2, 4)
SIZE, BATCH = (96, 128), 4  # of the rows that vary something else
WARM, COUNTED = 1, 2  # steps
PROGRESS = 0.5
HERE = Path(__file__).resolve()

Row = tuple[tuple[int, int], int, int]
"""Image size, batch of all processes, processes."""


def rows() -> list[Row]:
    """Everything that is measured, the common row once."""
    found = [(size, BATCH, 1) for size in SIZES]
    found += [(SIZE, batch, 1) for batch in BATCHES]
    found += [(SIZE, BATCH, count) for count in PROCESSES]
    return list(dict.fromkeys(found))


def measure(run: str, row: Row) -> tuple[float, float]:
    """CPU seconds of a step, summed over the processes, and GiB of the largest of them."""
    size, batch, count = row
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    common |= {"MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    common["PYTHONPATH"] = f"{HERE.parents[1] / 'src'}:{HERE.parent}"
    command = [sys.executable, str(HERE), "--run", run, "--work", str(batch // count)]
    command += [str(side) for side in size]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**common, "RANK": str(i)})
        for i in range(count)
    ]
    said = [json.loads(p.communicate()[0].splitlines()[-1]) for p in processes]
    return sum(s["seconds"] for s in said), max(s["gib"] for s in said)


def work(run: str, batch: int, size: tuple[int, int]) -> None:
    """Steps of one process; prints what they took."""
    from ssmde.presets import PRESETS
    from ssmde.training.module import build_optimizer
    from step_parts import build, make_batch

    torch.set_num_threads(1)
    method = build(run)
    several = int(os.environ["WORLD_SIZE"]) > 1
    if several:
        dist.init_process_group("gloo")
    optimizer = build_optimizer(method, PRESETS["ss_mde"].train)
    step = DistributedDataParallel(method) if several else method
    frames = make_batch(batch, size)
    for number in range(WARM + COUNTED):
        if number == WARM:
            start = time.process_time()
        optimizer.zero_grad()
        step(frames, PROGRESS).loss.backward()
        optimizer.step()
    seconds = (time.process_time() - start) / COUNTED
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "gib": gib}), flush=True)
    if several:
        dist.barrier()
        dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", default="sc_depth_v3", help="a run of training_step.py")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=int, nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        batch, height, width = asked.work
        work(asked.run, batch, (height, width))
        return
    found: dict[Row, list[tuple[float, float]]] = {row: [] for row in rows()}
    for _ in range(asked.rounds):
        for row, measured in found.items():
            measured.append(measure(asked.run, row))
    print(
        f"{asked.run}, fp32, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}, {asked.rounds} rounds"
    )
    print(
        f"{'size':>10}{'batch':>7}{'processes':>11}{'CPU s':>8}{'us a pixel':>12}{'GiB each':>10}"
    )
    for (size, batch, count), measured in found.items():
        seconds, gib = (statistics.median(values) for values in zip(*measured, strict=True))
        each = 1e6 * seconds / (batch * size[0] * size[1])
        shown = f"{size[0]} x {size[1]}"
        print(f"{shown:>10}{batch:7}{count:11}{seconds:8.2f}{each:12.2f}{gib:10.2f}")


if __name__ == "__main__":
    main()
