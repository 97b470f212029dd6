"""`ssmde predict`: depth of an image, a folder, a glob or a video, written to files.

Lean on purpose: neither the training engine nor a plotting window is imported, so that a first
prediction is quick.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from rich.console import Console
from rich.progress import track

from ssmde.data.images import ImageError, read_image, whole_file, write_png16
from ssmde.data.video import VIDEO_SUFFIXES, VideoError, read_frames, video_info, write_video
from ssmde.pictures import colourise, depth_range, side_by_side, write_png
from ssmde.prediction.images import ImageLike
from ssmde.prediction.predictor import Prediction, Predictor, load

__all__ = [
    "FORMATS", "ImageLike", "Prediction", "Predictor", "Summary", "load", "predict_files",
]  # fmt: skip

Item = TypeVar("Item")
FORMATS = ("png16", "npz", "color", "video")
FOR_IMAGES = ("png16", "color")
FOR_VIDEOS = ("video",)
READABLE = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
LARGEST_PNG16 = 65535
COLOUR_MEMORY = 0.9
"""Share of the former frame in the ends of a video's colours, so that they do not flicker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What became of an input."""

    written: tuple[Path, ...]
    """Files with depth, in the order of the input."""
    skipped: tuple[str, ...]
    """Files that could not be read, or not to their end, with the reason."""


def predict_files(
    weights: str | Path | Predictor,
    source: str | Path,
    out: str | Path,
    *,
    formats: Sequence[str] | None = None,
    resolution: tuple[int, int] | None = None,
) -> Summary:
    """Write the depth of every image or video frame of `source`, at its own size.

    - `png16`: `NAME_depth.png`, 16 bits; `depth.json` beside it says what a unit is.
    - `npz`: `NAME_depth.npz`, key `depth`, float32, in metres if the weights know their scale.
    - `color`: `NAME_color.png`, near bright and far dark.
    - `video`: `NAME_depth.mp4`, frame and colours side by side; for a video only.

    Args:
        weights: Weights file, run folder, or a loaded predictor.
        source: An image, a folder of images, a glob such as `clips/**/*.jpg`, or a video.
        out: Folder to write to; made if absent.
        formats: Some of `FORMATS`; by default png16 and color for images, video for a video.
        resolution: Size (height, width) the network sees, if not its training size.

    Raises:
        FileNotFoundError: If there is nothing at `source`.
        ValueError: If `source` holds nothing that can be read, or a format does not fit it.
    """
    source, out = Path(source), Path(out)
    if source.is_dir() and source.resolve() == out.resolve():
        raise ValueError(f"{out} is the input folder: choose another folder for the output")
    is_video = source.suffix.lower() in VIDEO_SUFFIXES and source.is_file()
    chosen = tuple(formats) if formats else FOR_VIDEOS if is_video else FOR_IMAGES
    _check_formats(chosen, source, is_video=is_video)
    images = {} if is_video else _name_images(source)
    predictor = _as_predictor(weights, resolution)
    out.mkdir(parents=True, exist_ok=True)
    writer = _MapWriter(out, chosen, predictor)
    summary = _predict_video(writer, source) if is_video else _predict_images(writer, images)
    if not summary.written:
        raise ValueError("nothing could be read: " + "; ".join(summary.skipped[:5]))
    return summary


class _MapWriter:
    """Writes the depth of one image in each of the formats that are one file an image."""

    def __init__(self, out: Path, formats: Sequence[str], predictor: Predictor) -> None:
        self.out, self.formats, self.predictor = out, formats, predictor
        far = predictor.depth_range[1]
        # A whole number where possible, and never more than 16 bits can hold.
        self.units = float(LARGEST_PNG16 // far) if far <= LARGEST_PNG16 else LARGEST_PNG16 / far
        if "png16" in formats:
            self._explain()

    def write(self, name: str, depth: Float[np.ndarray, "h w"]) -> list[Path]:
        """Write one depth map under `name`, which may lead into folders."""
        target = self.out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        written: list[Path] = []
        if "png16" in self.formats:
            path = target.with_name(f"{target.name}_depth.png")
            units = (depth.astype(np.float64) * self.units).round().clip(1, LARGEST_PNG16)
            write_png16(path, units.astype(np.uint16))
            written.append(path)
        if "npz" in self.formats:
            path = target.with_name(f"{target.name}_depth.npz")
            with whole_file(path) as part, part.open("wb") as file:
                np.savez_compressed(file, depth=depth)
            written.append(path)
        if "color" in self.formats:
            path = target.with_name(f"{target.name}_color.png")
            write_png(path, colourise(depth))
            written.append(path)
        return written

    def _explain(self) -> None:
        """Say beside the PNGs what their numbers mean."""
        near, far = self.predictor.depth_range
        metres = self.predictor.metres_per_unit
        unit = "scene_unit" if metres is None else "metre"
        facts = {
            f"png16_units_per_{unit}": self.units,
            "meaning": f"depth along z in {unit}s = value / png16_units_per_{unit}",
            "metric": metres is not None,
            "metres_per_scene_unit": metres,
            "scale": "one factor to metres is unknown: `ssmde scale` finds it"
            if metres is None
            else "found by `ssmde scale`, and stored with the weights",
            "smallest_depth": near,
            "largest_depth": far,
            "weights": self.predictor.source,
            "network_size": list(self.predictor.image_size),
        }
        with whole_file(self.out / "depth.json") as part:
            part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _predict_images(writer: _MapWriter, images: dict[str, Path]) -> Summary:
    written: list[Path] = []
    skipped: list[str] = []
    for name, path in _with_progress(images.items(), len(images)):
        try:
            pixels = read_image(path)
        except ImageError as error:
            skipped.append(str(error))
            continue
        written += writer.write(name, writer.predictor.predict(pixels).depth)
    return Summary(written=tuple(written), skipped=tuple(skipped))


def _predict_video(writer: _MapWriter, path: Path) -> Summary:
    """Read, predict and write frame by frame; a video that breaks off keeps its good frames."""
    info = video_info(path)
    written: list[Path] = []
    skipped: list[str] = []
    frames = _until_broken(read_frames(path), skipped)
    pairs = (
        (pixels, writer.predictor.predict(pixels).depth)
        for pixels in _with_progress(frames, info.frames or None)
    )
    if "video" not in writer.formats:
        for i, (_, depth) in enumerate(pairs):
            written += writer.write(f"{path.stem}_{i:06d}", depth)
        return Summary(written=tuple(written), skipped=tuple(skipped))
    film = writer.out / f"{path.stem}_depth.mp4"
    ends, count = (0.0, 0.0), 0
    with write_video(film, info.fps) as append:
        for pixels, depth in pairs:
            ends = _follow(ends, depth) if count else depth_range(depth) or (1.0, 2.0)
            append(side_by_side([pixels, colourise(depth, near=ends[0], far=ends[1])]))
            written += writer.write(f"{path.stem}_{count:06d}", depth)
            count += 1
    return Summary(written=(film, *written), skipped=tuple(skipped))


def _follow(ends: tuple[float, float], depth: Float[np.ndarray, "h w"]) -> tuple[float, float]:
    """Ends of the colours, moved a little towards those of the present frame."""
    now = depth_range(depth) or ends
    near, far = (
        COLOUR_MEMORY * before + (1 - COLOUR_MEMORY) * after
        for before, after in zip(ends, now, strict=True)
    )
    return near, far


def _until_broken(
    frames: Iterator[UInt8[np.ndarray, "h w 3"]], skipped: list[str]
) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The good frames; the reason why there are no more goes to `skipped`."""
    count = 0
    try:
        for frame in frames:
            yield frame
            count += 1
    except VideoError as error:
        if count == 0:
            raise
        skipped.append(str(error))


def _name_images(source: Path) -> dict[str, Path]:
    """The images of a file, a folder or a glob, each with the name of its output."""
    if source.is_dir():
        folder, found = source, [p for p in source.iterdir() if p.suffix.lower() in READABLE]
    elif source.is_file():
        folder, found = source.parent, [source]
    else:
        folder, found = _glob(source)
    found = sorted(path for path in found if not path.name.startswith("."))
    if not found:
        raise ValueError(f"{source}: holds no image ({', '.join(READABLE)})")
    plain = Counter(path.with_suffix("") for path in found)
    names = [path.with_suffix("") if plain[path.with_suffix("")] == 1 else path for path in found]
    return {str(n.relative_to(folder)): p for n, p in zip(names, found, strict=True)}


def _glob(pattern: Path) -> tuple[Path, list[Path]]:
    """The folder before the first wild card, and the images the pattern matches."""
    wild = [i for i, part in enumerate(pattern.parts) if any(c in part for c in "*?[")]
    if not wild:
        raise FileNotFoundError(f"{pattern}: no such file or folder, and not a glob")
    folder = Path(*pattern.parts[: wild[0]])
    matches = folder.glob(str(Path(*pattern.parts[wild[0] :])))
    return folder, [path for path in matches if path.suffix.lower() in READABLE]


def _check_formats(formats: Sequence[str], source: Path, *, is_video: bool) -> None:
    if unknown := [name for name in formats if name not in FORMATS]:
        raise ValueError(f"unknown format {unknown[0]!r}: choose from {', '.join(FORMATS)}")
    if "video" in formats and not is_video:
        raise ValueError(
            f"format 'video' needs a video file ({', '.join(VIDEO_SUFFIXES)}), got {source}: "
            "choose color, or make a video of the images first"
        )


def _as_predictor(weights: str | Path | Predictor, resolution: tuple[int, int] | None) -> Predictor:
    if not isinstance(weights, Predictor):
        return load(weights, resolution=resolution)
    return weights if resolution is None else weights.at(resolution)


def _with_progress(items: Iterable[Item], total: int | None) -> Iterable[Item]:
    console = Console(stderr=True)
    return track(items, "predicting", total=total, console=console, transient=True)
