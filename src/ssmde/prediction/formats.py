"""Everything a depth map can be written as: one table, which the command line and the page read."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ssmde.io import fit_name
from ssmde.prediction.clouds import write_shot_glb, write_shot_ply
from ssmde.prediction.film import write_film
from ssmde.prediction.maps import (
    explain_depth_png,
    write_colours,
    write_depth_npz,
    write_depth_png,
)
from ssmde.prediction.rasters import write_depth_exr, write_normals
from ssmde.prediction.recording import write_recording
from ssmde.prediction.shot import Facts, Shot, Style


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameFormat:
    """One file for each image or frame."""

    suffix: str
    """What follows the name of the image."""
    holds: str
    """What is in the file, for tables."""
    write: Callable[[Path, Shot, Style], None]
    """Writes a file whole or not at all; its folder exists."""
    explain: Callable[[Path, Facts], None] | None = None
    """Writes beside all files of a folder what they have in common."""
    needs_camera: bool = False
    """True if a shot must have intrinsics."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmFormat:
    """One file for all frames."""

    suffix: str
    """What follows the name of the video."""
    holds: str
    """What is in the file, for tables."""
    open: Callable[[Path, float, Path | None], AbstractContextManager[Callable[[Shot], None]]]
    """Opens a file, for so many frames a second and with the sound of a video, and gives the
    function that appends a shot."""
    for_images: bool = False
    """True if the frames may be images of several sizes."""
    needs_camera: bool = False
    """True if a shot must have intrinsics."""


FORMATS: dict[str, FrameFormat | FilmFormat] = {
    "png16": FrameFormat(
        suffix="_depth.png",
        holds="depth in 16 bits, with its unit in the file and in depth.json",
        write=write_depth_png,
        explain=explain_depth_png,
    ),
    "npz": FrameFormat(
        suffix="_depth.npz",
        holds="depth, float32, in scene units or metres; confidence and intrinsics where known",
        write=write_depth_npz,
    ),
    "exr": FrameFormat(
        suffix="_depth.exr",
        holds="channel Z: depth, float32, in scene units or metres",
        write=write_depth_exr,
    ),
    "color": FrameFormat(
        suffix="_color.png",
        holds="colours, near bright and far dark, with a bar that reads them",
        write=write_colours,
    ),
    "normals": FrameFormat(
        suffix="_normals.png",
        holds="surface normals: red right, green up, blue towards the camera",
        write=write_normals,
        needs_camera=True,
    ),
    "ply": FrameFormat(
        suffix="_cloud.ply",
        holds="points or triangles with colours; x right, y up, z towards the viewer",
        write=write_shot_ply,
        needs_camera=True,
    ),
    "glb": FrameFormat(
        suffix="_cloud.glb",
        holds="the same, for browsers and Blender",
        write=write_shot_glb,
        needs_camera=True,
    ),
    "video": FilmFormat(
        suffix="_depth.mp4",
        holds="frame and depth in colour, side by side, with the sound; for a video",
        open=write_film,
    ),
    "rerun": FilmFormat(
        suffix=".rrd",
        holds="frames, depth and camera over time for the rerun viewer; needs ssmde[rerun]",
        open=write_recording,
        for_images=True,
        needs_camera=True,
    ),
}
"""Formats by the name the command line gives them."""


def write_frame(
    folder: Path, name: str, shot: Shot, formats: Iterable[str], style: Style | None = None
) -> list[Path]:
    """Write one shot in those of the formats that are a file a frame; the files, in order.

    Args:
        folder: Where to.
        name: Name of the image without ending; may lead into folders, which are made.
        shot: The image and its depth.
        formats: Keys of `FORMATS`; formats for films are passed over.
        style: Choices within a format.
    """
    written: list[Path] = []
    for path, kind in frame_files(folder, name, formats):
        path.parent.mkdir(parents=True, exist_ok=True)
        kind.write(path, shot, style or Style())
        written.append(path)
    return written


def films(formats: Iterable[str]) -> dict[str, FilmFormat]:
    """Those of the formats that are one file for all frames."""
    return {key: kind for key in formats if isinstance(kind := FORMATS[key], FilmFormat)}


def frame_files(folder: Path, name: str, formats: Iterable[str]) -> list[tuple[Path, FrameFormat]]:
    """The files `write_frame` would write, with their formats."""
    kinds = [kind for key in formats if isinstance(kind := FORMATS[key], FrameFormat)]
    target = folder / name
    return [(target.with_name(fit_name(target.name, kind.suffix)), kind) for kind in kinds]


def explain_formats(folder: Path, facts: Facts, formats: Iterable[str]) -> None:
    """Write beside the files of a folder what those of each format have in common."""
    for key in formats:
        kind = FORMATS[key]
        if isinstance(kind, FrameFormat) and kind.explain is not None:
            kind.explain(folder, facts)


def check_formats(formats: Iterable[str]) -> None:
    """Refuse a name that is none of `FORMATS`."""
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"unknown format {name!r}: choose from {', '.join(FORMATS)}")
