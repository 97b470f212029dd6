"""Labels of every frame of scenes, in one process or on Ray; and scenes with corrected labels.

A run that was stopped goes on where it was: at most the running batch is lost. On a cluster the
work of a lost worker is done once more, without the frames that have their label already.
"""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ssmde.cluster import work_on_ray
from ssmde.config import MOST_SIDE
from ssmde.console import bars, with_bar
from ssmde.data.images import ImageError, write_png16
from ssmde.data.pseudo_labels import (
    FOLDER,
    INFO_FILE,
    Kind,
    LabelInfo,
    drop_empty_labels,
    fit_to_points,
    labels_fit,
    read_pseudo_depth,
    write_labels,
)
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points, write_scene_info
from ssmde.data.scene_folder import Split, read_scene, read_scenes
from ssmde.data.sequence import FrameSequence
from ssmde.data.shards import refuse_packed
from ssmde.io import hidden_part
from ssmde.labeling.movers import bring_movers_forward
from ssmde.labeling.sources import LabelRequest, Source, open_source
from ssmde.models.registry import Device, choose_device
from ssmde.outputs import sweep

STEPS_PER_UNIT = 1000  # of corrected depth; the unit is the median depth of the tracked points
FARTHEST = 65534  # steps; one more means no value


class Piece(NamedTuple):
    """Some frames of one scene."""

    scene: FrameSequence
    frames: list[int]


class LabelResult(NamedTuple):
    """What became of a data set; as text, counts on one line."""

    info: LabelInfo  # what its labels are
    written: int  # frames that were labeled now
    present: int  # frames that had their label before
    skipped: tuple[str, ...]  # frames without a label, with the reason

    def __str__(self) -> str:
        return f"labels: {self.written} written now, {self.present} there before"


def label(
    data: Path, *, source: str = "depth-anything-v2", kind: Kind | None = None, batch_size: int = 8,
    size: tuple[int, int] | None = None, split: Split = "train", overwrite: bool = False,
    device: Device = "auto", engine: Literal["local", "ray"] = "local", trust: bool = False,
    show_progress: bool = True,
) -> LabelResult:  # fmt: skip
    """Write pseudo-depth for every frame, by a network or from files.

    Each scene folder gets pseudo_depth/FRAME.png and label.json. A stopped run goes on; a source
    comes with a licence of its own, which is printed.

    Example:
      ssmde label data --source depth-anything-v2
      ssmde label data --source leres:res101.pth
      ssmde label data --source folder:labels --kind depth

    Args:
        data: Folder of scene folders, or one scene folder.
        source: depth-anything-v2, midas, leres:CHECKPOINT, hf:MODEL, ssmde:WEIGHTS or folder:PATH.
        kind: What the labels hold, for folder, and for hf where the model does not tell.
        batch_size: Frames that are labeled at once.
        size: Height and width the network sees, in pixels; by default its own choice.
        split: Part of the data to label.
        overwrite: Replace labels of another source.
        device: Where to compute; auto is a GPU if there is one.
        engine: This process, or all processors or GPUs of a Ray cluster, which see the data under
            the same path.
        trust: Ask the Hugging Face hub for an encoder that old WEIGHTS only name; you trained them
            yourself.
        show_progress: Draw a progress bar.

    Raises:
        FileExistsError: If labels are to be replaced that this package did not write.
        ValueError: If an option does not fit the source, a scene has labels of another source, or
            not one frame could be labeled.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if size is not None and not 1 <= min(size) <= max(size) <= MOST_SIDE:
        raise ValueError(f"size must be from 1 to {MOST_SIDE} pixels a side, got {size}")
    refuse_packed(data, "label")
    scenes = read_scenes(data, split)
    request = LabelRequest(
        kind=kind, size=size, trust=trust, device=choose_device(device),
        scenes=tuple(scene.name for scene in scenes),
    )  # fmt: skip
    opened = open_source(source, request)
    print(f"source: {opened.info.source}, licence: {opened.info.licence}")
    todo = _frames_to_label(scenes, opened, overwrite=overwrite)
    pieces = [
        Piece(scene, frames[start : start + batch_size])
        for scene, frames in todo
        for start in range(0, len(frames), batch_size)
    ]
    if engine == "ray":
        for scene, frames in todo:
            if frames:  # for several processes to write into; alone the first labels make it
                write_labels(label_folder(scene), opened.info, {})
        opener, gpu = partial(open_source, source, request), request.device.type == "cuda"
        results = label_on_ray(opener, pieces, gpu=gpu)
    else:
        results = ((piece, _label_piece(opened, piece)) for piece in pieces)
    missing, skipped = sum(len(frames) for _, frames in todo), list[str]()
    try:
        with bars(show=show_progress) as progress:
            task = progress.add_task("labeling", total=missing)
            for piece, reasons in results:
                skipped += reasons
                progress.update(task, description=piece.scene.name, advance=len(piece.frames))
    finally:
        for scene in scenes:
            drop_empty_labels(label_folder(scene))
    written, present = missing - len(skipped), sum(map(len, scenes)) - missing
    if written + present == 0:
        raise ValueError("not one frame could be labeled: " + "; ".join(skipped[:5]))
    return LabelResult(opened.info, written, present, tuple(skipped))


def label_folder(scene: FrameSequence) -> Path:
    """Where the labels of a scene lie."""
    return scene.images[0].parent / FOLDER


def label_on_ray(
    open_tool: Callable[[], Source], pieces: list[Piece], *, gpu: bool
) -> Iterator[tuple[Piece, list[str]]]:
    """Label all pieces on a Ray cluster; for each that is done, why frames of it got no label."""

    def lost(piece: Piece, tries: int) -> str:
        frames = f"frames {piece.frames[0]} to {piece.frames[-1]}"
        what = f"scene '{piece.scene.name}': a worker was lost {tries} times over {frames}"
        return f"{what}; the labels written so far are kept"

    return work_on_ray(open_tool, _label_missing, pieces, gpu=gpu, lost=lost)


def _frames_to_label(
    scenes: list[FrameSequence], source: Source, *, overwrite: bool
) -> list[Piece]:
    """Frames of each scene without a label, or all where those that are there may be replaced."""
    folders, home = {label_folder(scene): scene for scene in scenes}, source.folder
    if home is not None and home.resolve() in [folder.resolve() for folder in folders]:
        raise ValueError(f"{home}: these labels are where they belong; nothing to copy")
    for folder in folders:
        sweep(folder.parent, folder.name.__eq__)
        sweep(folder, lambda name: name.endswith((".png", INFO_FILE)))
    todo: list[Piece] = []
    for folder, scene in folders.items():
        read = [] if home is None else [p for p in (home / scene.name, home) if p.is_dir()]
        fits = labels_fit(folder, source.info, overwrite=overwrite, inputs=read)
        todo.append(Piece(scene, _missing(scene) if fits else list(range(len(scene)))))
    return todo


def _missing(scene: FrameSequence) -> list[int]:
    """Frames that have no label."""
    folder = label_folder(scene)
    return [i for i, file in enumerate(scene.images) if not (folder / f"{file.stem}.png").is_file()]


def _label_missing(source: Source, piece: Piece) -> list[str]:
    """As `_label_piece`, without frames that a worker labeled before it was lost."""
    missing = set(_missing(piece.scene))
    return _label_piece(source, Piece(piece.scene, [i for i in piece.frames if i in missing]))


def _label_piece(source: Source, piece: Piece) -> list[str]:
    """Label some frames of one scene; for each that got no label, the reason."""
    scene, skipped = piece.scene, list[str]()
    inputs: dict[str, object] = {}
    for i in piece.frames:
        try:
            inputs[scene.images[i].stem] = source.read(scene, i)
        except ImageError as error:
            skipped.append(str(error))
    maps = dict(zip(inputs, source.label([*inputs.values()]), strict=True)) if inputs else {}
    good = {name: m for name, m in maps.items() if (np.isfinite(m) & (m > 0)).any()}
    if good:
        write_labels(label_folder(scene), source.info, good)
    return skipped + [f"{scene.name}/{n}: the source gives no value" for n in maps if n not in good]


def write_corrected(
    scene_folder: Path, target: Path, *, part: tuple[float, float] = (0.0, 1.0),
    uncorrected: bool = False, show_progress: bool = False,
) -> int:  # fmt: skip
    """Write a scene of the frames that see enough tracked points, corrected labels as its depth.

    It appears whole or not at all; returned is the number of its frames. They are those of a part
    of the scene, from one share of its frames to another. With `uncorrected` no points are asked:
    every labeled frame, its label in units of its own median. Else what moves is brought forward to
    where it stands.
    """
    scene = read_scene(scene_folder)
    if scene.pseudo_depth is None:
        raise ValueError(f"scene '{scene.name}' has no labels: run `ssmde label {scene_folder}`")
    points = read_tracked_points(scene_folder / TRACKED_POINTS)
    half = hidden_part(target)
    shutil.rmtree(half, ignore_errors=True)
    (half / "depth").mkdir(parents=True)
    written = 0
    frames = range(*(round(share * len(scene)) for share in part))
    for i in with_bar(frames, f"correcting {scene.name}", len(frames), show=show_progress):
        image, file = scene.images[i], scene.pseudo_depth[i]
        if file is None or not (uncorrected or i in points):
            continue
        depth = read_pseudo_depth(file)
        if uncorrected:
            depth = depth / np.median(depth[depth > 0])
        else:
            affine = scene.pseudo_depth_affine
            depth = fit_to_points(depth, *points[i], scene.image_size, affine=affine)
            depth = bring_movers_forward(depth, scene, i, points[i])
        if depth.any():
            shutil.copyfile(image, half / image.name)
            steps = np.rint(depth * STEPS_PER_UNIT).clip(0, FARTHEST).astype(np.uint16)
            write_png16(half / "depth" / f"{image.stem}.png", steps)
            written += 1
    if written:
        write_scene_info(half, {"depth_units_per_metre": STEPS_PER_UNIT})
        half.rename(target)
    else:
        shutil.rmtree(half)
    return written
