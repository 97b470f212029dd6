"""How a weight changes over the training: ramps, and the forgetting factor."""

import math

from ssmde.config import Forgetting

FORGOTTEN = 0.05  # what is left of the weight at the end


def ramp(progress: float, share: float) -> float:
    """Factor in [0, 1] that rises in a line from 0 and is 1 from `share` of the training on.

    Args:
        progress: Where the training stands, from 0 to 1.
        share: Part of the training the rise takes; 0 means none.
    """
    return 1.0 if progress >= share else progress / share


def forgetting_factor(progress: float, form: Forgetting) -> float:
    """Weight of pseudo-depth over the training, in [0, 1].

    The paper names a forgetting factor that lessens the dependency on pseudo-depth and gives no
    formula. In adaptive filters the word means an exponential, end^progress, which is the default
    of stage 2; that the paper means it is an inference. All forms but `zero` begin at 1:

    - `constant` stays at 1, `zero` is 0 all along;
    - `exponential` end^p, `linear` 1 - (1 - end) p, `cosine` half a wave from 1 to end; the end is
      0.05.

    Args:
        progress: Where the training stands; values outside [0, 1] count as the nearer end.
        form: A name from above.
    """
    p = min(1.0, max(0.0, progress))
    if form == "constant":
        return 1.0
    if form == "zero":
        return 0.0
    if form == "exponential":
        return FORGOTTEN**p
    if form == "linear":
        return 1 - (1 - FORGOTTEN) * p
    return FORGOTTEN + (1 - FORGOTTEN) * (1 + math.cos(math.pi * p)) / 2
