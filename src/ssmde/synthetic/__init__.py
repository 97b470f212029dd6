"""Drawn videos: walls, rooms and streets whose depth, poses and motion are known by formula.

    clip = draw_clip("room", movers="across", seed=3)
    write_clip(clip, Path("data/room_3"))

The same arguments give the same bytes. Conventions are the package's: camera x right, y down,
z forward, integers are pixel centres, depth is z in metres.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray
from numpy.random import Generator
from PIL import Image

from ssmde.console import did_you_mean
from ssmde.data.sequence import from_hfov
from ssmde.synthetic import places
from ssmde.synthetic.bodies import textured, vivid
from ssmde.synthetic.raycast import render
from ssmde.synthetic.scene import Body, Part, Plane, Points, Scene, Times, stand, turned

HARMONICS = np.array([[1.0, 1.0], [1.7, 0.45], [2.9, 0.2]])  # frequency, strength of added waves
LONG = 400.0  # radians over which the mean speed of the waves is measured
MOVERS = ("none", "across", "followed", "mixed")
FPS = 10.0  # frames a second
HFOV = 65.0  # degrees
EYE_HEIGHT = {"room": 1.45, "street": 1.6}  # metres above the ground
WALL_DISTANCE = 4.0  # metres from the first camera
SLANT_DEGREES = (20.0, 35.0)  # smallest and largest heading of the slanted wall
KINDS = {  # metres and degrees a frame; largest heading, pitch and roll of the camera, in degrees
    "wall": (0.1, 0.0, (6.0, 4.0, 2.0)), "slanted_wall": (0.1, 0.0, (6.0, 4.0, 2.0)),
    "room": (0.05, 0.5, (14.0, 4.0, 1.5)), "street": (1.0, 0.12, (2.5, 0.5, 0.3)),
}  # fmt: skip
ROOM_REACH = (0.7, 0.08, 0.5)  # metres the camera strays in a room
CROSSINGS_AHEAD = 80.0  # metres beyond the drive in which side streets are still made
UNITS = (1000, 256)  # steps a metre of a stored depth, finest first; 16 bits must hold the depth
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DrawnClip:
    """A drawn video and its truth; n frames."""

    source: str
    """What was drawn, in words."""
    fps: float
    """Frames a second."""
    images: UInt8[ndarray, "n h w 3"]
    """RGB."""
    depth: Float32[ndarray, "n h w"]
    """Metres along z, exact; 0 for the sky."""
    poses: Float64[ndarray, "n 4 4"]
    """Camera-to-world, `T_world_cam`; metres."""
    intrinsics: Float64[ndarray, "3 3"]
    """Pinhole matrix, in pixels of the images."""
    motion_mask: UInt8[ndarray, "n h w"]
    """255 where the surface moves by itself, else 0."""


def draw_clip(
    kind: str,
    *,
    frames: int = 30,
    size: tuple[int, int] = (128, 160),
    seed: int = 0,
    movers: str = "none",
    step: float | None = None,
    rotation: float | None = None,
) -> DrawnClip:
    """A video of a wall, a room or a street, with exact depth, poses and motion masks.

    The camera is 65 degrees wide and takes 10 frames a second.

    Args:
        kind: `wall`: straight ahead, the camera steps to the right. `slanted_wall`: at an angle,
            the camera steps along it. `room`: furniture, a hand-held camera. `street`: houses,
            parked cars, a camera that drives.
        frames: Number of frames.
        size: Height and width, in pixels.
        seed: Start of every random choice: same seed, same bytes. Scenery, camera and movers
            draw separately, so the same seed with other movers shows the same place.
        movers: Who moves by itself, in a room or a street: `none`; `across` the view; `followed`,
            ahead of the camera and as fast as it is; `mixed`.
        step: Metres the camera moves from frame to frame, in the mean; None takes 0.1 for walls,
            0.05 for rooms, 1 for streets.
        rotation: Degrees the camera turns from frame to frame, in the mean; None takes 0 for
            walls, 0.5 for rooms, 0.12 for streets.

    Raises:
        ValueError: If a kind or a sort of movers is unknown, a wall is to have movers, or a
            number is out of range.
    """
    for what, word, known in (("kind", kind, KINDS), ("movers", movers, MOVERS)):
        if word not in known:
            raise ValueError(f"unknown {what} {word!r}: {did_you_mean(word, known)}")
    if movers != "none" and kind not in EYE_HEIGHT:
        raise ValueError(f"movers need a room or a street, got movers {movers!r} for kind {kind!r}")
    usual_step, usual_rotation, swing = KINDS[kind]
    step = usual_step if step is None else step
    rotation = usual_rotation if rotation is None else rotation
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
    angles = wander(turning, count, swing, rotation) if rotation else np.zeros((count, 3))
    if kind == "room":
        path = wander(camera, count, ROOM_REACH, step) - np.array([0, EYE_HEIGHT[kind], 0])
        T_world_cam = poses(path, angles)
        scene = places.room(scenery)
        people = places.room_movers(moving, movers, times, T_world_cam)
    elif kind == "street":
        path = drive(camera, count, step)
        T_world_cam = poses(path + np.array([places.LANE, -EYE_HEIGHT[kind], 0]), angles)
        length = float(path[-1, 2])
        at = places.crossings(scenery, length + CROSSINGS_AHEAD)
        scene = places.street(scenery, length, at)
        people = places.street_movers(moving, movers, times, T_world_cam, at)
    else:
        path, slant, people = sideways(camera, count, step), 0.0, []
        if kind == "slanted_wall":
            slant = float(np.radians(scenery.uniform(*SLANT_DEGREES) * scenery.choice([-1, 1])))
            # Along the wall, so that it stays at its distance however long the clip.
            path[:, 2] -= np.sin(slant) * path[:, 0]
            path[:, 0] *= np.cos(slant)
        T_world_cam, scene = poses(path, angles), _wall(scenery, slant)
    scene = replace(scene, bodies=(*scene.bodies, *people))
    intrinsics = from_hfov(size, HFOV)
    seen = [render(scene, T_world_cam[i], intrinsics, size, times[i]) for i in range(frames)]
    return DrawnClip(
        source=f"drawn: {kind}, movers {movers}, seed {seed}", fps=FPS,
        images=np.stack([picture.image for picture in seen]),
        depth=np.stack([picture.depth for picture in seen]),
        poses=T_world_cam[:frames], intrinsics=intrinsics,
        motion_mask=np.stack([picture.moving for picture in seen]),
    )  # fmt: skip


def _wall(rng: Generator, slant: float) -> Scene:
    mark, color = vivid(rng), places.WALLS[rng.integers(len(places.WALLS))]
    period = (rng.uniform(0.7, 1.3), rng.uniform(0.7, 1.3))
    part = Part(
        Plane(2), textured(rng, color, 1.3, 0.25, "checks", mark, period), casts_shadow=False
    )
    wall = Body((part,), stand(0.0, WALL_DISTANCE, heading=slant))
    return Scene((wall,), light=(0.36, -0.48, -0.8), ambient=0.6)


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
        Image.fromarray(image).save(picture, quality=JPEG_QUALITY)  # PNG ignores the quality
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


def sideways(rng: Generator, frames: int, step: float) -> Points:
    """Steps of exactly `step` to the right, and a slight sway up, down, ahead and back."""
    sway = wander(rng, frames, (0.0, 0.5, 0.8), 0.3 * step) if step else np.zeros((frames, 3))
    sway = sway - sway[:1]
    sway[:, 0] = step * np.arange(frames)
    return sway


def drive(rng: Generator, frames: int, step: float) -> Points:
    """Along z at about `step` a frame, a little faster and slower, swaying within the lane."""
    sway = wander(rng, frames, (0.35, 0.02, 3.0), 0.08 * step)
    sway[:, 2] += step * np.arange(frames) - sway[0, 2]
    return sway
