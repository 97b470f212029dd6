"""int8: the network inside an ONNX model in 8 bits, its ranges taken from the user's frames.

By ONNX Runtime's own quantiser, which needs neither torch nor a training: weights per output
channel, activations per tensor, as pairs of QuantizeLinear and DequantizeLinear that OpenVINO and
TensorRT read as well. Weights take 7 of the 8 bits: processors without VNNI add two products in 16
bits, and would overflow. The resize before the network and its last layer stay float.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ssmde.console import with_bar
from ssmde.data.dataset import spread
from ssmde.data.images import IMAGE_SUFFIXES, ImageError, read_image
from ssmde.inference.engines import INPUT, need

MOST_FRAMES = 100
"""Frames that set the ranges; more change little."""
FEWEST_FRAMES = 8
DEPTH_FOLDERS = ("depth", "pseudo_depth", "leres_depth", "motion_mask")
"""Folders of a scene whose images are no pictures."""
DELICATE = 6
"""The first layer and the first two blocks of an EfficientNet-Lite."""
Pixels = UInt8[np.ndarray, "_ _ 3"]


def calibration_frames(folder: Path) -> list[Pixels]:
    """At most `MOST_FRAMES` pictures of a folder and those below it, evenly spread.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds fewer than `FEWEST_FRAMES` pictures that can be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"--calibrate needs a folder of your own pictures, got {folder}")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not _is_map(path.relative_to(folder))
    )
    pictures: list[Pixels] = []
    for i in spread(len(paths), MOST_FRAMES):
        try:
            pictures.append(read_image(paths[i]))
        except ImageError:
            continue
    if len(pictures) < FEWEST_FRAMES:
        raise ValueError(
            f"{folder}: --calibrate needs at least {FEWEST_FRAMES} pictures of what the camera "
            f"will see ({', '.join(IMAGE_SUFFIXES)}), got {len(pictures)}"
        )
    return pictures


def _is_map(path: Path) -> bool:
    return any(part in DEPTH_FOLDERS or part.startswith(".") for part in path.parts)


def quantise(proto: Any, pictures: Iterable[Pixels]) -> Any:
    """The ONNX model with its network in int8.

    Args:
        proto: The model in fp32.
        pictures: What the camera will see, of any sizes.
    """
    onnx = need("onnx", "--precision int8")
    quantization = need("onnxruntime.quantization", "--precision int8")
    source = onnx.ModelProto()
    source.CopyFrom(proto)  # the quantiser takes the weights out of the model it is given
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        logging.disable(logging.WARNING)  # advice about steps that these models do not need
        try:
            quantization.quantize_static(
                source,
                target,
                _Reader(quantization, pictures).reader,
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=float_nodes(proto),
            )
        finally:
            logging.disable(logging.NOTSET)
        found = onnx.load(target)
    onnx.helper.set_model_props(found, {p.key: p.value for p in proto.metadata_props})
    found.producer_name, found.producer_version = proto.producer_name, proto.producer_version
    return found


def float_nodes(proto: Any) -> list[str]:
    """Names of the nodes before the first quantised convolution, and from the last one on.

    A network with depthwise convolutions keeps the first `DELICATE` of its convolutions in float:
    they see few channels of very different ranges. Without them depth of `small` differs by 1.5 %
    in the mean instead of 2.5 %, and takes no longer.
    """
    nodes = list(proto.graph.node)
    convolutions = [i for i, node in enumerate(nodes) if node.op_type == "Conv"]
    depthwise = any(a.name == "group" and a.i > 1 for i in convolutions for a in nodes[i].attribute)
    first, last = convolutions[DELICATE if depthwise else 0], convolutions[-1]
    return [node.name for i, node in enumerate(nodes) if i < first or i >= last]


class _Reader:
    """Pictures as onnxruntime wants them: one dict a call, then None."""

    def __init__(self, quantization: Any, pictures: Iterable[Pixels]) -> None:
        waiting = self._named(pictures)

        class Reader(quantization.CalibrationDataReader):
            def get_next(self) -> dict[str, np.ndarray] | None:
                return next(waiting, None)

        self.reader = Reader()

    def _named(self, pictures: Iterable[Pixels]) -> Iterator[dict[str, np.ndarray]]:
        for pixels in with_bar(list(pictures), "calibrating"):
            yield {INPUT: pixels[None]}
