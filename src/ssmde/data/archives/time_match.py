"""Times of frames: which entries of two recordings belong together, names, and rates."""

import numpy as np
from jaxtyping import Float, Int

from ssmde.console import counted

LONGEST_GAP = 0.02  # seconds; as the TUM benchmark associates its files
NAME_DIGITS = 17  # ten before the point, six behind it: names sort as their times do


def time_name(seconds: float) -> str:
    """Name of a frame taken at this time; names sort as their times do.

    Example:
        >>> time_name(1341846313.55)
        '1341846313.550000'
    """
    return f"{seconds:0{NAME_DIGITS}.6f}"


def frame_rate(times: Float[np.ndarray, " n"]) -> float | None:
    """Frames a second, from the median step between times in seconds; None for a single frame."""
    return None if len(times) < 2 else round(1 / float(np.median(np.diff(times))), 3)


def clock_problem(
    of: str, times: Float[np.ndarray, " n"], other: str, others: Float[np.ndarray, " m"], met: int
) -> str | None:
    """What is wrong where no time of one list is near one of the other; else None.

    Args:
        of: File of the frames.
        times: Their times, in seconds.
        other: File that was matched to them.
        others: Its times, in seconds.
        met: How many frames found one.
    """
    if not len(times) or len(others) < 2 or met:
        return None
    first, second = (f"{t.min():.6f} to {t.max():.6f} s" for t in (times, others))
    return (
        f"{other}: none of the {counted(len(times), 'frame')} of {of} has a time near one of it, "
        f"{first} here and {second} there; the clocks do not meet: give both the same one, in "
        "seconds"
    )


def match_times(
    first: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " m"],
    *,
    longest_gap: float = LONGEST_GAP,
) -> dict[int, int]:
    """Index in `second` for indices of `first`, one to one; the nearest pairs are made first.

    Args:
        first: Times, in seconds, increasing.
        second: Times, in seconds, increasing.
        longest_gap: Times further apart do not belong together, in seconds.

    Example:
        >>> match_times(np.array([0.0, 0.018]), np.array([0.015, 0.035]))
        {1: 0}
    """
    starts = np.searchsorted(second, first - longest_gap, "left")
    stops = np.searchsorted(second, first + longest_gap, "right")
    pairs = [
        (abs(float(first[i] - second[j])), i, j)
        for i, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True))
        for j in range(start, stop)
    ]
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(pairs):
        if i not in found and j not in taken:
            found[i] = j
            taken.add(j)
    return found


def nearest_times(
    first: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " m"],
    *,
    longest_gap: float = LONGEST_GAP,
) -> Int[np.ndarray, " n"]:
    """Index in `second` of the nearest time for each of `first`; -1 if none is near enough.

    Args:
        first: Times, in seconds.
        second: Times, in seconds, increasing.
        longest_gap: The longest time between the two, in seconds.
    """
    if not len(second):
        return np.full(len(first), -1)
    after = np.searchsorted(second, first).clip(0, len(second) - 1)
    before = (after - 1).clip(0)
    nearer = np.abs(first - second[before]) <= np.abs(first - second[after])
    nearest = np.where(nearer, before, after)
    return np.where(np.abs(first - second[nearest]) <= longest_gap, nearest, -1)
