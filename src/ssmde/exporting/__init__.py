"""`export`: weights as one ONNX or OpenVINO file, compared with PyTorch before it is kept.

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
import os
import tempfile
import warnings
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from pydantic import TypeAdapter
from torch import Tensor, nn

from ssmde import __version__
from ssmde.console import with_bar
from ssmde.data.dataset import spread
from ssmde.data.images import IMAGE_SUFFIXES, ImageError, read_image, resize_image
from ssmde.inference.engines import (
    FACTS_KEY,
    INPUT,
    OUTPUT,
    EngineNetwork,
    ExportFacts,
    need,
    open_exported,
)
from ssmde.inference.loading import licence_of, load
from ssmde.inference.predict import network_mark
from ssmde.inference.predictor import Predictor
from ssmde.io import read_text, whole_file, write_json
from ssmde.models.depth_net import DepthNet
from ssmde.outputs import done_or_free, hidden_folder, identity, mark_of, recorded, sweep

Precision = Literal["fp32", "fp16", "int8"]
Pixels = UInt8[np.ndarray, "_ _ 3"]
UNKNOWN_LICENCE = "unknown: that of the weights, and of the data they were trained on"
REPORT = "_report.json"
# Relative difference of depth that a precision may have, in any pixel and in the mean.
BOUNDS = {"fp32": (1e-3, 1e-4), "fp16": (3e-2, 2e-3), "int8": (float("inf"), 1e-1)}
# So many times as much at sizes that are resized to that of the network, which differs in one byte
# of a thousand: `small` differs by 1.1e-3 in the mean at 32 x 64, by 1.4e-4 at 64 x 96.
RESIZED = 20
EXAMPLE = (2, 97, 135)  # images, height, width; none of them a size with a rule of its own
OPSET = 18  # the first with a resize without aliasing
FEWEST_FRAMES, MOST_FRAMES = 8, 100  # that set the ranges of int8; more change little
DEPTH_FOLDERS = ("depth", "pseudo_depth", "leres_depth", "motion_mask")  # of a scene: no pictures
DELICATE = 6  # the first layer and the first two blocks of an EfficientNet-Lite


class ParityError(ValueError):
    """An exported file that says something else than PyTorch; it was not kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Of the exported file from PyTorch, over the pictures of one size."""

    size: tuple[int, int]  # height and width
    most: float  # largest |a - b| / b of a pixel
    mean: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What an export wrote, and how far it is from PyTorch; as text, a line each."""

    files: tuple[Path, ...]  # the file, and its weights where the format keeps them apart
    facts: ExportFacts
    differences: tuple[Difference, ...]  # from `Predictor.predict`, at three sizes of picture

    def __str__(self) -> str:
        return "\n".join([
            *(f"pictures of {d.size[0]} x {d.size[1]}: depth differs from PyTorch by up to "
              f"{d.most:.1e}, {d.mean:.1e} in the mean" for d in self.differences),
            f"exported: {self.files[0]}",
            f"next: ssmde predict {self.files[0]} INPUT OUT",
        ])  # fmt: skip


def export(
    weights: str | Path | Predictor,
    out: str | Path,
    *,
    precision: Precision = "fp32",
    resolution: tuple[int, int] | None = None,
    calibrate: str | Path | None = None,
    licence: str | None = None,
    overwrite: bool = False,
    trust: bool = False,
) -> ExportReport:
    """Write weights as one ONNX or OpenVINO file, checked against PyTorch.

    The file takes bytes (n, h, w, 3) of any size and gives depth (n, h, w). Before it gets its name
    it is compared at three sizes of picture; if it differs too much, nothing is left behind.
    OUT_report.json beside it holds the figures. A file that is there, of the same weights and
    options, is not made again.

    Example:
      ssmde export runs/photometric depth.onnx
      ssmde export runs/photometric depth.xml --precision int8 --calibrate photos

    Args:
        weights: Weights file, folder of a run, hf:OWNER/NAME, or a released name.
        out: File to write: .onnx, or .xml for OpenVINO, with a .bin beside it.
        precision: Of the network inside.
        resolution: Height and width the network works at, in pixels, multiples of 32; by default
            that of the training.
        calibrate: For int8: folder of pictures of what the camera will see.
        licence: Licence of the weights, kept in the file; that of released weights is known.
        overwrite: Replace a file that was exported from other weights or with other options.
        trust: Ask the Hugging Face hub for an encoder that old WEIGHTS only name; you trained them
            yourself.

    Raises:
        FileExistsError: If a file is there that may not be replaced.
        ParityError: If the file says something else than PyTorch.
        ValueError: If the options do not fit each other.
        ImportError: If the engine of the format is not installed.
    """
    path = Path(out)
    _check(path, precision, calibrate)
    predictor = weights if isinstance(weights, Predictor) else load(weights, trust=trust)
    if isinstance(predictor.network, EngineNetwork):
        raise ValueError(f"{predictor.source} is an exported file: export from the weights")
    predictor = predictor.at(resolution or predictor.image_size)  # a file works at one size
    facts = ExportFacts(
        name=Path(predictor.source).stem or "unnamed",
        licence=licence or licence_of(predictor) or UNKNOWN_LICENCE,
        image_size=predictor.image_size,
        depth_range=predictor.depth_range,
        unit="scene units" if predictor.metres_per_unit is None else "metres",
        precision=precision,
        ssmde=__version__,
    )
    folder = None if calibrate is None else Path(calibrate)
    given = [] if folder is None else [identity(file) for file in sorted(folder.rglob("*"))]
    mark = mark_of(network=network_mark(predictor), facts=asdict(facts), pictures=given)
    targets = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    written = path.with_name(path.stem + REPORT)
    names = {path.stem, *(file.name for file in (*targets, written))}
    sweep(path.parent, names.__contains__)
    if done_or_free([*targets, written], mark, overwrite=overwrite, remedy="give another name"):
        return TypeAdapter(ExportReport).validate_json(read_text(written))
    pictures = [] if folder is None else calibration_frames(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with hidden_folder(path.with_name(path.stem)) as hidden, recorded(mark):
        # OpenVINO reduces by itself, int8 starts from float32.
        half = precision == "fp16" and path.suffix == ".onnx"
        proto = onnx_model(WholeModel(predictor, torch.float16 if half else torch.float32), facts)
        proto = quantize(proto, pictures) if pictures else proto
        write_graph(proto, facts, hidden / path.name)
        network = open_exported(hidden / path.name)
        differences = _compare(predictor, network, (pictures or drawn_pictures())[:4])
        report = ExportReport(files=tuple(targets), facts=facts, differences=differences)
        del network  # an open file cannot be moved everywhere
        if len(targets) > 1:  # never new weights under an old graph
            path.unlink(missing_ok=True)
        for target in reversed(targets):
            with whole_file(target) as whole:
                os.replace(hidden / target.name, whole)
        write_json(written, asdict(report))
    return report


def _check(path: Path, precision: str, calibrate: str | Path | None) -> None:
    """Refuse options that do not fit each other."""
    if path.suffix not in (".onnx", ".xml"):
        raise ValueError(f"{path}: end it in .onnx, or .xml for OpenVINO; .pt2 is no more")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of the file to write")
    if precision == "int8" and calibrate is None:
        raise ValueError(
            "--precision int8 needs --calibrate FOLDER: some hundred pictures of what the camera "
            "will see"
        )
    if precision != "int8" and calibrate is not None:
        raise ValueError(f"--calibrate is for --precision int8, got {precision}")


def _compare(
    predictor: Predictor, network: EngineNetwork, pictures: Sequence[Pixels]
) -> tuple[Difference, ...]:
    """How far an exported file is from its predictor; a ParityError where that is too far.

    Three sizes are compared, two of them odd: that of the network, a larger, a smaller.
    """
    (height, width), precision = predictor.image_size, network.facts.precision
    differences: list[Difference] = []
    for size in ((height, width), (2 * height + 1, 2 * width - 1), (height - 15, width // 2 + 3)):
        views = np.stack([resize_image(picture, size) for picture in pictures])
        wanted = np.stack([found.depth for found in predictor.predict_many(views)])
        off = np.abs(network.run(views) - wanted) / wanted
        found = Difference(size=size, most=float(off.max()), mean=float(off.mean()))
        more = 1 if size == predictor.image_size else RESIZED
        most, mean = (more * bound for bound in BOUNDS[precision])
        # Written so that a value that is no number is refused.
        if not (found.most <= most and found.mean <= mean):
            raise ParityError(
                f"the exported network says something else than PyTorch: for pictures of "
                f"{size[0]} x {size[1]} its depth differs by up to {found.most:.1e}, "
                f"{found.mean:.1e} in the mean; {precision} may by {most:.0e} and {mean:.0e}. "
                "Nothing was written"
            )
        differences.append(found)
    return tuple(differences)


def drawn_pictures(count: int = 2) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Smooth shapes with fine grain, 480 x 640, for a check without the user's frames."""
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.uniform(30, 225, (count, 3, 12, 16)))
    smooth = F.interpolate(coarse, (480, 640), mode="bicubic").permute(0, 2, 3, 1).numpy()
    return [*(smooth + random.normal(0, 12, smooth.shape)).clip(0, 255).astype(np.uint8)]


# From a network to a graph


class WholeModel(nn.Module):
    """What `Predictor.predict` does, from the bytes to the depth of each pixel.

    The resize is that of `ssmde.data.images.resize_image`: bilinear without aliasing, columns
    first, rounded to bytes after each direction. It differs from it in one value of 255, in about
    one pixel of a thousand. `dtype` is that of the network but for its last layers: a disparity of
    8 or 11 bits would come in steps that show, far away above all.
    """

    def __init__(self, predictor: Predictor, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.network = copy.deepcopy(predictor.network).cpu().to(dtype)
        if dtype != torch.float32 and isinstance(self.network, DepthNet):
            heads = self.network.decoder.heads
            heads.update({key: InFloat32(head.float()) for key, head in heads.items()})
        self.image_size, self.dtype = predictor.image_size, dtype
        self.metres_per_unit = predictor.metres_per_unit or 1.0
        self.eval()

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


def onnx_model(model: WholeModel, facts: ExportFacts) -> Any:
    """An `onnx.ModelProto` that says what it is, for any number of images from 2 x 2 on."""
    onnx = need("onnx", "an .onnx file")
    need("onnxscript", "an .onnx file")
    low = {"n": 1, "h": 2, "w": 2}
    sides = {i: torch.export.Dim(name, min=low[name]) for i, name in enumerate("nhw")}
    example = torch.zeros(*EXAMPLE, 3, dtype=torch.uint8)
    with torch.no_grad(), _quiet():
        graph = torch.export.export(model, (example,), dynamic_shapes={INPUT: sides})
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
        for axis, name in zip(value.type.tensor_type.shape.dim, "nhw", strict=False):
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
        need("onnx", "an .onnx file").save_model(proto, path)
        return
    openvino = need("openvino", "an OpenVINO .xml file")
    ops = need("openvino.opset13", "an OpenVINO .xml file")
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
    openvino.save_model(model, path, compress_to_fp16=facts.precision == "fp16")


# int8


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
