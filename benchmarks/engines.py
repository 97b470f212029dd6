"""Speed of a trained network in each engine: `python benchmarks/engines.py`.

Exports a ResNet-18 with random weights once, opens it in every engine that is installed, and prints
CPU milliseconds of one picture on one thread: medians of interleaved rounds in one process, because
the wall clock of a shared machine says little. Times hold for the whole file: bytes in, depth out.
Accuracy of int8 is measured with trained weights, by `ssmde export --precision int8 --data DATA`.
Results with hardware and date are in `benchmarks/results.md`.
"""

import argparse
import os
import platform
import tempfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnxruntime
import openvino
import torch

from ssmde.exporting.formats import onnx_model, write_onnx, write_openvino, write_torch
from ssmde.exporting.parity import cut, drawn_pictures, milliseconds
from ssmde.exporting.quantise import quantise
from ssmde.exporting.whole_model import WholeModel
from ssmde.models.depth_net import DepthNet
from ssmde.prediction.engines import Exported, ExportFacts, open_exported
from ssmde.prediction.predictor import Predictor

SIZE = (256, 320)
FACTS = ExportFacts(
    name="random", licence="none", image_size=SIZE, depth_range=(0.1, 100.0), unit="scene units",
    precision="fp32", ssmde="0",
)  # fmt: skip
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "avx_vnni")


def open_all(network: DepthNet, folder: Path) -> dict[str, Exported]:
    """The network in every engine and precision."""
    model = WholeModel(network, SIZE).eval()
    proto = onnx_model(model, FACTS)
    small = quantise(proto, drawn_pictures(8))
    write_onnx(proto, folder / "fp32.onnx")
    write_onnx(small, folder / "int8.onnx")
    write_openvino(proto, FACTS, folder / "fp32.xml")
    write_openvino(proto, replace(FACTS, precision="bf16"), folder / "bf16.xml")
    write_openvino(small, replace(FACTS, precision="int8"), folder / "int8.xml")
    write_torch(model, FACTS, folder / "fp32.pt2")
    names = {
        "torch.export fp32": "fp32.pt2",
        "ONNX Runtime fp32": "fp32.onnx",
        "ONNX Runtime int8": "int8.onnx",
        "OpenVINO fp32": "fp32.xml",
        "OpenVINO bf16": "bf16.xml",
        "OpenVINO int8": "int8.xml",
    }
    return {name: open_exported(folder / file) for name, file in names.items()}


def processor() -> str:
    """Its name and the arithmetic it has, where Linux says so."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor()
    text = path.read_text("utf-8")
    name = next((line.split(": ")[1] for line in text.splitlines() if "model name" in line), "?")
    return f"{name}, {' '.join(flag for flag in FLAGS if flag in text.split())}"


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = DepthNet().eval()
    predictor = Predictor(network, SIZE)
    picture = cut(drawn_pictures(1)[0], SIZE)
    batch = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None] / 255
    with tempfile.TemporaryDirectory() as folder:
        with torch.inference_mode(False):
            engines = open_all(network, Path(folder))
        runs = {
            "PyTorch eager, network alone": lambda: network(batch),
            "PyTorch eager, predict": lambda: predictor.predict(picture),
        } | {name: lambda e=e: e.run(picture[None]) for name, e in engines.items()}
        taken = milliseconds(runs, rounds)
    print(f"{processor()}; one thread, {rounds} rounds, {SIZE[0]} x {SIZE[1]}")
    print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, ", end="")
    print(f"openvino {openvino.__version__}")
    eager = taken["PyTorch eager, network alone"]
    print(f"{'engine':32}{'CPU ms':>8}{'times eager':>13}")
    for name, value in taken.items():
        print(f"{name:32}{value:8.0f}{eager / value:13.2f}")


if __name__ == "__main__":
    main()
