"""Verbs that bring a network to where it is used: export and app."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """Write weights as one ONNX, OpenVINO or torch.export file, checked against PyTorch.

    Example:
      ssmde export runs/photometric depth.onnx
      ssmde export runs/photometric depth.xml --precision int8 --calibrate photos --data data
    """

    weights: Positional[Annotated[Path, arg(metavar="WEIGHTS")]]
    """Weights file, folder of a run, hf:OWNER/NAME, or a released name."""
    out: Positional[Annotated[Path, arg(metavar="OUT")]]
    """File to write: .onnx, .xml or .pt2."""
    format: Annotated[
        Literal["onnx", "openvino", "torch"] | None,
        arg(help_behavior_hint="(default: that of the ending of OUT)"),
    ] = None
    """Format of the file."""
    precision: Literal["fp32", "fp16", "bf16", "int8"] = "fp32"
    """Of the network inside."""
    resolution: Annotated[
        tuple[int, int] | None,
        arg(metavar="HEIGHT WIDTH", help_behavior_hint="(default: that of the training)"),
    ] = None
    """Size the network works at, in pixels; multiples of 32."""
    calibrate: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="")] = None
    """For int8: pictures of what the camera will see."""
    data: Annotated[Path | None, arg(help_behavior_hint="")] = None
    """Scene folders with measured depth, to measure before and after."""
    protocol: str = "generic"
    """By which it is measured."""
    split: Literal["train", "val", "test", "all"] = "val"
    """Part of the data to measure."""
    max_frames: Annotated[int | None, arg(help_behavior_hint="(default: all)")] = None
    """Measure at most so many frames, evenly spread."""
    name: Annotated[str | None, arg(help_behavior_hint="(default: that of WEIGHTS)")] = None
    """Name of the weights, kept in the file."""
    licence: Annotated[str | None, arg(help_behavior_hint="")] = None
    """Licence of the weights, kept in the file; that of released weights is known."""
    overwrite: bool = False
    """Replace a file that was exported from other weights or with other options."""
    trust: bool = False
    """You made WEIGHTS yourself: open them though they can run code (.pt2), or name an encoder for
    which the Hugging Face hub has to be asked."""

    def run(self) -> None:
        """Export, and print how far the file is from PyTorch and how fast."""
        from ssmde.exporting import export

        report = export(
            self.weights,
            self.out,
            format=self.format,
            precision=self.precision,
            resolution=self.resolution,
            calibrate=self.calibrate,
            data=self.data,
            protocol=self.protocol,
            split=self.split,
            max_frames=self.max_frames,
            name=self.name,
            licence=self.licence,
            overwrite=self.overwrite,
            trust=self.trust,
        )
        print(report)


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """Serve a web page that shows the depth of pictures, videos and a webcam.

    It loads nothing from the internet. A visitor's files are theirs alone and are removed when
    they leave.

    Example:
      ssmde app
      ssmde app runs/ss_mde runs/photometric --host 0.0.0.0
    """

    weights: Positional[
        Annotated[tuple[Path, ...], arg(metavar="WEIGHTS", help_behavior_hint="")]
    ] = ()
    """Weights files, folders of runs or released names; of several the page lets one choose. None:
    those that come with the package."""
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
    allowed_host: Annotated[
        UseAppendAction[tuple[str, ...]], arg(metavar="NAME", help_behavior_hint="(repeatable)")
    ] = ()
    """Answer under this name too, such as that of a proxy before the page. Others than this
    machine's own are refused, so that no web site can use the page through a browser."""

    def run(self) -> None:
        """Serve until Ctrl-C."""
        from ssmde.app import app

        given = {f.name: getattr(self, f.name) for f in fields(self)}
        if not self.weights:
            del given["weights"]  # those of the package
        app(**given)
