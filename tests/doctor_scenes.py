"""What the tests of the doctor share: drawn clips, and numbers about pairs of frames."""

import numpy as np

from ssmde.diagnosis.video import Pairs, Thoroughness
from ssmde.synthetic import draw_clip

BRIEF = Thoroughness(neighbors=11, pairs=1)
SIZE = (96, 128)


def draw(kind="room", **changes):
    return draw_clip(kind, **({"frames": 12, "size": SIZE, "seed": 1, "step": 0.15} | changes))


def numbers(count=20, *, found=1.0, motion=0.03, parallax=0.01, gain=1.0, change=50.0):
    first = np.arange(count)
    columns = {"found": found, "motion": motion, "parallax": parallax, "gain": gain}
    columns["change"] = change
    full = {
        name: np.broadcast_to(np.float64(value), count).copy() for name, value in columns.items()
    }
    return Pairs(first=first, **full)


def names(findings):
    return [finding.name for finding in findings]
