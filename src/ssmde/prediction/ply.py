"""PLY files: points with colours, and triangles between them, in the binary form."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from ssmde.io import whole_file

TYPES = {"<f4": "float", "u1": "uchar"}  # numpy's name and PLY's


@dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """Points in space, with what is known of each, and perhaps triangles between them."""

    points: Float32[np.ndarray, "n 3"]
    """x, y, z."""
    colours: UInt8[np.ndarray, "n 3"]
    """RGB."""
    confidence: Float32[np.ndarray, " n"] | None = None
    """In [0, 1], higher is surer."""
    faces: Int32[np.ndarray, "m 3"] | None = None
    """Points of each triangle, counter-clockwise from the side that shows; None for a cloud."""


def write_ply(path: Path, cloud: Cloud) -> None:
    """Binary little-endian PLY (Turk, 1994): x y z, red green blue, confidence if known, faces."""
    columns = [(name, "<f4", cloud.points[:, i]) for i, name in enumerate("xyz")]
    columns += [(c, "u1", cloud.colours[:, i]) for i, c in enumerate(("red", "green", "blue"))]
    if cloud.confidence is not None:
        columns.append(("confidence", "<f4", cloud.confidence))
    vertices = np.empty(len(cloud.points), [(name, kind) for name, kind, _ in columns])
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    for name, kind, values in columns:
        vertices[name] = values
        head.append(f"property {TYPES[kind]} {name}")
    content = [vertices.tobytes()]
    if cloud.faces is not None:
        head += [f"element face {len(cloud.faces)}", "property list uchar int vertex_indices"]
        faces = np.empty(len(cloud.faces), [("count", "u1"), ("which", "<i4", 3)])
        faces["count"], faces["which"] = 3, cloud.faces
        content.append(faces.tobytes())
    with whole_file(path) as part:
        part.write_bytes("\n".join([*head, "end_header\n"]).encode("ascii") + b"".join(content))
