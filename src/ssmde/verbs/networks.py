"""Verbs that make networks and put them to use: train, evaluate, predict and demo."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

NAMED = 3
"""Of many files that were written, so many are named."""


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
