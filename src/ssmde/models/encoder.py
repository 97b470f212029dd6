"""Encoders by name, and where their first weights come from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ssmde.console import did_you_mean
from ssmde.models.backbone import PREFIX, BackboneEncoder, build_backbone
from ssmde.models.checkpoint import read_tensors
from ssmde.models.load import first_line, load_weights_into
from ssmde.models.resnet import ResNet, resnet18, resnet18_half, resnet34, resnet50

IMAGE_MEAN, IMAGE_STD = 0.45, 0.225  # ImageNet's, averaged over the colours (Monodepth2)
HUB_FILE = "model.safetensors"
CLASSIFIER = "fc."  # of the ImageNet weights; a feature extractor has no use for it


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderEntry:
    """One row of `ENCODERS`."""

    build: Callable[[int], ResNet]
    """Makes the encoder with random weights, for a number of stacked images."""
    hub_repository: str | None
    """Where its ImageNet weights lie on the Hugging Face hub; None: there are none."""


ENCODERS: dict[str, EncoderEntry] = {
    "resnet18": EncoderEntry(build=resnet18, hub_repository="timm/resnet18.tv_in1k"),
    "resnet18_half": EncoderEntry(build=resnet18_half, hub_repository=None),
    "resnet34": EncoderEntry(build=resnet34, hub_repository="timm/resnet34.tv_in1k"),
    "resnet50": EncoderEntry(build=resnet50, hub_repository="timm/resnet50.tv_in1k"),
}


def build_encoder(
    name: str, pretrained: str = "none", in_images: int = 1
) -> ResNet | BackboneEncoder:
    """Encoder with five feature maps, at 1/2 to 1/32 of the image size.

    Args:
        name: A key of `ENCODERS`, or `hf:` and a backbone of transformers, for one image.
        pretrained: `none` for random weights, `hub` for ImageNet weights (downloaded once), or a
            file (.safetensors, .pth, .pt) with torchvision's keys; its classifier is left out.
        in_images: Number of RGB images stacked along the channels. Weights for one image are
            repeated and divided by this number, so that equal images give equal features.

    Raises:
        ValueError: If the name is unknown or the weights do not fit; it names the keys.
        FileNotFoundError: If the file does not exist.
        ConnectionError: If the hub cannot be reached and nothing is cached.
    """
    if name.startswith(PREFIX) and in_images == 1:
        return build_backbone(name.removeprefix(PREFIX), pretrained)
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder '{name}': {did_you_mean(name, ENCODERS)}")
    encoder = ENCODERS[name].build(in_images)
    if pretrained == "none":
        return encoder
    path = download_weights(name) if pretrained == "hub" else Path(pretrained)
    if pretrained != "hub" and not path.exists():
        raise FileNotFoundError(
            f"model.pretrained must be 'none', 'hub' or a file of weights, got '{pretrained}', "
            "and there is no such file"
        )
    tensors = {k: v for k, v in read_tensors(path).items() if not k.startswith(CLASSIFIER)}
    tensors = spread_over_images(tensors, in_images)
    load_weights_into(encoder, tensors, origin=str(path))
    return encoder


def download_weights(name: str) -> Path:
    """ImageNet weights of an encoder: the cached file, downloaded first where absent.

    Raises:
        ValueError: If nobody has published any.
        ConnectionError: If the hub cannot be reached and nothing is cached.
    """
    repository = ENCODERS[name].hub_repository
    if repository is None:
        raise ValueError(
            f"model.pretrained hub: there are no ImageNet weights of {name!r}; train it from "
            "random weights with --model.pretrained none, or give a file of your own"
        )
    import huggingface_hub  # only now: prediction with weights of one's own needs no hub

    try:
        return Path(huggingface_hub.hf_hub_download(repository, HUB_FILE))
    # Not only OSError: the errors of the HTTP client below the hub change with its version.
    except Exception as error:
        raise ConnectionError(
            f"cannot get the ImageNet weights of {name} from huggingface.co/{repository} "
            f"({type(error).__name__}: {first_line(error)}). Train from random weights with "
            "--model.pretrained none, or download "
            f"https://huggingface.co/{repository}/resolve/main/{HUB_FILE} elsewhere and give its "
            "path: --model.pretrained PATH"
        ) from error


def spread_over_images(tensors: dict[str, Tensor], in_images: int) -> dict[str, Tensor]:
    """Weights for several stacked images from weights for one; others stay as they are."""
    first = tensors.get("conv1.weight")
    if in_images == 1 or first is None or first.ndim != 4 or first.shape[1] != 3:
        return tensors
    return {**tensors, "conv1.weight": first.repeat(1, in_images, 1, 1) / in_images}


def normalise_image(image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Image with mean near 0 and spread near 1: (image - 0.45) / 0.225.

    Args:
        image: RGB in [0, 1].
    """
    return (image - IMAGE_MEAN) / IMAGE_STD


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
