"""`ssmde train` with both stages: camera motion, labels, teacher, student, evaluation, report.

Each stage is a run of its own in a folder of its own, and is left alone when it is finished.
"""

from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl

from ssmde.config import Config
from ssmde.console import is_later_rank
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.data.shards import is_packed
from ssmde.evaluation import Evaluation, evaluate, evaluate_predictions, frames_with_truth
from ssmde.inference.loading import load
from ssmde.io import copy_file
from ssmde.labeling import label
from ssmde.models.registry import follow_start
from ssmde.outputs import check_own, digest_of, recorded, sweep
from ssmde.reporting.report import Stages, write_report
from ssmde.tracking import track
from ssmde.training.single_stage import train

TEACHER, STUDENT = "teacher", "student"  # folders of the stages
WEIGHTS = ("best.safetensors", "last.safetensors")
RESULTS = (*WEIGHTS, "report.html")


def train_stages(
    config: Config, *, resume: bool = False, data: pl.LightningDataModule | None = None
) -> Path:
    """Train what `config.method` asks for and return the folder of the run.

    Labels that are missing are made first.

    With `both` the folder holds `teacher/` and `student/`, each as `train` leaves it, the weights
    of the student, `evaluation/` where validation scenes have measured depth, and `report.html`:
    losses, forgetting factor, what the filter found, the numbers of both stages.

    Args:
        config: The run.
        resume: Go on where a run of both stages stopped: finished stages are skipped.
        data: As for `train`; motion and labels have to come with its batches.

    Raises:
        ValueError: If the data, or the folder of the run, do not fit.
        TrainingError: As in `train`.
    """
    if config.method != "both":
        return train(config, resume=resume, data=data)
    config = follow_start(config)
    folder = config.output / config.name
    stages = {name: _stage(config, name) for name in (TEACHER, STUDENT)}
    begun = [name for name, stage in stages.items() if _has(stage, "last.ckpt", WEIGHTS[1])]
    if begun and not resume and not is_later_rank():
        raise ValueError(
            f"{folder} already holds a run of both stages ({', '.join(begun)} begun): go on with "
            "--resume, choose another --name, or delete it"
        )
    if not begun and not is_later_rank():
        check_own([folder / name for name in RESULTS], "choose another --name")
    if not is_later_rank():
        sweep(folder, RESULTS.__contains__)
    if data is None:
        _track_what_has_no_motion(config)
        _label_what_has_no_labels(config)
    for name, stage in stages.items():
        if _has(stage, WEIGHTS[1]):
            print(f"stage {name}: finished before, left as it is")
            continue
        print(f"stage {name}")
        train(stage, resume=_has(stage, "last.ckpt"), data=data)
    if not is_later_rank():
        _hand_over(stages[STUDENT], folder)
    if not is_later_rank() and config.data.root.is_dir():
        _report(stages[TEACHER], stages[STUDENT], folder)
    return folder


def _stage(config: Config, name: str) -> Config:
    """The run of one stage."""
    run = f"{config.name}/{name}"
    if name == TEACHER:
        return replace(config, method="teacher", name=run)
    best = config.output / config.name / TEACHER / WEIGHTS[0]
    return replace(
        config, method="student", name=run, student=replace(config.student, teacher=best)
    )


def _has(stage: Config, *names: str) -> bool:
    """Whether the folder of a stage holds one of these files."""
    return any((stage.output / stage.name / name).is_file() for name in names)


def _track_what_has_no_motion(config: Config) -> None:
    """Camera motion from the frames themselves, where the run is to have it."""
    if config.data.poses != "tracked" or is_packed(config.data.root):
        return
    if _several(config):
        if still := [s.name for s in _scenes(config) if s.tracked_poses is None]:
            raise ValueError(
                f"scene '{still[0]}' has no tracked motion, and several processes would all track "
                f"it: run `ssmde track {config.data.root}` first"
            )
        return
    for scene in track(config.data.root, threads=config.train.threads):  # what was not yet
        if scene.camera or scene.doubtful:
            print(scene)


def _label_what_has_no_labels(config: Config) -> None:
    """Pseudo-depth from the source that the configuration names, where terms want it."""
    missing = [s for s in _scenes(config) if s.pseudo_depth is None]
    if not config.pseudo_depth.wanted or not missing:
        return
    if _several(config):
        raise ValueError(
            f"scene '{missing[0].name}' has no pseudo-depth, and several processes would all make "
            f"it: run `ssmde label {config.data.root}` first"
        )
    source = config.pseudo_depth.source
    if not source:
        raise ValueError(
            f"scene '{missing[0].name}' has no pseudo-depth: run `ssmde label {config.data.root}`, "
            "or name a source with --pseudo-depth.source: ssmde:small comes with the package, "
            "depth-anything-v2 is a download"
        )
    label(config.data.root, source=source)


def _scenes(config: Config) -> list[FrameSequence]:
    """The training scenes."""
    return read_scenes(config.data.root, "train")


def _several(config: Config) -> bool:
    """Whether several processes run this together."""
    return config.train.devices * config.train.nodes > 1


def _hand_over(student: Config, folder: Path) -> None:
    """Put the student's weights where a run has them."""
    run = student.output / student.name
    for name in WEIGHTS:
        if (run / name).is_file() and not _is_copy(run / name, folder / name):
            with recorded():
                copy_file(run / name, folder / name)


def _is_copy(source: Path, target: Path) -> bool:
    return target.is_file() and digest_of(source) == digest_of(target)


def _report(teacher: Config, student: Config, folder: Path) -> None:
    """Measure both stages where validation scenes have measured depth, and write the page."""
    held_out = read_scenes(student.data.root, "val")
    weights = (folder / TEACHER / WEIGHTS[0], folder / WEIGHTS[0])
    results: tuple[Evaluation, Evaluation] | None = None
    if frames_with_truth(held_out, 1):
        protocol = student.train.protocol
        first = evaluate_predictions(load(weights[0]).network_depth, held_out, protocol)
        second = evaluate(
            folder, student.data.root, split="val", protocol=protocol, out=folder / "evaluation"
        )
        print(second)
        results = (first, second)
    stages = Stages(
        folder=folder, teacher=teacher, student=student, weights=weights, results=results
    )
    with recorded():
        page = write_report(stages, held_out)
    print(f"report: {page}", flush=True)
