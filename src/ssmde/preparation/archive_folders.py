"""Scenes of an archive become scene folders, each whole or not at all, and are listed."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ssmde.console import bars, counted
from ssmde.data.scene_files import read_scene_info, write_list
from ssmde.datasets.record import Archive, ArchiveScene
from ssmde.io import read_lines
from ssmde.outputs import (
    check_own,
    check_replaceable,
    hidden_folder,
    mark_of,
    move_into_place,
    record_tree,
    recorded,
    sweep,
)
from ssmde.preparation.archive_scene import write_archive_scene

Split = Literal["train", "val", "test"]
USUAL_QUALITY = 95  # of JPEG
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenScene:
    """What became of one scene of an archive."""

    name: str
    """Empty for what concerns no scene that was read."""
    split: Split | None
    folder: Path | None
    """Scene folder; None if nothing could be used."""
    frames: int = 0
    depths: int = 0
    """Frames with measured depth."""
    skipped: bool = False
    """True if the folder was there, finished, before."""
    problems: tuple[str, ...] = ()
    """What was left out, and why: one line for each file."""


def write_archive(
    archive: Archive,
    out: Path,
    *,
    width: int | None,
    quality: int,
    overwrite: bool,
    show_progress: bool,
    inputs: Sequence[Path] = (),
    options: Mapping[str, str] | None = None,
) -> list[WrittenScene]:
    """Write each scene of an archive as a scene folder, whole or not at all, and list it.

    Scenes that are there and finished stay, so a run that was stopped can be started again. Images
    that need no change are copied. Scenes for testing keep the size of the archive, where
    benchmarks measure. train.txt, val.txt and test.txt get the names of the scenes.

    Args:
        archive: What a reader found.
        out: Data folder; made if needed.
        width: Resize training and validation scenes to this width, in pixels; the shape stays.
        quality: JPEG quality of images that cannot be copied, 1 to 100.
        overwrite: Replace scenes of the same name which this package made.
        show_progress: Draw a progress bar.
        inputs: Files and folders that are read; no folder that is, holds or lies in one goes.
        options: Of the reader, where they are not the usual ones; a scene knows its own.

    Raises:
        FileExistsError: If a folder or a list exists that may not be replaced.
        ValueError: If `width` or `quality` does not fit.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be in [1, 100], got {quality}")
    options = dict(options or {}) | ({} if quality == USUAL_QUALITY else {"quality": str(quality)})
    sized = _sized(archive, width)
    names = {scene.name for scene, _ in sized}
    lists = {f"{split}.txt" for split in SPLITS}
    sweep(out, lambda name: name in names or name in lists)
    jobs = [
        (s, z, _is_there(s, out / s.name, _mark(s, z, options), overwrite, inputs))
        for s, z in sized
    ]
    for scene, _, _ in jobs:
        check_own(_changed_lists(out, scene.split, scene.name), "name the scene in it yourself, "
                  "or choose another folder")  # fmt: skip
    frames = sum(len(scene.frames) for scene, _, there in jobs if not there)
    written: list[WrittenScene] = []
    if archive.problems:
        written.append(WrittenScene(name="", split=None, folder=None, problems=archive.problems))
    with bars(show=show_progress) as progress:
        task = progress.add_task("frames", total=frames)
        for scene, stored, there in jobs:
            progress.update(task, description=scene.name)
            result = (
                _skipped(scene, out)
                if there
                else _write(scene, out, stored, quality, options, lambda: progress.advance(task))
            )
            if result.folder is not None:
                with recorded():
                    _list_scene(out, scene.split, scene.name)
            written.append(result)
    return written


def report(written: Sequence[WrittenScene], *, most: int = 50) -> str:
    """What was written, in words: one line for each split, then one for each problem.

    Args:
        written: What `write_archive` returns.
        most: Problems to name; the others are counted.
    """
    lines: list[str] = []
    for split in SPLITS:
        scenes = [w for w in written if w.split == split and w.folder is not None]
        if not scenes:
            continue
        frames, depths = sum(w.frames for w in scenes), sum(w.depths for w in scenes)
        old = sum(w.skipped for w in scenes)
        before = f" ({old} of them were there)" if old else ""
        lines.append(
            f"{split}: {counted(len(scenes), 'scene')}{before}, {counted(frames, 'frame')}, "
            f"{depths} with depth"
        )
    problems = [problem for scene in written for problem in scene.problems]
    if problems:
        lines += [f"problems: {len(problems)}", *(f"  {line}" for line in problems[:most])]
    if len(problems) > most:
        lines.append(f"  and {len(problems) - most} more; scene.json of each scene names its own")
    return "\n".join(lines)


def _write(
    scene: ArchiveScene,
    out: Path,
    stored: tuple[int, int],
    quality: int,
    options: Mapping[str, str],
    advance: Callable[[], None],
) -> WrittenScene:
    folder, mark = out / scene.name, _mark(scene, stored, options)
    with hidden_folder(folder) as part:
        content = write_archive_scene(
            scene,
            part,
            stored=stored,
            quality=quality,
            about={"prepared": mark},
            advance=advance,
        )
        if content.frames:
            record_tree(part, mark_of(**mark))
            move_into_place(part, folder)
    return WrittenScene(
        name=scene.name,
        split=scene.split,
        folder=folder if content.frames else None,
        frames=content.frames,
        depths=content.depths,
        problems=content.problems,
    )


def _mark(
    scene: ArchiveScene, stored: tuple[int, int], options: Mapping[str, str]
) -> dict[str, Any]:
    """What a scene folder was made of, to know it again."""
    return {
        "source": scene.source,
        "frames": len(scene.frames),
        "first": scene.frames[0].name,
        "last": scene.frames[-1].name,
        "image_size": list(stored),
        **options,
    }


def _is_there(
    scene: ArchiveScene, folder: Path, mark: dict[str, Any], overwrite: bool, inputs: Sequence[Path]
) -> bool:
    """Whether a scene is finished; else its folder is absent or may be replaced."""
    if not os.path.lexists(folder):
        return False
    if read_scene_info(folder / "scene.json").get("prepared") == mark:
        return True
    if not overwrite:
        raise FileExistsError(
            f"{folder} exists and holds something else, or frames of another choice or size: "
            "choose another data folder, or allow it to be overwritten"
        )
    check_replaceable(folder, inputs)
    return False


def _skipped(scene: ArchiveScene, out: Path) -> WrittenScene:
    folder = out / scene.name
    info = read_scene_info(folder / "scene.json")
    return WrittenScene(
        name=scene.name,
        split=scene.split,
        folder=folder,
        frames=info["content"]["frames"],
        depths=info["content"]["depths"],
        skipped=True,
        problems=tuple(info.get("problems", ())),
    )


def _sized(archive: Archive, width: int | None) -> list[tuple[ArchiveScene, tuple[int, int]]]:
    """Every scene and the size (height, width) its images are to be stored at."""
    names: set[str] = set()
    sized: list[tuple[ArchiveScene, tuple[int, int]]] = []
    for scene in archive.scenes:
        if scene.name in names:
            raise ValueError(f"two scenes of the archive are named '{scene.name}'")
        names.add(scene.name)
        height, now = scene.image_size
        if width is None or scene.split == "test":
            sized.append((scene, scene.image_size))
        elif 1 <= width <= now:
            sized.append((scene, (max(1, round(height * width / now)), width)))
        else:
            raise ValueError(
                f"width must be in [1, {now}], that of the images of '{scene.name}', got {width}"
            )
    return sized


def _list_scene(out: Path, split: Split, name: str) -> None:
    """Name the scene in the list of its split, and in no other."""
    for path in _changed_lists(out, split, name):
        names = _listed(path)
        names = [n for n in names if n != name] if name in names else [*names, name]
        if names:
            write_list(out, path.stem, names)  # type: ignore[arg-type]
        else:
            path.unlink()  # an empty list is no list


def _changed_lists(out: Path, split: Split, name: str) -> list[Path]:
    """Lists that have to change so that the scene stands in that of its split alone."""
    paths = [out / f"{each}.txt" for each in SPLITS]
    return [path for path in paths if (name in _listed(path)) != (path.stem == split)]


def _listed(path: Path) -> list[str]:
    return [line for _, line in read_lines(path)] if path.is_file() else []
