"""Numbers of today, frozen: what a change of the structure must not change.

`python tests/test_goldens.py` writes them anew, from the code as it is. A number that changes on
purpose is a line of the changelog.
"""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ssmde.config import Config
from ssmde.data.dataset import SnippetSampler
from ssmde.data.pseudo_labels import LabelInfo, write_labels
from ssmde.data.scene_files import write_tracked_points, write_tracked_poses
from ssmde.data.scene_folder import read_scenes
from ssmde.evaluation import evaluate
from ssmde.exporting import export
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.methods.affine_depth import AffineDepth
from ssmde.methods.student import build_student
from ssmde.methods.teacher import build_networks, build_teacher
from ssmde.presets import PRESETS
from ssmde.synthetic import DrawnClip, draw_clip, write_clip
from ssmde.training.module import SnippetLoader, build_optimizer
from ssmde.training.validation import write_weights
from ssmde.types import Batch, collate
from tiny_networks import TinyDepthNet

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

GOLDENS = Path(__file__).parent / "goldens"
SIZE = (32, 64)
STEPS = 20
RTOL = 1e-4  # other processors and versions of torch round otherwise
# Adam takes whole steps where a gradient is no more than rounding, so runs on two processors drift
# apart: by 1e-16 in the first steps, 1e-8 in the fourth, up to 2e-2 in the last.
ALIKE, LATE = 4, 0.05


drawn = cache(draw_clip)


def write_data(root: Path) -> DrawnClip:
    """A drawn room with everything a preset may ask for: depth, labels, motion and points."""
    clip = drawn("room", frames=12, size=SIZE, seed=1, movers="across")
    scene = root / "room"
    write_clip(clip, scene)
    names = sorted(path.stem for path in scene.glob("*.png"))
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    wrong = (1 + 0.1 * np.sin(columns / 7 + rows / 5)).astype(np.float32)
    labels = {name: wrong * depth for name, depth in zip(names, clip.depth, strict=True)}
    info = LabelInfo(source="test", kind="depth", affine=True, licence="none")
    write_labels(scene / "pseudo_depth", info, labels)
    write_tracked_poses(scene, clip.poses, np.zeros(len(names)), "true")
    pixels = np.stack([columns[3::6, 3::6].ravel(), rows[3::6, 3::6].ravel()], -1).astype(float)
    points = {i: (pixels, depth[3::6, 3::6].ravel()) for i, depth in enumerate(clip.depth)}
    write_tracked_points(scene, points)
    for part in ("train", "val"):
        (root / f"{part}.txt").write_text("room\n")
    return clip


def run_of(preset: str, root: Path) -> Config:
    """A preset, made small."""
    config = PRESETS[preset]
    return replace(
        config,
        data=replace(config.data, root=root, image_size=SIZE, workers=0),
        model=replace(config.model, encoder="resnet18_half", start="none"),
        train=replace(config.train, steps=STEPS, batch_size=1),
    )


def doubled(batch: Batch) -> Batch:
    """The batch in float64, whose rounding turns no mask of a pixel."""
    values = {f.name: getattr(batch, f.name) for f in fields(batch)}
    floats = (k for k, v in values.items() if isinstance(v, Tensor) and v.is_floating_point())
    return replace(batch, **{k: values[k].double() for k in floats})


def losses(config: Config, method: nn.Module) -> Iterator[float]:
    """Loss of each step of a short training in float64, computed when it is asked for."""
    dataset: Any = SnippetLoader(config, read_scenes(config.data.root, "train")).dataset
    size = config.train.batch_size
    sampler = SnippetSampler(len(dataset), batch_size=size, seed=0, start_step=0, rank=0, world=1)
    optimizer = build_optimizer(method.double().train(), config.train)
    for step, keys in zip(range(STEPS), sampler, strict=False):
        batch = collate([dataset[key] for key in keys]).to_float()
        loss = method(doubled(batch), step / STEPS).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield float(loss.detach())


def training(preset: str, folder: Path, *, student: bool = False) -> Iterator[float]:
    """Losses of a preset; of its stage 2, taught by a network that has learned nothing."""
    write_data(folder / "data")
    config = run_of(preset, folder / "data")
    torch.manual_seed(0)
    if config.method == "affine_depth":
        network, _ = build_networks(config.model, config.loss)
        return losses(config, AffineDepth(network, config.affine))
    method: nn.Module = build_teacher(config)
    if student:
        weights = folder / "teacher.safetensors"
        write_weights(weights, config, method, {}, 0)
        config = replace(config, method="student", student=replace(config.student, teacher=weights))
        method = build_student(config)
    return losses(config, method)


def seeded_predictor() -> Predictor:
    """A tiny network of fixed numbers."""
    torch.manual_seed(0)
    network = TinyDepthNet()
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            values = torch.arange(parameter.numel(), dtype=torch.float32)
            parameter.copy_(torch.sin(values * (number + 1)).reshape(parameter.shape) / 4)
    return Predictor(network, SIZE, depth_range=(1.0, 2.0), source="tiny")


def summary(depth: np.ndarray) -> list[float]:
    """Mean, spread and a few pixels of a map."""
    return [float(x) for x in (depth.mean(), depth.std(), *depth[::13, ::17].ravel())]


def outputs_of_predict(folder: Path) -> dict[str, list[float]]:
    """Depth of one frame, at its own size and at twice that of the network."""
    clip = write_data(folder / "data")
    predictor = seeded_predictor()
    twice = np.asarray(Image.fromarray(clip.images[0]).resize((90, 50)))
    return {
        "own": summary(np.asarray(predictor.predict(clip.images[0]).depth)),
        "other": summary(np.asarray(predictor.predict(twice).depth)),
    }


def outputs_of_evaluate(folder: Path) -> dict[str, Any]:
    """metrics.json, without the paths in it."""
    write_data(folder / "data")
    evaluate(seeded_predictor(), folder / "data", protocol="bonn", out=folder / "out")
    found = json.loads((folder / "out" / "metrics.json").read_text())
    return {key: value for key, value in numbers(found).items() if "seconds" not in key}


def numbers(tree: Any, path: str = "") -> dict[str, float]:
    """Every number of a tree by its path."""
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {k: v for key, e in items for k, v in numbers(e, f"{path}/{key}").items()}
    plain = isinstance(tree, int | float) and not isinstance(tree, bool)
    return {path: float(tree)} if plain else {}


def outputs_of_export(folder: Path) -> dict[str, list[float]]:
    """Depth that an exported file gives for one frame."""
    clip = write_data(folder / "data")
    export(seeded_predictor(), folder / "tiny.onnx", licence="MIT")
    return {"own": summary(np.asarray(load(folder / "tiny.onnx").predict(clip.images[0]).depth))}


PLAIN = ("photometric", "consistent", "sc_depth_v3", "ss_mde", "affine_indoor")
GOLDEN: dict[str, Callable[[Path], Any]] = {
    **{f"losses/{name}": partial(training, name) for name in PLAIN},
    **{f"losses/{name}, stage 2": partial(training, name, student=True)
       for name in ("ss_mde", "ss_mde_abstract")},
    "predict": outputs_of_predict, "evaluate": outputs_of_evaluate, "export": outputs_of_export,
}  # fmt: skip
# Stage 2 of ss_mde has nearly every term of the others, and test_to_file.py has exports.
OFTEN = (
    "losses/photometric", "losses/ss_mde, stage 2", "losses/affine_indoor", "predict", "evaluate",
)  # fmt: skip


def changed(name: str, folder: Path, steps: int = STEPS) -> dict[str, tuple[float, float]]:
    """Numbers that are not as they were frozen: what they were and are."""
    frozen, made = json.loads((GOLDENS / "numbers.json").read_text())[name], GOLDEN[name](folder)
    if isinstance(made, Iterator):
        frozen, made = frozen[:steps], list(islice(made, steps))
    frozen, found = numbers(frozen), numbers(made)
    differing: dict[str, tuple[float, float]] = {}
    for path in frozen.keys() | found.keys():
        was, now = frozen.get(path, math.nan), found.get(path, math.nan)
        late = name.startswith("losses/") and int(path.removeprefix("/")) >= ALIKE
        if now != pytest.approx(was, rel=LATE if late else RTOL, abs=1e-6):
            differing[path] = was, now
    return differing


@pytest.mark.parametrize("name", OFTEN)
def test_the_first_numbers_are_those_that_were_frozen(name, tmp_path):
    assert changed(name, tmp_path, ALIKE + 1) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in GOLDEN if n not in ("predict", "evaluate")])
def test_numbers_are_those_that_were_frozen(name, tmp_path):
    assert changed(name, tmp_path) == {}


def test_every_preset_is_frozen():
    assert {name.split("/")[1].split(",")[0] for name in GOLDEN if "/" in name} == set(PRESETS)


if __name__ == "__main__":
    import sys
    import tempfile

    written: dict[str, Any] = {}
    for golden, make in GOLDEN.items():
        with tempfile.TemporaryDirectory() as place:
            made = make(Path(place))
            written[golden] = list(made) if isinstance(made, Iterator) else made
    target = Path(sys.argv[1]) if sys.argv[1:] else GOLDENS / "numbers.json"
    target.write_text(json.dumps(written, indent=1) + "\n")
