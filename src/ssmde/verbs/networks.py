"""Verbs that make networks and put them to use: train, evaluate, predict, app and demo."""

import os
import shlex
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagConversionOff, Positional, arg

from ssmde.config import Config


def is_first_process() -> bool:
    """False in a process that a launcher started beside the first one."""
    return not any(int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Train:
    """Train a depth network and a pose network on scene folders.

    Every field of the configuration is an option; PRESET or FILE give the values it starts from.

    Example:
      ssmde train photometric --data.root data --data.frame-gaps 3 5 8
      ssmde train photometric --data.root data --data.frame-gaps 3 5 8 --resume
      ssmde train --config runs/photometric/config.yaml --name again --train.seed 1
    """

    preset: Positional[Annotated[str | None, arg(metavar="PRESET", help_behavior_hint="")]] = None
    """ss_mde, photometric, consistent, sc_depth_v3, sc_depth_v3_compat or affine_indoor; the first
    word after train."""
    file: Annotated[Path | None, arg(name="config", metavar="FILE", help_behavior_hint="")] = None
    """Instead of PRESET: YAML with the fields that differ from the defaults."""
    resume: bool = False
    """Go on in the folder of the run: the same command again, with this at its end."""
    config: Annotated[FlagConversionOff[Config], arg(name="")] = field(default_factory=Config)

    def run(self) -> None:
        """Say what a quick look at the data finds, train, and say where the weights are."""
        from ssmde.doctor import doctor, print_findings
        from ssmde.stages import train_stages

        root = self.config.data.root
        if is_first_process() and not self.resume and root.is_dir():
            print_findings(doctor(root, split="train", quick=True, show_progress=False))
        folder = train_stages(self.config, resume=self.resume)
        if is_first_process():
            print(f"trained: {folder}\nnext: ssmde evaluate {shlex.quote(str(folder))} DATA")


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    """Measure weights on frames with measured depth, beside two baselines.

    Prints a table; OUT gets metrics.json and pictures of the ten worst frames.

    Example:
      ssmde evaluate runs/photometric data --protocol bonn --align median
    """

    weights: Positional[Annotated[Path, arg(metavar="WEIGHTS")]]
    """Weights file, or the folder of a run."""
    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of scene folders, or one scene folder."""
    protocol: str = "generic"
    """Range and crop of the pixels that count: kitti, nyuv2, ddad, bonn, tum or generic."""
    align: Annotated[
        Literal["median", "least-squares", "none"] | None,
        arg(help_behavior_hint="(default: that of the protocol)"),
    ] = None
    """How the unknown scale of a prediction is found."""
    split: Literal["train", "val", "test", "all"] = "val"
    """Part of DATA to measure."""
    max_frames: Annotated[int | None, arg(help_behavior_hint="(default: all)")] = None
    """Measure at most so many frames, evenly spread."""
    out: Path = Path("evaluation")
    """Folder for the files."""

    def run(self) -> None:
        """Measure, print and write."""
        from ssmde.evaluate import evaluate

        evaluate(
            self.weights,
            self.data,
            split=self.split,
            protocol=self.protocol,
            align=self.align,
            out=self.out,
            max_frames=self.max_frames,
        )
        print(f"numbers: {self.out / 'metrics.json'}, worst frames: {self.out / 'worst'}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Predict:
    """Write the depth of an image, a folder of images, a glob or a video.

    Example:
      ssmde predict runs/photometric walk.mp4 depth --format video,npz
      ssmde predict runs/photometric 'photos/**/*.jpg' depth --format png16,color
    """

    weights: Positional[Annotated[Path, arg(metavar="WEIGHTS")]]
    """Weights file, or the folder of a run."""
    source: Positional[Annotated[Path, arg(metavar="INPUT")]]
    """Image, folder of images, quoted glob, or video."""
    out: Positional[Annotated[Path, arg(metavar="OUT")]]
    """Folder to write to."""
    format: Annotated[
        str | None,
        arg(help_behavior_hint="(default: png16,color; video for a video)"),
    ] = None
    """Some of png16, npz, color and video, with commas between."""
    resolution: Annotated[
        tuple[int, int] | None,
        arg(metavar="HEIGHT WIDTH", help_behavior_hint="(default: that of the training)"),
    ] = None
    """Size the network sees, in pixels; multiples of 32."""

    def run(self) -> None:
        """Predict, and say what became of the input."""
        from ssmde.predict import predict_files

        formats = None if self.format is None else tuple(self.format.split(","))
        summary = predict_files(
            self.weights, self.source, self.out, formats=formats, resolution=self.resolution
        )
        print(f"{len(summary.written)} files with depth in {self.out}")
        for reason in summary.skipped:
            print(f"skipped: {reason}", file=sys.stderr)


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """Serve a web page that shows the depth of pictures, videos and a webcam.

    It loads nothing from the internet. A visitor's files are theirs alone and are removed when
    they leave.

    Example:
      ssmde app runs/ss_mde
      ssmde app runs/ss_mde runs/photometric --host 0.0.0.0
    """

    weights: Positional[Annotated[tuple[Path, ...], arg(metavar="WEIGHTS")]]
    """Weights files or folders of runs; of several the page lets one choose."""
    host: str = "127.0.0.1"
    """Address to listen at: by default only this machine sees the page; 0.0.0.0 is for all."""
    port: Annotated[int | None, arg(help_behavior_hint="(default: first free from 7860)")] = None
    """Port to listen at."""
    share: bool = False
    """Give the page a public address, through a server of Gradio's makers."""
    max_upload_mb: int = 200
    """Largest file a visitor can send, in megabytes."""
    queue: int = 20
    """So many may wait; who comes then is asked to come back later."""

    def run(self) -> None:
        """Serve until Ctrl-C."""
        from ssmde.app import app

        app(**{f.name: getattr(self, f.name) for f in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """Draw videos, train both stages on them for a few minutes, evaluate, and write a page.

    Example:
      ssmde demo --minutes 3 --out demo
    """

    out: Path = Path("demo")
    """Folder for the clip, the run and the page."""
    minutes: float = 3.0
    """How long to train, half of it each stage."""
    seed: int = 0
    """Start of every random number."""

    def run(self) -> None:
        """Do all of it, and say where the page is."""
        from ssmde.demo import demo

        print(f"page: {demo(self.out, minutes=self.minutes, seed=self.seed)}")
