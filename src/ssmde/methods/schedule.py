"""How a weight changes over the training: ramps, and the forgetting factor."""

import math

from ssmde.config.pseudo_depth import Forgetting


def ramp(progress: float, share: float) -> float:
    """Factor in [0, 1] that rises in a line from 0 and is 1 from `share` of the training on.

    Args:
        progress: Where the training stands, from 0 to 1.
        share: Part of the training the rise takes; 0 means none.
    """
    return 1.0 if progress >= share else progress / share


def forgetting_factor(
    progress: float, form: Forgetting, *, end: float = 0.05, start: float = 0.25
) -> float:
    """Weight of pseudo-depth over the training, in [0, 1].

    The paper names a forgetting factor that lessens the dependency on pseudo-depth and gives no
    formula. In adaptive filters the word means an exponential, end^progress, which is the default
    of stage 2; that the paper means it is an inference. All forms but `zero` begin at 1:

    - `constant` stays at 1, `zero` is 0 all along;
    - `exponential` end^p, `linear` 1 - (1 - end) p, `cosine` half a wave from 1 to end;
    - `step` 1, then 0.5 from three quarters of the training on;
    - `delayed` 1 up to `start`, then an exponential that reaches `end` at the end.

    Args:
        progress: Where the training stands; values outside [0, 1] count as the nearer end.
        form: A name from above.
        end: Value at the end of the training.
        start: Share of the training before `delayed` falls.
    """
    p = min(1.0, max(0.0, progress))
    if form == "constant":
        return 1.0
    if form == "zero":
        return 0.0
    if form == "exponential":
        return end**p
    if form == "linear":
        return 1 - (1 - end) * p
    if form == "cosine":
        return end + (1 - end) * (1 + math.cos(math.pi * p)) / 2
    if form == "step":
        return 1.0 if p < 0.75 else 0.5
    return end ** max(0.0, (p - start) / (1 - start)) if start < 1 else 1.0
