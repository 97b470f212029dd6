"""Files that `ssmde export` wrote, run by the engine of their format: bytes in, depth out.

An engine is imported when a file of its format is opened. All compute on the processor, with as
many threads as PyTorch has; ONNX Runtime takes a GPU where its GPU build finds one. What a file may
hold is checked here before its engine sees it: `docs/security.md`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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
from ssmde.io import read_bytes
from ssmde.models.checkpoint import check_is_file

INPUT, OUTPUT = "image", "depth"
FACTS_KEY = "ssmde"  # entry of a file's metadata that holds its `ExportFacts`
FACTS_VERSION = 1
LARGEST = 1 << 31  # bytes of a file: no ONNX file can have more
OPERATORS_OF = ("", "ai.onnx")  # what ONNX calls its own operators

Run = Callable[[UInt8[np.ndarray, "n h w 3"]], Float32[np.ndarray, "n h w"]]
# Name of an input or output of a graph, type of its numbers, number of axes.
Port = tuple[str, str, int]
PORTS: tuple[Port, Port] = ((INPUT, "uint8", 4), (OUTPUT, "float32", 3))
ONNX_TYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
OPENVINO_TYPES = {"u8": "uint8", "f32": "float32"}
WorkingSide = Annotated[int, Field(ge=32, le=MOST_SIDE, multiple_of=32)]
Depth = Annotated[float, Field(gt=0, allow_inf_nan=False)]


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
    version: int = FACTS_VERSION  # of this record

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
            values = json.loads(text)
            version = values.get("version") if isinstance(values, dict) else None
            if isinstance(version, int) and version != FACTS_VERSION:
                raise ValueError(
                    f"{path}: is of export version {version}, this package reads version "
                    f"{FACTS_VERSION}; export the weights again"
                )
            return TypeAdapter(ExportFacts).validate_json(text)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            reason = f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}"
        except (json.JSONDecodeError, RecursionError) as error:
            reason = first_line(error)
        raise ValueError(
            f"{path}: its record {FACTS_KEY!r} is none of `ssmde export` ({reason}); export the "
            "weights again"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """An exported file, ready to run."""

    run: Run  # RGB bytes (n, h, w, 3) of any size to depth (n, h, w) of that size
    facts: ExportFacts
    engine: str  # name of what runs it


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
    check_is_file(path)
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
    model = _reading(path, lambda: onnx.ModelProto.FromString(content))
    if foreign := _foreign_part(model):
        raise ValueError(f"{path}: {foreign}, which `ssmde export` never writes; export again")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings are about the optimiser's own doings
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in runtime.get_available_providers()]
    # Of bytes, so that what is run is what was checked.
    session = _reading(
        path, lambda: runtime.InferenceSession(content, options, providers=providers)
    )
    stored = _reading(path, lambda: session.get_modelmeta().custom_metadata_map)
    facts = ExportFacts.from_text(stored.get(FACTS_KEY), path)
    _check_ports(path, [
        (port.name, ONNX_TYPES.get(port.type, "other numbers"), len(port.shape))
        for port in (*session.get_inputs(), *session.get_outputs())
    ])  # fmt: skip
    run = _checked(lambda pixels: session.run([OUTPUT], {INPUT: pixels})[0], path)
    return Exported(run=run, facts=facts, engine="ONNX Runtime")


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
    check_is_file(path.with_suffix(".bin"))
    content = read_bytes(path, limit=LARGEST, what="file of weights")
    # OpenVINO takes other kinds of files under this name too, which were not checked.
    if b"<!" in content or not content.lstrip().startswith((b"<?xml", b"<net")):
        raise ValueError(f"{path}: is damaged or no OpenVINO file of `ssmde export`; export again")
    strange = {
        layer.get("type")
        for layer in _reading(path, lambda: ElementTree.fromstring(content)).iter("layer")
        if not layer.get("version", "").startswith("opset") or layer.find("body") is not None
    }  # of another maker, or with a graph inside
    if strange:
        raise ValueError(
            f"{path}: holds the layer {strange.pop()!r}, which `ssmde export` never writes; export "
            "again"
        )
    core = openvino.Core()
    model = _reading(path, lambda: core.read_model(path, path.with_suffix(".bin")))
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
    compiled = _reading(path, lambda: core.compile_model(model, "CPU", options))
    run = _checked(lambda pixels: np.array(compiled(pixels)[OUTPUT]), path)
    return Exported(run=run, facts=facts, engine="OpenVINO")


def _open_torch(path: Path) -> Exported:
    extra: dict[str, Any] = {FACTS_KEY: ""}
    program = _reading(path, lambda: torch.export.load(path, extra_files=extra))
    facts = ExportFacts.from_text(extra[FACTS_KEY], path)
    network = program.module()

    @torch.inference_mode()
    def run(pixels: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n h w"]:
        return network(torch.from_numpy(np.require(pixels, requirements="W"))).numpy()

    return Exported(run=_checked(run, path), facts=facts, engine="torch.export")


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


def _checked(run: Run, path: Path) -> Run:
    """The same, with an error that names the file where it fails or gives no depth."""

    def checked(pixels: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n h w"]:
        try:
            depth = run(pixels)
        except MemoryError:
            raise
        except Exception as error:  # each engine has errors of its own
            raise ValueError(f"{path}: cannot be run ({first_line(error)})") from error
        if depth.dtype != np.float32 or depth.shape != pixels.shape[:3]:
            raise ValueError(
                f"{path}: gives {depth.dtype} {depth.shape} for pictures {pixels.shape[:3]} "
                "instead of a depth for each pixel; export the weights again"
            )
        return depth

    return checked


def need(module: str, purpose: str) -> Any:
    """A module of the extra `export`; raises as `import_extra`."""
    return import_extra(module, purpose, "ssmde[export]")


def _reading(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # each engine has errors of its own for damaged files
        raise ValueError(
            f"{path}: cannot be opened, it is damaged or of another kind "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
