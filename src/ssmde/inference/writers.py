"""Everything a depth map can be written as: one table, which the command line and the page read.

Point clouds and normals are those of the camera turned half about its x axis, as viewers expect:
x right, y up, z towards the viewer. The camera stands at the origin.
"""

import math
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64, UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssmde.data.images import write_image
from ssmde.geometry.camera import normals
from ssmde.inference.pictures import bands, color_bar, color_ends, colorize, side_by_side
from ssmde.inference.predictor import ModelInfo, PredictedFrame
from ssmde.io import whole_file, write_json

LARGEST_PNG16 = 65535
DEPTH_FILE = "depth.json"
CODECS = {"libx264": {"crf": "20"}, "mpeg4": {"qscale": "3"}}
"""With their quality; the first one that this PyAV was built with is taken."""
TICKS = 90_000  # a second; all usual frame rates fit
JUMP = 1.1  # a triangle whose farthest corner is so many times as far spans two things
VIEWER_AXES = np.array((1, -1, -1), np.float32)  # from x right, y down, z forward


@dataclass(frozen=True, kw_only=True, slots=True)
class WriterOptions:
    """How clouds are to be written."""

    mesh: bool = False  # triangles between neighboring pixels in place of points
    max_points: int = 1_000_000  # of an image with more pixels, every so many-th is taken


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """Points in the axes of viewers, and perhaps triangles between them."""

    points: Float32[np.ndarray, "n 3"]
    colors: UInt8[np.ndarray, "n 3"]
    faces: Int32[np.ndarray, "m 3"] | None = None  # counter-clockwise for the camera


def _png16_unit(info: ModelInfo) -> tuple[str, float]:
    """Key and value of what depth 1 is in a 16-bit PNG: whole where possible, never too large."""
    far = info.depth_range[1]
    units = float(LARGEST_PNG16 // far) if far <= LARGEST_PNG16 else LARGEST_PNG16 / far
    return f"png16_units_per_{'metre' if info.metric else 'scene_unit'}", units


def _write_png16(path: Path, frame: PredictedFrame, options: WriterOptions) -> None:
    """16 bits a pixel, at least 1; the file itself says what a unit is, in a text of its head."""
    key, units = _png16_unit(frame.info)
    values = np.empty(frame.depth.shape, np.uint16)
    for band in bands(values.shape):
        depth = frame.depth[band].astype(np.float64)
        values[band] = (depth * units).round().clip(1, LARGEST_PNG16)  # 0 would mean no value
    text = PngInfo()
    text.add_text(key, repr(units))
    with whole_file(path) as part:
        Image.fromarray(values).save(part, "PNG", pnginfo=text)


def explain_png16(folder: Path, info: ModelInfo) -> None:
    """Write depth.json beside 16-bit PNGs: what their numbers mean."""
    (near, far), (key, units) = info.depth_range, _png16_unit(info)
    unit, scale = "scene units", "one factor to metres is unknown: `ssmde scale` finds it"
    if info.metric:
        unit, scale = "metres", "found by `ssmde scale`, and stored with the weights"
    write_json(folder / DEPTH_FILE, {
        key: units, "meaning": f"depth along z in {unit} = value / {key}", "metric": info.metric,
        "metres_per_scene_unit": info.metres_per_unit, "scale": scale, "smallest_depth": near,
        "largest_depth": far, "weights": info.source, "network_size": list(info.network_size),
    })  # fmt: skip


def _write_npz(path: Path, frame: PredictedFrame, options: WriterOptions) -> None:
    camera: dict[str, Any] = {} if frame.intrinsics is None else {"intrinsics": frame.intrinsics}
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, depth=frame.depth, **camera)


def _write_color(path: Path, frame: PredictedFrame, options: WriterOptions) -> None:
    near, far = frame.ends or color_ends(frame.depth)
    colors = colorize(frame.depth, near=near, far=far)
    bar = color_bar(colors.shape[0], near=near, far=far, unit=frame.info.unit)
    write_image(path, side_by_side([colors, bar]))


def normal_colors(frame: PredictedFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Normals as colors 127.5 (n + 1): red to the right, green up, blue towards the camera.

    The axes of normal maps in graphics programs: a wall ahead is (128, 128, 255), a floor greenish.
    Gray is no normal.
    """
    colors = np.empty((*frame.depth.shape, 3), np.uint8)
    for band in bands(frame.depth.shape):
        # A row more on either side, which the derivatives of the rows at the border look at.
        above, below = band.start > 0, band.stop < len(colors)
        rows = slice(band.start - above, band.stop + below)
        depth = torch.from_numpy(np.require(frame.depth[rows], np.float64, "W"))[None, None]
        camera = torch.from_numpy(_camera_of(frame))[None]
        camera[:, 1, 2] -= rows.start
        found: Float[np.ndarray, "h w 3"] = normals(depth, camera)[0].permute(1, 2, 0).numpy()
        # Ours point away from the camera, in x right, y down, z forward: reverse them, then turn.
        facing = found[above : len(found) - below] * (-1, 1, 1)
        colors[band] = (127.5 * (facing + 1)).round().clip(0, 255).astype(np.uint8)
    return colors


def _camera_of(frame: PredictedFrame) -> Float64[np.ndarray, "3 3"]:
    if frame.intrinsics is None:
        raise ValueError("normals and clouds need intrinsics: give fx fy cx cy or a field of view")
    return frame.intrinsics.astype(np.float64)


def _write_cloud(path: Path, frame: PredictedFrame, options: WriterOptions) -> None:
    """PLY, or GLB (glTF 2.0), whose vertex colors are linear light by its definition.

    Nothing lights the surface of a GLB: the light is in the picture.
    """
    import trimesh  # slow to import, and few ask for it

    cloud, kind = point_cloud(frame, options), path.suffix.removeprefix(".")
    colors = linear_light(cloud.colors) if kind == "glb" else cloud.colors
    if cloud.faces is None:
        scene = trimesh.PointCloud(cloud.points, colors=colors)
    else:
        scene = trimesh.Trimesh(
            cloud.points, cloud.faces, vertex_colors=colors, process=False, validate=False
        )
    unlit: Any = {"tree_postprocessor": _take_light_away} if kind == "glb" else {}
    content: Any = scene.export(file_type=kind, **unlit)
    with whole_file(path) as part:
        part.write_bytes(content)


def _take_light_away(tree: dict[str, Any]) -> None:
    """Let viewers of a glTF file show the vertex colors as they are, from both sides."""
    unlit = "KHR_materials_unlit"
    tree["extensionsUsed"] = [unlit]
    tree["materials"] = [{"extensions": {unlit: {}}, "doubleSided": True}]
    for mesh in tree["meshes"]:
        mesh["primitives"][0]["material"] = 0


def point_cloud(frame: PredictedFrame, options: WriterOptions) -> Cloud:
    """The pixels of a frame as points in the axes of viewers, in the unit of the depth.

    Pixels without depth are left out; of a large image every so many-th row and column is taken.
    """
    height, width = frame.depth.shape
    # Every step-th row and column leaves a share of 1 / step^2 of the pixels.
    step = math.ceil(math.sqrt(max(1.0, height * width / options.max_points)))
    rows, columns = (np.arange(n)[(step - 1) // 2 :: step] for n in (height, width))
    picked = np.ix_(rows, columns)
    depth = frame.depth[picked]
    kept = np.isfinite(depth) & (depth > 0)
    (fx, _, cx), (_, fy, cy) = _camera_of(frame)[:2]
    u, v = np.meshgrid(columns, rows)
    points = np.stack([(u - cx) / fx * depth, (v - cy) / fy * depth, depth], axis=-1)[kept]
    return Cloud(
        points=points.astype(np.float32) * VIEWER_AXES,
        colors=np.ascontiguousarray(frame.pixels[picked][kept]),
        faces=_triangles(depth, kept) if options.mesh else None,
    )


def _triangles(
    depth: Float[np.ndarray, "h w"], kept: Bool[np.ndarray, "h w"]
) -> Int32[np.ndarray, "m 3"]:
    """Two triangles for each four neighboring pixels that are kept, none across a jump of depth."""
    number: Int64[np.ndarray, "h w"] = np.cumsum(kept).reshape(kept.shape) - 1
    before, after = slice(None, -1), slice(1, None)
    upper_left, lower_left = (before, before), (after, before)
    upper_right, lower_right = (before, after), (after, after)
    found: list[np.ndarray] = []
    # Counter-clockwise for who stands at the camera.
    for trio in ((upper_left, lower_left, lower_right), (upper_left, lower_right, upper_right)):
        z = np.stack([depth[corner] for corner in trio])
        whole = np.logical_and.reduce([kept[corner] for corner in trio])
        whole &= z.max(0) <= JUMP * z.min(0)
        found.append(np.stack([number[corner][whole] for corner in trio], axis=1))
    return np.concatenate(found).astype(np.int32)


def linear_light(colors: UInt8[np.ndarray, "n 3"]) -> UInt8[np.ndarray, "n 3"]:
    """Bytes of sRGB as bytes of linear light (IEC 61966-2-1)."""
    share = np.arange(256) / 255
    table = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return (255 * table).round().astype(np.uint8)[colors]


class Format(NamedTuple):
    """One row of `FORMATS`."""

    suffix: str  # what follows the name of the image or video
    # Writes a frame into a folder that exists; None: one file holds all frames.
    write: Callable[[Path, PredictedFrame, WriterOptions], None] | None
    needs_camera: bool = False


VIDEO = "video"
FORMATS = {
    "png16": Format("_depth.png", _write_png16),
    "npz": Format("_depth.npz", _write_npz),
    "color": Format("_color.png", _write_color),
    "normals": Format(
        "_normals.png", lambda path, frame, _: write_image(path, normal_colors(frame)), True
    ),
    "ply": Format("_cloud.ply", _write_cloud, needs_camera=True),
    "glb": Format("_cloud.glb", _write_cloud, needs_camera=True),
    VIDEO: Format("_depth.mp4", None),
}
"""Formats by the name the command line gives them."""
# What may follow the name of an image or a video, in bytes.
LONGEST_SUFFIX = len("_000000") + max(len(kind.suffix) for kind in FORMATS.values())


def write_frame(
    folder: Path, name: str, frame: PredictedFrame, formats: Iterable[str],
    options: WriterOptions | None = None,
) -> list[Path]:  # fmt: skip
    """Write one frame in those of the formats that are a file a frame; the files, in order.

    The name is that of the image without ending; it may lead into folders, which are made.
    """
    files = frame_files(folder, name, formats)
    for path, write in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, frame, options or WriterOptions())
    return [*files]


def frame_files(
    folder: Path, name: str, formats: Iterable[str]
) -> dict[Path, Callable[[Path, PredictedFrame, WriterOptions], None]]:
    """The files that `write_frame` writes, and what writes each."""
    kinds = [FORMATS[key] for key in formats]
    return {Path(f"{folder / name}{k.suffix}"): k.write for k in kinds if k.write is not None}


def picture_of(frame: PredictedFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Frame and depth in color, side by side; gray where there is no depth."""
    near, far = frame.ends or color_ends(frame.depth)
    return side_by_side([frame.pixels, colorize(frame.depth, near=near, far=far)])


@contextmanager
def write_film(
    path: Path, fps: float, *,
    picture: Callable[[PredictedFrame], UInt8[np.ndarray, "_ _ 3"]] = picture_of,
) -> Generator[Callable[[PredictedFrame], None]]:  # fmt: skip
    """Function that appends a frame to an MP4 file, at its time; `picture` is what is shown of it.

    The file is there when the block ends well. The last frame is shown for 1 / fps seconds.
    """
    codec = next(name for name in CODECS if name in av.codecs_available)
    with whole_file(path) as part, av.open(str(part), "w", format="mp4") as film:
        stream: Any = film.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.options = CODECS[codec]
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS)
        last, start, count = -1, None, 0

        def append(frame: PredictedFrame) -> None:
            nonlocal last, start, count
            pixels = picture(frame)
            height, width = pixels.shape[:2]
            # yuv420p has a color for each 2 x 2 pixels.
            even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if start is None:
                stream.height, stream.width = even.shape[:2]
                start = frame.time or 0.0
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            time = count / fps if frame.time is None else frame.time - start
            shown.pts = last = max(round(time * TICKS), last + 1)  # times must rise
            shown.time_base = Fraction(1, TICKS)
            shown.duration = round(TICKS / fps)
            count += 1
            film.mux(stream.encode(shown))

        yield append
        if start is not None:
            film.mux(stream.encode(None))
