"""The focal length of a camera nobody knows, from the video it took.

Where a camera turns and moves, only one focal length fits all the points it saw. It is asked for
three times: of all frames, of every second one, and of the others, from starts far below and far
above. Where the video tells the focal length they come to the same, elsewhere each stays where it
began. Why so: `docs/decisions/0013-focal-length-from-the-whole-video.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundCamera:
    """A camera with square pixels and the principal point in the middle, found in a video."""

    focal: float  # length, in pixels of the images
    # How far the furthest of its estimates lies from it, relative; what a lens bends or a rolling
    # shutter shifts is not in it.
    spread: float
    frames: int  # it was found in

    def __str__(self) -> str:
        return (
            f"focal length {self.focal:.1f} pixels +- {100 * self.spread:.1f} %, "
            f"from {self.frames} frames"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Focal lengths that a stretch of video came to."""

    frames: int = 0  # that all of it connects
    focals: tuple[float, ...] = ()  # of all frames, of every second, of the others, in pixels
    doubt: str = ""  # why it is not to be believed; empty if it is


def estimate_focal(piece: Piece) -> Estimate:
    """Focal length of a stretch of video; the camera in its database is changed."""
    side = max(piece.scene.image_size)
    piece.fill(START * side)
    names, focals = piece.names, tuple[float, ...]()
    whole = piece.refine(names, START * side)
    if not (doubt := doubt_about(whole, len(names), side)):
        below, above = (
            piece.refine(names[::2], BELOW * side),
            piece.refine(names[1::2], ABOVE * side),
        )
        focals = (whole.focal, below.focal, above.focal)
        doubt = _disagreement(focals)
    piece.advance("camera")
    return Estimate(frames=whole.frames, focals=focals, doubt=doubt)


def join_estimates(estimates: Sequence[Estimate]) -> FoundCamera | str:
    """The camera of stretches of one video, or why there is none.

    The focal length is the median of the estimates that can be believed, weighted by frames.
    """
    good = [one for one in estimates if not one.doubt]
    if not good:
        return max(estimates, key=lambda one: one.frames).doubt
    every = np.array([one.focals for one in good])
    if doubt := _disagreement(every.ravel().tolist()):
        return doubt
    frames = np.array([one.frames for one in good])
    focal = float(np.median(np.repeat(every, frames, axis=0)))
    spread = float(np.abs(every / focal - 1).max())
    return FoundCamera(focal=focal, spread=spread, frames=int(frames.sum()))


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
    """Why a reconstruction from so many frames tells no focal length; empty if it does.

    `side` is the longer one of the images, in pixels.
    """
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
    return (
        f"it came to a focal length of {whole.focal:.0f} pixels, a field of view of {degrees:.0f} "
        "degrees"
    )


def _disagreement(focals: Sequence[float]) -> str:
    """Why these focal lengths are no estimate of one; empty if they are."""
    if np.isfinite(focals).all() and max(focals) <= (1 + AGREE) * min(focals):
        return ""
    said = ", ".join("none" if np.isnan(focal) else f"{focal:.0f}" for focal in focals)
    return f"parts of it come to different focal lengths ({said} pixels); the camera has to turn"
