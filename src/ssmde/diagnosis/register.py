"""Whether maps of depth lie where their images do: shifted, of another zoom, or of other images."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32

from ssmde.diagnosis.edges import Fit, fit_edges, resample
from ssmde.diagnosis.finding import Finding

FEWEST_FRAMES = 3
WORSE = 0.75  # fit in place, as a share of that after a shift, that speaks of a shift
BETTER = 1.3  # fit after a zoom, divided by that of the best shift, that speaks of a zoom
NEAREST_SHIFT = 0.01  # of the longer side; below, a training does not notice
CLEAR = 0.06  # how much better than on the mirrored image a fit has to be, to be one
UNLIKE = 0.02  # and below this the maps are not of these images
ZOOMS = (0.85, 0.9, 0.95, 1.05, 1.1, 1.15)


def check_register(
    what: Literal["truth", "labels"],
    scene: str,
    images: Sequence[Float32[np.ndarray, "h w"]],
    edges: Sequence[Bool[np.ndarray, "h w"]],
    reduction: int,
) -> list[Finding]:
    """Findings about where depth edges lie on image edges.

    Args:
        what: What the depth is; for the words.
        scene: Name of the scene.
        images: Edges of the images.
        edges: Edges of the depth maps.
        reduction: Pixels of the frames that make one of these.
    """
    fit = fit_edges(images, edges, reduction)
    if fit is None or len(images) < FEWEST_FRAMES:
        return []
    zoom, zoomed = _best_zoom(images, edges, reduction)
    if (
        zoomed is not None
        and zoomed.here > BETTER * fit.best
        and zoomed.here - fit.mirrored > CLEAR
    ):
        return [
            Finding(
                name=f"{what}-register", severity="warning", scene=scene,
                what=f"{what} and colour are out of register: depth edges lie on image edges when "
                f"the depth is enlarged by {zoom:g}",
                remedy="project the depth into the colour camera: it is still that of the depth "
                "camera, which has another focal length",
            )
        ]  # fmt: skip
    side = max(images[0].shape) * reduction
    far = np.hypot(*fit.shift) > max(NEAREST_SHIFT * side, reduction)
    if far and fit.here < WORSE * fit.best and fit.best - fit.mirrored > CLEAR:
        return [_shifted(what, scene, fit)]
    return [_unlike(what, scene)] if fit.here - fit.mirrored < UNLIKE else []


def _shifted(what: str, scene: str, fit: Fit) -> Finding:
    right, down = fit.shift
    return Finding(
        name=f"{what}-register", severity="warning", scene=scene,
        what=f"{what} and colour are out of register: depth edges lie on image edges when the "
        f"depth is moved {right} pixels to the right and {down} down",
        remedy="register the depth to the colour camera, or check that both were cut alike and "
        "belong to the same moment",
    )  # fmt: skip


def _unlike(what: str, scene: str) -> Finding:
    return Finding(
        name=f"{what}-unlike", severity="warning", scene=scene,
        what=f"the {what} are unlike the images: depth edges lie on image edges no better than on "
        "those of the mirrored images",
        remedy="check that each file is named like its image, and look at some"
        + ("; `ssmde label --overwrite` writes new ones" if what == "labels" else ""),
    )  # fmt: skip


def _best_zoom(
    images: Sequence[Float32[np.ndarray, "h w"]],
    edges: Sequence[Bool[np.ndarray, "h w"]],
    reduction: int,
) -> tuple[float, Fit | None]:
    """The zoom about the middle at which edges fit best, without a shift."""
    fits = {
        zoom: fit_edges(images, [resample(e, e.shape, zoom) for e in edges], reduction)
        for zoom in ZOOMS
    }
    zoom = max(ZOOMS, key=lambda zoom: fit.here if (fit := fits[zoom]) else -1.0)
    return zoom, fits[zoom]
