"""`ssmde label`: pseudo-depth for every frame of a data set, from a network or from files.

The labels lie beside the frames of each scene, as `data/pseudo_depth.py` writes them. A run that
was stopped goes on where it was: at most the running batch is lost.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from ssmde.config.data import MOST_SIDE
from ssmde.console import bars, did_you_mean
from ssmde.data.images import ImageError
from ssmde.data.pack import refuse_packed
from ssmde.data.pseudo_depth import (
    FOLDER,
    INFO_FILE,
    Kind,
    LabelInfo,
    begin_labels,
    drop_empty_labels,
    labels_fit,
    write_labels,
)
from ssmde.data.scene_folder import Split, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.labelling.folder import open_folder
from ssmde.labelling.grounded import open_grounded
from ssmde.labelling.hub import (
    DEPTH_ANYTHING_V2,
    MIDAS,
    open_any,
    open_depth_anything_3,
    open_known,
)
from ssmde.labelling.on_ray import Piece, label_on_ray
from ssmde.labelling.source import Asked, Source
from ssmde.labelling.weights import open_leres, open_own
from ssmde.models.registry import Device, choose_device
from ssmde.outputs import sweep

Engine = Literal["local", "ray"]
DEFAULT_SOURCE = "depth-anything-v2"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of `SOURCES`."""

    open: Callable[[Asked], Source]
    """Makes the source ready, from what the user says about it."""
    argument: str = ""
    """What stands behind a colon after the name; nothing does if empty."""
    optional: bool = False
    """Whether it may also stand alone."""
    takes: tuple[str, ...] = ("size",)
    """Options it understands, of checkpoint, kind and size."""


SOURCES: dict[str, Row] = {
    "depth-anything-v2": Row(open=open_known(DEPTH_ANYTHING_V2)),
    "depth-anything-3": Row(open=open_depth_anything_3),
    "midas": Row(open=open_known(MIDAS)),
    "leres": Row(
        open=open_leres, argument="CHECKPOINT", optional=True, takes=("checkpoint", "size")
    ),
    "hf": Row(open=open_any, argument="MODEL", takes=("kind", "size")),
    "ssmde": Row(open=open_own, argument="WEIGHTS"),
    "grounded": Row(open=open_grounded, argument="WEIGHTS"),
    "folder": Row(open=open_folder, argument="PATH", takes=("kind",)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """What became of a data set."""

    info: LabelInfo
    """What its labels are."""
    written: int
    """Frames that were labelled now."""
    present: int
    """Frames that had their label before."""
    skipped: tuple[str, ...]
    """Frames without a label, with the reason."""


def label(
    data: Path,
    *,
    source: str = DEFAULT_SOURCE,
    checkpoint: Path | None = None,
    kind: Kind | None = None,
    batch_size: int = 8,
    size: tuple[int, int] | None = None,
    split: Split = "train",
    overwrite: bool = False,
    device: Device = "auto",
    engine: Engine = "local",
    show_progress: bool = True,
) -> Labelled:
    """Write the pseudo-depth of every frame that has none; say the licence of the source.

    Args:
        data: Folder of scene folders, or one scene folder.
        source: A key of `SOURCES`, with its argument behind a colon if it has one.
        checkpoint: Weights of LeReS, for `leres`.
        kind: What the labels hold, for `folder`, and for `hf` where the model does not tell.
        batch_size: Frames that are labelled at once.
        size: Height and width the network sees, in pixels; by default its own choice.
        split: Part of the data set, as `read_scenes` has it.
        overwrite: Replace labels of another source, as the first new ones of a scene are there.
        device: Where to compute; `auto` is a GPU if there is one.
        engine: `local` labels in this process; `ray` on all processors or GPUs of a Ray cluster,
            which see the data under the same path.
        show_progress: Draw a progress bar.

    Raises:
        FileExistsError: If labels are to be replaced that this package did not write.
        ConnectionError: If a model cannot be downloaded.
        FileNotFoundError: If the data, the weights or the folder of labels do not exist.
        ImportError: If the source needs a package that is not installed.
        ValueError: If an option does not fit the source, a scene has labels of another source, or
            not one frame could be labelled.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if size is not None and not 1 <= min(size) <= max(size) <= MOST_SIDE:
        raise ValueError(f"size must be from 1 to {MOST_SIDE} pixels a side, got {size}")
    refuse_packed(data, "label")
    scenes = read_scenes(data, split)
    asked = Asked(
        checkpoint=checkpoint, kind=kind, size=size, device=choose_device(device),
        scenes=tuple(scene.name for scene in scenes),
    )  # fmt: skip
    opened = open_source(source, asked)
    print(f"source: {opened.info.source}, licence: {opened.info.licence}")
    folders = [label_folder(scene) for scene in scenes]
    if opened.home is not None and opened.home.resolve() in [f.resolve() for f in folders]:
        raise ValueError(f"{opened.home}: these labels are where they belong; nothing to copy")
    for folder in folders:
        sweep(folder.parent, folder.name.__eq__)
        sweep(folder, lambda name: name.endswith((".png", INFO_FILE)))
    fit = [
        labels_fit(folder, opened.info, overwrite=overwrite, inputs=_inputs(opened.home, scene))
        for folder, scene in zip(folders, scenes, strict=True)
    ]
    todo = [
        (scene, _missing(scene) if fits else list(range(len(scene))))
        for scene, fits in zip(scenes, fit, strict=True)
    ]
    missing = sum(len(frames) for _, frames in todo)
    pieces = [
        Piece(scene, frames[start : start + batch_size])
        for scene, frames in todo
        for start in range(0, len(frames), batch_size)
    ]
    if engine == "ray":
        for scene, frames in todo:
            if frames:
                begin_labels(label_folder(scene), opened.info)
        results = label_on_ray(
            partial(open_source, source, asked), _label_missing, pieces,
            gpu=asked.device.type == "cuda",
        )  # fmt: skip
    else:
        results = ((piece, _label_frames(opened, *piece)) for piece in pieces)
    skipped = _follow(results, missing, show_progress=show_progress)
    for folder in folders:
        drop_empty_labels(folder)
    written, present = missing - len(skipped), sum(map(len, scenes)) - missing
    if written + present == 0:
        raise ValueError("not one frame could be labelled: " + "; ".join(skipped[:5]))
    return Labelled(info=opened.info, written=written, present=present, skipped=tuple(skipped))


def open_source(name: str, asked: Asked) -> Source:
    """The source of that name, ready to label.

    Args:
        name: A key of `SOURCES`, with its argument behind a colon if it has one.
        asked: What the user says beside; its argument is filled in here.

    Raises:
        ValueError: If there is no such source, or it does not take what is said about it.
    """
    key, _, argument = name.partition(":")
    known = [f"{k}:{row.argument}" if row.argument else k for k, row in SOURCES.items()]
    if key not in SOURCES:
        raise ValueError(f"unknown source '{name}': {did_you_mean(key, SOURCES, shown=known)}")
    row = SOURCES[key]
    if bool(argument) != bool(row.argument) and not (row.optional and not argument):
        form = f"{key}:{row.argument}" if row.argument else key
        raise ValueError(f"source '{key}' is written {form}, got '{name}'")
    for option in ("checkpoint", "kind", "size"):
        if getattr(asked, option) is not None and option not in row.takes:
            takers = ", ".join(k for k, other in SOURCES.items() if option in other.takes)
            raise ValueError(f"source '{key}' takes no {option}; {takers} does")
    return row.open(replace(asked, argument=argument))


def label_folder(scene: FrameSequence) -> Path:
    """Where the labels of a scene lie."""
    return scene.images[0].parent / FOLDER


def _inputs(home: Path | None, scene: FrameSequence) -> list[Path]:
    """Folders of label files that are read for a scene."""
    if home is None:
        return []
    own = home / scene.name
    return [own, home] if own.is_dir() else [home]


def _missing(scene: FrameSequence) -> list[int]:
    """Frames that have no label."""
    folder = label_folder(scene)
    return [i for i, file in enumerate(scene.images) if not (folder / f"{file.stem}.png").is_file()]


def _follow(
    results: Iterable[tuple[Piece, list[str]]], total: int, *, show_progress: bool
) -> list[str]:
    """Wait for all pieces of work; for each frame that got no label, the reason."""
    skipped: list[str] = []
    with bars(show=show_progress) as progress:
        task = progress.add_task("labelling", total=total)
        for piece, reasons in results:
            skipped += reasons
            progress.update(task, description=piece.scene.name, advance=len(piece.frames))
    return skipped


def _label_missing(source: Source, scene: FrameSequence, frames: list[int]) -> list[str]:
    """As `_label_frames`, without frames that a worker labelled before it was lost."""
    missing = set(_missing(scene))
    return _label_frames(source, scene, [i for i in frames if i in missing])


def _label_frames(source: Source, scene: FrameSequence, frames: list[int]) -> list[str]:
    """Label some frames of one scene; for each that got no label, the reason."""
    skipped: list[str] = []
    names: list[str] = []
    inputs: list[object] = []
    for i in frames:
        try:
            inputs.append(source.read(scene, i))
        except ImageError as error:
            skipped.append(str(error))
        else:
            names.append(scene.images[i].stem)
    maps = dict(zip(names, source.label(inputs), strict=True)) if inputs else {}
    empty = [name for name, values in maps.items() if not _says_something(values)]
    skipped += [f"{scene.name}/{name}: the source gives no value" for name in empty]
    if good := {name: values for name, values in maps.items() if name not in empty}:
        write_labels(label_folder(scene), source.info, good)
    return skipped


def _says_something(values: Float32[np.ndarray, "h w"]) -> bool:
    """Whether a map has a value other than 0."""
    return bool((np.isfinite(values) & (values > 0)).any())
