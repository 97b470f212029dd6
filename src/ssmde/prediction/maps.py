"""Depth maps as picture and array files: numbers to compute with, colours to look at."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssmde.io import whole_file, write_json
from ssmde.pictures import bands, colour_bar, colourise, depth_range, side_by_side, write_png
from ssmde.prediction.shot import Facts, Shot, Style

LARGEST_PNG16 = 65535
DEPTH_FILE = "depth.json"


def unit_key(facts: Facts) -> str:
    """Name of what a unit is, in depth.json and in the text of every PNG."""
    return f"png16_units_per_{'metre' if facts.metric else 'scene_unit'}"


def png16_units(facts: Facts) -> float:
    """What depth 1 is in a 16-bit PNG: a whole number where possible, and never too large."""
    far = facts.depth_range[1]
    return float(LARGEST_PNG16 // far) if far <= LARGEST_PNG16 else LARGEST_PNG16 / far


def write_depth_png(path: Path, shot: Shot, style: Style) -> None:
    """16 bits a pixel, at least 1; the file itself says what a unit is, in a text of its head."""
    units = png16_units(shot.facts)
    values = np.empty(shot.depth.shape, np.uint16)
    for band in bands(values.shape):
        depth = shot.depth[band].astype(np.float64)
        values[band] = (depth * units).round().clip(1, LARGEST_PNG16)
    text = PngInfo()
    text.add_text(unit_key(shot.facts), repr(units))
    with whole_file(path) as part:
        Image.fromarray(values).save(part, "PNG", pnginfo=text)


def explain_depth_png(folder: Path, facts: Facts) -> None:
    """Write depth.json: what the numbers of the 16-bit PNGs mean."""
    near, far = facts.depth_range
    key, unit = unit_key(facts), "metres" if facts.metric else "scene units"
    content = {
        key: png16_units(facts),
        "meaning": f"depth along z in {unit} = value / {key}",
        "metric": facts.metric,
        "metres_per_scene_unit": facts.metres_per_unit,
        "scale": "found by `ssmde scale`, and stored with the weights"
        if facts.metric
        else "one factor to metres is unknown: `ssmde scale` finds it",
        "smallest_depth": near,
        "largest_depth": far,
        "weights": facts.source,
        "network_size": list(facts.network_size),
    }
    write_json(folder / DEPTH_FILE, content)


def write_depth_npz(path: Path, shot: Shot, style: Style) -> None:
    """`depth`, float32; `confidence` and `intrinsics` where there are any."""
    arrays: dict[str, Any] = {
        "depth": shot.depth, "confidence": shot.confidence, "intrinsics": shot.intrinsics
    }  # fmt: skip
    known = {name: array for name, array in arrays.items() if array is not None}
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **known)


def write_colours(path: Path, shot: Shot, style: Style) -> None:
    """Colours of the depth, near bright and far dark, and a bar at the right that reads them."""
    near, far = shot.ends or depth_range(shot.depth) or (1.0, 2.0)
    colours = colourise(shot.depth, near=near, far=far)
    bar = colour_bar(colours.shape[0], near=near, far=far, unit=shot.facts.unit)
    write_png(path, side_by_side([colours, bar]))
