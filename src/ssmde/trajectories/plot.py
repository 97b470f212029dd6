"""Paths seen from above, as a PNG."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ssmde.io import whole_file

AXES = "xyz"


def plot_paths(
    path: Path,
    title: str,
    true: Float64[np.ndarray, "n 4 4"],
    estimated: Mapping[str, Float64[np.ndarray, "n 4 4"]],
) -> None:
    """Draw the true path and the aligned ones, along the two axes in which the true one is longest.

    Args:
        path: PNG to write.
        title: Head of the picture.
        true: Camera to world, in metres.
        estimated: Aligned paths of the same frames, by the name in the legend.
    """
    longest = np.argsort(-np.ptp(true[:, :3, 3], axis=0))[:2]
    across, up = sorted(longest.tolist())
    figure = Figure(figsize=(6, 6), layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    lines = {"true": true, **estimated}
    for name, poses in lines.items():
        (line,) = axes.plot(poses[:, across, 3], poses[:, up, 3], label=name, linewidth=1.2)
        if name == "true":
            line.set(color="black", linewidth=2.5)
    axes.plot(true[0, across, 3], true[0, up, 3], "ko", markersize=6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"{AXES[across]} in metres")
    axes.set_ylabel(f"{AXES[up]} in metres")
    axes.set_title(title)
    axes.legend()
    axes.grid(alpha=0.3)
    with whole_file(path) as part, part.open("wb") as file:
        canvas.print_png(file)
