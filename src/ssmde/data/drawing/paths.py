"""Where the camera of a drawn clip goes: smooth paths by formula, a stated step a frame."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from numpy.random import Generator

HARMONICS = ((1.0, 1.0), (1.7, 0.45), (2.9, 0.2))  # frequency and strength of the waves added up
LONG = 400.0  # radians over which the mean speed of the waves is measured


def wander(
    rng: Generator, frames: int, amplitudes: tuple[float, float, float], step: float
) -> Float64[ndarray, "n 3"]:
    """Smooth values around zero whose change from frame to frame has the mean length `step`.

    Args:
        rng: Phases and exact frequencies.
        frames: Number of values.
        amplitudes: Size of the three coordinates, in the unit of `step`.
        step: Mean length of the change between two frames.
    """
    phase = rng.uniform(0, 2 * np.pi, (len(HARMONICS), 3))
    rate = np.array([h[0] for h in HARMONICS])[:, None] * rng.uniform(0.8, 1.25, phase.shape)
    strength = np.array([h[1] for h in HARMONICS])[:, None] * np.array(amplitudes)

    def waves(at: Float64[ndarray, " k"]) -> Float64[ndarray, "k 3"]:
        return (strength * np.sin(rate * at[:, None, None] + phase)).sum(axis=1)

    fine = waves(np.linspace(0, LONG, 8000))
    speed = np.linalg.norm(np.diff(fine, axis=0), axis=1).sum() / LONG
    return waves(np.arange(frames) * step / speed)


def poses(
    positions: Float64[ndarray, "n 3"], angles: Float64[ndarray, "n 3"]
) -> Float64[ndarray, "n 4 4"]:
    """Camera-to-world matrices; angles are heading, pitch (up) and roll, in degrees."""
    heading, pitch, roll = np.radians(angles).T
    result = np.zeros((len(positions), 4, 4))
    result[:, 3, 3] = 1
    turns = [_turn(2, 0, heading), _turn(1, 2, pitch), _turn(0, 1, roll)]
    result[:, :3, :3] = turns[0] @ turns[1] @ turns[2]
    result[:, :3, 3] = positions
    return result


def _turn(a: int, b: int, angle: Float64[ndarray, " n"]) -> Float64[ndarray, "n 3 3"]:
    """Rotations that turn axis a towards axis b."""
    turn = np.tile(np.eye(3), (len(angle), 1, 1))
    turn[:, a, a] = turn[:, b, b] = np.cos(angle)
    turn[:, b, a], turn[:, a, b] = np.sin(angle), -np.sin(angle)
    return turn


def sideways(rng: Generator, frames: int, step: float) -> Float64[ndarray, "n 3"]:
    """Steps of exactly `step` to the right, and a slight sway up, down, ahead and back."""
    sway = wander(rng, frames, (0.0, 0.5, 0.8), 0.3 * step) if step else np.zeros((frames, 3))
    sway = sway - sway[:1]
    sway[:, 0] = step * np.arange(frames)
    return sway


def drive(rng: Generator, frames: int, step: float) -> Float64[ndarray, "n 3"]:
    """Along z at about `step` a frame, a little faster and slower, swaying within the lane."""
    sway = wander(rng, frames, (0.35, 0.02, 3.0), 0.08 * step)
    sway[:, 2] += step * np.arange(frames) - sway[0, 2]
    return sway
