"""What the page computes and shows: depth of a picture, files of it, depth of a video."""

import base64
import io
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from threading import Condition
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ssmde.app.guard import RefusalError, Session
from ssmde.data.images import resize_image, write_image
from ssmde.data.sequence import from_hfov
from ssmde.data.video import VIDEO_SUFFIXES, VideoError, VideoNotes, read_chosen_frames, video_info
from ssmde.inference.input import resize_depth
from ssmde.inference.pictures import color_ends, color_ramp, colorize
from ssmde.inference.predictor import PredictedFrame, Predictor
from ssmde.inference.writers import (
    DEPTH_FILE,
    WriterOptions,
    explain_png16,
    picture_of,
    write_film,
    write_frame,
)

Pixels = UInt8[np.ndarray, "h w 3"]

FILES = ("png16", "npz", "color", "ply")  # of a picture; `ssmde predict` makes more kinds
PAGE_PIXELS = 50_000_000  # a larger picture or frame of a film is refused
PIXELS_AT_ONCE = 60_000_000  # of all visitors: large pictures wait for each other, small ones pass
LAST_SECONDS = 30.0  # at the end of the server, for the frames that are being computed
JOB_SECONDS = 600.0  # what takes longer ends there; of a film what is done is kept
SHOWN_POINTS = 120_000  # of the cloud on the page; files hold more
# Larger pictures and films are shown at this size, in pixels; files keep the size they came in.
LONGEST_SHOWN, LONGEST_FILM, LONGEST_PREVIEW = 1280, 1280, 480
LONGEST_READ = 320  # size at which depths go to the browser: about what networks see
LEVELS, RAMP = 65535, 256
TOO_LONG = f"The page computes for {JOB_SECONDS / 60:.0f} minutes at most; use ssmde predict."
SMALLER = (
    f"the page takes up to {PAGE_PIXELS / 1e6:.0f} million. Make it smaller, or use ssmde predict."
)
RELATIVE = (
    "Relative units, not metres: these weights do not know how large things are. "
    "A point with twice the number is twice as far."
)
POINT = "Point at the picture, or touch it, to read its depth."
METRES = "Metres, along the view: the weights were fitted to a known length."


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmStep:
    """How far a video is."""

    done: int
    total: int  # frames of the video; 0 if its file does not say
    frame: PredictedFrame | None = None  # the one that was just computed
    film: Path | None = None  # at the end
    note: str = ""  # what went wrong, if something did


class PixelRoom:
    """Room for so many pixels at a time; who finds none waits."""

    def __init__(self, most: int = PIXELS_AT_ONCE) -> None:
        self._most, self._taken, self._closed, self._change = most, 0, False, Condition()

    @contextmanager
    def take(self, pixels: Pixels) -> Generator[None]:
        """Hold room for a picture while the block runs; alone, even more than there is."""
        count = pixels.size // 3
        with self._change:
            self._change.wait_for(
                lambda: self._closed or not self._taken or self._taken + count <= self._most
            )
            if self._closed:
                raise RefusalError("The page was closed.")
            self._taken += count
        try:
            yield
        finally:
            with self._change:
                self._taken -= count
                self._change.notify_all()

    def close(self, patience: float = LAST_SECONDS) -> None:
        """Let nobody in any more, and wait so many seconds for those inside.

        A process that ends while a thread is inside the network is aborted.
        """
        with self._change:
            self._closed = True
            self._change.notify_all()
            self._change.wait_for(lambda: not self._taken, patience)


class InferenceService:
    """The networks of a page by the name it shows, and what they see for a session."""

    def __init__(self, predictors: Mapping[str, Predictor]) -> None:
        self.predictors = predictors
        self._room = PixelRoom()
        self.close = self._room.close

    def frame(self, session: Session, weights: str, pixels: Pixels) -> PredictedFrame:
        """Depth by the weights of that name, of the page or of the visitor; nothing is written."""
        predictor = self.predictors.get(weights) or session.own.get(weights)
        if predictor is None:
            raise RefusalError(f"There are no weights named {weights!r}: choose from the list.")
        with self._room.take(pixels):
            depth = predictor.predict(pixels).depth
        return PredictedFrame(pixels=pixels, depth=depth, info=predictor.info)

    def picture(
        self, session: Session, weights: str, pixels: Pixels, name: str, width: float
    ) -> Iterator[dict[str, Any]]:
        """What changes of the page when a picture is predicted, by the names of its parts.

        First the picture and its depth in colors; then its surface, seen by a camera of this field
        of view in degrees; then files of the size it came in.
        """
        end, folder = time.monotonic() + JOB_SECONDS, session.new_result()
        frame = self.frame(session, weights, pixels)
        frame = replace(frame, intrinsics=from_hfov(frame.depth.shape, width))
        with self._room.take(pixels):
            shown, (near, far) = smaller(frame, LONGEST_SHOWN), color_ends(frame.depth)
            pictures = [folder / "picture.jpg", folder / "depth.png"]
            write_image(pictures[0], shown.pixels, quality=90)
            write_image(pictures[1], colorize(shown.depth, near=near, far=far))
            legend = _legend(frame, near, far)
        yield {"slider": [*map(str, pictures)], "legend": legend, "files": []}
        options = WriterOptions(mesh=True, max_points=SHOWN_POINTS)
        with self._room.take(pixels):
            (surface,) = write_frame(folder / "shown", "points", frame, ["glb"], options)
        yield {"cloud": str(surface)}
        with self._room.take(pixels):
            if time.monotonic() > end:
                raise RefusalError(TOO_LONG)
            files = write_frame(folder, name, frame, FILES)
        explain_png16(folder, frame.info)
        yield {"files": [*map(str, files), str(folder / DEPTH_FILE)]}

    def film(self, session: Session, weights: str, path: Path, name: str) -> Iterator[FilmStep]:
        """Compute a video frame by frame; `session.stopped` ends it and keeps what is done."""
        try:
            info = video_info(path)
        except VideoError as error:
            raise RefusalError(
                f"{name} is no video that can be read, or only a part of one. "
                f"The page takes {', '.join(VIDEO_SUFFIXES)}."
            ) from error
        check_pixels(name, info.size)
        folder, end, notes = session.new_result(), time.monotonic() + JOB_SECONDS, VideoNotes()
        film, done, ends, note = folder / f"{name}_depth.mp4", 0, None, ""
        frames = read_chosen_frames(path, lambda _: True, notes)
        try:
            with write_film(film, info.fps) as append, closing(frames):
                while not session.stopped:
                    try:
                        read = next(frames, None)
                    except VideoError:
                        note = f"The video breaks off after frame {done}; "
                        note += "this is what could be read."
                        break
                    if read is None:
                        break
                    if time.monotonic() > end:
                        note = f"{TOO_LONG} This is what could be done."
                        break
                    frame = self.frame(session, weights, read.pixels)
                    ends = color_ends(frame.depth, ends)
                    frame = smaller(replace(frame, time=read.time, ends=ends), LONGEST_FILM)
                    append(frame)
                    done += 1
                    yield FilmStep(done=done, total=info.frames, frame=frame)
                if done == 0:
                    raise RefusalError(f"{name} holds no frame to read." if note else "Stopped.")
        except BaseException:  # also where nobody waits for it any more
            session.drop(folder)
            raise
        note = " ".join([note, *(f"{line[0].upper()}{line[1:]}." for line in notes.lines)])
        yield FilmStep(done=done, total=info.frames, film=film, note=note.strip())


def check_pixels(name: str, size: tuple[int, int]) -> None:
    """Refuse a picture or film with frames of this size (height, width), if it is too large."""
    if (count := size[0] * size[1]) > PAGE_PIXELS:
        raise RefusalError(f"{name} has {count / 1e6:.0f} million pixels; {SMALLER}")


def smaller(frame: PredictedFrame, longest: int) -> PredictedFrame:
    """The picture and its depth with sides of at most `longest` pixels."""
    scale = min(1, longest / max(frame.depth.shape))
    height, width = (max(1, round(side * scale)) for side in frame.depth.shape)
    pixels = resize_image(frame.pixels, (height, width))
    return replace(frame, pixels=pixels, depth=resize_depth(frame.depth, (height, width)))


def preview(frame: PredictedFrame) -> str:
    """HTML of a small picture beside its depth."""
    return shown(picture_of(smaller(frame, LONGEST_PREVIEW)), "picture and depth")


def shown(pixels: Pixels, words: str) -> str:
    """HTML of a picture, which lies in the text."""
    return f'<img class="ssmde-live" alt="{escape(words)}" src="{_in_text(pixels, "jpeg")}">'


def _legend(frame: PredictedFrame, near: float, far: float) -> str:
    """The color bar, and where the page's script writes the depth under the pointer.

    A depth d is sent as a whole number from 0 to 65535, even in log d: exact to a few
    ten-thousandths of d.
    """
    unit = frame.info.unit
    bar = _in_text(colorize(color_ramp(RAMP, near, far)[None], near=near, far=far), "png")
    small = np.log(smaller(frame, LONGEST_READ).depth.astype(np.float64))
    low, span = small.min(), max(np.ptp(small), 1e-9)
    levels = ((small - low) / span * LEVELS).round().astype("<u2")
    data = {
        "height": levels.shape[0], "width": levels.shape[1], "low": f"{low:.9g}",
        "span": f"{span:.9g}", "unit": unit or "relative units",
        "values": base64.b64encode(levels.tobytes()).decode(),
    }  # fmt: skip
    attributes = " ".join(f'data-{name}="{value}"' for name, value in data.items())
    return (
        f'<div class="ssmde-legend"><span>{f"near {near:.3g} {unit}".strip()}</span>'
        f'<img alt="colors from near to far" src="{bar}">'
        f"<span>{f'far {far:.3g} {unit}'.strip()}</span></div>"
        f'<output id="ssmde-readout" {attributes}>{POINT}</output>'
        f'<p class="ssmde-unit">{METRES if frame.info.metric else RELATIVE}</p>'
    )


def _in_text(pixels: Pixels, kind: str) -> str:
    """A picture as the address of itself."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=80)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
