"""The verbs of the command line: a record of the words each of them takes, which then runs it.

The fields are what `cli.py` makes a parser of: one without a default is a word by its place, the
docstring of a field is its help, the docstring of the record is the head of the help.
"""

import os
import shlex
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagConversionOff, Positional, arg

from ssmde.config import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepare:
    """Turn a video or a folder of images into a scene folder.

    The scene becomes OUT/NAME. Without a known camera it has no cam.txt.

    Example:
      ssmde prepare walk.mp4 data --step 2 --hfov-degrees 65 --width 640
    """

    source: Positional[Annotated[Path, arg(metavar="SOURCE")]]
    """Video file, or folder of images in the order of their names."""
    out: Positional[Annotated[Path, arg(metavar="OUT")]]
    """Data folder; the scene becomes a folder in it."""
    step: int = 1
    """Take every so many-th frame."""
    intrinsics: Annotated[
        tuple[float, float, float, float] | None,
        arg(metavar="FX FY CX CY", help_behavior_hint="(default: unknown)"),
    ] = None
    """Focal lengths and principal point, in pixels of the upright frames of SOURCE."""
    hfov_degrees: Annotated[float | None, arg(help_behavior_hint="(default: unknown)")] = None
    """Instead: horizontal field of view of the upright frames."""
    width: Annotated[int | None, arg(help_behavior_hint="(default: as they are)")] = None
    """Resize the frames to this width, in pixels; their shape stays."""
    name: Annotated[str | None, arg(help_behavior_hint="(default: that of SOURCE)")] = None
    """Name of the scene."""
    quality: int = 95
    """JPEG quality, 1 to 100."""
    overwrite: bool = False
    """Replace a scene of that name."""

    def run(self) -> None:
        """Write the scene and say where it is."""
        from ssmde.prepare import prepare

        arguments = {f.name: getattr(self, f.name) for f in fields(self)}
        print(f"scene folder: {prepare(**arguments)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """Find how the camera moved in each training scene, from its own frames.

    Each scene folder gets tracked_poses.txt, which data.poses tracked reads. Hand-held video, which
    is mostly rotation, needs it. Scenes that have the file are left alone.

    Example:
      ssmde track data
    """

    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of scene folders, or one scene folder."""
    overwrite: bool = False
    """Track scenes again that have been."""
    threads: int = 0
    """CPU threads; 0 takes all, only 1 gives the same numbers each time."""
    seed: int = 0
    """Start of the random numbers."""

    def run(self) -> None:
        """Track, and say what was found in each scene."""
        from ssmde.track import track

        found = track(self.data, overwrite=self.overwrite, threads=self.threads, seed=self.seed)
        for scene in found:
            print(
                f"{scene.scene}: motion of {scene.found} of {scene.frames} frames in "
                f"{scene.parts} parts, {scene.error:.2f} pixels off"
            )
        print("next: ssmde train PRESET --data.poses tracked" if found else "nothing to track")


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Write pseudo-depth for every frame, by a network or from files.

    Each scene folder gets pseudo_depth/FRAME.png and label.json. A stopped run goes on; a source
    comes with a licence of its own, which is printed.

    Example:
      ssmde label data --source depth-anything-v2
      ssmde label data --source leres --checkpoint res101.pth
      ssmde label data --source folder:labels --kind depth
    """

    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of scene folders, or one scene folder."""
    source: str = "depth-anything-v2"
    """depth-anything-v2, depth-anything-3, midas, leres, hf:MODEL, ssmde:WEIGHTS, grounded:WEIGHTS
    (of this video alone) or folder:PATH."""
    checkpoint: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(for leres)")] = None
    """Weights of LeReS."""
    kind: Annotated[
        Literal["depth", "disparity"] | None,
        arg(help_behavior_hint="(for folder, and for hf where the model does not tell)"),
    ] = None
    """What the labels hold."""
    batch_size: int = 8
    """Frames that are labelled at once."""
    size: Annotated[
        tuple[int, int] | None,
        arg(metavar="HEIGHT WIDTH", help_behavior_hint="(default: the network's own choice)"),
    ] = None
    """Size the network sees, in pixels."""
    split: Literal["train", "val", "test", "all"] = "train"
    """Part of DATA to label."""
    overwrite: bool = False
    """Throw all labels of these scenes away first, whatever made them."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to compute; auto is a GPU if there is one."""

    def run(self) -> None:
        """Label, and say what became of the frames."""
        from ssmde.label import label

        arguments = {f.name: getattr(self, f.name) for f in fields(self)}
        found = label(**arguments)
        print(f"labels: {found.written} written now, {found.present} there before")
        for reason in found.skipped:
            print(f"skipped: {reason}", file=sys.stderr)


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
        """Train, and say where the weights are."""
        from ssmde.stages import train_stages

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
class Demo:
    """Draw a clip, train on it for a minute or two, evaluate, and write a page with pictures.

    Example:
      ssmde demo --minutes 2 --out demo
    """

    out: Path = Path("demo")
    """Folder for the clip, the run and the page."""
    minutes: float = 2.0
    """How long to train."""
    seed: int = 0
    """Start of every random number."""

    def run(self) -> None:
        """Do all of it, and say where the page is."""
        from ssmde.demo import demo

        print(f"page: {demo(self.out, minutes=self.minutes, seed=self.seed)}")


Verb = Prepare | Track | Label | Train | Evaluate | Predict | Demo
VERBS: dict[str, type[Verb]] = {
    "prepare": Prepare,
    "track": Track,
    "label": Label,
    "train": Train,
    "evaluate": Evaluate,
    "predict": Predict,
    "demo": Demo,
}


def is_first_process() -> bool:
    """False in a process that a launcher started beside the first one."""
    return not any(int(os.environ.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
