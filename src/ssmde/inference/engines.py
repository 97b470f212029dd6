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
    precision: Literal["fp32", "fp16", "bf16", "int8"]
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
            faults = error.errors(include_url=False)
        reason = f"its record {FACTS_KEY!r} is none of `ssmde export`"
        reason += f" ({'.'.join(map(str, faults[0]['loc'])) or 'the whole'}: {faults[0]['msg']})"
        for fault in faults:
            if fault["loc"] == ("version",):
                reason = f"is of export version {fault['input']}, this package reads version 1"
        raise ValueError(f"{path}: {reason}; export the weights again")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """An exported file, ready to run."""

    path: Path
    facts: ExportFacts
    engine: str  # name of what runs it
    compute: Callable[[UInt8[np.ndarray, "n h w 3"]], Any]

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


class EngineNetwork(nn.Module):
    """An exported file in the place of a network, so that a `Predictor` can use it."""

    def __init__(self, exported: Exported) -> None:
        super().__init__()
        self.exported = exported
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # says the device

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Depth at the size of the RGB image in [0, 1]; the file works at its own size."""
        pixels = (image * 255).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return torch.from_numpy(self.exported.run(pixels))[:, None].to(image.device)


def open_exported(path: Path, *, trust: bool = False) -> Exported:
    """Open a file written by `ssmde export`, by its ending: .onnx, .xml (OpenVINO) or .pt2.

    A .pt2 file can run code whatever is checked before, and takes trust. A ValueError says what is
    damaged or was not written by `ssmde export`, an ImportError which engine is not installed.
    """
    check_file(path, "file of weights")
    if path.suffix == ".pt2" and not trust:
        raise ValueError(
            f"{path}: a .pt2 file can run any code when it is opened; take another format (ssmde "
            "export --format onnx), or add --trust (trust=True in Python) if you made the file "
            "yourself"
        )
    return OPENERS[path.suffix](path)


def _open_onnx(path: Path) -> Exported:
    onnx = need("onnx", "an .onnx file")
    runtime = need("onnxruntime", "an .onnx file")
    content = read_bytes(path, limit=LARGEST, what="file of weights")
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
    return Exported(
        path=path, facts=facts, engine="ONNX Runtime",
        compute=lambda pixels: session.run([OUTPUT], {INPUT: pixels})[0],
    )  # fmt: skip


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


def _open_openvino(path: Path) -> Exported:
    openvino = need("openvino", "an OpenVINO .xml file")
    check_file(path.with_suffix(".bin"), "file of weights")
    content = read_bytes(path, limit=LARGEST, what="file of weights")
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
        model = core.read_model(path, path.with_suffix(".bin"))
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
    options = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "bf16" if facts.precision == "bf16" else "f32",
    }
    with _reading(path):
        compiled = core.compile_model(model, "CPU", options)
    return Exported(
        path=path, facts=facts, engine="OpenVINO",
        compute=lambda pixels: np.array(compiled(pixels)[OUTPUT]),
    )  # fmt: skip


def _open_torch(path: Path) -> Exported:
    extra: dict[str, Any] = {FACTS_KEY: ""}
    with _reading(path):
        program = torch.export.load(path, extra_files=extra)
    network = program.module()

    @torch.inference_mode()
    def compute(pixels: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n h w"]:
        return network(torch.from_numpy(np.require(pixels, requirements="W"))).numpy()

    facts = ExportFacts.from_text(extra[FACTS_KEY], path)
    return Exported(path=path, facts=facts, engine="torch.export", compute=compute)


OPENERS: dict[str, Callable[[Path], Exported]] = {
    ".onnx": _open_onnx, ".xml": _open_openvino, ".pt2": _open_torch,
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
