"""From a network to a graph of another runtime: the whole prediction, int8, and the file formats.

int8 is done by ONNX Runtime's own quantizer, which needs neither torch nor a training: weights per
output channel, activations per tensor, as pairs of QuantizeLinear and DequantizeLinear that
OpenVINO and TensorRT read as well. Weights take 7 of the 8 bits: processors without VNNI add two
products in 16 bits, and would overflow. The resize before the network and its last layer stay
float.
"""

import contextlib
import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from ssmde.console import with_bar
from ssmde.data.dataset import spread
from ssmde.data.images import IMAGE_SUFFIXES, ImageError, read_image
from ssmde.inference.engines import FACTS_KEY, INPUT, OUTPUT, ExportFacts, need
from ssmde.inference.predictor import Predictor
from ssmde.models.depth_net import DepthNet

EXAMPLE = (2, 97, 135)  # images, height, width; none of them a size with a rule of its own
OPSET = 18  # the first with a resize without aliasing
FEWEST_FRAMES, MOST_FRAMES = 8, 100  # that set the ranges of int8; more change little
DEPTH_FOLDERS = ("depth", "pseudo_depth", "leres_depth", "motion_mask")  # of a scene: no pictures
DELICATE = 6  # the first layer and the first two blocks of an EfficientNet-Lite
Pixels = UInt8[np.ndarray, "_ _ 3"]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def write_file(
    path: Path, predictor: Predictor, facts: ExportFacts, pictures: Sequence[Pixels]
) -> None:
    """Write a predictor in the format of the ending, with its weights beside it for OpenVINO.

    The precision is that of the facts; int8 is calibrated on the pictures.
    """
    # OpenVINO reduces by itself, int8 starts from float32.
    own = path.suffix == ".xml" or facts.precision == "int8"
    dtype = DTYPES["fp32" if own else facts.precision]
    metres = predictor.metres_per_unit or 1.0
    model = WholeModel(predictor.network, predictor.image_size, metres, dtype).eval()
    if path.suffix == ".pt2":
        program = _trace(model)
        program.graph_module.meta.clear()  # a pickled part
        with _quiet():
            torch.export.save(program, path, extra_files={FACTS_KEY: facts.to_text()})
        return
    proto = onnx_model(model, facts)
    write_graph(quantize(proto, pictures) if facts.precision == "int8" else proto, facts, path)


class WholeModel(nn.Module):
    """What `Predictor.predict` does, from the bytes to the depth of each pixel.

    The resize is that of `ssmde.data.images.resize_image`: bilinear without aliasing, columns
    first, rounded to bytes after each direction. It differs from it in one value of 255, in about
    one pixel of a thousand. `dtype` is that of the network but for its last layers: a disparity of
    8 or 11 bits would come in steps that show, far away above all.
    """

    def __init__(
        self,
        network: nn.Module,
        image_size: tuple[int, int],
        metres_per_unit: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().eval().to(dtype)
        if dtype != torch.float32 and isinstance(self.network, DepthNet):
            heads = self.network.decoder.heads
            heads.update({key: InFloat32(head.float()) for key, head in heads.items()})
        self.image_size, self.metres_per_unit, self.dtype = image_size, metres_per_unit, dtype

    def forward(self, image: UInt8[Tensor, "n h w 3"]) -> Float32[Tensor, "n h w"]:
        """Depth of each pixel, in metres where the factor is known, else in scene units."""
        height, width = image.shape[1], image.shape[2]
        x = image.permute(0, 3, 1, 2).float()
        for size in ((height, self.image_size[1]), self.image_size):
            x = F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)
            x = (x + 0.5).floor()  # as torch rounds when it resizes bytes: a half goes up
        depth = self.network((x / 255).to(self.dtype)).float()
        depth = F.interpolate(depth, (height, width), mode="bilinear", align_corners=False)
        return depth[:, 0] * self.metres_per_unit


class InFloat32(nn.Sequential):
    """A layer that computes in float32 behind a network of half precision."""

    def forward(self, input: Tensor) -> Tensor:
        """As the layer."""
        return super().forward(input.float())


def _trace(model: WholeModel) -> torch.export.ExportedProgram:
    """The graph of the model, for any number of images of any size from 2 x 2."""
    batch, height, width = (
        torch.export.Dim(name, min=low) for name, low in (("n", 1), ("h", 2), ("w", 2))
    )
    example = torch.zeros(*EXAMPLE, 3, dtype=torch.uint8)
    with torch.no_grad(), _quiet():
        return torch.export.export(
            model, (example,), dynamic_shapes={INPUT: {0: batch, 1: height, 2: width}}
        )


def onnx_model(model: WholeModel, facts: ExportFacts) -> Any:
    """An `onnx.ModelProto` that says what it is."""
    onnx = need("onnx", "--format onnx")
    need("onnxscript", "--format onnx")
    graph = _trace(model)
    with _quiet():
        program = torch.onnx.export(
            graph, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=[INPUT], output_names=[OUTPUT],
        )  # fmt: skip
    assert program is not None
    proto = program.model_proto
    for part in (*proto.graph.node, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]  # the stack of the machine that exported
        if hasattr(part, "doc_string"):
            part.ClearField("doc_string")
    del proto.graph.metadata_props[:]
    for value in (*proto.graph.input, *proto.graph.output):
        for axis, name in zip(value.type.tensor_type.shape.dim, ("n", "h", "w"), strict=False):
            axis.dim_param = name
    del proto.graph.value_info[:]
    onnx.helper.set_model_props(proto, {FACTS_KEY: facts.to_text()})
    proto.producer_name, proto.producer_version = "ssmde", facts.ssmde
    proto.doc_string = f"{facts.name}; licence: {facts.licence}"
    return proto


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Without what exporters say about their own parts, and advise for steps that nobody needs."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def write_graph(proto: Any, facts: ExportFacts, path: Path) -> None:
    """Write an ONNX model as one .onnx, or for OpenVINO as .xml with its weights in a .bin."""
    if path.suffix == ".onnx":
        need("onnx", "--format onnx").save_model(proto, path)
        return
    openvino = need("openvino", "--format openvino")
    ops = need("openvino.opset13", "--format openvino")
    model = openvino.Core().read_model(proto.SerializeToString(), b"")
    # Its reading of ONNX's resize without aliasing gives other values where an image shrinks, up to
    # 4 % in depth: its Pillow-like resize is put there, which does as torch.
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Interpolate" and node.get_attributes()["antialias"]:
            rows_and_columns = np.array([2, 3], np.int64)
            sizes = ops.gather(node.input_value(1), rows_and_columns, np.array(0, np.int64))
            resize = ops.interpolate(
                node.input_value(0), sizes, "bilinear_pillow", "sizes", axes=rows_and_columns
            )
            node.output(0).replace(resize.output(0))
    model.set_rt_info(facts.to_text(), [FACTS_KEY])
    openvino.save_model(model, path, compress_to_fp16=facts.precision in ("fp16", "bf16"))


def calibration_frames(folder: Path) -> list[Pixels]:
    """At most `MOST_FRAMES` pictures of a folder and those below it, evenly spread."""
    if not folder.is_dir():
        raise FileNotFoundError(f"--calibrate needs a folder of your own pictures, got {folder}")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(p in DEPTH_FOLDERS or p[0] == "." for p in path.relative_to(folder).parts)
    )
    pictures: list[Pixels] = []
    for i in spread(len(paths), MOST_FRAMES):
        with contextlib.suppress(ImageError):
            pictures.append(read_image(paths[i]))
    if len(pictures) < FEWEST_FRAMES:
        raise ValueError(
            f"{folder}: --calibrate needs at least {FEWEST_FRAMES} pictures of what the camera "
            f"will see ({', '.join(IMAGE_SUFFIXES)}), got {len(pictures)}"
        )
    return pictures


def quantize(proto: Any, pictures: Sequence[Pixels]) -> Any:
    """The ONNX model, which is in fp32, with its network in int8; calibrated on the pictures."""
    onnx = need("onnx", "--precision int8")
    quantization = need("onnxruntime.quantization", "--precision int8")
    source = onnx.ModelProto()
    source.CopyFrom(proto)  # the quantizer takes the weights out of the model it is given
    waiting = with_bar(pictures, "calibrating")

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            pixels = next(waiting, None)
            return None if pixels is None else {INPUT: pixels[None]}

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        with _quiet():
            quantization.quantize_static(
                source, target, Reader(), quant_format=quantization.QuantFormat.QDQ,
                per_channel=True, reduce_range=True, nodes_to_exclude=_float_nodes(proto),
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )  # fmt: skip
        found = onnx.load(target)
    onnx.helper.set_model_props(found, {p.key: p.value for p in proto.metadata_props})
    found.producer_name, found.producer_version = proto.producer_name, proto.producer_version
    return found


def _float_nodes(proto: Any) -> list[str]:
    """Names of the nodes before the first quantized convolution, and from the last one on.

    A network with depthwise convolutions keeps the first `DELICATE` of its convolutions in float:
    they see few channels of very different ranges. Without them depth of `small` differs by 1.5 %
    in the mean instead of 2.5 %, and takes no longer.
    """
    nodes = list(proto.graph.node)
    convolutions = [i for i, node in enumerate(nodes) if node.op_type == "Conv"]
    depthwise = any(a.name == "group" and a.i > 1 for i in convolutions for a in nodes[i].attribute)
    first, last = convolutions[DELICATE if depthwise else 0], convolutions[-1]
    return [node.name for i, node in enumerate(nodes) if i < first or i >= last]
