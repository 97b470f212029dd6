"""Lists of KITTI raw frames, as the field publishes its splits: drive, number, side."""

import re
from collections.abc import Mapping
from pathlib import Path

from ssmde.io import read_lines

SIDES = {"l": "02", "r": "03"}  # colour cameras
LINE = re.compile(r"(?:\d{4}_\d\d_\d\d/)?(\d{4}_\d\d_\d\d_drive_\d+_sync)/? +(\d+)(?: +([lr]))?")
Frames = Mapping[tuple[str, str], tuple[int, ...]]


def read_frame_list(path: Path) -> Frames:
    """Frame numbers in time order, each once, by drive and camera (`02` left, `03` right).

    Args:
        path: Lines such as `2011_09_26/2011_09_26_drive_0002_sync 0000000069 l`; the number may
            come without zeros, and a line without a side means the left camera.

    Raises:
        ValueError: If the file does not exist, is empty, or a line is different.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; give a list of frames")
    found: dict[tuple[str, str], set[int]] = {}
    for number, line in read_lines(path):
        match = LINE.fullmatch(re.sub(r"\s+", " ", line))
        if match is None:
            raise ValueError(
                f"{path}, line {number}: expected a drive, a frame and a side, such as "
                f"'2011_09_26/2011_09_26_drive_0002_sync 0000000069 l', got '{line}'"
            )
        drive, frame, side = match.groups()
        found.setdefault((drive, SIDES[side or "l"]), set()).add(int(frame))
    if not found:
        raise ValueError(f"{path}: the list is empty; name one frame a line")
    return {key: tuple(sorted(frames)) for key, frames in sorted(found.items())}
