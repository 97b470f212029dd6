"""What each part of the method brings: the ladder A0 to A9, over seeds, as a table.

    python benchmarks/ablation.py DATA --seeds 0 1 2 --steps 3000 [TRAIN OPTIONS]
    python benchmarks/ablation.py DATA --rows P T A7 --row-steps P=1300 T=450 A7=250   # equal time

Rows A1 to A9 read the abstract as it stands: labels on static areas, and fading. S is the preset
`ss_mde`, whose labels stay. Every row is a run of `ssmde train` in a folder of its own; finished
runs are picked up, stopped ones go on. Rows of stage 2 share the teacher of their seed, row T. Each
run is evaluated on the validation scenes of DATA; the table gives the mean over seeds and half the
range.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ssmde.cli import parse
from ssmde.config import Config, StudentConfig
from ssmde.evaluate import evaluate
from ssmde.stages import train_stages
from ssmde.verbs import Train

TEACHER = "T teacher of ss_mde"
NO_TEACHER = {"distillation": 0.0, "gradient": 0.0, "dynamic_ranking": 0.0, "features": 0.0}
REGIONS = ("full", "static", "dynamic")
COLUMNS = [f"{region} {name}" for region in REGIONS for name in ("abs_rel", "d1")]


def labels(**changes: object) -> Callable[[StudentConfig], StudentConfig]:
    """A change of the pseudo-depth terms of the student."""
    return lambda s: replace(s, pseudo_depth=replace(s.pseudo_depth, **changes))


def mask(variant: str) -> Callable[[StudentConfig], StudentConfig]:
    """Another filter, without the terms that later rows add."""
    return lambda s: replace(
        s, filter=replace(s.filter, variant=variant), dynamic_ranking=0.0, features=0.0
    )


def as_read(student: StudentConfig) -> StudentConfig:
    """Labels as the abstract of the paper has them: on static areas, and fading."""
    return labels(region="static", forgetting="exponential")(student)


def alone(**changes: object) -> Callable[[StudentConfig], StudentConfig]:
    """Stage 2 without what the teacher says."""
    return lambda s: labels(**changes)(replace(s, **NO_TEACHER))


STUDENTS: dict[str, Callable[[StudentConfig], StudentConfig]] = {
    "A1 static labels": alone(forgetting="constant"),
    "A2 forgetting": alone(),
    "A2x zero": alone(forgetting="zero"),
    "A2x linear": alone(forgetting="linear"),
    "A2x cosine": alone(forgetting="cosine"),
    "A2x step": alone(forgetting="step"),
    "A2x label forgetting": lambda s: replace(mask("soft")(s), forgets="label"),
    "A3 teacher, no filter": mask("off"),
    "A4 strict filter": mask("strict"),
    "A5 soft filter": mask("soft"),
    "A5x photo_sdfa filter": mask("photo_sdfa"),
    "A5x learned filter": mask("learned"),
    "A6 dynamic ranking": lambda s: replace(s, features=0.0),
    "A7 features": lambda s: s,
    "S labels stay (ss_mde)": labels(region="all", forgetting="constant"),
    "A8 ema teacher": lambda s: replace(s, teacher_mode="ema"),
    "A8 epoch_best teacher": lambda s: replace(s, teacher_mode="epoch_best"),
    "A8x fresh student": lambda s: replace(s, start="fresh"),
}
TEACHERS = {
    "P photometric": "photometric",
    "C consistent": "consistent",
    "A0' sc_depth_v3": "sc_depth_v3",
    "A9 teacher, resnet18 pose": "ss_mde",
    TEACHER: "ss_mde",
}
ROWS = (*TEACHERS, *STUDENTS)


def folder_name(row: str, seed: int) -> str:
    """Name of a run."""
    return f"{''.join(c if c.isalnum() else '-' for c in row)}-{seed}"


def make_run(row: str, seed: int, options: list[str], output: Path) -> Config:
    """The configuration of a row."""
    found = parse("train", [TEACHERS.get(row, "ss_mde"), *options])
    assert isinstance(found, Train)
    config = replace(
        found.config,
        output=output,
        name=folder_name(row, seed),
        method="teacher",
        train=replace(found.config.train, seed=seed),
    )
    if row.startswith("A9"):
        config = replace(config, model=replace(config.model, pose_net="resnet18"))
    if row in STUDENTS:
        teacher = output / folder_name(TEACHER, seed) / "best.safetensors"
        student = STUDENTS[row](as_read(replace(config.student, teacher=teacher)))
        config = replace(config, method="student", student=student)
    return config


def steps_of(row: str, given: list[str]) -> list[str]:
    """The options that give a row its own number of steps: of `P=1300`, the first that fits."""
    for beginning, _, steps in (word.partition("=") for word in given):
        if row.startswith(f"{beginning} "):
            return ["--train.steps", steps, "--student.steps", steps]
    return []


def run_row(row: str, seed: int, options: list[str], output: Path) -> dict[str, float]:
    """Train a row unless it is finished, evaluate it unless it was.

    abs_rel and d1 by region, CPU seconds of the training process.
    """
    config = make_run(row, seed, options, output)
    folder = output / config.name
    if not (folder / "last.safetensors").is_file():
        train_stages(config, resume=(folder / "last.ckpt").is_file())
    report = folder / "evaluation" / "metrics.json"
    if not report.is_file():
        evaluate(folder, config.data.root, protocol=config.train.protocol, out=report.parent)
    metrics = json.loads(report.read_text())
    seconds = max(float(line.split(",")[1]) for line in log_lines(folder))
    return {"CPU s": seconds} | {
        f"{region} {name}": metrics[region][name]
        for region in REGIONS
        for name in ("abs_rel", "d1")
        if metrics.get(region)
    }


def log_lines(folder: Path) -> list[str]:
    """Lines of the log of a run: step, CPU seconds, name, value."""
    return (folder / "log.csv").read_text().splitlines()[1:]


def write_table(results: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Markdown: mean, and spread where there are several seeds."""
    columns = COLUMNS
    lines = ["| | seeds | CPU s | " + " | ".join(columns) + " |", "|---" * (len(columns) + 3) + "|"]
    for row, runs in results.items():
        cells = []
        for column in columns:
            values = [run[column] for run in runs if column in run]
            spread = f" ± {(max(values) - min(values)) / 2:.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}" if values else "-")
        seconds = statistics.mean(run["CPU s"] for run in runs)
        lines.append(f"| {row} | {len(runs)} | {seconds:.0f} | " + " | ".join(cells) + " |")
    path.write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--row-steps", nargs="+", default=[], help="of single rows: P=1300")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), help="beginnings of row names")
    parser.add_argument("--output", type=Path, default=Path("ablation"))
    arguments, options = parser.parse_known_args()
    options += ["--data.root", str(arguments.data), "--train.steps", str(arguments.steps)]
    wanted = [row for row in ROWS if any(row.startswith(word) for word in arguments.rows)]
    if any(row in STUDENTS for row in wanted) and TEACHER not in wanted:
        wanted.insert(0, TEACHER)  # the students learn from it
    results: dict[str, list[dict[str, float]]] = {}
    for seed in arguments.seeds:
        for row in wanted:
            print(f"{row}, seed {seed}")
            own = [*options, *steps_of(row, arguments.row_steps)]
            found = run_row(row, seed, own, arguments.output)
            results.setdefault(row, []).append(found)
            write_table(results, arguments.output / "table.md")
    print((arguments.output / "table.md").read_text())


if __name__ == "__main__":
    main()
