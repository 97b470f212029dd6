"""Writers, one a format: ONNX, OpenVINO and torch.export."""

import contextlib
import io
import logging
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssmde.exporting.whole_model import WholeModel, trace
from ssmde.inference.engines import FACTS_KEY, INPUT, OUTPUT, ExportFacts, need

OPSET = 18  # the first with a resize without aliasing
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
"""Ending of the file of each format."""
PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "torch": ("fp32", "fp16", "bf16"),
}
"""What each format can hold, in an engine that runs it."""


def onnx_model(model: WholeModel, facts: ExportFacts) -> Any:
    """An `onnx.ModelProto` that says what it is."""
    onnx = need("onnx", "--format onnx")
    need("onnxscript", "--format onnx")
    graph = trace(model)
    with quiet_exporter():
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


def write_onnx(proto: Any, path: Path) -> None:
    """One file, weights included."""
    need("onnx", "--format onnx").save_model(proto, path)


def write_openvino(proto: Any, facts: ExportFacts, path: Path) -> None:
    """`path` (.xml) and its weights beside it (.bin).

    Args:
        proto: The ONNX model; OpenVINO reads it, whatever its precision.
        facts: What the file says about itself.
        path: Where to.
    """
    openvino = need("openvino", "--format openvino")
    model = openvino.Core().read_model(proto.SerializeToString(), b"")
    _resize_as_torch(model)
    model.set_rt_info(facts.to_text(), [FACTS_KEY])
    half = facts.precision in ("fp16", "bf16")
    openvino.save_model(model, path, compress_to_fp16=half)


def _resize_as_torch(model: Any) -> None:
    """Put OpenVINO's Pillow-like resize where the graph asks for one without aliasing.

    Its reading of that ONNX operator gives other values where an image shrinks: up to 4 % in depth.
    """
    ops = need("openvino.opset13", "--format openvino")
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Interpolate" and node.get_attributes()["antialias"]:
            rows_and_columns = np.array([2, 3], np.int64)
            sizes = ops.gather(node.input_value(1), rows_and_columns, np.array(0, np.int64))
            resize = ops.interpolate(
                node.input_value(0), sizes, "bilinear_pillow", "sizes", axes=rows_and_columns
            )
            node.output(0).replace(resize.output(0))


def write_torch(model: WholeModel, facts: ExportFacts, path: Path) -> None:
    """A .pt2 file without a pickled part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = trace(model)
        program.graph_module.meta.clear()
        torch.export.save(program, path, extra_files={FACTS_KEY: facts.to_text()})


@contextlib.contextmanager
def quiet_exporter() -> Generator[None]:
    """Without what torch's exporter says about its own parts and about torchvision."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
