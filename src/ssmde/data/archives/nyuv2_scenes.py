"""Scenes of NYU Depth V2 from its three forms: labelled images, recordings, and packs."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from ssmde.data.archives.nyuv2_labelled import read_labelled_depth, read_labelled_image
from ssmde.data.archives.nyuv2_raw import (
    COLOUR_CAMERA,
    IMAGE_SIZE,
    read_colour,
    read_registered_depth,
)
from ssmde.data.archives.record import ArchiveError, ArchiveFrame, ArchiveScene
from ssmde.data.archives.scene_lists import Part
from ssmde.data.archives.time_match import clock_problem, frame_rate, match_times, time_name
from ssmde.data.images import ImageError, read_depth, read_size

LICENCE = "research use, cite; the site states no licence"
PAPER = "NYU Depth V2 (Silberman et al., ECCV 2012)"
UNITS_PER_METRE = 5000  # the sensor sees up to 10 m
PACK_UNITS_PER_METRE = 1000
PACKED = re.compile(r"rgb_(\d+)\.(?:jpg|jpeg|png)", re.ASCII)
RECORDED = re.compile(r"([rd])-(\d+\.\d+)-\d+\.(?:ppm|pgm)", re.ASCII)


def is_frame(name: str) -> bool:
    """True for the colour image of a recording or of a pack."""
    return bool(PACKED.fullmatch(name) or (name[:1] == "r" and RECORDED.fullmatch(name)))


def labelled_scene(path: Path, part: Part, count: int) -> ArchiveScene:
    """The images of the labelled set that a list names.

    Args:
        path: The .mat file.
        part: Its rows are numbers from 1.
        count: Number of images in the file.

    Raises:
        ArchiveError: If none of them is there.
    """
    numbers = sorted({int(row[0]) for row in part.rows})
    return ArchiveScene(
        name=part.name,
        split=part.split,
        frames=tuple(
            ArchiveFrame(
                name=f"{n:04d}",
                image=partial(read_labelled_image, path, n - 1),
                depth=partial(read_labelled_depth, path, n - 1),
            )
            for n in numbers
            if 1 <= n <= count
        ),
        image_size=IMAGE_SIZE,
        intrinsics=COLOUR_CAMERA,
        source=f"{PAPER}, labelled set, filled depth; single images, no video",
        licence=LICENCE,
        depth_units_per_metre=UNITS_PER_METRE,
        problems=tuple(
            f"{path}: {part.asked_by} names image {n}, but there are {count}"
            for n in numbers
            if not 1 <= n <= count
        ),
    )


def folder_scene(folder: Path, part: Part) -> ArchiveScene:
    """The frames of a pack or a recording.

    Args:
        folder: Holds rgb_*.jpg and sync_depth_*.png, or r-*.ppm and d-*.pgm.
        part: Its rows are names of images; none for all.

    Raises:
        ArchiveError: If there is no frame, or the images are not 640 x 480.
        ImageError: If no image can be opened.
    """
    files = sorted(f.name for f in folder.iterdir())
    if any(PACKED.fullmatch(name) for name in files):
        return _packed_scene(folder, files, part)
    return _recorded_scene(folder, files, part)


def _packed_scene(folder: Path, files: list[str], part: Part) -> ArchiveScene:
    images = {name: m[1] for name in files if (m := PACKED.fullmatch(name))}
    images = dict(sorted(images.items(), key=lambda item: int(item[1])))
    problems: list[str] = []
    if part.rows:
        asked = {row[0] for row in part.rows}
        problems += [
            f"{folder / n}: no such file, but {part.asked_by} names it"
            for n in sorted(asked - images.keys())
        ]
        images = {name: number for name, number in images.items() if name in asked}
    frames: list[ArchiveFrame] = []
    for name, number in images.items():
        depth = folder / f"sync_depth_{number}.png"
        if depth.name not in files:
            problems.append(f"{depth}: no such file; a frame has no depth")
        read = partial(_read_packed_depth, depth) if depth.name in files else None
        frames.append(ArchiveFrame(name=number, image=folder / name, depth=read))
    if not frames:
        raise ArchiveError("\n".join([*problems, f"{folder}: no frame can be used"]))
    return ArchiveScene(
        name=part.name,
        split=part.split,
        frames=tuple(frames),
        image_size=_checked_size([folder / name for name in images]),
        intrinsics=COLOUR_CAMERA,
        source=f"{PAPER}, {folder.resolve().name}, pack made with the toolbox",
        licence=LICENCE,
        depth_units_per_metre=PACK_UNITS_PER_METRE,
        problems=tuple(problems),
    )


def _recorded_scene(folder: Path, files: list[str], part: Part) -> ArchiveScene:
    if part.rows:
        raise ArchiveError(
            f"{folder}: a raw recording, but {part.asked_by} names {part.rows[0][0]} of it; "
            "name the scene alone"
        )
    problems: list[str] = []
    times, images = _recorded(folder, files, "r", problems)
    depth_times, depths = _recorded(folder, files, "d", problems)
    if not images:
        raise ArchiveError("\n".join([*problems, f"{folder}: no frame can be used"]))
    pairs = match_times(times, depth_times)
    said = clock_problem("the images", times, f"{folder}, depth", depth_times, len(pairs))
    problems += [said] if said else []
    frames = [
        ArchiveFrame(
            name=time_name(time),
            image=partial(read_colour, image),
            depth=partial(read_registered_depth, depths[pairs[i]]) if i in pairs else None,
        )
        for i, (time, image) in enumerate(zip(times.tolist(), images, strict=True))
    ]
    return ArchiveScene(
        name=part.name,
        split=part.split,
        frames=tuple(frames),
        image_size=_checked_size(images),
        intrinsics=COLOUR_CAMERA,
        source=f"{PAPER}, {folder.resolve().name}, raw; rectified and registered",
        licence=LICENCE,
        depth_units_per_metre=UNITS_PER_METRE,
        fps=frame_rate(times),
        timestamps=times,
        problems=tuple(problems),
    )


def _recorded(
    folder: Path, files: list[str], letter: str, problems: list[str]
) -> tuple[Float[np.ndarray, " n"], list[Path]]:
    """Times and files of one camera, in time order; empty files and second ones are told."""
    found: dict[str, tuple[float, Path]] = {}
    for name in files:
        match = RECORDED.fullmatch(name)
        if match is None or match[1] != letter:
            continue
        path, time = folder / name, float(match[2])
        if path.stat().st_size == 0:
            problems.append(f"{path}: the file is empty; left out")
        elif time_name(time) in found:
            problems.append(f"{path}: a second file of the same time; left out")
        else:
            found[time_name(time)] = (time, path)
    ordered = sorted(found.values())
    return np.array([time for time, _ in ordered], np.float64), [path for _, path in ordered]


def _read_packed_depth(path: Path) -> Float32[np.ndarray, "h w"]:
    depth = read_depth(path, PACK_UNITS_PER_METRE)
    if depth.shape != IMAGE_SIZE:
        raise ArchiveError(
            f"{path}: {depth.shape[1]} x {depth.shape[0]} pixels, expected 640 x 480"
        )
    return depth


def _checked_size(images: Sequence[Path]) -> tuple[int, int]:
    """Size of the first image that can be opened, which must be that of the camera."""
    fault: ImageError | None = None
    for path in images:
        try:
            size = read_size(path)
        except ImageError as error:
            fault = fault or error
            continue
        if size != IMAGE_SIZE:
            raise ArchiveError(
                f"{path}: {size[1]} x {size[0]} pixels, but the camera is published for 640 x 480; "
                "give the images as the archive has them"
            )
        return size
    raise fault or ArchiveError("no image to open")
