"""Own videos, folders of images and single images become scene folders, whole or not at all."""

import math
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from ssmde import outputs
from ssmde.console import ranges, with_bar
from ssmde.data import scene_files, sequence
from ssmde.data.images import resize_image, write_image
from ssmde.data.sequence import Intrinsics, PerFrame, Pixels, Size
from ssmde.data.video import VideoFrame
from ssmde.preparation.results import MEANING, Choice, Prepared, PreparedSource
from ssmde.preparation.selection import FEWEST_FRAMES, LEAST_MOTION, choose_frames, measure
from ssmde.preparation.sources import Four, Source, find_sources

PREPARE = "prepare"  # of the hidden name of what is being written
EVEN = 0.1  # of the time between two frames; some files count in whole milliseconds


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Plan:
    """A source, and what is known before its frames are looked at."""

    source: Source
    camera: str  # where the intrinsics came from
    size: Size  # height and width of its first frame
    intrinsics: Intrinsics | None  # in pixels of that size; None if unknown
    hfov_degrees: float | None
    width: int | None
    quality: int

    def intrinsics_at(self, size: Size) -> Intrinsics | None:
        """For frames of this size; a note says what becomes of a camera of another one."""
        if size == self.size or self.intrinsics is None:
            return self.intrinsics
        if self.hfov_degrees is not None:
            return sequence.from_hfov(size, self.hfov_degrees)
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

    def check(self, scene: Path) -> None:
        """Refuse to replace a scene folder that this run may not replace."""
        if outputs.folder_mark(scene) == self.mark:
            return
        if not self.overwrite:
            advice = "choose another name, or allow it to be overwritten"
            raise FileExistsError(f"{scene} exists: {advice}")
        outputs.check_replaceable(scene, self.inputs)

    def find_replaced(self) -> list[Path]:
        """Scene folders of an earlier run that make room; refused before anything is read."""
        own_names = [self.name or source.name for source in self.sources]
        for own in own_names:
            if (self.out / own).parent != self.out or own.startswith("."):
                raise ValueError(f"a scene's name is the name of a folder, got '{own}'")
        parts = [re.compile(re.escape(own) + r"-\d+") for own in own_names]  # name-1 and so on
        known = (PREPARE, *own_names)
        outputs.sweep(self.out, lambda n: n in known or any(part.fullmatch(n) for part in parts))
        found: list[Path] = []
        for folder in sorted(self.out.iterdir()) if self.out.is_dir() else ():
            for source, own, part in zip(self.sources, own_names, parts, strict=True):
                is_part = part.fullmatch(folder.name) and _source_of(folder) == source.label
                if (folder.name == own or is_part) and folder not in found:
                    found.append(folder)
        for scene in found:
            self.check(scene)
        return found

    def present(self, found: list[Path]) -> Prepared | None:
        """The report of an earlier run that made the same, if all its scenes are there."""
        if not found or any(outputs.folder_mark(scene) != self.mark for scene in found):
            return None
        kept = outputs.folder_extra(found[0]).get("prepared", [])
        sources = tuple(PreparedSource.from_dict(s, self.out) for s in kept)
        present = Prepared(sources=sources, present=True)
        whole = all(outputs.folder_mark(scene) == self.mark for scene in present.scenes)
        return present if present.scenes and whole else None

    def names(self, choices: list[Choice], replaced: list[Path]) -> list[list[str]]:
        """Name of each scene of each source: NAME, or NAME-1, NAME-2 and so on.

        What is there under these names is added to what will be replaced.
        """
        counts = [len(choice.scenes) for choice in choices]
        if self.name is not None:  # counted through all sources
            numbered = iter(_numbered(self.name, sum(counts)))
            names = [list(islice(numbered, count)) for count in counts]
        else:
            names = [_numbered(s.name, n) for s, n in zip(self.sources, counts, strict=True)]
        flat = list(chain(*names))
        twice = next((n for n in flat if flat.count(n) > 1), None)
        if twice is not None:
            raise ValueError(f"two sources would become the scene '{twice}'; give a name")
        for folder in (self.out / n for n in flat):
            if os.path.lexists(folder) and folder not in replaced:
                self.check(folder)
                replaced.append(folder)
        return names

    def move_in(self, part: Path, replaced: list[Path], report: list[dict[str, Any]]) -> None:
        """Put the scenes in `part` in the place of what they replace; those that are there stay.

        The report is kept with the mark, for `present`.
        """

        def is_there(folder: Path) -> bool:
            return outputs.folder_mark(folder) == self.mark

        scenes = [s for s in sorted(part.iterdir()) if not is_there(self.out / s.name)]
        for scene in scenes:
            outputs.record_tree(scene, self.mark, {"prepared": report})
        for folder in (folder for folder in replaced if not is_there(folder)):
            outputs.move_into_place(None, folder)
        for scene in scenes:
            outputs.move_into_place(scene, self.out / scene.name)


def prepare_videos(
    source: Path | Sequence[Path], out: Path, *, step: int | None = None,
    least_motion: float = LEAST_MOTION, fewest_frames: int = FEWEST_FRAMES,
    intrinsics: Four | None = None, hfov_degrees: int | float | None = None,
    width: int | None = None, name: str | None = None, quality: int = 95, overwrite: bool = False,
    show_progress: bool = True,
) -> Prepared:  # fmt: skip
    """Write videos or images as scene folders; arguments and errors are those of `ssmde.prepare`.

    Sharp frames are kept that lie a step of image motion apart; where the picture changes to
    another place a new scene begins. Each video is a source, and so are the images of a folder, in
    the order of their names. Frames keep their number in the source as their name. Images that need
    no change are copied. A camera that is not given is read from a cam.txt beside the source
    images, or from what the camera wrote into the files. Scenes that are there, made of the same
    sources with the same options, are not made again.
    """
    _check_arguments(step, quality, width, least_motion, fewest_frames)
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
                     quality),
        ),
        inputs=[*given, *{file.parent: file for s in sources for file in s.read}.values()],
    )  # fmt: skip
    replaced = place.find_replaced()
    if (present := place.present(replaced)) is not None:
        return present
    plans = [_plan(s, width, quality, intrinsics, hfov_degrees) for s in sources]

    def choose(one: Source) -> Choice:
        if step is not None:
            return Choice(scenes=(range(0, one.end, step),))
        looked = with_bar(one.look(), f"{one.name}: looking", one.count, show=show_progress)
        measured = measure(looked, least_motion)
        return choose_frames(measured, least_motion=least_motion, fewest_frames=fewest_frames)

    choices = [choose(one) for one in sources]
    _refuse_nothing(sources, choices, fewest_frames)
    place.names(choices, replaced)  # refused before anything is written
    with outputs.hidden_folder(out / PREPARE) as part:
        written = [
            _write(plan, choice, part / f".{i}", step, show_progress)
            for i, (plan, choice) in enumerate(zip(plans, choices, strict=True))
        ]
        names = place.names([choice for choice, _ in written], replaced)
        for (_, folders), own in zip(written, names, strict=True):
            for folder, scene in zip(folders, own, strict=True):
                folder.rename(part / scene)
        made = tuple(
            PreparedSource(
                source=plan.source.label, scenes=tuple(out / n for n in own), choice=choice,
                kept=sum(folders.values()), camera=plan.camera,
                notes=tuple(plan.source.notes.lines),
            )
            for plan, (choice, folders), own in zip(plans, written, names, strict=True)
        )  # fmt: skip
        place.move_in(part, replaced, [source.to_dict() for source in made])
    return Prepared(sources=made)


def _check_arguments(
    step: int | None, quality: int, width: int | None, least_motion: float, fewest_frames: int
) -> None:
    share = "in (0, 0.1), a share of the image's width"
    for name, value, rule, holds in (
        ("step", step, "at least 1", step is None or step >= 1),
        ("quality", quality, "in [1, 100]", 1 <= quality <= 100),
        ("width", width, "at least 1 pixel", width is None or width >= 1),
        ("least_motion", least_motion, share, 0 < least_motion < 0.1),
        ("fewest_frames", fewest_frames, "at least 1", fewest_frames >= 1),
    ):
        if not holds:
            raise ValueError(f"{name} must be {rule}, got {value}")


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}-{i + 1}" for i in range(count)]


def _source_of(folder: Path) -> str | None:
    try:
        return scene_files.read_scene_info(folder / "scene.json").get("source")
    except ValueError:
        return None


def _plan(
    source: Source, width: int | None, quality: int, intrinsics: Four | None,
    hfov_degrees: float | None,
) -> _Plan:  # fmt: skip
    size, matrix = source.size(), None
    if width is not None and width > size[1]:
        raise ValueError(f"width must be at most that of the frames, {size[1]}, got {width}")
    if hfov_degrees is not None:
        if not 0 < hfov_degrees < 180:
            raise ValueError(f"hfov_degrees must be in (0, 180), got {hfov_degrees:g}")
        matrix = sequence.from_hfov(size, hfov_degrees)
        camera = f"field of view of {hfov_degrees:g} degrees, as given"
    elif (found := (intrinsics and (intrinsics, "as given")) or source.camera(size)) is not None:
        (fx, fy, cx, cy), camera = found
        matrix = np.array([(fx, 0, cx), (0, fy, cy), (0, 0, 1)], dtype=np.float64)
    else:
        camera = "unknown"
    if matrix is not None:
        sequence.check_intrinsics(matrix, size, where="intrinsics")
    return _Plan(
        source=source, camera=camera, size=size, intrinsics=matrix, hfov_degrees=hfov_degrees,
        width=width, quality=quality,
    )  # fmt: skip


def _refuse_nothing(sources: list[Source], choices: list[Choice], fewest_frames: int) -> None:
    if any(choice.scenes for choice in choices):
        return
    reasons = [
        f"{len(numbers)} {reason} ({MEANING[reason]})"
        for choice in choices
        for reason, numbers in choice.dropped.items()
    ]
    raise ValueError(
        f"{', '.join(s.label for s in sources)}: no {fewest_frames} frames in a row are worth "
        f"training on: {', '.join(reasons)}; film longer, while the camera moves sideways or "
        "forward, or take every frame as it is with ssmde prepare --step 1"
    )


def _write(
    plan: _Plan, choice: Choice, folder: Path, step: int | None, show_progress: bool
) -> tuple[Choice, dict[Path, int]]:
    """Write the scenes of one source in one go through it, in folders like `folder` with a number.

    Gives the choice, where a step was asked for with the scenes that were found on the way; and
    the folders with how many frames each has.
    """
    if not choice.scenes:
        return choice, {}
    source, count = plan.source, plan.source.count
    numbers = choice.scenes[0] if step is not None else list(chain(*choice.scenes))
    total = len(numbers) if step is None else math.ceil(count / step) if count else None
    frames = iter(
        with_bar(source.frames(numbers), f"{source.name}: writing", total, show=show_progress)
    )
    info: dict[str, Any] = {"source": source.label, "fps": None, "intrinsics": plan.camera}
    if step is None:
        kept = sum(map(len, choice.scenes))
        info["notes"] = "frames chosen by the motion of the image"
        info["prepared"] = {
            "frames": kept + sum(map(len, choice.dropped.values())),
            "kept": kept,
            "dropped": {reason: ranges(dropped) for reason, dropped in choice.dropped.items()},
            "another_picture_at": ranges(choice.splits),
        }
        pieces = (islice(frames, len(scene)) for scene in choice.scenes)
    else:
        info["notes"] = "every frame" if step == 1 else f"every {step}. frame"
        begun = [0]

        def place(frame: VideoFrame) -> int:
            begun[0] += frame.begins  # asked for one frame after the other
            return begun[0]

        pieces = (piece for _, piece in groupby(frames, place))
    written: dict[Path, list[int]] = {}
    for piece in pieces:
        first = next(piece)
        scene = folder.with_name(f"{folder.name}.{len(written)}")
        written[scene] = _write_scene(scene, first, piece, plan, info)
    if len(written) > len(choice.scenes):
        scenes = tuple(written.values())
        choice = Choice(scenes=scenes, splits=tuple(scene[0] for scene in scenes[1:]))
    return choice, {scene: len(kept) for scene, kept in written.items()}


def _write_scene(
    folder: Path, first: VideoFrame, others: Iterable[VideoFrame], plan: _Plan, info: dict[str, Any]
) -> list[int]:
    """Write frames, cam.txt, scene.json and, if they are unevenly spaced, timestamps.txt."""
    # Gives the numbers of the frames that were written.
    size = first.pixels.shape[0], first.pixels.shape[1]
    intrinsics = plan.intrinsics_at(size)
    stored = stored_size(size, None if plan.width is None else min(plan.width, size[1]))
    folder.mkdir(parents=True)
    numbers: list[int] = []
    times: list[float | None] = []
    for frame in chain([first], others):
        path = folder / f"{frame.number:06d}"
        store_image(path, frame.pixels, stored, file=frame.file, quality=plan.quality)
        numbers.append(frame.number)
        times.append(frame.time)
    store_camera(folder, intrinsics, size, stored)
    rate = plan.source.fps
    seconds = _seconds(numbers, times, rate)
    if seconds is not None and len(seconds) > 1:
        steps = np.diff(seconds)
        mean = float(steps.mean())
        rate = 1 / mean if float(np.abs(steps - mean).max()) <= EVEN * mean else None
        if rate is None:
            scene_files.write_timestamps(folder, seconds)
    scene_files.write_scene_info(folder, info | {"fps": rate if seconds is not None else None})
    return numbers


def _seconds(numbers: list[int], times: list[float | None], fps: float | None) -> PerFrame | None:
    """Time of each frame: what the file says if that makes sense, else number / fps."""
    known = [time for time in times if time is not None]
    if known and len(known) == len(times) and bool(np.all(np.diff(known) > 0)):
        return np.array(known)
    return None if fps is None else np.array(numbers) / fps


def stored_size(size: Size, width: int | None) -> Size:
    """Size (height, width) after a resize to this width; the shape stays."""
    return size if width is None else (max(1, round(size[0] * width / size[1])), width)


def store_image(path: Path, pixels: Pixels, size: Size, *, file: Path | None, quality: int) -> None:
    """Write RGB at this (height, width) as `path`.jpg; or copy `file`, if nothing changes.

    `file` holds these pixels, upright, in a format that a scene folder may hold.
    """
    if file is not None and pixels.shape[:2] == size:
        shutil.copyfile(file, path.with_name(path.name + file.suffix.lower()))
        return
    if pixels.shape[:2] != size:
        pixels = resize_image(pixels, size)
    write_image(path.with_name(f"{path.name}.jpg"), np.ascontiguousarray(pixels), quality=quality)


def store_camera(folder: Path, intrinsics: Intrinsics | None, size: Size, stored: Size) -> None:
    """Write cam.txt, if there is a matrix in pixels of `size`, for images that are stored so."""
    if intrinsics is not None:
        y, x = stored[0] / size[0], stored[1] / size[1]
        scene_files.write_intrinsics(folder, sequence.scaled_intrinsics(intrinsics, x, y))
