"""Sources whose weights the user has: LeReS, and networks trained here."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from ssmde.data.pseudo_depth import LabelInfo
from ssmde.inference.loading import load
from ssmde.labelling.source import Asked, Maps, Source, checksum, to_batch
from ssmde.models.registry import WEIGHTS_IN_A_RUN

Pixels = list[UInt8[np.ndarray, "h w 3"]]

LERES_LICENCE = (
    "that of your checkpoint; the released LeReS weights: Adobe Research, non-commercial research "
    "only, see https://github.com/aim-uofa/AdelaiDepth"
)
OWN_LICENCE = "that of your own weights, trained with ssmde"


def open_leres(asked: Asked) -> Source:
    """LeReS (Yin et al., CVPR 2021, https://arxiv.org/abs/2012.09365): depth up to an affine map.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If none is given, or it is no LeReS.
    """
    from ssmde.models.leres import INFERENCE_SIZE, load_leres

    checkpoint = Path(asked.argument) if asked.argument else asked.checkpoint
    if checkpoint is None:
        raise ValueError(
            "source 'leres' needs --checkpoint FILE, or leres:FILE: its weights are not part of "
            "this package, get them and their licence from https://github.com/aim-uofa/AdelaiDepth/tree/main/LeReS"
        )
    network = load_leres(checkpoint).to(asked.device).eval()
    size = asked.size or INFERENCE_SIZE

    @torch.inference_mode()
    def label(images: Pixels) -> Maps:
        depth = network.predict_depth(to_batch(images, asked.device), size=size)
        return list(depth[:, 0].float().cpu().numpy())

    info = LabelInfo(
        source="leres", version=checksum(checkpoint), kind="depth", affine=True,
        licence=LERES_LICENCE, network_size=size,
    )  # fmt: skip
    return Source(info=info, label=label)


def open_own(asked: Asked) -> Source:
    """A network trained here, from its weights file or run folder: depth up to one factor.

    Its depth has no unknown shift, so it is not affine: normals of it are right as they are.

    Raises:
        FileNotFoundError: If there are no weights.
        ValueError: If they are of another kind.
    """
    path = Path(asked.argument)
    files = [path / name for name in WEIGHTS_IN_A_RUN if (path / name).is_file()]
    file = files[0] if path.is_dir() and files else path
    predictor = load(file, resolution=asked.size, device=asked.device)

    unit = predictor.metres_per_unit or 1.0  # labels stay in scene units, those of tracked motion

    def label(images: Pixels) -> Maps:
        found = predictor.predict_many(images, batch_size=len(images))
        return [prediction.depth / unit for prediction in found]

    whole = file.resolve()  # the same name from whatever folder the command is run
    info = LabelInfo(
        source=f"ssmde:{whole.parent.name}/{whole.name}", version=checksum(file), kind="depth",
        affine=False, licence=OWN_LICENCE, network_size=predictor.image_size,
    )  # fmt: skip
    return Source(info=info, label=label)
