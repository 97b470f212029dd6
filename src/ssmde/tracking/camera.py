"""The focal length of a camera nobody knows, from the video it took.

Where a camera turns and moves, only one focal length fits all the points it saw. It is asked of all
frames, of every second one, and of the others, from starts far below and above: where the video
does not tell it, each stays where it began (decision 13).
"""

from typing import NamedTuple

import numpy as np

from ssmde.data.scene_files import read_scene_info, write_intrinsics, write_scene_info
from ssmde.data.sequence import FrameSequence
from ssmde.outputs import adding_to, recorded
from ssmde.tracking.colmap import Piece, Refined

START = 0.8  # first focal length of all frames, in longer sides: 64 degrees, a phone's main camera
BELOW, ABOVE = 0.5, 1.25  # first focal lengths of the two halves: 90 and 44 degrees
FIELD_OF_VIEW = (20.0, 120.0)  # degrees across the longer side; what is outside is not believed
FEWEST = 10  # frames that have to be connected
SEEN = 15  # points that each of them has to see in the mean; COLMAP's own least for two images
AGREE = 0.1  # of the focal length: how far the three may be from each other


class FoundCamera(NamedTuple):
    """A camera with square pixels and the principal point in the middle, found in a video."""

    focal: float  # length, in pixels of the images
    spread: float  # how far the furthest of its estimates lies from it, relative
    frames: int  # it was found in

    def __str__(self) -> str:
        return (
            f"focal length {self.focal:.1f} pixels +- {100 * self.spread:.1f} %, "
            f"from {self.frames} frames"
        )


def find_camera(piece: Piece) -> FoundCamera | str:
    """The camera of a stretch of video, or why it tells none; that in its database is changed."""
    side, names = max(piece.scene.image_size), piece.names
    piece.fill(START * side)
    whole = piece.refine(names, START * side)
    piece.advance("camera")
    if doubt := doubt_about(whole, len(names), side):
        return doubt
    halves = ((names[::2], BELOW), (names[1::2], ABOVE))
    focals = [whole.focal, *(piece.refine(half, at * side).focal for half, at in halves)]
    if not (np.isfinite(focals).all() and max(focals) <= (1 + AGREE) * min(focals)):
        said = ", ".join("none" if np.isnan(focal) else f"{focal:.0f}" for focal in focals)
        parts = f"parts of it come to different focal lengths ({said} pixels)"
        return f"{parts}; the camera has to turn"
    focal = float(np.median(focals))
    return FoundCamera(focal, float(np.abs(np.array(focals) / focal - 1).max()), whole.frames)


def keep_camera(scene: FrameSequence, camera: FoundCamera, by: str) -> None:
    """Write a camera to the scene's cam.txt, and to scene.json where it comes from."""
    folder, (height, width) = scene.images[0].parent, scene.image_size
    note = {"camera": f"found by {by}: {camera}"}
    with adding_to(folder / "scene.json"):
        write_scene_info(folder, read_scene_info(folder / "scene.json") | note)
    focal, x, y = camera.focal, (width - 1) / 2, (height - 1) / 2
    with recorded():
        write_intrinsics(folder, np.array([[focal, 0, x], [0, focal, y], [0, 0, 1]]))


def doubt_about(whole: Refined, frames: int, side: int) -> str:
    """Why a reconstruction from so many frames tells no focal length; empty if it does."""
    if whole.frames < FEWEST:
        return f"its motion was found in {whole.frames} of {frames} frames, and {FEWEST} are needed"
    if whole.seen < SEEN * whole.frames:
        return (
            f"a frame sees {whole.seen / whole.frames:.1f} points of known depth in the mean, and "
            f"{SEEN} are needed: the camera has to move, not only to turn"
        )
    degrees = float(np.degrees(2 * np.arctan(0.5 * side / whole.focal)))
    if FIELD_OF_VIEW[0] <= degrees <= FIELD_OF_VIEW[1]:
        return ""
    focal = f"a focal length of {whole.focal:.0f} pixels"
    return f"it came to {focal}, a field of view of {degrees:.0f} degrees"
