"""Own videos, folders of images and single images become scene folders, whole or not at all."""

import math
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssmde import outputs
from ssmde.console import counted, ranges, with_bar
from ssmde.data import scene_files, sequence
from ssmde.data.images import IMAGE_SUFFIXES, read_orientation, resize_image, write_image
from ssmde.data.sequence import Intrinsics, Pixels, Size
from ssmde.data.video import VideoFrame
from ssmde.preparation.results import MEANING, Choice, Prepared, PreparedSource
from ssmde.preparation.selection import FEWEST_FRAMES, LEAST_MOTION, choose_frames, measure
from ssmde.preparation.sources import Source, find_sources

Four = tuple[float, float, float, float]
PREPARE = "prepare"  # of the hidden name of what is being written
JPEG_QUALITY = 95


class _Plan(NamedTuple):
    """A source, and what is known before its frames are looked at."""

    source: Source
    size: Size  # height and width of its first frame
    camera: str  # where the intrinsics came from
    intrinsics: Intrinsics | None  # in pixels of that size; None if unknown

    def intrinsics_at(self, size: Size) -> Intrinsics | None:
        """For frames of this size; a note says what becomes of a camera of another one."""
        if size == self.size or self.intrinsics is None:
            return self.intrinsics
        matrix = sequence.intrinsics_at(self.intrinsics, self.size, size)
        self.source.notes.add(
            f"the camera is that of {self.size[1]} x {self.size[0]} pixels, frames of {size[1]} x "
            f"{size[0]} pixels have "
            + ("none: another shape" if matrix is None else "the same, scaled")
        )
        return matrix


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where scenes go, and which of those that are there may be replaced."""

    out: Path
    name: str | None
    sources: list[Source]
    mark: str
    inputs: Sequence[Path]
    overwrite: bool

    def is_there(self, folder: Path) -> bool:
        return outputs.folder_mark(folder) == self.mark

    def check(self, scene: Path) -> None:
        """Refuse to replace a scene folder that this run may not replace."""
        if not (self.is_there(scene) or self.overwrite):
            advice = "choose another name, or allow it to be overwritten"
            raise FileExistsError(f"{scene} exists: {advice}")
        if not self.is_there(scene):
            outputs.check_replaceable(scene, self.inputs)

    def find_replaced(self) -> list[Path]:
        """Scene folders of an earlier run that make room; refused before anything is read."""
        labels: dict[str, set[str]] = {}
        for source in self.sources:
            labels.setdefault(self.name or source.name, set()).add(source.label)
        for own in labels:
            if (self.out / own).parent != self.out or own.startswith("."):
                raise ValueError(f"a scene's name is the name of a folder, got '{own}'")
        outputs.sweep(self.out, lambda n: n in (PREPARE, *labels) or _whole(n) in labels)
        found = [
            folder
            for folder in (sorted(self.out.iterdir()) if self.out.is_dir() else ())
            if folder.name in labels or _source_of(folder) in labels.get(_whole(folder.name), ())
        ]
        for scene in found:
            self.check(scene)
        return found

    def present(self, found: list[Path]) -> Prepared | None:
        """The report of an earlier run that made the same, if all its scenes are there."""
        if not found or not all(map(self.is_there, found)):
            return None
        kept = outputs.read_record(found[0]).extra.get("reports", [])
        sources = [
            PreparedSource(scenes=tuple(self.out / n for n in one["scenes"]), report=one["report"])
            for one in kept
        ]
        present = Prepared(sources=tuple(sources), present=True)
        return present if present.scenes and all(map(self.is_there, present.scenes)) else None

    def names(self, choices: list[Choice], replaced: list[Path]) -> list[list[str]]:
        """Name of each scene of each source: NAME, or NAME-1, NAME-2 and so on.

        What is there under these names is added to what will be replaced.
        """
        counts = [len(choice.scenes) for choice in choices]
        if self.name is not None:  # counted through all sources
            flat = _numbered(self.name, sum(counts))
        else:
            names = (_numbered(s.name, n) for s, n in zip(self.sources, counts, strict=True))
            flat = list(chain(*names))
        if twice := [name for name in flat if flat.count(name) > 1]:
            raise ValueError(f"two sources would become the scene '{twice[0]}'; give a name")
        for folder in (self.out / name for name in flat):
            if os.path.lexists(folder) and folder not in replaced:
                self.check(folder)
                replaced.append(folder)
        left = iter(flat)
        return [list(islice(left, count)) for count in counts]

    def move_in(self, part: Path, replaced: list[Path], made: list[PreparedSource]) -> None:
        """Put the scenes in `part` in the place of what they replace; those that are there stay.

        The reports are kept with the mark, for `present`.
        """
        reports = [{"scenes": [s.name for s in one.scenes], "report": one.report} for one in made]
        scenes = [s for s in sorted(part.iterdir()) if not self.is_there(self.out / s.name)]
        for scene in scenes:
            outputs.record_tree(scene, self.mark, {"reports": reports})
        for folder in replaced:
            if not self.is_there(folder):
                outputs.move_into_place(None, folder)
        for scene in scenes:
            outputs.move_into_place(scene, self.out / scene.name)


def prepare_videos(
    source: Path | Sequence[Path], out: Path, *, step: int | None = None,
    least_motion: float = LEAST_MOTION, fewest_frames: int = FEWEST_FRAMES,
    intrinsics: Four | None = None, hfov_degrees: int | float | None = None,
    width: int | None = None, name: str | None = None, overwrite: bool = False,
    show_progress: bool = True,
) -> Prepared:  # fmt: skip
    """Write videos or images as scene folders; arguments and errors are those of `ssmde.prepare`.

    Frames keep their number in the source as their name; images that need no change are copied.
    Scenes that are there, made of the same sources with the same options, are not made again.
    """
    for option, value, rule, holds in (
        ("step", step, "at least 1", step is None or step >= 1),
        ("width", width, "at least 1 pixel", width is None or width >= 1),
        ("least_motion", least_motion, "in (0, 0.1), a share of the image's width",
         0 < least_motion < 0.1),
        ("fewest_frames", fewest_frames, "at least 1", fewest_frames >= 1),
    ):  # fmt: skip
        if not holds:
            raise ValueError(f"{option} must be {rule}, got {value}")
    if intrinsics is not None and hfov_degrees is not None:
        raise ValueError("give intrinsics or hfov_degrees, not both")
    hfov_degrees = None if hfov_degrees is None else float(hfov_degrees)  # 65 is 65.0 in the mark
    sources = find_sources(source)
    given = [source] if isinstance(source, Path) else source
    place = _Place(
        out=out, name=name, sources=sources, overwrite=overwrite,
        mark=outputs.mark_of(
            sources=[[outputs.identity(file) for file in s.read] for s in sources],
            options=(step, least_motion, fewest_frames, intrinsics, hfov_degrees, width, name,
                     JPEG_QUALITY),
        ),
        inputs=[*given, *{file.parent: file for s in sources for file in s.read}.values()],
    )  # fmt: skip
    replaced = place.find_replaced()
    if (present := place.present(replaced)) is not None:
        return present
    plans = [_plan(one, width, intrinsics, hfov_degrees) for one in sources]

    def choose(one: Source) -> Choice:
        if step is not None:
            return Choice(scenes=(range(0, one.end, step),))
        looked = with_bar(one.look(), f"{one.name}: looking", one.count, show=show_progress)
        measured = measure(looked, least_motion)
        return choose_frames(measured, least_motion=least_motion, fewest_frames=fewest_frames)

    choices = [choose(one) for one in sources]
    if not any(choice.scenes for choice in choices):
        dropped = chain(*(choice.dropped.items() for choice in choices))
        reasons = [f"{len(numbers)} {reason} ({MEANING[reason]})" for reason, numbers in dropped]
        raise ValueError(
            f"{', '.join(s.label for s in sources)}: no {fewest_frames} frames in a row are worth "
            f"training on: {', '.join(reasons)}; film longer, while the camera moves sideways or "
            "forward, or take every frame as it is with ssmde prepare --step 1"
        )
    place.names(choices, replaced)  # refused before anything is written
    with outputs.hidden_folder(out / PREPARE) as part:
        written = [
            _write(plan, choice, part / f".{i}", step, width, show_progress)
            for i, (plan, choice) in enumerate(zip(plans, choices, strict=True))
        ]
        names = place.names([choice for choice, _ in written], replaced)
        made: list[PreparedSource] = []
        for plan, (choice, folders), own in zip(plans, written, names, strict=True):
            for folder, scene in zip(folders, own, strict=True):
                folder.rename(part / scene)
            kept = f"{counted(sum(map(len, choice.scenes)), 'frame')} kept; camera: {plan.camera}"
            notes = (f"  {note}" for note in plan.source.notes.lines)
            report = "\n".join([f"{plan.source.label}: {kept}", *notes, *choice.lines()])
            scenes = tuple(out / name for name in own)
            made.append(PreparedSource(scenes=scenes, report=report, choice=choice))
        place.move_in(part, replaced, made)
    return Prepared(sources=tuple(made))


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}-{i + 1}" for i in range(count)]


def _whole(name: str) -> str:
    """NAME of the scene NAME-1; empty for a name without a number."""
    match = re.fullmatch(r"(.+)-\d+", name, re.DOTALL)
    return match[1] if match else ""


def _source_of(folder: Path) -> str | None:
    try:
        return scene_files.read_scene_info(folder / "scene.json").get("source")
    except ValueError:
        return None


def _plan(
    source: Source, width: int | None, intrinsics: Four | None, hfov_degrees: float | None
) -> _Plan:
    size = source.size()
    if width is not None and width > size[1]:
        raise ValueError(f"width must be at most that of the frames, {size[1]}, got {width}")
    if hfov_degrees is not None:
        if not 0 < hfov_degrees < 180:
            raise ValueError(f"hfov_degrees must be in (0, 180), got {hfov_degrees:g}")
        matrix = sequence.from_hfov(size, hfov_degrees)
        camera = f"field of view of {hfov_degrees:g} degrees, as given"
    elif intrinsics is not None:
        fx, fy, cx, cy = intrinsics
        matrix, camera = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64), "as given"
    elif (found := source.camera(size)) is not None:
        matrix, camera = found
    else:
        return _Plan(source, size, "unknown", None)
    sequence.check_intrinsics(matrix, size, where="intrinsics")
    return _Plan(source, size, camera, matrix)


def _write(
    plan: _Plan, choice: Choice, folder: Path, step: int | None, width: int | None,
    show_progress: bool,
) -> tuple[Choice, list[Path]]:  # fmt: skip
    """Write the scenes of one source in one go through it, in folders like `folder` with a number.

    Gives what was chosen, with a step by the scenes that were found on the way, and the folders.
    """
    if not choice.scenes:
        return choice, []
    source = plan.source
    info: dict[str, Any] = {"source": source.label, "intrinsics": plan.camera}
    scene_of: dict[int, int] = {}  # by the number of a frame
    if step is None:
        scene_of = {n: i for i, scene in enumerate(choice.scenes) for n in scene}
        numbers, total = [*scene_of], len(scene_of)
        info["notes"] = "frames chosen by the motion of the image"
        info["prepared"] = {
            "frames": total + sum(map(len, choice.dropped.values())),
            "kept": total,
            "dropped": {reason: ranges(dropped) for reason, dropped in choice.dropped.items()},
            "another_picture_at": ranges(choice.splits),
        }
    else:
        numbers = choice.scenes[0]
        total = math.ceil(source.count / step) if source.count else None
        info["notes"] = "every frame" if step == 1 else f"every {step}. frame"
    begun = 0

    def place(frame: VideoFrame) -> tuple[int, int | None]:
        nonlocal begun  # asked for one frame after the other
        begun += frame.begins
        return begun, scene_of.get(frame.number)

    looked = source.frames(numbers)
    frames = with_bar(looked, f"{source.name}: writing", total, show=show_progress)
    written: dict[Path, list[int]] = {}
    for _, piece in groupby(frames, place):
        target = folder.with_name(f"{folder.name}.{len(written)}")
        written[target] = _write_scene(target, piece, plan, width, info)
    scenes = tuple(written.values())
    if step is not None:
        choice = Choice(scenes=scenes, splits=tuple(scene[0] for scene in scenes[1:]))
    return choice, [*written]


def _write_scene(
    folder: Path, frames: Iterator[VideoFrame], plan: _Plan, width: int | None,
    info: dict[str, Any],
) -> list[int]:  # fmt: skip
    """Write frames and files of a scene; gives the numbers of the frames that were written."""
    first = next(frames)
    size = first.pixels.shape[0], first.pixels.shape[1]
    stored = stored_size(size, None if width is None else min(width, size[1]))
    folder.mkdir(parents=True)
    numbers: list[int] = []
    for frame in chain([first], frames):
        store_image(folder / f"{frame.number:06d}", frame.pixels, stored, file=frame.file)
        numbers.append(frame.number)
    store_camera(folder, plan.intrinsics_at(size), size, stored)
    scene_files.write_scene_info(folder, info)
    return numbers


def stored_size(size: Size, width: int | None) -> Size:
    """Size (height, width) after a resize to this width; the shape stays."""
    return size if width is None else (max(1, round(size[0] * width / size[1])), width)


def store_image(path: Path, pixels: Pixels, size: Size, *, file: Path | None) -> None:
    """Write RGB at this (height, width) as `path`.jpg; or copy its file, if nothing changes."""
    resized = pixels.shape[:2] != size
    as_it_is = file is not None and file.suffix.lower() in IMAGE_SUFFIXES
    if file is not None and as_it_is and not resized and read_orientation(file) == 1:
        shutil.copyfile(file, path.with_name(path.name + file.suffix.lower()))
        return
    pixels = np.ascontiguousarray(resize_image(pixels, size) if resized else pixels)
    write_image(path.with_name(f"{path.name}.jpg"), pixels, quality=JPEG_QUALITY)


def store_camera(folder: Path, intrinsics: Intrinsics | None, size: Size, stored: Size) -> None:
    """Write cam.txt, if there is a matrix in pixels of `size`, for images that are stored so."""
    if intrinsics is not None:
        y, x = stored[0] / size[0], stored[1] / size[1]
        scene_files.write_intrinsics(folder, sequence.scaled_intrinsics(intrinsics, x, y))
