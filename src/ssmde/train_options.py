"""`ssmde train`: every field of the configuration is an option, a preset or a file the start."""

import inspect
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import FlagConversionOff, Positional, arg

from ssmde.config import Config, differences, read_config, refuse_idle
from ssmde.console import is_later_rank
from ssmde.presets import PRESETS, find_preset
from ssmde.verbs import PARSING, REGISTRY


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
    """ss_mde, ss_mde_abstract, photometric, consistent, sc_depth_v3 or affine_indoor; the first
    word after train."""
    file: Annotated[Path | None, arg(name="config", metavar="FILE", help_behavior_hint="")] = None
    """Instead of PRESET: YAML with the fields that differ from the defaults."""
    resume: bool = False
    """Go on in the folder of the run: the same command again, with this at its end."""
    config: Annotated[FlagConversionOff[Config], arg(name="")] = field(default_factory=Config)

    def __call__(self) -> str | None:
        """Say what a quick look at the data finds, train, and say where the weights are."""
        from ssmde.data.shards import is_packed
        from ssmde.diagnosis import doctor
        from ssmde.models.registry import ENCODERS, find_weights
        from ssmde.training import train

        root, model = self.config.data.root, self.config.model
        if model.pretrained != "none" and model.encoder in ENCODERS:
            find_weights(model.encoder, model.pretrained)  # before all that is slow
        folders = root.is_dir() and not is_packed(root)
        if folders and not self.resume and not is_later_rank():
            photos = self.config.method == "affine_depth"  # learns from single pictures
            found = doctor(root, split="train", quick=True, photos=photos, show_progress=False)
            print(found)
        folder = train(self.config, resume=self.resume)
        if is_later_rank():
            return None
        return f"trained: {folder}\nnext: ssmde evaluate {shlex.quote(str(folder))} DATA"

    def way_on(self, words: Sequence[str]) -> str:
        """How it goes on after it was stopped."""
        folder = self.config.output / self.config.name
        if self.config.method != "both" and not (folder / "last.ckpt").exists():
            return f"there is no checkpoint yet: delete {folder} and start again"
        again = [*(word for word in words if word != "--resume"), "--resume"]
        return f"go on with: ssmde train {shlex.join(again)}"


def read_training(words: Sequence[str]) -> Train:
    """The training that the words behind `train` ask for; a ValueError of what they cannot say."""
    start = _start_values(words)
    found = tyro.cli(
        Train, args=words, prog="ssmde train", description=inspect.getdoc(Train),
        config=PARSING, registry=REGISTRY, default=Train(config=start),
    )  # fmt: skip
    if found.preset is None and found.file is None:
        raise ValueError(f"give PRESET ({', '.join(PRESETS)}) or --config FILE")
    if found.preset is not None and found.file is not None:
        raise ValueError(f"give PRESET or --config, not both, got {found.preset} and {found.file}")
    if found.preset is not None and found.preset != words[0]:
        raise ValueError(f"PRESET comes first: ssmde train {found.preset}, then the options")
    refuse_idle(differences(start, found.config), found.config)
    return found


def _start_values(words: Sequence[str]) -> Config:
    """The configuration that PRESET or FILE names; the options change its fields."""
    if words and not words[0].startswith("-"):
        return find_preset(words[0])
    for i, word in enumerate(words):
        name, has_value, value = word.partition("=")
        if name == "--config" and (has_value or i + 1 < len(words)):
            return read_config(Path(value if has_value else words[i + 1]))
    return Config()
