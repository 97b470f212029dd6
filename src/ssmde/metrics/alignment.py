"""Bring a prediction to the scale of the truth, once per image or per data set.

A network trained on plain video knows depth up to one factor. How that factor is found changes
the numbers by a lot, so the name of the alignment stands beside every result.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from ssmde.console import did_you_mean

AlignmentName = Literal["median", "median-dataset", "least-squares", "none"]
ALIGNMENTS: tuple[AlignmentName, ...] = get_args(AlignmentName)
FLAT = 1e-6  # a prediction that varies by less than this share of its mean is a constant


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """Aligned depth = scale * depth + shift."""

    scale: float = 1.0
    """Factor on the prediction."""
    shift: float = 0.0
    """Added after the factor, in the unit of the truth."""

    def apply(self, depth: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Depth in the scale of the truth, float64."""
        return self.scale * depth.astype(np.float64) + self.shift


def align(prediction: Float[np.ndarray, "n"], truth: Float[np.ndarray, "n"], how: str) -> Alignment:
    """Scale and shift that bring the prediction of one image to its truth.

    - `median`: scale = median(truth) / median(prediction), with the true median (an even count
      takes the mean of the two middle values), as Zhou et al., CVPR 2017
      (https://arxiv.org/abs/1704.07813).
    - `median-dataset`: one factor for all images, the median of theirs: see `common_alignment`.
    - `least-squares`: scale and shift with the smallest sum of (scale p + shift - g)^2, fitted in
      depth, as for networks that predict depth up to scale and shift (Yin et al., CVPR 2021,
      https://arxiv.org/abs/2012.09365). A shift is knowledge the network does not have: these
      numbers do not compare with median-scaled ones. A constant prediction gets a scale only.
    - `none`: the prediction is already in the unit of the truth.

    Args:
        prediction: Depth of the pixels that have truth, over the whole image.
        truth: True depth of the same pixels; positive.
        how: One of `ALIGNMENTS`.

    Raises:
        ValueError: If there is no pixel, a depth is not finite, no positive factor exists, or the
            alignment is one of many images.
    """
    if how not in ALIGNMENTS:  # a door: names come from files and command lines
        raise ValueError(f"unknown alignment {how!r}: {did_you_mean(how, ALIGNMENTS)}")
    if truth.size == 0:
        raise ValueError("an image without truth cannot be aligned: skip it")
    p, g = prediction.astype(np.float64), truth.astype(np.float64)
    for name, values in (("prediction", p), ("truth", g)):
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            raise ValueError(f"{wrong} of {values.size} pixels of the {name} are not finite")
    if how == "median-dataset":
        raise ValueError("median-dataset is found over all images: give common_alignment's result")
    if how == "none":
        return Alignment()
    return _median(p, g) if how == "median" else _least_squares(p, g)


def common_alignment(alignments: Iterable[Alignment]) -> Alignment:
    """One factor for a whole data set: the median of those of its images, each by its `median`.

    It leaves in the error what a factor for each image takes out: a scale that drifts from image
    to image.
    """
    scales = [alignment.scale for alignment in alignments]
    return Alignment(scale=float(np.median(scales))) if scales else Alignment()


def _median(p: Float[np.ndarray, "n"], g: Float[np.ndarray, "n"]) -> Alignment:
    middle, true_middle = float(np.median(p)), float(np.median(g))
    if middle <= 0 or true_middle <= 0:
        raise ValueError(
            "median alignment needs positive medians, got "
            f"{middle:g} for the prediction and {true_middle:g} for the truth"
        )
    return Alignment(scale=true_middle / middle)


def _least_squares(p: Float[np.ndarray, "n"], g: Float[np.ndarray, "n"]) -> Alignment:
    mean, true_mean = float(p.mean()), float(g.mean())
    variance = float(np.mean((p - mean) ** 2))
    if variance > (FLAT * mean) ** 2:
        scale = float(np.mean((p - mean) * (g - true_mean))) / variance
        return Alignment(scale=scale, shift=true_mean - scale * mean)
    if mean == 0:
        raise ValueError("least-squares alignment needs a prediction that is not 0 everywhere")
    return Alignment(scale=true_mean / mean)
