"""A finding: what is wrong with a scene, in which frames, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["blocking", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the worst first
MOST_RANGES = 20  # stretches of frames that are named


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that stands in the way of training, or may."""

    name: str
    """What kind of thing, such as `static-camera`."""
    severity: Severity
    """`blocking`: training fails or learns nonsense. `warning`: it learns less. `note`: good to
    know."""
    scene: str
    """Name of the scene; empty if it is about all of them."""
    frames: tuple[int, ...] = ()
    """Indices of the frames it is about, from 0 in the order of the images; empty if all."""
    what: str
    """What was found, with numbers."""
    remedy: str
    """What to do."""


def frame_ranges(frames: Sequence[int]) -> str:
    """Frame numbers as `3, 7-9`; the first twenty stretches of them."""
    stretches: list[list[int]] = []
    for frame in sorted(set(frames)):
        if stretches and frame == stretches[-1][1] + 1:
            stretches[-1][1] = frame
        else:
            stretches.append([frame, frame])
    named = [f"{a}" if a == b else f"{a}-{b}" for a, b in stretches[:MOST_RANGES]]
    more = len(stretches) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
