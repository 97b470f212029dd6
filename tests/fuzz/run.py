"""Changed files in front of every verb: `make fuzz`, or python tests/fuzz/run.py --seeds 1 2 3.

A command passes if it ends well with numbers that are finite, or refuses the file in a few lines
that name it. It fails with a traceback, without the name, after 20 s of computing or two minutes,
beyond 4 GiB, or with nan in what it wrote. Each runs in a process of its own, forked from one that
has everything imported. What fails is kept in --keep, with the command.
"""

import argparse
import contextlib
import io
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
sys.path.insert(0, str(Path(__file__).parents[1]))
import numpy as np
import torch

from fuzz.files import Kind, kinds, write_all
from fuzz.mutations import mutate
from ssmde.cli import main

for name in ("evaluation", "inference", "labeling", "preparation", "training"):
    import_module(f"ssmde.{name}")  # once, before the forks

CPU_SECONDS, SECONDS, MEMORY = 20, 120, 4 << 30
LONGEST = 2000  # characters of what is said
NO_NUMBER = re.compile(r"[:\[ ](NaN|-?Infinity)\b")


def is_finite(path: Path) -> bool:
    """Whether a file that was written holds numbers only."""
    if path.suffix == ".json":
        return not NO_NUMBER.search(path.read_text("utf-8", "replace"))
    if path.suffix != ".npz" or path.name == "frames.npz":  # unknown poses are nan when packed
        return True
    with np.load(path) as file:
        return all(np.isfinite(file[n]).all() for n in file.files if file[n].dtype.kind == "f")


def fault_of(words: tuple[str, ...], file: Path) -> str:
    """What is wrong with how a command ends that reads a changed file; nothing if it passes."""
    before = set(Path().rglob("*"))
    try:
        status = main(words)
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}: {error}"
    sys.stdout.flush()
    sys.stderr.flush()
    said = Path("said").read_text("utf-8", "replace")
    if "Traceback (most recent call" in said:
        return f"a traceback is printed: {said[-300:]}"
    if status == 0:
        written = set(Path().rglob("*")) - before
        return " ".join(f"{path}: nan or inf" for path in written if not is_finite(path))
    message = said[said.rfind("error:") :] if "error:" in said else said
    if len(message) > LONGEST and words[0] != "doctor":
        return f"{len(message)} characters: {message[:200]}"
    names = {file.name, str(file.parent), file.stem}
    if file.parent.name in ("depth", "pseudo_depth", "motion_mask"):
        names |= {str(file.parent.parent), file.parent.parent.name}
    if words[0] == "doctor" or any(name in said for name in names if len(name) > 1):
        return ""
    return f"the file is not named: {message[:300]}"


def attempt(words: tuple[str, ...], file: Path, folder: Path) -> str:
    """The same in a process of its own, with limits."""
    if not (child := os.fork()):
        os.chdir(folder)
        log = os.open("said", os.O_CREAT | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(n, "w")) for n in (1, 2))
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
        signal.alarm(SECONDS)
        fault = "no end"
        with contextlib.suppress(BaseException), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fault = fault_of(words, file)
        Path("fault").write_text(fault)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return (folder / "fault").read_text()


def lay_out(whole: Path, kind: Kind, folder: Path) -> None:
    """Copy what a kind needs; links, but for what a command changes in place."""
    for part in (kind.file, *kind.beside):
        source, target = whole / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif not target.exists():
            shutil.copyfile(source, target)


def fuzz(seed: int, rounds: int, keep: Path, only: str = "") -> list[str]:
    """Change a file of every kind, so many times; one line for each fault."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        whole = Path(place).resolve() / "whole"
        whole.mkdir()
        write_all(whole)
        for number in range(rounds):
            for kind in (kind for kind in kinds() if only in kind.file):
                rng = random.Random(f"{seed}/{number}/{kind.file}")
                folder = whole.with_name("case")
                shutil.rmtree(folder, ignore_errors=True)
                lay_out(whole, kind, folder)
                change, words = mutate(rng, folder / kind.file), rng.choice(kind.commands)
                if fault := attempt(words, Path(kind.file), folder):
                    line = f"{kind.file}, {change}: ssmde {' '.join(words)}: {fault}"
                    faults.append(line)
                    print(line, flush=True)
                    kept = keep / f"{seed}-{number}-{kind.file.replace('/', '-')}"
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(folder / kind.file, kept)
    return faults


def from_words() -> int:
    """Run what the command line asks for; 1 if anything fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=8, help="changes of each kind of file")
    parser.add_argument("--only", default="", help="kinds of files with this in their name")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-kept"))
    asked: Any = parser.parse_args()
    torch.set_num_threads(1)
    found = [f for seed in asked.seeds for f in fuzz(seed, asked.rounds, asked.keep, asked.only)]
    print(f"{len(found)} of {len(asked.seeds) * asked.rounds * len(list(kinds()))} fail")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(from_words())
