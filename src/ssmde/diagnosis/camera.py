"""The camera matrix: absent, or such as no lens of this image size has."""

import numpy as np

from ssmde.data.sequence import FrameSequence
from ssmde.diagnosis.finding import Finding

FIELD_OF_VIEW = (15.0, 130.0)  # degrees across the width: a long zoom, the widest pinhole
ASPECT = 1.3  # fx / fy, either way, beyond which even a resized image is rare
OFF_CENTRE = 0.2  # of the side: how far a principal point may lie from the middle
HALVES = (0.5, 1 / 3, 0.25, 0.125)  # sizes that images are commonly reduced to
NEAR_MIDDLE = 0.06  # of the side, for the guess that the matrix is of another size


def check_camera(sequence: FrameSequence) -> list[Finding]:
    """Findings about the camera matrix."""
    folder = sequence.images[0].parent
    if sequence.intrinsics is None:
        if (folder / "cam.txt").is_file():
            return []  # it was refused, which is a finding of its own
        return [
            Finding(
                name="no-intrinsics", severity="warning", scene=sequence.name,
                what="the camera is unknown: there is no cam.txt",
                remedy="`ssmde track` finds it where the camera turns and moves; else write the "
                "3 x 3 matrix to cam.txt, or give `ssmde prepare` the field of view: "
                "--hfov-degrees, 65 for the main camera of many phones",
            )
        ]  # fmt: skip
    faults = list(_faults(sequence))
    if not faults:
        return []
    return [
        Finding(
            name="intrinsics", severity="warning", scene=sequence.name, what=", ".join(faults),
            remedy="give the matrix in pixels of the stored images: when they were resized or cut, "
            "it is another one",
        )
    ]  # fmt: skip


def field_of_view(focal: float, side: int) -> float:
    """Angle that `side` pixels cover, in degrees."""
    return float(np.degrees(2 * np.arctan(0.5 * side / focal)))


def _faults(sequence: FrameSequence) -> list[str]:
    assert sequence.intrinsics is not None
    height, width = sequence.image_size
    (fx, _, cx), (_, fy, cy) = sequence.intrinsics[:2].tolist()
    faults: list[str] = []
    if size := _other_size(sequence):
        faults.append(
            f"principal point ({cx:g}, {cy:g}) is the middle of {size[0]} x {size[1]} pixels, but "
            f"the images have {width} x {height}"
        )
    elif max(abs(cx / width - 0.5), abs(cy / height - 0.5)) > OFF_CENTRE:
        faults.append(
            f"principal point ({cx:g}, {cy:g}) is far from the middle of {width} x {height} pixels"
        )
    angle = field_of_view(fx, width)
    if not FIELD_OF_VIEW[0] <= angle <= FIELD_OF_VIEW[1]:
        faults.append(f"fx {fx:g} at a width of {width} is a field of view of {angle:.0f} degrees")
    if not 1 / ASPECT <= fx / fy <= ASPECT:
        faults.append(f"fx {fx:g} and fy {fy:g} differ by a factor of {max(fx / fy, fy / fx):.2f}")
    return faults


def _other_size(sequence: FrameSequence) -> tuple[int, int] | None:
    """Size (width, height) of the images whose matrix it seems to be; None if that of ours."""
    assert sequence.intrinsics is not None
    height, width = sequence.image_size
    x, y = (sequence.intrinsics[:2, 2] + 0.5) / (width, height)
    for part in HALVES:
        if max(abs(x / part - 0.5), abs(y / part - 0.5)) < NEAR_MIDDLE:
            return round(width * part), round(height * part)
    return None
