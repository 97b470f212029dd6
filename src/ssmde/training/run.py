"""`ssmde train`: from scene folders to a trained depth network, in a run folder that can go on.

With both stages each is a run in a folder of its own, and is left alone when it is finished.
"""

import logging
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from ssmde.config import Config
from ssmde.console import is_later_rank, is_out_of_memory, shorten
from ssmde.data.scene_folder import read_scenes
from ssmde.data.shards import is_packed
from ssmde.evaluation import evaluate, evaluate_predictions, frames_with_truth
from ssmde.inference.loading import load
from ssmde.io import whole_file
from ssmde.labeling import label
from ssmde.methods.affine_depth import AffineDepth
from ssmde.methods.student import build_student
from ssmde.methods.teacher import build_networks, build_teacher
from ssmde.models.registry import read_start
from ssmde.outputs import check_own, digest_of, recorded, sweep
from ssmde.reporting.report import write_report
from ssmde.signals import LateStop, Stopped
from ssmde.tracking import track
from ssmde.training import checkpoints
from ssmde.training.checkpoints import WEIGHTS
from ssmde.training.log import RunLog
from ssmde.training.module import SnippetLoader, TrainingError, TrainingModule
from ssmde.training.validation import Validation, write_weights

TEACHER, STUDENT = "teacher", "student"  # folders of the stages
STUDENT_RATE = 0.5  # of the learning rate: the student begins with the weights of the teacher
BEST, LAST = WEIGHTS
CKPT = "last.ckpt"
RESULTS = (*WEIGHTS, "report.html")
# Said by Lightning to its users, of no use to ours.
QUIET_WARNINGS = (
    ".*does not have many workers.*", ".*GPU available but not used.*",
    ".*Checkpoint directory .* exists and is not empty.*", "The dirpath has changed from .*",
    ".*treespec, LeafSpec.*", ".*in eval mode at the start of training.*",
    ".*have no `validation_step`.*",
)  # fmt: skip
PRECISIONS: dict[str, Literal["32-true", "bf16-mixed"]] = {"fp32": "32-true", "bf16": "bf16-mixed"}


def train(config: Config, *, resume: bool = False) -> Path:
    """Train what `config.method` asks for and return the folder of the run.

    The folder holds `config.yaml`, `last.ckpt` (to go on), `best.safetensors` and
    `last.safetensors` (to use), `log.csv`, `panels/` and `tensorboard/`.

    With `both` it holds `teacher/` and `student/`, each like this, the weights of the student,
    `evaluation/` where validation scenes have measured depth, and `report.html`. Camera motion and
    labels that are missing are made first.

    Args:
        config: The run.
        resume: Go on from `last.ckpt`, also after a kill; on a CPU as if the run was never stopped,
            to the last bit. Without a checkpoint it begins again; finished stages are skipped.

    Raises:
        FileExistsError: If the folder holds files of others under the names of a run.
        ValueError: If the data, or the folder of the run, do not fit.
        TrainingError: If the loss is no number, or memory or disk are full; the last good
            checkpoint is kept.
        Stopped: After Ctrl-C or SIGTERM; the step was finished and `last.ckpt` written.
    """
    config, remark = read_start(config)
    if config.method == "both":
        return _train_both(config, remark, resume=resume)
    return _train_stage(config, remark, resume=resume)


def _train_both(config: Config, remark: str, *, resume: bool) -> Path:
    """Motion and labels where they are missing, teacher, student, evaluation and report."""
    folder = config.output / config.name
    student = replace(config.student, teacher=folder / TEACHER / BEST)
    common = replace(config, student=student)
    stages = {
        TEACHER: replace(config, method="teacher", name=f"{config.name}/{TEACHER}"),
        STUDENT: replace(common, method="student", name=f"{config.name}/{STUDENT}"),
    }
    begun = [name for name in stages if any((folder / name / f).is_file() for f in (CKPT, LAST))]
    if not is_later_rank():
        if begun and not resume:
            raise ValueError(
                f"{folder} already holds a run of both stages ({', '.join(begun)} begun): go on "
                "with --resume, choose another --name, or delete it"
            )
        if not begun:
            check_own([folder / name for name in RESULTS], "choose another --name")
        sweep(folder, RESULTS.__contains__)
    _make_what_is_missing(config)
    for name, stage in stages.items():
        if (folder / name / LAST).is_file():
            print(f"stage {name}: finished before, left as it is")
            continue
        print(f"stage {name}")
        _train_stage(stage, remark, resume=(folder / name / CKPT).is_file())
    if not is_later_rank():
        for name in WEIGHTS:  # those of the student, where a run has them
            own, handed = folder / STUDENT / name, folder / name
            if own.is_file() and not (handed.is_file() and digest_of(own) == digest_of(handed)):
                with recorded(), whole_file(handed) as part:
                    shutil.copyfile(own, part)
        _report(stages[TEACHER], stages[STUDENT], folder)
    return folder


def _make_what_is_missing(config: Config) -> None:
    """Camera motion out of the frames, and labels from the named source, as the run wants them."""
    root, source = config.data.root, config.pseudo_depth.source
    alone = config.train.devices * config.train.nodes == 1
    scenes, tracked = read_scenes(root, "train"), config.data.poses == "tracked"
    tracked = tracked and not is_packed(root)
    still = [s.name for s in scenes if tracked and s.tracked_poses is None]
    bare = [s.name for s in scenes if config.pseudo_depth.wanted and s.pseudo_depth is None]
    for verb, missing, what in (
        ("track", still, "tracked motion"),
        ("label", bare, "pseudo-depth"),
    ):
        if missing and not alone:
            first = f"scene '{missing[0]}' has no {what}, and several processes would all make it"
            raise ValueError(f"{first}: run `ssmde {verb} {root}` first")
    if bare and not source:
        raise ValueError(
            f"scene '{bare[0]}' has no pseudo-depth: run `ssmde label {root}`, "
            "or name a source with --pseudo-depth.source: ssmde:small comes with the package, "
            "depth-anything-v2 is a download"
        )
    if tracked and alone:
        for scene in track(root, threads=config.train.threads):  # what was not yet
            if scene.camera or scene.doubtful:
                print(scene)
    if bare:
        label(root, source=source)


def _report(teacher: Config, student: Config, folder: Path) -> None:
    """Measure both stages where validation scenes have measured depth, and write the page."""
    held_out = read_scenes(student.data.root, "val")
    weights, results = (folder / TEACHER / BEST, folder / BEST), None
    if frames_with_truth(held_out, 1):
        protocol = student.train.protocol
        first = evaluate_predictions(load(weights[0]).network_depth, held_out, protocol)
        second = evaluate(
            folder, student.data.root, split="val", protocol=protocol, out=folder / "evaluation"
        )
        print(second)
        results = (first, second)
    with recorded():
        page = write_report(folder, teacher, student, weights, results, held_out)
    print(f"report: {page}", flush=True)


def _train_stage(config: Config, remark: str, *, resume: bool) -> Path:
    """One run; the remark is about the weights that it starts from."""
    config = config_of_stage(config)
    folder = config.output / config.name
    checkpoints.check_run(folder, config, resume=resume)
    resume = resume and (folder / CKPT).exists()
    if resume and checkpoints.is_done(folder, config.train.steps):
        return folder
    loader = SnippetLoader(config, read_scenes(config.data.root, "train"))
    if remark and not resume and not is_later_rank() and config.method != "student":
        print(remark)
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    torch.manual_seed(config.train.seed)
    module = TrainingModule(build_method(config), config.train)
    log, stop = RunLog(folder, config.train), LateStop()
    validation = Validation(folder, config, log, stop)
    save = checkpoints.SaveWhenAsked(folder, stop)
    trainer = _make_trainer(config, folder, [validation, log, save])
    if trainer.is_global_zero:
        checkpoints.write_config(folder, config)  # also of one that goes on: it has new steps
    checkpoint = folder / CKPT if resume else None
    try:
        trainer.fit(module, datamodule=loader, ckpt_path=checkpoint, weights_only=True)
        if validation.due:  # that of the last step, with no further one to come before
            log.on_train_start(trainer, module)
            validation.validate(trainer, module)
    except checkpoints.SavedError as saved:
        raise Stopped(*saved.args) from None
    except Exception as error:
        log.on_exception()
        raise _explain(error, config, folder, reading=resume and not save.begun) from error
    finally:
        stop.give_back()
    if trainer.global_step % config.train.checkpoint_every:
        trainer.save_checkpoint(folder / CKPT)  # from which more steps can be taken
    if trainer.is_global_zero:
        with module.averaged_weights():
            steps = config.train.steps
            write_weights(folder / LAST, config, module.method, validation.latest, steps)
    return folder


def config_of_stage(config: Config) -> Config:
    """Steps and learning rate of the stage take the place of the general ones."""
    s = config.student
    if config.method != "student":
        return config
    rate = s.learning_rate or STUDENT_RATE * config.train.learning_rate
    clock = replace(config.train, steps=s.steps or config.train.steps, learning_rate=rate)
    return replace(config, train=clock, student=replace(s, learning_rate=rate))


def build_method(config: Config) -> nn.Module:
    """The stage as a module."""
    if config.method == "affine_depth":
        return AffineDepth(build_networks(config.model, config.loss)[0], config.affine)
    if config.method == "student":
        return build_student(config)
    return build_teacher(config)


def _make_trainer(config: Config, folder: Path, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning's loop with our checkpoints and logs; validation is a callback of ours."""
    t, several = config.train, config.train.devices * config.train.nodes > 1
    for message in QUIET_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    keep = ModelCheckpoint(  # everything the run needs to go on
        dirpath=folder, filename="last", monitor=None, save_top_k=1,
        every_n_train_steps=t.checkpoint_every, enable_version_counter=False,
    )  # fmt: skip
    try:
        return pl.Trainer(
            default_root_dir=folder, accelerator=t.accelerator, devices=t.devices,
            num_nodes=t.nodes, strategy="ddp" if several else "auto",
            precision=PRECISIONS[t.precision], max_steps=t.steps, max_epochs=-1,
            callbacks=[*callbacks, keep], plugins=[checkpoints.AtomicCheckpointIO()],
            logger=TensorBoardLogger(folder, name=None, version="tensorboard"),
            enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
            use_distributed_sampler=False, limit_val_batches=0, num_sanity_val_steps=0,
        )  # fmt: skip
    except MisconfigurationException as error:
        raise ValueError(
            f"train.accelerator {t.accelerator!r} with {t.devices} devices cannot run here: {error}"
        ) from error


def _explain(error: Exception, config: Config, folder: Path, *, reading: bool) -> Exception:
    """One clear message where memory or disk are full, or a checkpoint does not fit."""
    kept = folder / CKPT
    if isinstance(error, TrainingError):
        return error
    if reading and not isinstance(error, OSError | MemoryError):
        reason = shorten(f"{type(error).__name__}: {error}")  # what does not fit breaks in any way
        return checkpoints.broken_checkpoint(kept, reason)
    then = f"{kept} is whole: --resume goes on from it" if kept.exists() else "nothing was lost"
    if is_out_of_memory(error):
        return TrainingError(
            f"out of memory with train.batch_size {config.train.batch_size} at data.image_size "
            f"{config.data.image_size}: make one of them smaller. {then}."
        )
    if checkpoints.is_disk_full(error):
        return TrainingError(f"no space left on the disk of {folder}: free some. {then}.")
    return error
