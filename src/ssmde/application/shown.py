"""What a visitor sees of one prediction: two pictures, a legend, and depths to read off."""

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ssmde.data.images import resize_image, write_image
from ssmde.inference import ModelInfo, PredictedFrame
from ssmde.inference.input import resize_depth
from ssmde.inference.pictures import colorize, depth_range, side_by_side

LONGEST_SHOWN = 1280
"""Larger pictures are shown at this size, in pixels; files keep the size of the picture."""
LONGEST_READ = 320
"""Size at which depths go to the browser: about what networks see."""
LONGEST_FILM = 1280
"""Larger videos become films of this size."""
COLOUR_MEMORY = 0.9
"""Share of the former frame in the ends of a film's colours, so that they do not flicker."""
LEVELS = 65535
RAMP = 256
RELATIVE = (
    "Relative units: true up to one factor, for these weights do not know metres. "
    "A point with twice the number is twice as far."
)
METRES = "Metres, along the view: the weights were fitted to a known length."


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Files and words of one prediction."""

    picture: Path
    """The picture, at most `LONGEST_SHOWN` pixels wide or high."""
    colours: Path
    """Its depth in colours, of the same size."""
    legend: str
    """HTML: colour bar, unit, and the depths for the pointer."""


def view(folder: Path, shot: PredictedFrame, colour_map: str) -> View:
    """Write the pictures a page shows into `folder`, and the legend for them."""
    near, far = depth_range(shot.depth) or (1.0, 2.0)
    size = _fit(shot.depth.shape, LONGEST_SHOWN)
    small = resize_depth(shot.depth, size)
    picture, colours = folder / "picture.jpg", folder / f"{colour_map}.png"
    if not picture.exists():
        write_image(picture, resize_image(shot.pixels, size), quality=90)
    write_image(colours, colorize(small, near=near, far=far, color_map=colour_map))
    words = _legend(near, far, colour_map, shot.info) + _readout(shot.depth, shot.info)
    return View(picture=picture, colours=colours, legend=words)


def preview(shot: PredictedFrame, colour_map: str, *, longest: int = 480) -> str:
    """HTML with a small picture beside its depth, all in the text: no file."""
    size = _fit(shot.depth.shape, longest)
    colours = colorize(resize_depth(shot.depth, size), color_map=colour_map)
    pair = np.concatenate([resize_image(shot.pixels, size), colours], axis=1)
    source = f"data:image/jpeg;base64,{_in_text(pair, 'JPEG')}"
    return f'<img class="ssmde-live" alt="picture and depth" src="{source}">'


def film_frame(
    shot: PredictedFrame, colour_map: str, ends: tuple[float, float] | None
) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[float, float]]:
    """Frame and depth side by side, and the ends of the colours, which follow slowly.

    Args:
        shot: The frame.
        colour_map: Name of the colours.
        ends: What the call before returned; None for the first frame.
    """
    size = _fit(shot.depth.shape, LONGEST_FILM)
    now = depth_range(shot.depth) or (1.0, 2.0)
    if ends is not None:
        near, far = (
            COLOUR_MEMORY * before + (1 - COLOUR_MEMORY) * after
            for before, after in zip(ends, now, strict=True)
        )
        now = (near, far)
    small = resize_depth(shot.depth, size)
    colours = colorize(small, near=now[0], far=now[1], color_map=colour_map)
    return side_by_side([resize_image(shot.pixels, size), colours]), now


def _fit(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Size (height, width) of the same shape with sides of at most `longest`."""
    scale = min(1, longest / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _legend(near: float, far: float, colour_map: str, facts: ModelInfo) -> str:
    share = np.linspace(0, 1, RAMP)
    ramp = (1 / ((1 - share) / near + share / far))[None]
    bar = colorize(ramp, near=near, far=far, color_map=colour_map)
    ends = [f"{end:.3g} {facts.unit}".strip() for end in (near, far)]
    return (
        '<div class="ssmde-legend">'
        f"<span>near {escape(ends[0])}</span>"
        f'<img alt="colours from near to far" src="data:image/png;base64,{_in_text(bar, "PNG")}">'
        f"<span>far {escape(ends[1])}</span></div>"
    )


def _readout(depth: Float[np.ndarray, "h w"], facts: ModelInfo) -> str:
    """Where the page's script writes the depth under the pointer, with the depths it reads.

    A depth d is sent as a whole number from 0 to 65535, even in log d: exact to a few
    ten-thousandths of d.
    """
    small = resize_depth(depth, _fit(depth.shape, LONGEST_READ)).astype(np.float64)
    low, high = np.log(small.min()), np.log(small.max())
    span = max(high - low, 1e-9)
    levels = ((np.log(small) - low) / span * LEVELS).round().astype("<u2")
    data = {
        "height": levels.shape[0], "width": levels.shape[1], "low": f"{low:.9g}",
        "span": f"{span:.9g}", "unit": facts.unit or "relative units",
        "values": base64.b64encode(levels.tobytes()).decode(),
    }  # fmt: skip
    attributes = " ".join(f'data-{name}="{value}"' for name, value in data.items())
    return (
        f'<output id="ssmde-readout" {attributes}>Point at the picture to read its depth.</output>'
        f'<p class="ssmde-unit">{METRES if facts.metric else RELATIVE}</p>'
    )


def _in_text(pixels: UInt8[np.ndarray, "h w 3"], kind: str) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=80)
    return base64.b64encode(file.getvalue()).decode()
