"""`ssmde prepare`: videos, folders of images and single images become scene folders."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from ssmde.console import with_bar
from ssmde.data.scene_files import read_intrinsics
from ssmde.data.sequence import check_intrinsics, from_hfov, intrinsics_at
from ssmde.outputs import (
    check_replaceable,
    folder_extra,
    folder_mark,
    identity,
    mark_of,
    sweep,
)
from ssmde.preparation.choice import FEWEST_FRAMES, LEAST_MOTION, Choice, choose_frames
from ssmde.preparation.motion import measure
from ssmde.preparation.report import MEANING, Prepared, PreparedSource, info_of
from ssmde.preparation.scene_writer import (
    PREPARE,
    Look,
    all_or_none,
    is_part_of,
    scenes_of,
    write_scene,
)
from ssmde.preparation.sources import Source, SourceFrame, find_sources

Four = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Plan:
    """A source, and what is known before its frames are looked at."""

    source: Source
    camera: str
    size: tuple[int, int]
    """Size (height, width) of its first frame, in pixels."""
    intrinsics: np.ndarray | None
    """Pinhole matrix in pixels of that size; None if unknown."""
    hfov_degrees: int | float | None
    width: int | None
    quality: int

    def look(self, size: tuple[int, int]) -> Look:
        """How frames of this size are stored."""
        matrix = self.intrinsics
        if size != self.size and self.hfov_degrees is not None:
            matrix = from_hfov(size, self.hfov_degrees)
        elif size != self.size and matrix is not None:
            matrix = intrinsics_at(matrix, self.size, size)
            now = f"of {size[1]} x {size[0]} pixels"
            self.source.notes.add(
                f"the camera is that of {self.size[1]} x {self.size[0]} pixels, frames {now} have "
                + ("none: another shape" if matrix is None else "the same, scaled")
            )
        width = None if self.width is None else min(self.width, size[1])
        return Look(
            size=size, stored=_stored_size(size, width), quality=self.quality, intrinsics=matrix
        )


def prepare(
    source: Path | Sequence[Path],
    out: Path,
    *,
    step: int | None = None,
    least_motion: float = LEAST_MOTION,
    fewest_frames: int = FEWEST_FRAMES,
    intrinsics: Four | None = None,
    hfov_degrees: int | float | None = None,
    width: int | None = None,
    name: str | None = None,
    quality: int = 95,
    overwrite: bool = False,
    show_progress: bool = True,
) -> Prepared:
    """Write videos or images as scene folders and return these, with a report of what was dropped.

    Sharp frames are kept that lie a step of image motion apart; where the picture changes to
    another place a new scene begins: NAME-1, NAME-2 and so on. Frames keep their number in the
    source as their name. Images that need no change are copied. The camera is `intrinsics`, or
    follows from `hfov_degrees`, or is read from a cam.txt beside the source images, or from what
    the camera wrote into the files; else cam.txt is left out. Scenes appear whole or not at all.
    Those that are there, made of the same sources with the same options, are not made again.

    Args:
        source: Video files, image files, folders of either, or patterns such as `shots/*.jpg`.
            Each video is a source, and so are the images of a folder, in the order of their names.
        out: Data folder; each scene becomes a folder in it.
        step: Take every so many-th frame instead of choosing, and never split.
        least_motion: Way of the image from one kept frame to the next, as a share of its width.
        fewest_frames: A scene of fewer is dropped.
        intrinsics: Focal lengths and principal point (fx, fy, cx, cy), in pixels of the frames as
            the source shows them, upright; they follow when `width` resizes the frames.
        hfov_degrees: Horizontal field of view of an upright frame, for a camera with its
            principal point in the middle.
        width: Resize to this width, in pixels; the shape of the image stays.
        name: Name of the scene; that of the source if absent.
        quality: JPEG quality, 1 to 100.
        overwrite: Replace scenes of that name which this package made.
        show_progress: Draw progress bars.

    Raises:
        FileNotFoundError: If there is no such source.
        FileExistsError: If a scene exists and may not be replaced: it was made of something else,
            holds a file that this package did not write, or is, holds or lies in a source.
        ValueError: If the sources hold no frames or none that fit together, a frame cannot be
            read, sizes differ, or an argument does not fit.
    """
    _check_numbers(step, quality, width, least_motion, fewest_frames)
    if intrinsics is not None and hfov_degrees is not None:
        raise ValueError("give intrinsics or hfov_degrees, not both")
    sources = find_sources(source)
    given = [source] if isinstance(source, Path) else source
    place = _Place(
        out=out,
        mark=mark_of(
            sources=[[identity(file) for file in s.read] for s in sources],
            options=(step, least_motion, fewest_frames, intrinsics, hfov_degrees, width, name,
                     quality),
        ),
        inputs=[*given, *{file.parent: file for s in sources for file in s.read}.values()],
        overwrite=overwrite,
    )  # fmt: skip
    replaced = _replaced(sources, place, name)
    if (present := _present(replaced, place)) is not None:
        return present
    plans = [_plan(s, width, quality, intrinsics, hfov_degrees) for s in sources]
    if step is not None:
        choices = [Choice(scenes=(s.every(step),)) for s in sources]
    else:
        choices = [_chosen(s, least_motion, fewest_frames, show_progress) for s in sources]
    _refuse_nothing(sources, choices, fewest_frames)
    names = _free_names(sources, choices, name, place, replaced)
    made = Prepared(sources=())

    def report() -> dict[str, Any]:
        return {"prepared": [source.to_dict() for source in made.sources]}

    with all_or_none(out, replaced, place.mark, report) as part:
        written = [
            _write(plan, choice, part / f".{i}", step, show_progress)
            for i, (plan, choice) in enumerate(zip(plans, choices, strict=True))
        ]
        choices = [choice for choice, _ in written]
        names = _free_names(sources, choices, name, place, replaced)
        for (_, folders), own in zip(written, names, strict=True):
            for folder, scene in zip(folders, own, strict=True):
                folder.rename(part / scene)
        made = Prepared(
            sources=tuple(
                PreparedSource(
                    source=plan.source.label,
                    scenes=tuple(out / n for n in own),
                    kept=sum(folders.values()),
                    choice=choice,
                    camera=plan.camera,
                    notes=tuple(plan.source.notes.lines),
                )
                for plan, (choice, folders), own in zip(plans, written, names, strict=True)
            )
        )
    return made


def _check_numbers(
    step: int | None, quality: int, width: int | None, least_motion: float, fewest_frames: int
) -> None:
    if step is not None and step < 1:
        raise ValueError(f"step must be at least 1, got {step}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be in [1, 100], got {quality}")
    if width is not None and width < 1:
        raise ValueError(f"width must be at least 1 pixel, got {width}")
    if not 0 < least_motion < 0.1:
        raise ValueError(
            f"least_motion must be in (0, 0.1), a share of the image's width, got {least_motion}"
        )
    if fewest_frames < 1:
        raise ValueError(f"fewest_frames must be at least 1, got {fewest_frames}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where scenes go, and which of those that are there may be replaced."""

    out: Path
    mark: str
    inputs: Sequence[Path]
    overwrite: bool

    def check(self, scene: Path) -> None:
        """Refuse to replace a scene folder that this run may not replace."""
        if folder_mark(scene) == self.mark:
            return
        if not self.overwrite:
            raise FileExistsError(
                f"{scene} exists: choose another name, or allow it to be overwritten"
            )
        check_replaceable(scene, self.inputs)


def _replaced(sources: list[Source], place: _Place, name: str | None) -> list[Path]:
    """Scene folders of an earlier run that make room; refused before anything is read."""
    own_names = [name or source.name for source in sources]
    for own in own_names:
        if (place.out / own).parent != place.out or own.startswith("."):
            raise ValueError(f"a scene's name is the name of a folder, got '{own}'")
    sweep(
        place.out,
        lambda n: n in (PREPARE, *own_names) or any(is_part_of(n, own) for own in own_names),
    )
    found: list[Path] = []
    for source, own in zip(sources, own_names, strict=True):
        found += [f for f in scenes_of(place.out, own, source.label) if f not in found]
    for scene in found:
        place.check(scene)
    return found


def _present(found: list[Path], place: _Place) -> Prepared | None:
    """The report of an earlier run that made the same, if all its scenes are there."""
    if not found or any(folder_mark(scene) != place.mark for scene in found):
        return None
    kept = folder_extra(found[0]).get("prepared", [])
    present = Prepared(
        sources=tuple(PreparedSource.from_dict(s, place.out) for s in kept), present=True
    )
    whole = all(folder_mark(scene) == place.mark for scene in present.scenes)
    return present if present.scenes and whole else None


def _plan(
    source: Source,
    width: int | None,
    quality: int,
    intrinsics: Four | None,
    hfov_degrees: int | float | None,
) -> _Plan:
    size = source.size()
    _stored_size(size, width)
    four, camera = _camera(source, size, intrinsics, hfov_degrees)
    matrix = None
    if four is not None:
        fx, fy, cx, cy = four
        matrix = np.array([(fx, 0, cx), (0, fy, cy), (0, 0, 1)], dtype=np.float64)
        check_intrinsics(matrix, size, where="intrinsics")
    return _Plan(
        source=source, camera=camera, size=size, intrinsics=matrix, hfov_degrees=hfov_degrees,
        width=width, quality=quality,
    )  # fmt: skip


def _stored_size(size: tuple[int, int], width: int | None) -> tuple[int, int]:
    """Size (height, width) after the resize."""
    if width is None:
        return size
    if width > size[1]:
        raise ValueError(f"width must be at most that of the frames, {size[1]}, got {width}")
    return max(1, round(size[0] * width / size[1])), width


def _camera(
    source: Source,
    size: tuple[int, int],
    intrinsics: Four | None,
    hfov_degrees: int | float | None,
) -> tuple[Four | None, str]:
    """Focal lengths and principal point in pixels of the source's frames, and who says so."""
    if intrinsics is not None:
        return intrinsics, "as given"
    middle = (size[1] - 1) / 2, (size[0] - 1) / 2
    if hfov_degrees is not None:
        if not 0 < hfov_degrees < 180:
            raise ValueError(f"hfov_degrees must be in (0, 180), got {hfov_degrees}")
        focal = float(from_hfov(size, hfov_degrees)[0, 0])
        return (focal, focal, *middle), f"field of view of {hfov_degrees:g} degrees, as given"
    if source.camera_file is not None and source.camera_file.is_file():
        turn = source.orientation()
        matrix = read_intrinsics(source.camera_file, size, orientation=turn)
        if matrix is not None:
            (fx, _, cx), (_, fy, cy) = matrix[:2].tolist()
            turned = "" if turn == 1 else ", turned upright as they are"
            return (fx, fy, cx, cy), f"cam.txt beside the images{turned}"
    hint = source.focal_hint()
    if hint is not None:
        text = f"{hint.origin}: focal length {hint.focal:.0f} pixels, a few percent uncertain"
        return (hint.focal, hint.focal, *middle), text
    return None, "unknown"


def _chosen(source: Source, least_motion: float, fewest_frames: int, show_progress: bool) -> Choice:
    """Frames chosen by what is measured on all of them."""
    title = f"{source.name}: looking"
    frames = with_bar(source.look(), title, source.count(), show=show_progress)
    measured = measure(frames, least_motion)
    return choose_frames(measured, least_motion=least_motion, fewest_frames=fewest_frames)


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
        f"training on: {', '.join(reasons)}; a step of 1 takes every frame as it is"
    )


def _scene_names(sources: list[Source], choices: list[Choice], name: str | None) -> list[list[str]]:
    """Name of each scene of each source: NAME, or NAME-1, NAME-2 and so on where there are more."""
    counts = [len(choice.scenes) for choice in choices]
    if name is not None:
        all_names = [name] if sum(counts) == 1 else [f"{name}-{i + 1}" for i in range(sum(counts))]
        rest = iter(all_names)
        return [list(islice(rest, count)) for count in counts]
    names = [
        [s.name] if count == 1 else [f"{s.name}-{i + 1}" for i in range(count)]
        for s, count in zip(sources, counts, strict=True)
    ]
    flat = list(chain(*names))
    twice = next((n for n in flat if flat.count(n) > 1), None)
    if twice is not None:
        raise ValueError(f"two sources would become the scene '{twice}'; give a name")
    return names


def _free_names(
    sources: list[Source], choices: list[Choice], name: str | None, place: _Place,
    replaced: list[Path],
) -> list[list[str]]:  # fmt: skip
    """Name of each scene of each source; what is there under these names will be replaced."""
    names = _scene_names(sources, choices, name)
    for folder in (place.out / n for n in chain(*names)):
        if os.path.lexists(folder) and folder not in replaced:
            place.check(folder)
            replaced.append(folder)
    return names


def _write(
    plan: _Plan, choice: Choice, folder: Path, step: int | None, show_progress: bool
) -> tuple[Choice, dict[Path, int]]:
    """Write the scenes of one source in one go through it.

    Returns:
        The choice, where a step was asked for with the scenes that were found on the way; and the
        folders, named like `folder` with a number, with how many frames each has.
    """
    if not choice.scenes:
        return choice, {}
    source, count = plan.source, plan.source.count()
    numbers = choice.scenes[0] if step is not None else list(chain(*choice.scenes))
    total = len(numbers) if step is None else math.ceil(count / step) if count else None
    info: dict[str, Any] = {"source": source.label, "intrinsics": plan.camera}
    if step is None:
        info["notes"] = "frames chosen by the motion of the image"
        info["prepared"] = info_of(choice)
    else:
        info["notes"] = "every frame" if step == 1 else f"every {step}. frame"
    title = f"{source.name}: writing"
    frames = iter(with_bar(source.frames(numbers), title, total, show=show_progress))
    if step is None:
        pieces = (islice(frames, len(scene)) for scene in choice.scenes)
    else:
        pieces = (piece for _, piece in groupby(frames, _place_counter()))
    written: dict[Path, list[int]] = {}
    for piece in pieces:
        first = next(piece)
        look = plan.look((first.pixels.shape[0], first.pixels.shape[1]))
        scene = folder.with_name(f"{folder.name}.{len(written)}")
        written[scene] = write_scene(scene, chain([first], piece), look, source.fps(), info)
    if len(written) > len(choice.scenes):
        scenes = tuple(written.values())
        choice = Choice(scenes=scenes, splits=tuple(scene[0] for scene in scenes[1:]))
    return choice, {scene: len(kept) for scene, kept in written.items()}


def _place_counter() -> Callable[[SourceFrame], int]:
    """Function that says of frames, one after the other, how many places began before them."""
    begun = 0

    def count(frame: SourceFrame) -> int:
        nonlocal begun
        begun += frame.begins
        return begun

    return count
