"""Draw single pictures with exact depth, to teach a network what people and cars look like.

    python recipes/draw_photos.py OUT --kind room --scenes 60 --photos 40 [--size 192 256]

Every picture is a place of its own. Rooms are seen from any height and angle a hand holds a camera
at, with up to six people near and far, many cut off by the border; streets from a car, with traffic
ahead. Colours fade, light and sharpness differ, as with real cameras. A scene folder holds
pictures of one focal length; `train.txt` lists the folders.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter
from tqdm import tqdm

from ssmde.data.drawing.bodies import car, person
from ssmde.data.drawing.movers import straight
from ssmde.data.drawing.paths import poses
from ssmde.data.drawing.raycast import Picture, render
from ssmde.data.drawing.rooms import room
from ssmde.data.drawing.scene import Body, Track, stand
from ssmde.data.drawing.streets import LANE, crossings, street
from ssmde.data.drawn import DrawnClip, write_clip
from ssmde.data.scene_folder import write_list

HFOV = {"room": (48.0, 80.0), "street": (60.0, 92.0)}  # degrees
PEOPLE = (0.2, 0.2, 0.2, 0.15, 0.15, 0.1)  # chance of 0, 1, ... 5 people beside the furniture
NEAR, FAR = 0.7, 4.5  # metres between the camera and them
MOMENTS = np.array([-5.0, 5.0])  # seconds; a walk is drawn at time 0


def photo(
    kind: str, seed: tuple[int, ...], K: np.ndarray, size: tuple[int, int]
) -> tuple[Picture, np.ndarray]:
    """One picture and its pose."""
    rng = np.random.default_rng(seed)
    if kind == "room":
        scene, T_world_cam, bodies = _room(rng, K, size)
    else:
        scene, T_world_cam, bodies = _street(rng)
    calm = float(rng.uniform(0, 1))
    scene = replace(
        scene,
        bodies=tuple(_calmer(body, calm) for body in (*scene.bodies, *bodies)),
        ambient=float(rng.uniform(0.6, 0.9)),
    )
    picture = render(scene, T_world_cam, K, size, 0.0)
    return picture._replace(image=_develop(rng, picture.image)), T_world_cam


def _calmer(body: Body, share: float) -> Body:
    """The same body with less grain: both shades of its colours move together."""
    parts = []
    for part in body.parts:
        base, second = np.array(part.texture.base), np.array(part.texture.second)
        red, green, blue = (base + share * (second - base)).tolist()
        texture = replace(part.texture, base=(red, green, blue))
        parts.append(replace(part, texture=texture))
    return replace(body, parts=tuple(parts))


def _room(rng: Generator, K: np.ndarray, size: tuple[int, int]):
    place = np.array([rng.uniform(-1.5, 1.5), -rng.uniform(1.0, 1.8), rng.uniform(-1.6, 1.0)])
    heading = rng.normal(0, 35) if rng.random() < 0.8 else rng.uniform(-180, 180)
    angles = (heading, rng.uniform(-28, 6), rng.normal(0, 3))
    T_world_cam = poses(place[None], np.array([angles]))[0]
    bodies = []
    for _ in range(rng.choice(len(PEOPLE), p=PEOPLE)):
        distance = NEAR + (FAR - NEAR) * rng.random() ** 1.3
        half = np.arctan(0.5 * size[1] / K[0, 0])
        at = np.radians(heading) + rng.uniform(-half, half)
        x, z = place[0] + distance * np.sin(at), place[2] + distance * np.cos(at)
        if abs(x) < 2.9 and -2.0 < z < 4.8:
            bodies.append(_someone(rng, float(x), float(z)))
    return room(rng), T_world_cam, bodies


def _someone(rng: Generator, x: float, z: float, y: float = 0.0) -> Body:
    """A person who stands or is caught in a step, in any direction."""
    heading = float(rng.uniform(-np.pi, np.pi))
    if rng.random() < 0.4:
        return person(rng, stand(x, z, heading=heading, y=y))
    speed = rng.uniform(0.6, 1.5)
    velocity = (float(speed * np.sin(heading)), float(speed * np.cos(heading)))
    return person(rng, straight(MOMENTS, (x, z), 0.0, velocity, y=y))


def _street(rng: Generator):
    length = 60.0
    at = crossings(rng, length)
    along = rng.uniform(0, 40)
    place = np.array([LANE + rng.normal(0, 0.6), -rng.uniform(1.2, 2.0), along])
    angles = (rng.normal(0, 6), rng.normal(-1, 2), rng.normal(0, 1))
    T_world_cam = poses(place[None], np.array([angles]))[0]
    bodies = []
    for _ in range(rng.integers(0, 5)):
        ahead = along + 5 + 45 * rng.random() ** 1.5
        lane, way = (LANE, 0.0) if rng.random() < 0.6 else (-LANE, np.pi)
        heading = way + rng.normal(0, 0.1) if rng.random() < 0.85 else rng.uniform(-np.pi, np.pi)
        where = np.array([[lane + rng.normal(0, 0.5), 0.0, ahead]])
        bodies.append(
            car(rng, Track(times=np.zeros(1), positions=where, headings=np.array([heading])))
        )
    for _ in range(rng.integers(0, 4)):
        bodies.append(_someone(rng, rng.uniform(-6, 6), along + rng.uniform(4, 25)))
    return street(rng, length, at), T_world_cam, bodies


def _develop(rng: Generator, image: np.ndarray) -> np.ndarray:
    """Paler or darker, coloured by the light, a little unsharp and noisy, as cameras are."""
    x = image.astype(np.float32) / 255
    grey = x.mean(axis=2, keepdims=True)
    x = grey + rng.uniform(0.1, 1.0) * (x - grey)
    x = x ** np.exp(rng.normal(0, 0.3)) * rng.uniform(0.7, 1.25) * rng.uniform(0.9, 1.1, 3)
    blurred = Image.fromarray((x.clip(0, 1) * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(float(rng.uniform(0, 0.9)))
    )
    noisy = np.asarray(blurred, np.float32) + rng.normal(0, rng.uniform(0, 6), image.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def draw_scene(kind: str, seed: int, photos: int, size: tuple[int, int]) -> DrawnClip:
    """Pictures of one focal length, each at a place of its own."""
    rng = np.random.default_rng([seed, 99])
    focal = 0.5 * size[1] / np.tan(np.radians(rng.uniform(*HFOV[kind])) / 2)
    K = np.array([[focal, 0, (size[1] - 1) / 2], [0, focal, (size[0] - 1) / 2], [0, 0, 1.0]])
    drawn = [photo(kind, (seed, number), K, size) for number in range(photos)]
    return DrawnClip(
        source=f"drawn photos: {kind}, seed {seed}",
        fps=1.0,
        images=np.stack([picture.image for picture, _ in drawn]),
        depth=np.stack([picture.depth for picture, _ in drawn]),
        poses=np.stack([pose for _, pose in drawn]),
        intrinsics=K,
        motion_mask=np.stack([picture.moving for picture, _ in drawn]),
    )


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=("room", "street"), default="room")
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--photos", type=int, default=40, help="pictures a scene folder")
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    names = [f"{asked.kind}_{asked.seed + number:03d}" for number in range(asked.scenes)]
    for number, name in enumerate(tqdm(names, desc="drawing", unit="scene")):
        if not (asked.out / name / "scene.json").is_file():  # the last file that is written
            clip = draw_scene(asked.kind, asked.seed + number, asked.photos, tuple(asked.size))
            write_clip(clip, asked.out / name, image_format="jpg")
    write_list(asked.out, "train", names)


if __name__ == "__main__":
    main()
