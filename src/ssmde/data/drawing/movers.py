"""Who moves in a drawn clip: people, boxes and cars, across, obliquely, or with the camera."""

from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from numpy.random import Generator

from ssmde.data.drawing.bodies import car, crate, person
from ssmde.data.drawing.rooms import STAGE
from ssmde.data.drawing.scene import Body, Track
from ssmde.data.drawing.streets import CROSSING, KERB, LANE, PAVEMENT, ROAD

Movers = Literal["none", "across", "oblique", "followed", "mixed"]

WALKING = 1.1  # metres a second
ROLLING = 0.7
DRIVING = 7.0
FOLLOWED_PERSON = 2.2  # metres ahead of the camera
FOLLOWED_CAR = 9.0


def to_and_fro(
    times: Float64[ndarray, " k"],
    *,
    centre: tuple[float, float],
    half_length: float,
    direction: float,
    speed: float,
    phase: float,
    y: float = 0.0,
) -> Track:
    """A long, thin loop: there on one side, a turn, and back on the other.

    Args:
        times: When to note the position, in seconds.
        centre: Middle (x, z) of the loop, in metres.
        half_length: Half its length, in metres; it is an eighth as wide.
        direction: Heading of its long axis, in radians.
        speed: Mean speed, in metres a second.
        phase: Where on the loop the time 0 lies, in radians.
        y: Height of the ground, downwards, in metres.
    """
    half_wide = half_length / 8
    around = 4.1 * half_length  # circumference of such an ellipse, within a percent
    angle = phase + 2 * np.pi * speed / around * times
    ahead, aside = half_length * np.sin(angle), half_wide * np.cos(angle)
    s, c = np.sin(direction), np.cos(direction)
    positions = np.stack(
        [
            centre[0] + s * ahead + c * aside,
            np.full_like(ahead, y),
            centre[1] + c * ahead - s * aside,
        ],
        axis=1,
    )
    step_ahead, step_aside = half_length * np.cos(angle), -half_wide * np.sin(angle)
    headings = np.unwrap(direction + np.arctan2(step_aside, step_ahead))
    return Track(times=times, positions=positions, headings=headings)


def straight(
    times: Float64[ndarray, " k"],
    through: tuple[float, float],
    when: float,
    velocity: tuple[float, float],
    *,
    y: float = 0.0,
) -> Track:
    """A straight line at even speed.

    Args:
        times: First to last moment; before and after, the body stands.
        through: A point (x, z) on the line, in metres.
        when: Time at that point, in seconds.
        velocity: Along x and z, in metres a second.
        y: Height of the ground, downwards, in metres.
    """
    ends = times[[0, -1]]
    x, z = (p + v * (ends - when) for p, v in zip(through, velocity, strict=True))
    heading = np.full(2, np.arctan2(velocity[0], velocity[1]))
    positions = np.stack([x, np.full(2, y), z], axis=1)
    return Track(times=ends, positions=positions, headings=heading)


def ahead_of(
    times: Float64[ndarray, " k"], T_world_cam: Float64[ndarray, "k 4 4"], distance: float
) -> Track:
    """Always the same distance ahead of the camera, on the ground, whichever way it turns."""
    forward = T_world_cam[:, :3, 2]
    headings = np.arctan2(forward[:, 0], forward[:, 2])
    positions = T_world_cam[:, :3, 3].copy()
    positions[:, 0] += distance * np.sin(headings)
    positions[:, 2] += distance * np.cos(headings)
    positions[:, 1] = 0.0
    return Track(times=times, positions=positions, headings=np.unwrap(headings))


def room_movers(
    rng: Generator,
    movers: str,
    times: Float64[ndarray, " k"],
    T_world_cam: Float64[ndarray, "k 4 4"],
) -> list[Body]:
    """Two people and a box on wheels for the free middle of a room, or one who leads the way."""
    near, far = STAGE[1], STAGE[2]
    depths = np.linspace(near + 0.2, far - 0.2, 3) + rng.uniform(-0.1, 0.1, 3)
    bodies: list[Body] = []

    def loop(lane: int, x: float, half_length: float, direction: float, speed: float) -> Track:
        return to_and_fro(
            times, centre=(x, float(depths[lane])), half_length=half_length, direction=direction,
            speed=speed, phase=rng.uniform(0, 2 * np.pi),
        )  # fmt: skip

    turn = float(rng.choice([-1, 1]) * rng.uniform(0.6, 0.9))
    if movers in ("across", "mixed"):
        bodies.append(person(rng, loop(2, 0.0, 1.8, np.pi / 2, WALKING)))
        bodies.append(crate(rng, loop(0, 0.0, 1.3, np.pi / 2, ROLLING)))
    if movers == "across":
        bodies.append(person(rng, loop(1, 0.0, 1.5, -np.pi / 2, WALKING)))
    if movers in ("oblique", "mixed"):
        bodies.append(person(rng, loop(1, 0.6, 1.2, turn, WALKING)))
    if movers == "oblique":
        bodies.append(person(rng, loop(1, -0.7, 1.2, turn, WALKING)))
        bodies.append(crate(rng, loop(1, 1.5, 0.9, turn, ROLLING)))
    if movers in ("followed", "mixed"):
        distance = FOLLOWED_PERSON - (0.5 if movers == "mixed" else 0.0)
        bodies.append(person(rng, ahead_of(times, T_world_cam, distance)))
    return bodies


def street_movers(
    rng: Generator,
    movers: str,
    times: Float64[ndarray, " k"],
    T_world_cam: Float64[ndarray, "k 4 4"],
    crossings: list[float],
) -> list[Body]:
    """Traffic and people for a street.

    Args:
        rng: Where sizes, colours and moments come from.
        movers: Which kinds of motion.
        times: Moment of every frame, and one more, in seconds.
        T_world_cam: Poses of the camera at these moments.
        crossings: Where other streets cross, in metres along z.
    """
    camera_z = T_world_cam[:, 2, 3]
    bodies: list[Body] = []
    if movers in ("across", "mixed"):
        bodies += _crossing(rng, times, camera_z, crossings)
    if movers in ("oblique", "mixed"):
        bodies += _slanting(rng, times, T_world_cam, with_car=movers == "oblique")
    if movers in ("followed", "mixed"):
        distance = FOLLOWED_CAR + (4.0 if movers == "mixed" else 0.0)
        bodies.append(car(rng, ahead_of(times, T_world_cam, distance)))
    if movers == "mixed":
        bodies += _along(rng, times, camera_z)
    return bodies


def _arrival(times: Float64[ndarray, " k"], camera_z: Float64[ndarray, " k"], z: float) -> float:
    """When the camera reaches z, or would at its mean speed."""
    pace = (camera_z[-1] - camera_z[0]) / (times[-1] - times[0])
    if z <= camera_z[-1]:
        return float(np.interp(z, camera_z, times))
    return float(times[-1] + (z - camera_z[-1]) / max(pace, 0.1))


def _crossing(
    rng: Generator,
    times: Float64[ndarray, " k"],
    camera_z: Float64[ndarray, " k"],
    crossings: list[float],
) -> list[Body]:
    """A car from each side street just before the camera arrives, people on the zebras."""
    bodies: list[Body] = []
    for z in crossings:
        when = _arrival(times, camera_z, z - rng.uniform(12, 16))
        side = float(rng.choice([-1, 1]))
        through = (0.0, z - side * 0.45 * CROSSING)
        bodies.append(car(rng, straight(times, through, when, (side * DRIVING, 0.0))))
        for lane in (-0.5, 0.5):
            # At the far end of the walk, left of the road, when the camera comes by.
            pace = 2 * np.pi * WALKING / (4.1 * 2.9)
            phase = -np.pi / 2 - pace * _arrival(times, camera_z, z) + rng.uniform(-0.5, 0.5)
            track = to_and_fro(
                times, centre=(-0.4, z - CROSSING - 1.6 + lane), half_length=2.9,
                direction=np.pi / 2, speed=WALKING, phase=phase,
            )  # fmt: skip
            bodies.append(person(rng, track))
    return bodies


def _slanting(
    rng: Generator,
    times: Float64[ndarray, " k"],
    T_world_cam: Float64[ndarray, "k 4 4"],
    *,
    with_car: bool,
) -> list[Body]:
    """People who walk slantwise over the road, and a car ahead that changes lanes."""
    end = float(T_world_cam[-1, 2, 3]) + 40
    bodies: list[Body] = []
    for z in np.arange(12, end, 14.0):
        turn = rng.choice([-1, 1]) * rng.uniform(0.5, 0.9)
        track = to_and_fro(
            times, centre=(-1.9, z + rng.uniform(-2, 2)), half_length=2.0, direction=turn,
            speed=WALKING, phase=rng.uniform(0, 2 * np.pi),
        )  # fmt: skip
        bodies.append(person(rng, track))
    if with_car:
        phase = 0.9 * times + rng.uniform(0, 2 * np.pi)
        camera = T_world_cam[:, :3, 3]
        positions = np.stack(
            [
                LANE - 1.3 + 1.4 * np.sin(phase),
                0 * phase,
                camera[:, 2] + 12 + 4 * np.sin(0.7 * phase),
            ],
            axis=1,
        )
        steps = np.gradient(positions, axis=0)
        headings = np.unwrap(np.arctan2(steps[:, 0], steps[:, 2]))
        bodies.append(car(rng, Track(times=times, positions=positions, headings=headings)))
    return bodies


def _along(
    rng: Generator, times: Float64[ndarray, " k"], camera_z: Float64[ndarray, " k"]
) -> list[Body]:
    """Cars that come towards the camera, people who walk along the pavement."""
    bodies: list[Body] = []
    start, end = float(camera_z[0]), float(camera_z[-1])
    for meet in np.arange(start + 8, end + 60, 28.0):
        when = _arrival(times, camera_z, meet + rng.uniform(-4, 4))
        velocity = (0.0, -DRIVING * rng.uniform(0.9, 1.2))
        bodies.append(car(rng, straight(times, (-LANE, meet), when, velocity)))
    for z in np.arange(start + 8, end + 40, 11.0):
        side, speed = float(rng.choice([-1, 1])), WALKING * float(rng.choice([-1, 1]))
        place = (side * rng.uniform(ROAD + 0.9, PAVEMENT - 0.4), z)
        bodies.append(person(rng, straight(times, place, 0.0, (0.0, speed), y=-KERB)))
    return bodies
