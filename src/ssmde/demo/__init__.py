"""`ssmde demo`: films are drawn, a network adapts to them, and a page shows what that changed.

What is slow to import waits until it is needed, for the command line reads the signature.
"""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["DemoPage", "demo"]


@dataclass(frozen=True, slots=True)
class DemoPage:
    """Where the page of a demo is."""

    page: Path

    def __str__(self) -> str:
        """Its place, and what to do next."""
        return f"page: {self.page}\nnext, a video of yours: ssmde adapt walk.mp4 here"


def demo(*, out: Path = Path("demo"), minutes: int | float = 2.0, seed: int = 0) -> DemoPage:
    """Draw films of streets, adapt a network to them, measure it elsewhere, and write a page.

    The page is there as soon as the films are drawn, and grows.

    Example:
      ssmde demo --minutes 2 --out demo

    Args:
        out: Folder for the films, the weights and the page.
        minutes: About how long all of it may take; the training gets what the rest leaves.
        seed: Start of every random number.

    Raises:
        FileExistsError: If `out` exists and no demo made it.
        ImportError: If pycolmap is not installed.
        ValueError: If `minutes` is not positive, or `seed` is negative.
    """
    if not 0 < minutes < float("inf"):
        raise ValueError(f"minutes must be positive, got {minutes}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    from ssmde.demo.run import run_demo

    return DemoPage(run_demo(out, minutes=minutes, seed=seed))
