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
        return f"page: {self.page}\nnext, a video of your own: ssmde adapt walk.mp4 here"


def demo(*, out: Path = Path("demo"), seed: int = 0) -> DemoPage:
    """Draw films of rooms where people walk, adapt a network to them, and show the change.

    It takes about a minute on two cores. A page is there early, and grows.

    Example:
      ssmde demo --out demo

    Args:
        out: Folder for the films, the weights and the page.
        seed: Start of every random number.

    Raises:
        FileExistsError: If `out` exists and no demo made it.
        ImportError: If pycolmap is not installed.
        ValueError: If `seed` is negative.
    """
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    from ssmde.demo.run import run_demo

    return DemoPage(run_demo(out, seed=seed))
