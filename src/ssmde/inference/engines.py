"""Files that `ssmde export` wrote, run by the engine of their format: bytes in, depth out.

An engine is imported when a file of its format is opened. All compute on the processor, with as
many threads as PyTorch has; ONNX Runtime takes a GPU where its GPU build finds one. What a file may
hold is checked here before its engine sees it: `docs/security.md`.
"""

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from xml.etree import ElementTree

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor, nn

from ssmde.config import MOST_SIDE
from ssmde.console import first_line, import_extra
from ssmde.io import check_file, read_bytes

INPUT, OUTPUT = "image", "depth"
FACTS_KEY = "ssmde"  # entry of a file's metadata that holds its `ExportFacts`
LARGEST = 1 << 31  # bytes of a file: no ONNX file can have more
WHAT = "file of weights"
OPERATORS_OF = ("", "ai.onnx")  # what ONNX calls its own operators

# Name of an input or output of a graph, type of its numbers, number of axes.
Port = tuple[str, str, int]
PORTS: tuple[Port, Port] = ((INPUT, "uint8", 4), (OUTPUT, "float32", 3))
ONNX_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
OPENVINO_TYPES = {"u8": "uint8", "f32": "float32"}
WorkingSide = Annotated[int, Field(ge=32, le=MOST_SIDE, multiple_of=32)]
Depth = Annotated[float, Field(gt=0, allow_inf_nan=False)]
need = partial(import_extra, install="ssmde[export]")
"""A module of the extra `export`, and what needs it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportFacts:
    """What an exported file says about itself."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "strict": True}

    name: str
    licence: str
    image_size: tuple[WorkingSide, WorkingSide]  # the network works at; pictures may have any
    depth_range: tuple[Depth, Depth]  # smallest and largest depth that can come out, in `unit`
    unit: Literal["metres", "scene units"]  # of depth
    precision: Literal["fp32", "fp16", "bf16", "int8"]  # bf16 in files of former versions
    ssmde: str  # version of this package that wrote the file
    version: Literal[1] = 1  # of this record

    def to_text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str | None, path: Path) -> "ExportFacts":
        """Read back; a ValueError where `path` has none, or one of another shape or version."""
        if not text:
            raise ValueError(
                f"{path}: was not written by `ssmde export`, which says in the file what goes in "
                "and what comes out; export the weights with it"
            )
        try:
            return TypeAdapter(ExportFacts).validate_json(text)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
        reason = f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}"
        raise ValueError(
            f"{path}: its record {FACTS_KEY!r} is none of `ssmde export` ({reason}); export the "
            "weights again"
        )


class EngineNetwork(nn.Module):
    """An exported file in the place of a network, so that a `Predictor` can use it.

    `engine` is the name of what runs it, `compute` the depth it gives for RGB bytes (n, h, w, 3).
    """

    def __init__(
        self, path: Path, facts: ExportFacts, engine: str, compute: Callable[[np.ndarray], Any]
    ) -> None:
        super().__init__()
        self.path, self.facts, self.engine, self.compute = path, facts, engine, compute
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # says the device

    def run(self, pixels: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n h w"]:
        """Depth of RGB bytes of any size, at that size; a ValueError names a file that fails."""
        try:
            depth = self.compute(pixels)
        except MemoryError:
            raise
        except Exception as error:  # each engine has errors of its own
            raise ValueError(f"{self.path}: cannot be run ({first_line(error)})") from error
        if depth.dtype != np.float32 or depth.shape != pixels.shape[:3]:
            raise ValueError(
                f"{self.path}: gives {depth.dtype} {depth.shape} for pictures {pixels.shape[:3]} "
                "instead of a depth for each pixel; export the weights again"
            )
        return depth

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Depth at the size of the RGB image in [0, 1]; the file works at its own size."""
        pixels = (image * 255).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return torch.from_numpy(self.run(pixels))[:, None].to(image.device)


def open_exported(path: Path) -> EngineNetwork:
    """Open a file written by `ssmde export`, by its ending: .onnx or .xml (OpenVINO).

    A ValueError says what is damaged or was not written by `ssmde export`, an ImportError which
    engine is not installed.
    """
    return OPENERS[path.suffix](path)


def _open_onnx(path: Path) -> EngineNetwork:
    content = read_bytes(path, limit=LARGEST, what=WHAT)
    onnx = need("onnx", "an .onnx file")
    runtime = need("onnxruntime", "an .onnx file")
    with _reading(path):
        model = onnx.ModelProto.FromString(content)
    if foreign := _foreign_part(model):
        raise ValueError(f"{path}: {foreign}, which `ssmde export` never writes; export again")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings are about the optimiser's own doings
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in runtime.get_available_providers()]
    with _reading(path):  # of bytes, so that what is run is what was checked
        session = runtime.InferenceSession(content, options, providers=providers)
        stored = session.get_modelmeta().custom_metadata_map
    facts = ExportFacts.from_text(stored.get(FACTS_KEY), path)
    _check_ports(path, [
        (port.name, ONNX_TYPES.get(port.type, "other numbers"), len(port.shape))
        for port in (*session.get_inputs(), *session.get_outputs())
    ])  # fmt: skip
    return EngineNetwork(
        path, facts, "ONNX Runtime", lambda pixels: session.run([OUTPUT], {INPUT: pixels})[0]
    )


def _foreign_part(model: Any) -> str | None:
    """What a model holds that no export does: files beside it, loops, operators of others."""
    nodes = model.graph.node
    given = [a for node in nodes for a in node.attribute]
    inside = (t for a in given for t in (a.t, *a.tensors))
    tensors = [*model.graph.initializer, *inside]
    if any(tensor.external_data or tensor.data_location for tensor in tensors):
        return "keeps weights in another file"
    if model.graph.sparse_initializer or any(a.HasField("sparse_tensor") for a in given):
        return "holds sparse weights"
    if model.functions or any(a.HasField("g") or a.graphs for a in given):
        return "holds functions, branches or loops"
    strange = [node.op_type for node in nodes if node.domain not in OPERATORS_OF]
    return f"holds the operator {strange[0]!r} of another maker" if strange else None


def _open_openvino(path: Path) -> EngineNetwork:
    content, weights = read_bytes(path, limit=LARGEST, what=WHAT), path.with_suffix(".bin")
    check_file(weights, WHAT)
    openvino = need("openvino", "an OpenVINO .xml file")
    # OpenVINO takes other kinds of files under this name too, which were not checked.
    if b"<!" in content or not content.lstrip().startswith((b"<?xml", b"<net")):
        raise ValueError(f"{path}: is damaged or no OpenVINO file of `ssmde export`; export again")
    with _reading(path):
        layers = [*ElementTree.fromstring(content).iter("layer")]
    for layer in layers:  # of another maker, or with a graph inside
        if not layer.get("version", "").startswith("opset") or layer.find("body") is not None:
            raise ValueError(
                f"{path}: holds the layer {layer.get('type')!r}, which `ssmde export` never "
                "writes; export again"
            )
    core = openvino.Core()
    with _reading(path):
        model = core.read_model(path, weights)
    text = model.get_rt_info(FACTS_KEY).astype(str) if model.has_rt_info(FACTS_KEY) else None
    facts = ExportFacts.from_text(text, path)
    _check_ports(path, [
        (
            port.get_any_name() if port.get_names() else "no name",
            OPENVINO_TYPES.get(port.get_element_type().to_string(), "other numbers"),
            rank.get_length() if (rank := port.get_partial_shape().rank).is_static else 0,
        )
        for port in (*model.inputs, *model.outputs)
    ])  # fmt: skip
    options = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
    with _reading(path):
        compiled = core.compile_model(model, "CPU", options)
    return EngineNetwork(path, facts, "OpenVINO", lambda pixels: np.array(compiled(pixels)[OUTPUT]))


def _refuse_torch(path: Path) -> EngineNetwork:
    raise ValueError(
        f"{path}: .pt2 files (torch.export) are no longer opened, since they can run any code: "
        "export the weights as ONNX (ssmde export WEIGHTS depth.onnx), or load their .safetensors"
    )


OPENERS: dict[str, Callable[[Path], EngineNetwork]] = {
    ".onnx": _open_onnx, ".xml": _open_openvino, ".pt2": _refuse_torch,
}  # fmt: skip
"""Endings of exported files, and what opens each."""


def _check_ports(path: Path, ports: Sequence[Port]) -> None:
    """Refuse a graph with other inputs or outputs than `ssmde export` gives it."""
    if tuple(ports) != PORTS:
        wanted, got = (", ".join(f"{n} ({t}, {a} axes)" for n, t, a in x) for x in (PORTS, ports))
        raise ValueError(
            f"{path}: its graph takes and gives {got} instead of {wanted}; export the weights again"
        )


@contextmanager
def _reading(path: Path) -> Generator[None]:
    """Every error becomes one line that names the file."""
    try:
        yield
    except Exception as error:  # each engine has errors of its own for damaged files
        raise ValueError(
            f"{path}: cannot be opened, it is damaged or of another kind "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
