"""What each part of the method brings, from one start, in equal time, over seeds, as tables.

    python benchmarks/ablation.py START OUT --films bonn=DATA,JUDGE[,PROTOCOL] ... [--rows ladder]

START is a network that has not seen the films. DATA is a data folder whose scenes were tracked;
JUDGE is one with measured depth of later frames. DATA is copied; START labels the copy, and the
tracked points correct those labels for the row that learns from them. Every row trains for the same
seconds of one CPU thread, at most: the number of steps follows from a measured step. Rows with a
student give half of the seconds to its teacher, which they share. Finished runs are picked up.

A table for each film: abs_rel and d1 on all, static and moving pixels, mean over the seeds and half
the range.
"""

import argparse
import json
import shutil
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ssmde.cli import main as ssmde
from ssmde.config import AffineConfig, Config, DataConfig, PseudoDepthConfig, StudentConfig
from ssmde.data.scene_files import write_list
from ssmde.data.scene_folder import read_scenes
from ssmde.evaluation import evaluate_predictions
from ssmde.inference.loading import load
from ssmde.labeling import write_corrected
from ssmde.models.registry import follow_start
from ssmde.pace import seconds_per_step
from ssmde.presets import AFFINE_INDOOR, CONSISTENT, PHOTOMETRIC, SC_DEPTH_V3, SS_MDE
from ssmde.training import train

REGIONS = ("full", "static", "dynamic")
COLUMNS = [f"{region} {name}" for region in REGIONS for name in ("abs_rel", "d1")]
RATE = 1e-4
LABELS = PseudoDepthConfig(structure=0.1)


@dataclass(frozen=True, kw_only=True)
class Film:
    """A recording to learn from, and a later part to judge by."""

    name: str
    data: Path
    judge: Path
    protocol: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table."""

    config: Config
    corrected: bool = False
    """Whether it learns from labels that points corrected, as if they were measured."""


def tracked(config: Config, **loss: Any) -> Config:
    """With motion from the whole video."""
    return replace(
        config,
        data=replace(config.data, poses="tracked"),
        loss=replace(config.loss, **loss),
    )


def labeled(config: Config, **weights: float) -> Config:
    """With labels."""
    return replace(config, pseudo_depth=replace(LABELS, **weights))


def own_motion(**train: Any) -> Config:
    """The teacher with the pose network in place of tracked motion."""
    plain = labeled(SC_DEPTH_V3, depth=0.5)
    return replace(plain, train=replace(plain.train, **train))


def teacher(**loss: Any) -> Config:
    """Stage 1 of ss_mde."""
    known = tracked(SC_DEPTH_V3, **({"sparse_depth": 0.5} | loss))
    return replace(labeled(known, depth=0.5), method="teacher")


def student(**changes: Any) -> Config:
    """Stage 2 after the teacher of half the time."""
    return replace(SS_MDE, method="student", student=StudentConfig(**changes))


LADDER: dict[str, Row] = {
    "photometric": Row(config=tracked(PHOTOMETRIC)),
    "consistent": Row(config=tracked(CONSISTENT)),
    "sc_depth_v3: + labels": Row(config=labeled(tracked(SC_DEPTH_V3))),
    "+ tracked points": Row(config=labeled(tracked(SC_DEPTH_V3, sparse_depth=0.5))),
    "+ depth of labels: teacher": Row(config=teacher()),
    "+ student and mask filter, no labels": Row(config=student(labels="none")),
    "+ labels on static areas, fading": Row(
        config=student(labels="static", forgetting="exponential")
    ),
    "+ labels everywhere that stay": Row(config=student()),
    "corrected labels (adapt)": Row(config=AFFINE_INDOOR, corrected=True),
}
CHOICES: dict[str, Row] = {
    "student: no teacher": Row(config=student(distillation=0.0)),
    "student: labels on static areas that stay": Row(config=student(labels="static")),
    "labels: depth alone": Row(config=labeled(teacher(), structure=0.0, depth=0.5)),
    "views: no photometric term": Row(config=teacher(photometric=0.0, geometry=0.0)),
    "views: no geometry term": Row(config=teacher(geometry=0.0)),
    "views: smoothness 0.001": Row(config=teacher(smoothness=1e-3)),
    "motion: pose network": Row(config=own_motion()),
    "motion: pose network, its rate 1": Row(config=own_motion(pose_lr_multiplier=1.0)),
    "motion: pose network, no warm-up": Row(
        config=replace(own_motion(), loss=replace(own_motion().loss, warmup=0.0))
    ),
}
TABLES = {"ladder": LADDER, "choices": CHOICES}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all rows have in common."""

    start: Path
    out: Path
    seconds: float
    image_size: tuple[int, int]
    frame_gaps: tuple[int, ...]

    def folder(self, film: Film) -> Path:
        """Where the runs of a film are."""
        return self.out / film.name


def make_data(bench: Bench, film: Film) -> None:
    """Copies of the recording: labelled by the start; and with corrected labels."""
    labelled, corrected = bench.folder(film) / "labelled", bench.folder(film) / "corrected"
    if not (corrected / "train.txt").is_file():
        if not labelled.exists():
            shutil.copytree(film.data, labelled, ignore=shutil.ignore_patterns("depth"))
        if ssmde(["label", str(labelled), "--source", f"ssmde:{bench.start}"]):
            raise SystemExit(1)
        names = [s.name for s in read_scenes(labelled, "train")]
        for name in names:
            write_corrected(labelled / name, corrected / name)
        write_list(corrected, "train", names)


def make_run(bench: Bench, film: Film, row: Row, name: str, seed: int) -> Config:
    """The configuration of a row; its steps are those that the seconds allow."""
    config = row.config
    folder = bench.folder(film)
    data: dict[str, Any] = {"root": folder / ("corrected" if row.corrected else "labelled")}
    if row.corrected:  # as `ssmde adapt` does
        affine = AffineConfig(leres=0.0, log_depth=1.0, log_gradient=1.0)
        data |= {"zoom": 1.5, "color_jitter": 0.5}
        config = replace(config, affine=affine)
    base: DataConfig = replace(
        config.data, image_size=bench.image_size, frame_gaps=bench.frame_gaps, workers=0, **data
    )
    config = replace(
        config,
        name=name,
        output=folder,
        data=base,
        model=replace(config.model, start=str(bench.start)),
        train=replace(
            config.train, learning_rate=RATE, schedule="cosine", warmup_steps=5, seed=seed,
            accelerator="cpu", threads=1, average=0.98, encoder_lr_multiplier=0.3,
            batch_size=8 if row.corrected else 4,
        ),
    )  # fmt: skip
    seconds = bench.seconds
    if config.method == "student":
        seconds /= 2
        given = folder / f"teacher-{seed}" / "last.safetensors"
        config = replace(config, student=replace(config.student, teacher=given))
    config = follow_start(config)
    stored = folder / "seconds_per_step.json"
    known: dict[str, float] = json.loads(stored.read_text()) if stored.is_file() else {}
    kind = name.rsplit("-", 1)[0]
    if kind not in known:  # once a row, so that its seeds have the same steps
        known[kind] = seconds_per_step(config, clock=time.process_time)
        stored.write_text(json.dumps(known, indent=1))
    steps = max(10, round(seconds / known[kind]))
    clock = replace(config.train, steps=steps, validate_every=steps)
    return replace(config, train=clock, student=replace(config.student, steps=steps))


def name_of(row: str, seed: int) -> str:
    """Name of the folder of a run."""
    return f"{''.join(c if c.isalnum() else '_' for c in row)}-{seed}"


def run_row(bench: Bench, film: Film, row: str, config: Row, seed: int) -> dict[str, float]:
    """Train and evaluate, unless it was; the numbers of the table."""
    folder = bench.folder(film)
    if config.config.method == "student":
        run_row(replace(bench, seconds=bench.seconds / 2), film, "teacher", LADDER_TEACHER, seed)
    name = name_of(row, seed)
    if not (folder / name / "last.safetensors").is_file():
        run = make_run(bench, film, config, name, seed)
        begin = time.process_time()
        train(run, resume=(folder / name / "last.ckpt").is_file())
        (folder / name / "seconds.txt").write_text(f"{time.process_time() - begin:.1f}")
    return judge(film, folder / name / "last.safetensors", folder / name / "errors.json") | {
        "CPU s": float((folder / name / "seconds.txt").read_text())
    }


LADDER_TEACHER = Row(config=teacher())


def judge(film: Film, weights: Path, report: Path) -> dict[str, float]:
    """abs_rel and d1 by region."""
    if not report.is_file():
        scenes = read_scenes(film.judge, "val")
        found = evaluate_predictions(load(weights).network_depth, scenes, film.protocol)
        errors = {"full": found.full, "static": found.static, "dynamic": found.dynamic}
        numbers = {
            f"{region} {name}": getattr(mean, name)
            for region, mean in errors.items()
            for name in ("abs_rel", "d1")
            if mean is not None
        }
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(numbers, indent=1))
    return json.loads(report.read_text())


def write_table(rows: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Markdown: mean, and half the range where there are several seeds."""
    lines = ["| | CPU s | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for row, runs in rows.items():
        cells = []
        for column in COLUMNS:
            values = [run[column] for run in runs if column in run]
            spread = f" ± {(max(values) - min(values)) / 2:.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}" if values else "-")
        seconds = statistics.mean(run.get("CPU s", 0.0) for run in runs)
        lines.append(f"| {row} | {seconds:.0f} | " + " | ".join(cells) + " |")
    path.write_text("\n".join(lines) + "\n")


def parse_film(text: str) -> Film:
    """`name=DATA,JUDGE[,PROTOCOL]`."""
    name, _, places = text.partition("=")
    data, judged, *protocol = places.split(",")
    return Film(
        name=name, data=Path(data), judge=Path(judged),
        protocol=protocol[0] if protocol else "generic",
    )  # fmt: skip


def chosen_rows(words: list[str]) -> dict[str, Row]:
    """Whole tables by name, or rows by their beginnings."""
    return {
        row: config
        for row, config in (LADDER | CHOICES).items()
        if any(row in TABLES.get(word, {}) or row.startswith(word) for word in words)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("start", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--films", nargs="+", type=parse_film, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--image-size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--frame-gaps", type=int, nargs="+", default=[1])
    parser.add_argument("--rows", nargs="+", default=["ladder"])
    asked = parser.parse_args()
    bench = Bench(
        start=asked.start.resolve(), out=asked.out, seconds=asked.seconds,
        image_size=tuple(asked.image_size), frame_gaps=tuple(asked.frame_gaps),
    )  # fmt: skip
    for film in asked.films:
        make_data(bench, film)
        path = bench.folder(film) / "table.md"
        rows = {"start": [judge(film, bench.start, bench.folder(film) / "start.json")]}
        for seed in asked.seeds:
            for row, config in chosen_rows(asked.rows).items():
                print(f"{film.name}: {row}, seed {seed}", flush=True)
                rows.setdefault(row, []).append(run_row(bench, film, row, config, seed))
                write_table(rows, path)
        print(path.read_text())


if __name__ == "__main__":
    main()
