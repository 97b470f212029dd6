"""Modules and records that one sample crosses, from its files to the loss.

    python benchmarks/trace_sample.py [--preset ss_mde]

A module counts when a function of it runs; a record when a function gets or gives back one, be it a
dataclass or a named tuple. Configurations are no records of a sample.
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from ssmde.data.scene_files import write_tracked_points, write_tracked_poses
from ssmde.data.scene_folder import read_scenes
from ssmde.methods.teacher import build_teacher
from ssmde.presets import PRESETS
from ssmde.synthetic import draw_clip, write_clip
from ssmde.training.module import SnippetLoader
from ssmde.types import collate

SIZE = (64, 96)


@contextmanager
def tracing(modules: set[str], records: set[str]) -> Generator[None]:
    """Inside, collect the modules of ssmde that run and the records that they hand on."""

    def note(value: Any) -> None:
        kind = type(value)
        record = dataclasses.is_dataclass(kind) or (isinstance(value, tuple) and kind is not tuple)
        home = getattr(kind, "__module__", "")
        if record and home.startswith("ssmde.") and not home.startswith("ssmde.config"):
            records.add(f"{home}.{kind.__name__}")

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        name = frame.f_globals.get("__name__", "")
        if event not in ("call", "return") or not name.startswith("ssmde."):
            return
        modules.add(name)
        for value in frame.f_locals.values() if event == "call" else (arg,):
            note(value)

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="consistent", choices=sorted(PRESETS))
    preset = PRESETS[parser.parse_args().preset]
    with tempfile.TemporaryDirectory() as place:
        clip = draw_clip("room", frames=6, size=SIZE, seed=0)
        write_clip(clip, Path(place, "room"))
        labels = Path(place, "room", "leres_depth")
        labels.mkdir()
        for i, file in enumerate(sorted(Path(place, "room").glob("*.png"))):
            np.save(labels / f"{file.stem}.npy", clip.depth[i])
        write_tracked_poses(Path(place, "room"), clip.poses, np.zeros(6), "true")
        rows, columns = np.mgrid[4 : SIZE[0] : 8, 4 : SIZE[1] : 8]
        pixels = np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float32)
        points = {i: (pixels, depth[rows, columns].ravel()) for i, depth in enumerate(clip.depth)}
        write_tracked_points(Path(place, "room"), points)
        config = replace(
            preset, method="teacher",
            data=replace(preset.data, root=Path(place), image_size=SIZE, workers=0),
            model=replace(preset.model, encoder="resnet18_half", start="none"),
        )  # fmt: skip
        torch.manual_seed(0)
        method = build_teacher(config)
        loader = SnippetLoader(config, read_scenes(Path(place), "train"))
        found: dict[str, tuple[set[str], set[str]]] = {}
        for number in range(2):  # the first reads what is kept for all others
            found = {part: (set(), set()) for part in ("disk to batch", "batch to loss")}
            with tracing(*found["disk to batch"]):
                batch: Any = collate([loader.dataset[(0, number)]])
                batch = loader.transfer_batch_to_device(batch, torch.device("cpu"), 0)
                batch = batch.to_float()
            with tracing(*found["batch to loss"]):
                method(batch, 0.5)
    for kind, place in (("modules", 0), ("records", 1)):
        whole = set.union(*(sets[place] for sets in found.values()))
        counts = ", ".join(f"{len(sets[place])} {part}" for part, sets in found.items())
        print(f"{len(whole)} {kind} ({counts}):")
        for name in sorted(whole):
            print(f"  {name}")


if __name__ == "__main__":
    main()
