"""Speed and memory of a training step: `make bench`.

    python benchmarks/training_step.py [--parts] [--size 256 320]

Prints CPU seconds of one thread, medians of interleaved rounds, because the wall clock of a shared
machine says little. "networks" is the forward and backward pass of the bare depth and pose networks
on the same images; the ratio is what the method adds. Peak memory is that of a process of its own.
`--parts` splits the step (see `step_parts.py`), with what each part keeps for its backward pass.
Results with hardware and date are in `benchmarks/results.md`.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

from step_parts import (
    STAGE_2,
    all_parts,
    build,
    full_step,
    make_batch,
    networks_of_sc_depth_v3,
    saved_for_backward,
)

RUNS = ("photometric", "consistent", "sc_depth_v3", STAGE_2)  # the third is stage 1
V3 = "networks of SC-Depth V3"


def cpu_seconds(step: Callable[[], None]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def measure(run: str, asked: argparse.Namespace) -> None:
    """Time the parts of a run and print them: milliseconds, and MiB kept for the backward pass."""
    peak = peak_memory(run, asked)  # before this machine is warm
    method, batch = build(run), make_batch(asked.batch, asked.size)
    parts = {"step": full_step(method, batch), **all_parts(method, batch)}
    if not asked.parts:
        parts = {name: parts[name] for name in ("step", "networks")}
    parts[V3] = networks_of_sc_depth_v3(batch)
    seconds: dict[str, list[float]] = {part: [] for part in parts}
    kept: dict[str, float] = {}
    for part, step in parts.items():
        with saved_for_backward() as stored:
            step()  # also warms it
        kept[part] = sum(stored.values()) / 2**20
    for _ in range(asked.rounds):
        for part, step in parts.items():
            seconds[part].append(cpu_seconds(step))
    pairs = zip(seconds["step"], seconds["networks"], strict=True)
    ratio = statistics.median(step / networks for step, networks in pairs)
    print(f"{run}: step / networks {ratio:.2f}, peak {peak:.2f} GiB")
    for part, taken in seconds.items():
        print(f"  {part:25}{1000 * statistics.median(taken):9.1f} ms{kept[part]:8.0f} MiB")
    sys.stdout.flush()


def peak_memory(run: str, asked: argparse.Namespace) -> float:
    """GiB of a process of its own that takes three steps: a peak is never lowered again."""
    command = [sys.executable, __file__, "--memory-of", run, "--batch", str(asked.batch)]
    command += ["--size", *map(str, asked.size)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--size", type=int, nargs=2, default=(256, 320))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--parts", action="store_true", help="split the step")
    parser.add_argument("--memory-of", choices=RUNS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory_of:
        step = full_step(build(asked.memory_of), make_batch(asked.batch, asked.size))
        for _ in range(3):
            step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    print(
        f"Python {platform.python_version()}, {platform.machine()}, batch {asked.batch}, "
        f"{asked.size[0]} x {asked.size[1]}, fp32, one thread, {asked.rounds} rounds"
    )
    for run in asked.runs:
        measure(run, asked)


if __name__ == "__main__":
    main()
