"""Drawn videos of furnished rooms whose depth, poses and motion are known by formula.

    clip = draw_clip("room", movers="across", seed=3)
    write_clip(clip, Path("data/room_3"))

The same arguments give the same bytes. Conventions are the package's: camera x right, y down,
z forward, integers are pixel centres, depth is z in metres.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray
from numpy.random import Generator
from PIL import Image

from ssmde.console import did_you_mean
from ssmde.data.sequence import from_hfov
from ssmde.synthetic.places import room
from ssmde.synthetic.raycast import render
from ssmde.synthetic.scene import Points, Poses, Scene, Times, turned

HARMONICS = np.array([[1.0, 1.0], [1.7, 0.45], [2.9, 0.2]])  # frequency, strength of added waves
LONG = 400.0  # radians over which the mean speed of the waves is measured
MOVERS = ("none", "across", "followed", "mixed")
FPS = 10.0  # frames a second
HFOV = 65.0  # degrees
EYE_HEIGHT = 1.45  # metres above the floor
ROOM_REACH = (0.7, 0.08, 0.5)  # metres the camera strays in a room
UNITS = (1000, 256)  # steps a metre of a stored depth, finest first; 16 bits must hold the depth


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DrawnClip:
    """A drawn video and its truth; n frames."""

    source: str  # what was drawn, in words
    fps: float  # frames a second
    images: UInt8[ndarray, "n h w 3"]  # RGB
    depth: Float32[ndarray, "n h w"]  # metres along z, exact; 0 for the sky
    poses: Float64[ndarray, "n 4 4"]  # camera-to-world, `T_world_cam`; metres
    intrinsics: Float64[ndarray, "3 3"]  # pinhole matrix, in pixels of the images
    motion_mask: UInt8[ndarray, "n h w"]  # 255 where the surface moves by itself, else 0


class Place(NamedTuple):
    """A kind of place, and how a camera moves there."""

    step: float  # metres the camera moves from frame to frame, usually
    rotation: float  # degrees it turns
    swing: tuple[float, float, float]  # largest heading, pitch and roll, in degrees
    path: Callable[[Generator, int, float], Points]  # of the camera: frames, step
    scene: Callable[[Generator, Generator, str, Times, Poses], Scene]
    """From generators of the scenery and of the movers, the sort of movers, times and poses."""


def draw_clip(
    kind: str, *, frames: int = 30, size: tuple[int, int] = (128, 160), seed: int = 0,
    movers: str = "none", step: float | None = None, rotation: float | None = None,
) -> DrawnClip:  # fmt: skip
    """A video with exact depth, poses and motion masks; 65 degrees wide, 10 frames a second.

    Args:
        kind: `room`: furniture, a hand-held camera. `PLACES` takes others.
        frames: Number of frames.
        size: Height and width, in pixels.
        seed: Start of every random choice: same seed, same bytes. Scenery, camera and movers
            draw separately, so the same seed with other movers shows the same place.
        movers: Who moves by itself: `none`; `across` the view; `followed`, ahead of the camera and
            as fast as it is; `mixed`.
        step: Metres the camera moves from frame to frame, in the mean; None takes the usual of the
            kind, 0.05 for rooms.
        rotation: Degrees the camera turns from frame to frame, in the mean; None takes the usual
            of the kind, 0.5 for rooms.

    Raises:
        ValueError: If a kind or a sort of movers is unknown, or a number is out of range.
    """
    for what, word, known in (("kind", kind, PLACES), ("movers", movers, MOVERS)):
        if word not in known:
            raise ValueError(f"unknown {what} {word!r}: {did_you_mean(word, known)}")
    place = PLACES[kind]
    step = place.step if step is None else step
    rotation = place.rotation if rotation is None else rotation
    for right, words in (
        (frames >= 1, f"frames must be at least 1, got {frames}"),
        (min(size) >= 2, f"size must be at least 2 x 2 pixels (height, width), got {size}"),
        (seed >= 0, f"seed must be a whole number of at least 0, got {seed}"),
        (0 <= step < np.inf, f"step must be 0 or more, got {step}"),
        (0 <= rotation < np.inf, f"rotation must be 0 or more, got {rotation}"),
    ):
        if not right:
            raise ValueError(words)
    scenery, camera, turning, moving = (np.random.default_rng([seed, part]) for part in range(4))
    count = frames + 1  # one more than asked for: it gives the last a velocity
    times = np.arange(count) / FPS
    angles = wander(turning, count, place.swing, rotation) if rotation else np.zeros((count, 3))
    T_world_cam = poses(place.path(camera, count, step), angles)
    scene = place.scene(scenery, moving, movers, times, T_world_cam)
    intrinsics = from_hfov(size, HFOV)
    seen = [render(scene, T_world_cam[i], intrinsics, size, times[i]) for i in range(frames)]
    images, depth, motion_mask = (np.stack(maps) for maps in zip(*seen, strict=True))
    return DrawnClip(
        source=f"drawn: {kind}, movers {movers}, seed {seed}", fps=FPS, images=images, depth=depth,
        poses=T_world_cam[:frames], intrinsics=intrinsics, motion_mask=motion_mask,
    )  # fmt: skip


def write_clip(
    clip: DrawnClip, folder: Path, *, image_format: Literal["png", "jpg"] = "png"
) -> None:
    """Write a clip as a scene folder: frames, cam.txt, poses.txt, depth, motion_mask, scene.json.

    Depth is 16 bit, at 1000 steps a metre where the clip's depth allows it, else 256; scene.json
    says which. Frames of the same number are replaced; `jpg` has quality 95.
    """
    unit = UNITS[0] if round(float(clip.depth.max()) * UNITS[0]) < 2**16 else UNITS[1]
    for name in ("depth", "motion_mask"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(clip.images):
        frame = f"{index:06d}"
        steps = np.rint(clip.depth[index].astype(np.float64) * unit).astype(np.uint16)
        picture = folder / f"{frame}.{image_format}"
        Image.fromarray(image).save(picture, quality=95)  # of JPEG; PNG ignores it
        Image.fromarray(steps).save(folder / "depth" / f"{frame}.png")
        Image.fromarray(clip.motion_mask[index]).save(folder / "motion_mask" / f"{frame}.png")
    np.savetxt(folder / "cam.txt", clip.intrinsics, fmt="%.10g")
    np.savetxt(folder / "poses.txt", clip.poses[:, :3].reshape(-1, 12), fmt="%.10g")
    info = {
        "source": clip.source, "licence": "MIT", "fps": clip.fps, "depth_units_per_metre": unit,
        "notes": "Drawn by ssmde.synthetic; depth, poses and motion masks are exact.",
    }  # fmt: skip
    (folder / "scene.json").write_text(json.dumps(info, indent=2) + "\n")


def wander(
    rng: Generator, frames: int, amplitudes: tuple[float, float, float], step: float
) -> Points:
    """Smooth values around zero whose change from frame to frame has the mean length `step`.

    `amplitudes` is the size of the three coordinates, in the unit of `step`.
    """
    phase = rng.uniform(0, 2 * np.pi, (len(HARMONICS), 3))
    rate = HARMONICS[:, :1] * rng.uniform(0.8, 1.25, phase.shape)
    strength = HARMONICS[:, 1:] * np.array(amplitudes)

    def waves(at: Times) -> Points:
        return (strength * np.sin(rate * at[:, None, None] + phase)).sum(axis=1)

    fine = waves(np.linspace(0, LONG, 8000))
    speed = np.linalg.norm(np.diff(fine, axis=0), axis=1).sum() / LONG
    return waves(np.arange(frames) * step / speed)


def poses(positions: Points, angles: Points) -> Float64[ndarray, "n 4 4"]:
    """Camera-to-world matrices; angles are heading, pitch (up) and roll, in degrees."""
    heading, pitch, roll = np.radians(angles).T
    result = np.tile(np.eye(4), (len(positions), 1, 1))
    result[:, :3, :3] = turned(2, 0, heading) @ turned(1, 2, pitch) @ turned(0, 1, roll)
    result[:, :3, 3] = positions
    return result


PLACES = {
    "room": Place(
        0.05, 0.5, (14.0, 4.0, 1.5),
        lambda rng, frames, step: wander(rng, frames, ROOM_REACH, step) - [0, EYE_HEIGHT, 0], room,
    ),
}  # fmt: skip
"""By the kind of a clip; a row more is another kind."""
