"""`ssmde demo`: videos are drawn, both stages learn from them, and a page shows how well.

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
        """A line that names it."""
        return f"page: {self.page}"


def demo(*, out: Path = Path("demo"), minutes: int | float = 3.0, seed: int = 0) -> DemoPage:
    """Draw videos, train both stages on them for a few minutes, evaluate, and write a page.

    Example:
      ssmde demo --minutes 3 --out demo

    Args:
        out: Folder for the clip, the run and the page.
        minutes: How long to train, half of it each stage.
        seed: Start of every random number.

    Raises:
        FileExistsError: If `out` exists and no demo made it.
        ValueError: If `minutes` is not positive, or `seed` is negative.
    """
    if not 0 < minutes < float("inf"):
        raise ValueError(f"minutes must be positive, got {minutes}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    from ssmde.demo.run import run_demo

    return DemoPage(run_demo(out, minutes=minutes, seed=seed))
