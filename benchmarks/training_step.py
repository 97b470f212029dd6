"""Speed and memory of a training step: `make bench`, with `loader.py`.

    python benchmarks/training_step.py [--parts] [--size 256 320] [--against OTHER_TREE/src]

Prints CPU seconds of one thread, medians of interleaved rounds, because the wall clock of a shared
machine says little. "networks" is the forward and backward pass of the bare depth and pose networks
on the same images; the ratio is what the method adds. Peak memory is that of a process of its own.
`--parts` splits the step (see `step_parts.py`), with what each part keeps for its backward pass.
`--against` measures another version of the package in the same rounds. Results with hardware and
date are in `benchmarks/results.md`.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

RUNS = (  # the third is stage 1
    "photometric", "consistent", "sc_depth_v3", "ss_mde stage 2",
)  # fmt: skip
V3 = "networks of SC-Depth V3"
HERE = Path(__file__).resolve().parents[1] / "src"


class Worker:
    """A process that holds the steps of one version of the package and times them when asked."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--work"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=_environment(source),
        )  # fmt: skip

    def ask(self, **question: Any) -> Any:
        """One answer for one question; see `work`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def _environment(source: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}


def work() -> None:
    """Answer questions, a line each: the parts of a run, the seconds of one, or what it keeps."""
    from step_parts import (
        all_parts,
        build,
        first_losses,
        full_step,
        networks_of_sc_depth_v3,
        saved_for_backward,
    )

    known: dict[str, dict[str, Callable[[], None]]] = {}
    for line in sys.stdin:
        question = json.loads(line)
        run, ask = question["run"], question["ask"]
        if ask == "losses":
            found = first_losses(run, question["steps"], question["batch"], question["size"])
            print(json.dumps(found), flush=True)
            continue
        if run not in known:
            method = build(run)
            batch = make_batch(question["batch"], question["size"])
            known[run] = {"step": full_step(method, batch), **all_parts(method, batch)}
            known[run][V3] = networks_of_sc_depth_v3(batch)
        if ask == "parts":
            answer: Any = list(known[run])
        elif ask == "kept":
            with saved_for_backward() as kept:
                known[run][question["part"]]()
            answer = sum(kept.values()) / 2**20
        else:
            answer = cpu_seconds(known[run][question["part"]])
        print(json.dumps(answer), flush=True)


def cpu_seconds(step: Callable[[], None]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def measure(workers: list[Worker], runs: list[str], asked: argparse.Namespace) -> None:
    """Time the parts of all runs, version by version within each round, and print tables."""
    common = {"batch": asked.batch, "size": asked.size}
    # Each in a process of its own, before this machine is warm: a peak is never lowered again.
    peaks = {(w, run): peak_memory(w, run, asked) for run in runs for w in workers}
    for run in runs:
        parts = workers[0].ask(run=run, ask="parts", **common)
        parts = parts if asked.parts else [*parts[:2], V3]
        seconds: dict[tuple[Worker, str], list[float]] = {}
        kept = {
            (w, part): w.ask(run=run, part=part, ask="kept", **common)  # also warms it
            for part in parts
            for w in workers
        }
        for _ in range(asked.rounds):
            for part in parts:
                for w in workers:  # interleaved: each round sees the same machine
                    taken = w.ask(run=run, part=part, ask="seconds", **common)
                    seconds.setdefault((w, part), []).append(taken)
        print_run(run, workers, parts, seconds, kept, {w: peaks[w, run] for w in workers})


def compare_losses(workers: list[Worker], runs: list[str], asked: argparse.Namespace) -> None:
    """Largest relative difference of any term between both versions, and how it grows by step.

    Rounding grows at every step (`first_losses`); a term that means something else differs at once.
    """
    for run in runs:
        question = {"run": run, "ask": "losses", "steps": asked.losses}
        before, after = (w.ask(**question, batch=asked.batch, size=asked.size) for w in workers)
        worst: dict[str, tuple[float, int]] = {}
        by_step: list[float] = []
        for step, (old, new) in enumerate(zip(before, after, strict=True)):
            by_step.append(0.0)
            if old.keys() != new.keys():
                raise SystemExit(f"{run}, step {step}: terms {list(old)} became {list(new)}")
            for name, value in old.items():
                off = abs(new[name] - value) / max(abs(value), 1e-12)
                worst[name] = max(worst.get(name, (0.0, 0)), (off, step))
                by_step[-1] = max(by_step[-1], off)
        said = ", ".join(f"{name} {off:.1e} (step {step})" for name, (off, step) in worst.items())
        print(f"{run}, {asked.losses} steps: {said}", flush=True)
        growth = ", ".join(
            f"{step}: {by_step[step]:.1e}" for step in (0, 1, 2, *range(4, len(by_step), 4))
        )
        print(f"{run}, largest by step: {growth}", flush=True)


def print_run(
    run: str,
    workers: list[Worker],
    parts: list[str],
    seconds: dict[tuple[Worker, str], list[float]],
    kept: dict[tuple[Worker, str], float],
    peaks: dict[Worker, float],
) -> None:
    """One line a part: milliseconds and MiB kept, for each version, and the ratio of the first."""
    for w in workers:
        pairs = zip(seconds[w, "step"], seconds[w, "networks"], strict=True)
        ratio = statistics.median(step / networks for step, networks in pairs)
        print(f"{run}: step / networks {ratio:.2f}, peak {peaks[w]:.2f} GiB ({w.source})")
    for part in parts:
        cells = [
            f"{1000 * statistics.median(seconds[w, part]):9.1f} ms{kept[w, part]:8.0f} MiB"
            for w in workers
        ]
        first, last = seconds[workers[0], part], seconds[workers[-1], part]
        ratio = statistics.median(a / b for a, b in zip(first, last, strict=True))
        print(f"  {part:25}" + "".join(cells) + (f"{ratio:8.2f}" if len(workers) > 1 else ""))
    sys.stdout.flush()


def peak_memory(worker: Worker, run: str, asked: argparse.Namespace) -> float:
    """GiB of a process that takes three steps."""
    size = [str(side) for side in asked.size]
    command = [sys.executable, __file__, "--memory-of", run, "--batch", str(asked.batch)]
    command += ["--size", *size]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=_environment(worker.source)
    )
    return float(done.stdout)


def print_memory(run: str, asked: argparse.Namespace) -> None:
    from step_parts import build, full_step, make_batch

    method = build(run)
    step = full_step(method, make_batch(asked.batch, asked.size))
    for _ in range(3):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--size", type=int, nargs=2, default=(256, 320))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--parts", action="store_true", help="split the step")
    parser.add_argument("--against", type=Path, help="`src` folder of another version, the first")
    parser.add_argument("--losses", type=int, default=0, help="compare so many steps, time nothing")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memory-of", choices=RUNS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work()
        return
    if asked.memory_of:
        print_memory(asked.memory_of, asked)
        return
    sources = [*([asked.against] if asked.against else []), HERE]
    workers = [Worker(source.resolve()) for source in sources]
    if asked.losses:
        compare_losses(workers, asked.runs, asked)
        return
    print(
        f"Python {platform.python_version()}, {platform.machine()}, batch {asked.batch}, "
        f"{asked.size[0]} x {asked.size[1]}, fp32, one thread, {asked.rounds} rounds"
    )
    measure(workers, asked.runs, asked)


if __name__ == "__main__":
    main()
