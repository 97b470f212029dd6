"""Looking at the validation frames while a run goes on, and keeping the best weights."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import nn

from ssmde.config import Config, DataConfig, dump_config
from ssmde.console import counted
from ssmde.data.dataset import SnippetDataset, frame_gaps, spread
from ssmde.data.images import ImageError, read_image
from ssmde.data.scene_folder import read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.datasets import find_protocol
from ssmde.evaluation import evaluate_predictions, frames_with_truth
from ssmde.evaluation.frames import evenly, frames_of
from ssmde.inference.pictures import PanelRow, panel, write_png
from ssmde.inference.predictor import Predictor
from ssmde.metrics.depth import counted_pixels
from ssmde.models.backbone import BACKBONE_KEY, BackboneEncoder, architecture_of
from ssmde.models.checkpoint import WEIGHTS_FORMAT, WEIGHTS_VERSION, save_weights
from ssmde.signals import LateStop, Stopped
from ssmde.training.log import RunLog

NETWORKS = ("depth_net.", "pose_net.")  # what weights are kept of a method
VALIDATION_FRAMES = 200  # a validation looks at, at most, spread evenly
BEST = "best.safetensors"
SHORTEST = 3  # frames: the middle one has a neighbor on either side
PANEL_FRAMES, PANEL_HEIGHT = 4, 240  # frames in the picture of a validation, pixels


class Validation(pl.Callback):
    """Every so many steps: depth errors (or the photometric loss), a picture, the best weights."""

    def __init__(self, folder: Path, config: Config, log: RunLog, stop: LateStop) -> None:
        """Refuse scenes that can be judged by nothing."""
        self.folder, self.config, self.run_log, self.stop = folder, config, log, stop
        self.due = False  # a signal broke the last one off
        self.latest: dict[str, float] = {}  # by name, the score first; smaller is better
        self.best = math.inf  # score so far
        root, protocol = config.data.root, config.train.protocol
        self.sequences = read_scenes(root, "val")
        # Scenes that are judged by their measured depth, and why there are none.
        self.measured, self.why_not = measured_scenes(self.sequences, protocol)
        if self.measured:
            return
        needs_depth = config.method == "affine_depth"
        if needs_depth or not self._filmed():
            why = f" ({self.why_not})" if self.why_not else ""
            other = ", which judges such a network" if needs_depth else " or a cam.txt"
            raise ValueError(
                f"{root}: no validation scene has measured depth{why}{other}; "
                "name one in val.txt that has"
            )
        if max(map(len, self._filmed())) < SHORTEST:
            # The last tenth of a short video is too short: better those frames than none.
            self.sequences = read_scenes(root, "train")
            self.measured, self.why_not = measured_scenes(self.sequences, protocol)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, and whether a validation is still to be done."""
        return {"best": self.best, "due": self.due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with them."""
        self.best, self.due = state_dict["best"], state_dict["due"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what judges, where that is not the depth that somebody measured."""
        if trainer.is_global_zero and self.why_not:
            print(f"validation by the photometric loss: {self.why_not}")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Do the one that was broken off, where a run goes on."""
        if self.due:
            self.validate(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Validate when it is time."""
        step, t = trainer.global_step, self.config.train
        if step % t.validate_every == 0 or step == t.steps:
            self.validate(trainer, pl_module)

    def validate(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One process looks, the others wait. A signal breaks it off; then it is `due`."""
        finished = True
        if trainer.is_global_zero:
            finished = self._evaluate(trainer, pl_module)
        trainer.strategy.barrier("validation")
        self.due = not trainer.strategy.broadcast(finished)

    def _evaluate(self, trainer: pl.Trainer, pl_module: Any) -> bool:
        """Score and keep the weights; False if a signal broke it off."""
        method, step = pl_module.method, trainer.global_step
        was_training = method.training
        method.eval()
        try:
            with (
                torch.no_grad(),
                torch.compiler.set_stance("force_eager"),  # every image has its own size
                pl_module.averaged_weights(),
            ):
                with self.stop.at_once():
                    self.latest = self._score(method, step, pl_module.device)
                self.keep(method, self.latest, step)
        except Stopped:
            return False
        finally:
            method.train(was_training)
        self.run_log.write(trainer, {f"val/{k}": v for k, v in self.latest.items()})
        return True

    def _score(self, method: Any, step: int, device: torch.device) -> dict[str, float]:
        data = self.config.data
        predictor = Predictor(method.depth_net, data.image_size, more_sizes=data.more_sizes)
        self._write_panel(predictor, step)
        if not self.measured:
            return self.photometric_score(method, device)
        report = evaluate_predictions(
            predictor.network_depth, self.measured, protocol=self.config.train.protocol,
            max_frames=VALIDATION_FRAMES,
        )  # fmt: skip
        details: dict[str, float] = {}
        regions = {"": report.full, "static_": report.static, "dynamic_": report.dynamic}
        for name, region in regions.items():
            if region is not None:
                details |= {f"{name}abs_rel": region.abs_rel, f"{name}d1": region.d1}
        return details

    def photometric_score(self, method: Any, device: torch.device) -> dict[str, float]:
        """Photometric loss on evenly spread snippets, for videos without truth."""
        sequences = self._filmed()
        data = _data_that_fits(self.config.data, sequences)
        snippets = SnippetDataset(sequences, data, seed=self.config.train.seed, augment=False)
        batches = (snippets[i] for i in spread(len(snippets), VALIDATION_FRAMES))
        losses = np.array(
            [float(method.photometric_loss(batch.to(device).to_float())) for batch in batches]
        )
        seen = losses[np.isfinite(losses)]
        if 2 * len(seen) < len(losses):  # a mean of what is left would look good
            print(
                f"validation: hardly a pixel is seen in both views in {len(losses) - len(seen)} of "
                f"{counted(len(losses), 'snippet')}; these weights do not count",
                file=sys.stderr,
            )
            return {}
        return {"photometric": float(seen.mean())}

    def _filmed(self) -> list[FrameSequence]:
        """The scenes whose camera is known."""
        return [s for s in self.sequences if s.intrinsics is not None]

    def _write_panel(self, predictor: Predictor, step: int) -> None:
        """Picture of a few frames, their depth and, where there is truth, truth and error."""
        frames = frames_with_truth(self.measured, PANEL_FRAMES)
        rows: list[PanelRow] = []
        for frame in frames or evenly(frames_of(self.sequences), PANEL_FRAMES):
            try:
                image = read_image(frame.image)
                truth = frame.read_truth()[0] if frames else None
            except ImageError:
                continue  # the evaluation reports it
            depth = predictor.predict(image).depth
            if truth is not None and (truth > 0).any():
                depth = depth * (np.median(truth[truth > 0]) / np.median(depth))
            rows.append(PanelRow(image=image, depth=depth, truth=truth, title=frame.name))
        if rows:
            picture = panel(rows, height=PANEL_HEIGHT)
            write_png(self.folder / "panels" / f"step-{step:07d}.png", picture)

    def keep(self, method: nn.Module, metrics: Mapping[str, float], step: int) -> None:
        """Write the weights as `best.safetensors` if they are the best so far."""
        score = next(iter(metrics.values()), math.inf)
        if score < self.best:  # nan is not
            self.best = score
            write_weights(self.folder / BEST, self.config, method, metrics, step)


def measured_scenes(
    sequences: list[FrameSequence], protocol_name: str
) -> tuple[list[FrameSequence], str]:
    """The scenes an evaluation can measure; none and why, if no pixel of their depth counts."""
    found = [s for s in sequences if frames_with_truth([s], 1)]
    frames = frames_with_truth(found, VALIDATION_FRAMES)
    protocol, fault = find_protocol(protocol_name), ""
    for frame in frames:
        try:
            if counted_pixels(frame.read_depth(), protocol).any():
                return found, ""
        except ImageError as error:
            fault = fault or str(error)
    if not frames:
        return [], ""
    ends = f"{protocol.min_depth:g} and {protocol.max_depth:g} m"
    why = fault or f"{frames[0].depth} and the others hold nothing between {ends}"
    return [], f"no held-out depth map has a pixel that counts: {why}"


def _data_that_fits(data: DataConfig, sequences: list[FrameSequence]) -> DataConfig:
    """Poses only where all have them, and gaps for which a short held-out part has room."""
    kind = {"tracked": "tracked_poses", "file": "poses"}.get(data.poses)
    if kind and any(getattr(s, kind) is None for s in sequences):
        data = replace(data, poses="none")  # the pose network says the motion
    longest = max(map(len, sequences))
    fits = any(2 * gap < len(s) for s in sequences for gap in frame_gaps(data, s))
    if fits or longest < SHORTEST:
        return data
    return replace(data, frame_gaps=((longest - 1) // 2,), scene_gaps=())


def write_weights(
    path: Path, config: Config, method: nn.Module, metrics: Mapping[str, float], step: int
) -> None:
    """Write both networks with the configuration that made them and what they score."""
    metadata = {
        "format": WEIGHTS_FORMAT, "version": WEIGHTS_VERSION, "config": dump_config(config),
        "step": str(step), "metrics": json.dumps(dict(metrics)),
    }  # fmt: skip
    encoder = getattr(getattr(method, "depth_net", None), "encoder", None)
    if isinstance(encoder, BackboneEncoder):
        metadata[BACKBONE_KEY] = architecture_of(encoder.backbone)
    tensors = {k: v for k, v in method.state_dict().items() if k.startswith(NETWORKS)}
    save_weights(path, tensors, metadata)
