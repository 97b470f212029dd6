"""Files that `ssmde export` wrote, run by the engine of their format: bytes in, depth out.

Each engine is imported when a file of its format is opened. All of them compute on the processor,
with as many threads as PyTorch has; ONNX Runtime takes a GPU where its GPU build finds one.
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from ssmde.models.load import check_is_file, first_line

INSTALL = "pip install 'ssmde[export]'"
FACTS_KEY = "ssmde"
"""Name of the entry of a file's metadata that holds its `ExportFacts`, as JSON."""
FACTS_VERSION = 1
INPUT, OUTPUT = "image", "depth"
PICKLED = b'"use_pickle": true'

Run = Callable[[UInt8[np.ndarray, "n h w 3"]], Float32[np.ndarray, "n h w"]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportFacts:
    """What an exported file says about itself."""

    name: str
    """Of the weights."""
    licence: str
    """Of the weights."""
    image_size: tuple[int, int]
    """Size (height, width) the network inside works at; pictures may have any."""
    depth_range: tuple[float, float]
    """Smallest and largest depth that can come out, in `unit`."""
    unit: str
    """`metres` or `scene units`."""
    precision: str
    """Of the network inside: fp32, fp16, bf16 or int8."""
    ssmde: str
    """Version of this package that wrote the file."""
    version: int = FACTS_VERSION
    """Of this record."""

    def to_text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str | None, path: Path) -> "ExportFacts":
        """Read back.

        Raises:
            ValueError: If the file has no such record, or one of another version.
        """
        if not text:
            raise ValueError(
                f"{path}: was not written by `ssmde export`, which says in the file what goes in "
                "and what comes out; export the weights with it"
            )
        values: dict[str, Any] = json.loads(text)
        if values.get("version") != FACTS_VERSION:
            raise ValueError(
                f"{path}: is of export version {values.get('version')}, this package reads version "
                f"{FACTS_VERSION}; export the weights again"
            )
        for pair in ("image_size", "depth_range"):
            values[pair] = tuple(values[pair])
        return ExportFacts(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """An exported file, ready to run."""

    run: Run
    """RGB bytes (n, h, w, 3) of any size to depth (n, h, w) of that size."""
    facts: ExportFacts
    """What the file says about itself."""
    engine: str
    """Name of what runs it."""


class EngineNetwork(nn.Module):
    """An exported file in the place of a network, so that a `Predictor` can use it.

    Args:
        exported: The opened file.
    """

    def __init__(self, exported: Exported) -> None:
        super().__init__()
        self.exported = exported
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)  # says the device

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Depth at the size of the image; inside, the file works at its own size.

        Args:
            image: RGB in [0, 1].
        """
        pixels = (image * 255).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return torch.from_numpy(self.exported.run(pixels))[:, None].to(image.device)


def open_exported(path: Path) -> Exported:
    """Open a file written by `ssmde export`, by its ending: .onnx, .xml (OpenVINO) or .pt2.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or was not written by `ssmde export`.
        ImportError: If its engine is not installed.
    """
    check_is_file(path)
    return OPENERS[path.suffix](path)


def _open_onnx(path: Path) -> Exported:
    runtime = need("onnxruntime", "an .onnx file")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings are about the optimiser's own doings
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in runtime.get_available_providers()]
    session = _reading(path, lambda: runtime.InferenceSession(path, options, providers=providers))
    facts = session.get_modelmeta().custom_metadata_map.get(FACTS_KEY)
    return Exported(
        run=lambda pixels: session.run([OUTPUT], {INPUT: pixels})[0],
        facts=ExportFacts.from_text(facts, path),
        engine="ONNX Runtime",
    )


def _open_openvino(path: Path) -> Exported:
    openvino = need("openvino", "an OpenVINO .xml file")
    check_is_file(path.with_suffix(".bin"))
    core = openvino.Core()
    model = _reading(path, lambda: core.read_model(path, path.with_suffix(".bin")))
    text = model.get_rt_info(FACTS_KEY).astype(str) if model.has_rt_info(FACTS_KEY) else None
    facts = ExportFacts.from_text(text, path)
    options = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "bf16" if facts.precision == "bf16" else "f32",
    }
    compiled = core.compile_model(model, "CPU", options)
    return Exported(
        run=lambda pixels: np.array(compiled(pixels)[OUTPUT]), facts=facts, engine="OpenVINO"
    )


def _open_torch(path: Path) -> Exported:
    refuse_pickles(path)
    extra: dict[str, Any] = {FACTS_KEY: ""}
    program = _reading(path, lambda: torch.export.load(path, extra_files=extra))
    facts = ExportFacts.from_text(extra[FACTS_KEY], path)
    network = program.module()

    @torch.inference_mode()
    def run(pixels: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n h w"]:
        return network(torch.from_numpy(np.require(pixels, requirements="W"))).numpy()

    return Exported(run=run, facts=facts, engine="torch.export")


OPENERS: dict[str, Callable[[Path], Exported]] = {
    ".onnx": _open_onnx,
    ".xml": _open_openvino,
    ".pt2": _open_torch,
}
"""Endings of exported files, and what opens each."""


def refuse_pickles(path: Path) -> None:
    """Refuse a .pt2 file with pickled entries, which `torch.export.load` would unpickle unchecked.

    Raises:
        ValueError: If it has any, or is no archive.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: is damaged or was not written by torch.export")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            listing = name.endswith("_config.json") and PICKLED in archive.read(name)
            if listing or "/custom_obj" in name:
                raise ValueError(
                    f"{path}: holds pickled objects ({name}), which could run code, and is not "
                    "opened; files of `ssmde export` hold none"
                )


def need(module: str, purpose: str) -> Any:
    """A module of the extra `export`.

    Raises:
        ImportError: If it is not installed or does not work; says how to get it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{purpose} needs {package}, which is not installed or does not work "
            f"({first_line(error)}): {INSTALL}"
        ) from error


def _reading(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # each engine has errors of its own for damaged files
        raise ValueError(f"{path}: cannot be opened, it is damaged or of another kind "
                         f"({type(error).__name__}: {first_line(error)})") from error  # fmt: skip
