"""Speed of a network in each engine, beside Monodepth2's: `python benchmarks/engines.py`.

Exports WEIGHTS, by default `small`, and Monodepth2's network (ResNet-18, decoder as published,
random weights), opens both in every engine that is installed, and prints CPU milliseconds of one
picture on one thread: medians of interleaved rounds in one process, because the wall clock of a
shared machine says little. Times hold for the whole file: bytes in, depth out. Among the rounds are
products of large fp32 matrices: the share of their speed says how far an engine is from what this
processor can do at all. Accuracy of int8 is measured with trained weights, by `ssmde
evaluate` of the exported file. Results with hardware and date are in `benchmarks/results.md`.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnxruntime
import openvino
import torch
from torch.utils.flop_counter import FlopCounterMode

from ssmde.data.images import resize_image
from ssmde.exporting import (
    WholeModel,
    drawn_pictures,
    onnx_model,
    quantize,
    write_graph,
)
from ssmde.inference.engines import EngineNetwork, ExportFacts, open_exported
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.models.depth_net import DepthNet

PEER = "Monodepth2's network"
FACTS = ExportFacts(
    name="measured", licence="none", image_size=(192, 256), depth_range=(0.1, 100.0),
    unit="scene units", precision="fp32", ssmde="0",
)  # fmt: skip
SIDE = 1024  # of the matrices
PRODUCTS = ("torch.mm", "numpy matmul")
EAGER = "PyTorch"
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "avx_vnni")


def milliseconds(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """CPU time of each function, summed over its threads: medians of interleaved rounds."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if number:  # the first call makes plans
                taken[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in taken.items()}


def open_all(predictor: Predictor, folder: Path) -> dict[str, EngineNetwork]:
    """The network in every engine and precision."""
    facts = replace(FACTS, image_size=predictor.image_size)
    proto = onnx_model(WholeModel(predictor), facts)
    small = quantize(proto, drawn_pictures(8))
    write_graph(proto, facts, folder / "fp32.onnx")
    write_graph(small, facts, folder / "int8.onnx")
    write_graph(proto, facts, folder / "fp32.xml")
    write_graph(small, replace(facts, precision="int8"), folder / "int8.xml")
    names = {
        "ONNX Runtime fp32": "fp32.onnx",
        "ONNX Runtime int8": "int8.onnx",
        "OpenVINO fp32": "fp32.xml",
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


def count_operations(network: torch.nn.Module, batch: torch.Tensor) -> int:
    """Multiplications and additions of the convolutions, each counted."""
    with FlopCounterMode(display=False) as counter:
        network(batch)
    return counter.get_total_flops()


def products() -> dict[str, Callable[[], object]]:
    """Large matrix products, the fastest that fp32 gets."""
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    x, y = a.numpy(), b.numpy()
    return dict(zip(PRODUCTS, (lambda: torch.mm(a, b), lambda: x @ y), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--weights", default="small", help="as of ssmde predict")
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256), help="height and width")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = (asked.size[0], asked.size[1])
    networks = {PEER: Predictor(DepthNet(), size), asked.weights: load(asked.weights).at(size)}
    picture = resize_image(drawn_pictures(1)[0], size)
    batch = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None] / 255
    runs: dict[str, Callable[[], object]] = {}
    for name, predictor in networks.items():
        with tempfile.TemporaryDirectory() as folder:
            engines = open_all(predictor, Path(folder))
        runs[f"{name}, {EAGER}"] = lambda network=predictor.network: network(batch)
        runs |= {f"{name}, {kind}": lambda e=e: e.run(picture[None]) for kind, e in engines.items()}
    with torch.inference_mode():
        taken = milliseconds(runs | products(), asked.rounds)
        counts = {name: count_operations(p.network, batch) for name, p in networks.items()}
    best = 2 * SIDE**3 / min(taken[name] for name in PRODUCTS)  # operations a millisecond
    print(f"{processor()}; one thread, {asked.rounds} rounds, {size[0]} x {size[1]}")
    print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, ", end="")
    print(f"openvino {openvino.__version__.split('-')[0]}; ", end="")
    print(f"fp32 matrix product {best / 1e6:.1f} GFLOP/s")
    for name, count in counts.items():
        print(f"{name}: {count / 2e9:.2f} G multiply-adds, {count / best:.0f} ms at that speed")
    print(f"{'':44}{'CPU ms':>8}{'times ' + PEER:>28}{'of the product':>16}")
    for key in runs:
        name, engine = key.rsplit(", ", 1)
        times = taken[f"{PEER}, {engine.replace('int8', 'fp32')}"] / taken[key]
        print(f"{key:44}{taken[key]:8.1f}{times:28.2f}{counts[name] / taken[key] / best:16.0%}")


if __name__ == "__main__":
    main()
