"""How a weight changes over the training."""


def ramp(progress: float, share: float) -> float:
    """Factor in [0, 1] that rises in a line from 0 and is 1 from `share` of the training on.

    Args:
        progress: Where the training stands, from 0 to 1.
        share: Part of the training the rise takes; 0 means none.
    """
    return 1.0 if progress >= share else progress / share
