"""Verbs that make networks and put them to use: train, evaluate, predict and demo."""

import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagConversionOff, Positional, arg

from ssmde.config import Config
from ssmde.console import counted

NAMED = 3
"""Of many files that were written, so many are named."""


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
    """ss_mde, photometric, consistent, sc_depth_v3 or affine_indoor; the first word after
    train."""
    file: Annotated[Path | None, arg(name="config", metavar="FILE", help_behavior_hint="")] = None
    """Instead of PRESET: YAML with the fields that differ from the defaults."""
    resume: bool = False
    """Go on in the folder of the run: the same command again, with this at its end."""
    config: Annotated[FlagConversionOff[Config], arg(name="")] = field(default_factory=Config)

    def run(self) -> None:
        """Say what a quick look at the data finds, train, and say where the weights are."""
        from ssmde.models.registry import ENCODERS, find_weights

        root, model = self.config.data.root, self.config.model
        if model.pretrained != "none" and model.encoder in ENCODERS:
            find_weights(model.encoder, model.pretrained)  # at once, before all that is slow

        from ssmde.data.pack import is_packed
        from ssmde.diagnosis import doctor, print_findings
        from ssmde.stages import train_stages

        folders = root.is_dir() and not is_packed(root)
        if is_first_process() and not self.resume and folders:
            photos = self.config.method == "affine_depth"  # learns from single pictures
            found = doctor(root, split="train", quick=True, photos=photos, show_progress=False)
            print_findings(found)
        folder = train_stages(self.config, resume=self.resume)
        if is_first_process():
            print(f"trained: {folder}\nnext: ssmde evaluate {shlex.quote(str(folder))} DATA")


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapt:
    """Make a network better at the place that your own film shows, from the film alone.

    It labels the frames itself, points whose depth the camera's motion tells correct the labels,
    and it learns from them. Other frames of the film decide whether that made it better; if not,
    OUT gets the weights it started from. The same command again goes on after a stop.

    Example:
      ssmde adapt walk.mp4 here
      ssmde adapt walk.mp4 here --minutes 30 --hfov-degrees 65
    """

    source: Positional[Annotated[Path, arg(metavar="FILM")]]
    """Video, folder of images, or scene folders."""
    out: Positional[Annotated[Path, arg(metavar="OUT")]]
    """Folder for the weights, a report and pictures."""
    start: Path = Path("small")
    """Weights to begin with: a released name, a file, or the folder of a run."""
    minutes: float = 10.0
    """About how long it may take."""
    hfov_degrees: Annotated[
        float | None, arg(help_behavior_hint="(default: from the file, or the film)")
    ] = None
    """Horizontal field of view of the upright frames."""
    seed: int = 0
    """Start of the random numbers."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to compute; auto is a GPU if there is one."""
    overwrite: bool = False
    """Replace the result of another film, or of other options."""

    def run(self) -> None:
        """Adapt, and say what came out."""
        from ssmde.adapt import adapt

        found = adapt(
            self.source,
            self.out,
            start=self.start,
            minutes=self.minutes,
            hfov_degrees=self.hfov_degrees,
            seed=self.seed,
            device=self.device,
            overwrite=self.overwrite,
        )
        whose = "adapted weights" if found.kept == "adapted" else f"the weights of {found.start}"
        out, film = shlex.quote(str(self.out)), shlex.quote(str(self.source))
        print(
            f"camera: {found.camera}\n{whose}: {found.why}\n"
            f"look at {self.out / 'before_after.png'}\nnext: ssmde predict {out} {film} depth"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluate:
    """Measure weights on frames with measured depth, beside two baselines.

    Prints a table; OUT gets metrics.json and pictures of the ten worst frames.

    Example:
      ssmde evaluate runs/photometric data --protocol bonn --align median
    """

    weights: Positional[Annotated[Path, arg(metavar="WEIGHTS")]]
    """Weights file, folder of a run, hf:OWNER/NAME, or a released name."""
    data: Positional[Annotated[Path, arg(metavar="DATA")]]
    """Folder of scene folders, or one scene folder."""
    protocol: str = "generic"
    """Range and crop of the pixels that count: kitti, nyuv2, ddad, bonn, tum or generic."""
    align: Annotated[
        Literal["median", "median-dataset", "least-squares", "none"] | None,
        arg(help_behavior_hint="(default: that of the protocol)"),
    ] = None
    """How the unknown scale of a prediction is found."""
    split: Literal["train", "val", "test", "all"] = "val"
    """Part of DATA to measure."""
    max_frames: Annotated[int | None, arg(help_behavior_hint="(default: all)")] = None
    """Measure at most so many frames, evenly spread."""
    confidence: bool = False
    """Ask the network how sure it is, and measure what that is worth; takes 2.5 times as long."""
    out: Path = Path("evaluation")
    """Folder for the files."""
    trust: bool = False
    """You made WEIGHTS yourself: open them though they can run code (.pt2), or name an encoder for
    which the Hugging Face hub has to be asked."""

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
            confidence=self.confidence,
            trust=self.trust,
        )
        print(f"numbers: {self.out / 'metrics.json'}, worst frames: {self.out / 'worst'}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Predict:
    """Write the depth of images, a video or a camera to files.

    Example:
      ssmde predict photo.jpg depth
      ssmde predict runs/photometric walk.mp4 depth --format video,npz
      ssmde predict runs/photometric 'photos/**/*.jpg' depth --format png16,color
      ssmde predict runs/photometric room.jpg depth --format glb --mesh --hfov-degrees 65
    """

    weights: Positional[Annotated[Path, arg(metavar="[WEIGHTS]", help_behavior_hint="")]]
    """Weights file, folder of a run, hf:OWNER/NAME, or a released name. Left out, with INPUT as the
    first word, it is small, which comes with the package."""
    source: Positional[Annotated[str | None, arg(metavar="INPUT", help_behavior_hint="")]] = None
    """Image, folder of images, quoted glob, .txt list of paths or addresses, video, http(s) or
    rtsp address, or number of a webcam."""
    out: Positional[Annotated[Path | None, arg(metavar="OUT", help_behavior_hint="")]] = None
    """Folder to write to."""
    format: Annotated[
        str | None,
        arg(help_behavior_hint="(default: png16,color; video for a video)"),
    ] = None
    """Some of png16, npz, exr, color, normals, ply, glb, video and rerun, with commas between."""
    resolution: Annotated[
        tuple[int, int] | None,
        arg(metavar="HEIGHT WIDTH", help_behavior_hint="(default: that of the training)"),
    ] = None
    """Size the network sees, in pixels; multiples of 32."""
    tiles: int = 1
    """See the image in parts, at so many times the network's size; for detail in large images."""
    confidence: bool = False
    """Say how sure each pixel is, in npz, exr, ply and rerun."""
    least_confidence: float = 0.0
    """Leave points out of ply and glb that are less sure, 0 to 1."""
    temporal: bool = False
    """Blend each frame of a video with those before it, so that depth does not flicker."""
    intrinsics: Annotated[
        tuple[float, float, float, float] | None,
        arg(metavar="FX FY CX CY", help_behavior_hint="(default: a guess)"),
    ] = None
    """Camera of normals, ply, glb and rerun, in pixels of the upright image."""
    hfov_degrees: Annotated[float | None, arg(help_behavior_hint="(default: 60)")] = None
    """Instead: its horizontal field of view."""
    mesh: bool = False
    """Triangles in place of points, in ply and glb."""
    max_points: int = 1_000_000
    """Take only every so many-th pixel of a larger image into ply and glb."""
    max_frames: Annotated[int | None, arg(help_behavior_hint="(default: all)")] = None
    """Stop a video or camera after so many."""
    engine: Literal["local", "ray"] = "local"
    """Predict here, or images on all GPUs or processors of a Ray cluster, whose machines see
    weights, images and output under the same paths."""
    overwrite: bool = False
    """Replace files that were made of another input, with other weights or options."""
    trust: bool = False
    """You made WEIGHTS yourself: open them though they can run code (.pt2), or name an encoder for
    which the Hugging Face hub has to be asked."""

    def run(self) -> None:
        """Predict, and say what became of the input."""
        from ssmde.inference import CameraSpec, PredictOptions, WriterOptions, predict_files

        camera = CameraSpec(intrinsics=self.intrinsics, hfov_degrees=self.hfov_degrees)
        named, source, out = self._words()
        summary = predict_files(
            named,
            source,
            out,
            formats=None if self.format is None else tuple(self.format.split(",")),
            resolution=self.resolution,
            options=PredictOptions(
                confidence=self.confidence,
                tiles=self.tiles,
                temporal=self.temporal,
                camera=camera,
            ),
            writer=WriterOptions(
                mesh=self.mesh,
                max_points=self.max_points,
                least_confidence=self.least_confidence,
            ),
            max_frames=self.max_frames,
            engine=self.engine,
            overwrite=self.overwrite,
            trust=self.trust,
        )
        first = ", ".join(str(file) for file in summary.written[:NAMED])
        more = len(summary.written) - NAMED
        count = f"{counted(len(summary.written), 'file')} with depth"
        count += f" ({summary.present} of them were there)" if summary.present else ""
        print(f"{count} by {named}: {first}" + (f" and {more} more in {out}" if more > 0 else ""))
        for note in summary.notes:
            print(note, file=sys.stderr)
        for reason in summary.skipped:
            print(f"skipped: {reason}", file=sys.stderr)

    def _words(self) -> tuple[Path, str, Path]:
        """Weights, input and folder; with two words the weights are those of the package.

        Raises:
            ValueError: If there is one word, or two of which the first is no input but weights.
        """
        from ssmde.inference.loading import looks_like_weights
        from ssmde.weights import DEFAULT_WEIGHTS

        if self.source is not None and self.out is not None:
            return self.weights, self.source, self.out
        if self.source is None or looks_like_weights(self.weights):
            got = f"{str(self.weights)!r} alone"
            if self.source is not None:
                got = f"weights {str(self.weights)!r} and {self.source!r}"
            raise ValueError(
                f"predict takes [WEIGHTS] INPUT OUT, got {got}: say where to write to as well"
            )
        return Path(DEFAULT_WEIGHTS), str(self.weights), Path(self.source)


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
