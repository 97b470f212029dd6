"""Drawn videos: walls, rooms and streets whose depth, poses and motion are known by formula.

    clip = draw_clip("room", movers="across", seed=3)
    write_clip(clip, Path("data/room_3"))

The same arguments give the same bytes. Conventions are the package's: camera x right, y down,
z forward, integers are pixel centres, depth is z in metres.
"""

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray
from numpy.random import Generator
from PIL import Image

from ssmde.data.drawing.bodies import textured, vivid
from ssmde.data.drawing.movers import Movers, room_movers, street_movers
from ssmde.data.drawing.paths import drive, poses, sideways, wander
from ssmde.data.drawing.raycast import render
from ssmde.data.drawing.rooms import WALLS, room
from ssmde.data.drawing.scene import Body, Part, Scene, Track
from ssmde.data.drawing.shapes import Plane
from ssmde.data.drawing.streets import LANE, crossings, street

Kind = Literal["wall", "slanted_wall", "room", "street"]

FPS = 10.0  # frames a second
EYE_HEIGHT = {"room": 1.45, "street": 1.6}  # metres above the ground
WALL_DISTANCE = 4.0  # metres from the first camera
SLANT_DEGREES = (20.0, 35.0)  # smallest and largest heading of the slanted wall
STEPS = {"wall": 0.1, "slanted_wall": 0.1, "room": 0.05, "street": 1.0}  # metres a frame
ROTATIONS = {"wall": 0.0, "slanted_wall": 0.0, "room": 0.5, "street": 0.12}  # degrees a frame
SWINGS = {  # largest heading, pitch and roll of the camera, in degrees
    "wall": (6.0, 4.0, 2.0), "slanted_wall": (6.0, 4.0, 2.0), "room": (14.0, 4.0, 1.5),
    "street": (2.5, 0.5, 0.3),
}  # fmt: skip
ROOM_REACH = (0.7, 0.08, 0.5)  # metres the camera strays in a room
UNITS = (1000, 256)  # steps a metre of a stored depth, finest first; 16 bits must hold the depth
JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DrawnClip:
    """A drawn video and its truth; n frames."""

    kind: Kind
    movers: Movers
    seed: int
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
    kind: Kind,
    *,
    frames: int = 30,
    size: tuple[int, int] = (128, 160),
    seed: int = 0,
    movers: Movers = "none",
    hfov_degrees: float = 65.0,
    step: float | None = None,
    rotation: float | None = None,
) -> DrawnClip:
    """A video of a wall, a room or a street, with exact depth, poses and motion masks.

    Args:
        kind: `wall`: straight ahead, the camera steps to the right. `slanted_wall`: at an angle,
            the camera steps along it. `room`: furniture, a hand-held camera. `street`: houses,
            parked cars, a camera that drives.
        frames: Number of frames, at 10 a second.
        size: Height and width, in pixels.
        seed: Start of every random choice: same seed, same bytes. Scenery, camera and movers
            draw separately, so the same seed with other movers shows the same place.
        movers: Who moves by itself, in a room or a street: `none`; `across` the view; `oblique`,
            across and in depth; `followed`, ahead of the camera and as fast as it is; `mixed`.
        hfov_degrees: Horizontal field of view.
        step: Metres the camera moves from frame to frame, in the mean; None takes 0.1 for walls,
            0.05 for rooms, 1 for streets.
        rotation: Degrees the camera turns from frame to frame, in the mean; None takes 0 for
            walls, 0.5 for rooms, 0.12 for streets.

    Raises:
        ValueError: If a kind or a sort of movers is unknown, a wall is to have movers, or a
            number is out of range.
    """
    _check(kind, frames, size, movers, hfov_degrees, step, rotation)
    step = STEPS[kind] if step is None else step
    rotation = ROTATIONS[kind] if rotation is None else rotation
    scenery, camera, motion = (np.random.default_rng([seed, part]) for part in range(3))
    times = np.arange(frames + 1) / FPS  # one more, so that the last frame has a velocity
    angles = np.zeros((frames + 1, 3))
    if rotation:
        angles = wander(camera, frames + 1, SWINGS[kind], rotation)
    scene, T_world_cam = SCENES[kind](scenery, camera, motion, times, angles, step, movers)
    intrinsics = _intrinsics(size, hfov_degrees)
    pictures = [
        render(scene, pose, intrinsics, size, float(time))
        for pose, time in zip(T_world_cam[:-1], times[:-1], strict=True)
    ]
    return DrawnClip(
        kind=kind,
        movers=movers,
        seed=seed,
        fps=FPS,
        images=np.stack([picture.image for picture in pictures]),
        depth=np.stack([picture.depth for picture in pictures]),
        poses=T_world_cam[:-1],
        intrinsics=intrinsics,
        motion_mask=np.stack([picture.moving for picture in pictures]),
    )


Poses = Float64[ndarray, "k 4 4"]
Times = Float64[ndarray, " k"]


def _wall(
    scenery: Generator, camera: Generator, motion: Generator, times: Times,
    angles: Float64[ndarray, "k 3"], step: float, movers: Movers,
) -> tuple[Scene, Poses]:  # fmt: skip
    path = sideways(camera, len(times), step)
    return _wall_scene(scenery, 0.0), poses(path, angles)


def _slanted_wall(
    scenery: Generator, camera: Generator, motion: Generator, times: Times,
    angles: Float64[ndarray, "k 3"], step: float, movers: Movers,
) -> tuple[Scene, Poses]:  # fmt: skip
    slant = np.radians(scenery.uniform(*SLANT_DEGREES) * scenery.choice([-1, 1]))
    path = sideways(camera, len(times), step)
    # Along the wall, so that it stays at its distance however long the clip.
    path[:, 2] -= np.sin(slant) * path[:, 0]
    path[:, 0] *= np.cos(slant)
    return _wall_scene(scenery, float(slant)), poses(path, angles)


def _wall_scene(rng: Generator, heading: float) -> Scene:
    first, second = vivid(rng), WALLS[rng.integers(len(WALLS))]
    texture = textured(
        rng, second, cell=1.3, depth=0.25, pattern="checks", mark=first,
        period=(rng.uniform(0.7, 1.3), rng.uniform(0.7, 1.3)),
    )  # fmt: skip
    track = Track(
        times=np.zeros(1), positions=np.array([[0, 0, WALL_DISTANCE]]), headings=np.array([heading])
    )
    part = Part(shape=Plane(2), texture=texture, casts_shadow=False)
    wall = Body(parts=(part,), track=track)
    return Scene(bodies=(wall,), light=(0.36, -0.48, -0.8), ambient=0.6)


def _room(
    scenery: Generator, camera: Generator, motion: Generator, times: Times,
    angles: Float64[ndarray, "k 3"], step: float, movers: Movers,
) -> tuple[Scene, Poses]:  # fmt: skip
    path = wander(camera, len(times), ROOM_REACH, step) - np.array([0, EYE_HEIGHT["room"], 0])
    T_world_cam = poses(path, angles)
    scene = room(scenery)
    bodies = (*scene.bodies, *room_movers(motion, movers, times, T_world_cam))
    return replace(scene, bodies=bodies), T_world_cam


def _street(
    scenery: Generator, camera: Generator, motion: Generator, times: Times,
    angles: Float64[ndarray, "k 3"], step: float, movers: Movers,
) -> tuple[Scene, Poses]:  # fmt: skip
    path = drive(camera, len(times), step) + np.array([LANE, -EYE_HEIGHT["street"], 0])
    T_world_cam = poses(path, angles)
    at = crossings(scenery, float(path[-1, 2]) + 80)
    scene = street(scenery, float(path[-1, 2]), at)
    bodies = (*scene.bodies, *street_movers(motion, movers, times, T_world_cam, at))
    return replace(scene, bodies=bodies), T_world_cam


SCENES = {"wall": _wall, "slanted_wall": _slanted_wall, "room": _room, "street": _street}


def _intrinsics(size: tuple[int, int], hfov_degrees: float) -> Float64[ndarray, "3 3"]:
    height, width = size
    focal = 0.5 * width / np.tan(np.radians(hfov_degrees) / 2)
    return np.array(
        [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]], np.float64
    )


def _check(
    kind: str, frames: int, size: tuple[int, int], movers: str, hfov_degrees: float,
    step: float | None, rotation: float | None,
) -> None:  # fmt: skip
    _check_name("kind", kind, get_args(Kind))
    _check_name("movers", movers, get_args(Movers))
    if movers != "none" and kind not in ("room", "street"):
        raise ValueError(f"movers need a room or a street, got movers {movers!r} for kind {kind!r}")
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    if min(size) < 2:
        raise ValueError(f"size must be at least 2 x 2 pixels (height, width), got {size}")
    if not 1 <= hfov_degrees <= 170:
        raise ValueError(f"hfov_degrees must be between 1 and 170, got {hfov_degrees}")
    for name, value in (("step", step), ("rotation", rotation)):
        if value is not None and not 0 <= value < np.inf:
            raise ValueError(f"{name} must be 0 or more, got {value}")


def _check_name(what: str, name: str, known: tuple[str, ...]) -> None:
    if name in known:
        return
    closest = difflib.get_close_matches(name, known, n=2, cutoff=0.0)
    raise ValueError(
        f"unknown {what} {name!r}: closest match is {' or '.join(map(repr, closest))}; "
        f"known are {', '.join(known)}"
    )


def write_clip(clip: DrawnClip, folder: Path, *, image_format: Literal["png", "jpg"] = "png") -> None:
    """Write a clip as a scene folder: frames, cam.txt, poses.txt, depth, motion_mask, scene.json.

    Depth is 16 bit, at 1000 steps a metre where the clip's depth allows it, else 256; scene.json
    says which.

    Args:
        clip: What to write.
        folder: The scene's folder; made if absent.
        image_format: `png`, exact, or `jpg` at quality 95.

    Raises:
        ValueError: If the depth is too large for 16 bits, or the folder holds frames already.
    """
    deepest = float(clip.depth.max())
    fitting = [unit for unit in UNITS if round(deepest * unit) <= np.iinfo(np.uint16).max]
    if not fitting:
        raise ValueError(
            f"depth of {deepest:.1f} m does not fit into 16 bits at {UNITS[-1]} steps a metre; "
            f"up to {np.iinfo(np.uint16).max / UNITS[-1]:.1f} m does"
        )
    unit = fitting[0]
    for name in ("depth", "motion_mask"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(clip.images):
        frame = f"{index:06d}"
        picture = Image.fromarray(image)
        if image_format == "jpg":
            picture.save(folder / f"{frame}.jpg", quality=JPEG_QUALITY)
        else:
            picture.save(folder / f"{frame}.png")
        steps = np.rint(clip.depth[index].astype(np.float64) * unit).astype(np.uint16)
        Image.fromarray(steps).save(folder / "depth" / f"{frame}.png")
        Image.fromarray(clip.motion_mask[index]).save(folder / "motion_mask" / f"{frame}.png")
    np.savetxt(folder / "cam.txt", clip.intrinsics, fmt="%.10g")
    np.savetxt(folder / "poses.txt", clip.poses[:, :3].reshape(-1, 12), fmt="%.10g")
    info = {
        "source": f"drawn: {clip.kind}, movers {clip.movers}, seed {clip.seed}",
        "licence": "MIT",
        "fps": clip.fps,
        "depth_units_per_metre": unit,
        "notes": "Drawn by ssmde.data.drawn; depth, poses and motion masks are exact.",
    }
    (folder / "scene.json").write_text(json.dumps(info, indent=2) + "\n")
