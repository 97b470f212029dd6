"""What the page computes and shows: depth of a picture, files of it, depth of a video."""

import base64
import io
import math
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from threading import Condition

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ssmde.app.guard import RefusalError, Session
from ssmde.data.images import resize_image, write_image
from ssmde.data.video import VIDEO_SUFFIXES, VideoError, VideoNotes, read_chosen_frames, video_info
from ssmde.inference.camera import CameraSpec, find_camera
from ssmde.inference.input import resize_depth
from ssmde.inference.pictures import color_ends, color_ramp, colorize, side_by_side
from ssmde.inference.predictor import ModelInfo, PredictedFrame, Predictor
from ssmde.inference.writers import (
    DEPTH_FILE,
    WriterOptions,
    explain_png16,
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
    "Relative units: true up to one factor, for these weights do not know metres. "
    "A point with twice the number is twice as far."
)
METRES = "Metres, along the view: the weights were fitted to a known length."


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmStep:
    """How far a video is."""

    done: int
    total: int  # frames of the video; 0 if its file does not say
    frame: PredictedFrame | None = None  # the one that was just computed
    film: Path | None = None  # at the end
    note: str = ""  # what went wrong, if something did


@dataclass(frozen=True, slots=True)
class Kept:
    """The newest picture of a session, of which more files can be asked for."""

    folder: Path
    name: str
    frame: PredictedFrame  # without its maps, which lie in the folder
    size: tuple[int, int]

    def load(self) -> PredictedFrame:
        """The picture and its depth."""
        with np.load(self.folder / "maps.npz") as maps:
            return replace(self.frame, **maps)


class PixelRoom:
    """Room for so many pixels at a time; who finds none waits."""

    def __init__(self, most: int = PIXELS_AT_ONCE) -> None:
        self._most, self._taken, self._closed, self._change = most, 0, False, Condition()

    @contextmanager
    def take(self, pixels: int) -> Generator[None]:
        """Hold room while the block runs; alone, even more than there is."""
        with self._change:
            self._change.wait_for(
                lambda: self._closed or not self._taken or self._taken + pixels <= self._most
            )
            if self._closed:
                raise RefusalError("The page was closed.")
            self._taken += pixels
        try:
            yield
        finally:
            with self._change:
                self._taken -= pixels
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
    """The networks of a page by the name it shows; each session keeps its newest picture."""

    def __init__(self, predictors: Mapping[str, Predictor]) -> None:
        self.predictors = predictors
        self._room = PixelRoom()
        self.close = self._room.close

    def predict(self, session: Session, weights: str, pixels: Pixels, name: str) -> None:
        """Compute the depth of a picture, and keep it until the next one."""
        with self._room.take(pixels.size // 3):
            frame = self.predict_frame(session, weights, pixels)
            folder = session.new_result()
            np.savez(folder / "maps.npz", pixels=frame.pixels, depth=frame.depth)
            empty = replace(frame, pixels=frame.pixels[:0], depth=frame.depth[:0])
            session.kept = Kept(folder, name, empty, frame.depth.shape)

    def predict_frame(self, session: Session, weights: str, pixels: Pixels) -> PredictedFrame:
        """Depth by the weights of that name, of the page or of the visitor; nothing is kept."""
        predictor = self.predictors.get(weights) or session.own.get(weights)
        if predictor is None:
            raise RefusalError(f"There are no weights named {weights!r}: choose from the list.")
        depth = predictor.predict(pixels).depth
        return PredictedFrame(pixels=pixels, depth=depth, info=predictor.info)

    def predict_webcam(self, session: Session, weights: str, pixels: Pixels) -> PredictedFrame:
        """Depth of a webcam's frame; the newest frame is remembered, and nothing is written."""
        session.webcam = pixels
        with self._room.take(pixels.size // 3):
            return self.predict_frame(session, weights, pixels)

    def view(self, kept: Kept, color_map: str) -> tuple[Path, Path, str]:
        """Files of the kept picture and of its depth in colors, of a size for the page.

        With them comes HTML: the color bar, the unit, and the depths for the pointer.
        """
        with self._room.take(math.prod(kept.size)):
            frame = kept.load()
            near, far = color_ends(frame.depth)
            size = _fit(kept.size, LONGEST_SHOWN)
            picture, colors = kept.folder / "picture.jpg", kept.folder / f"{color_map}.png"
            if not picture.exists():
                write_image(picture, resize_image(frame.pixels, size), quality=90)
            small = resize_depth(frame.depth, size)
            write_image(colors, colorize(small, near=near, far=far, color_map=color_map))
            words = _legend(near, far, color_map, frame.info) + _readout(frame.depth, frame.info)
            return picture, colors, words

    def in_space(self, kept: Kept, degrees: float | None) -> Generator[tuple[list[Path], str]]:
        """The kept picture seen by a camera of this field of view, or a guess.

        First a surface for the page, and words about the camera; then the files to download. Those
        of the camera before are removed.
        """
        camera, origin = find_camera(kept.size, CameraSpec(hfov_degrees=degrees))
        words = f"Camera of the points: {origin.split(':')[0]}."
        end = time.monotonic() + JOB_SECONDS
        for folder in kept.folder.glob("files-*"):
            shutil.rmtree(folder, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="files-", dir=kept.folder))
        style, files = WriterOptions(mesh=True, max_points=SHOWN_POINTS), list[Path]()

        def write(name: str, kind: str, options: WriterOptions | None = None) -> list[Path]:
            if time.monotonic() > end:
                raise RefusalError(TOO_LONG)
            with self._room.take(math.prod(kept.size)):
                frame = replace(kept.load(), intrinsics=camera)
                return write_frame(folder, name, frame, [kind], options)

        yield write("shown/points", "glb", style), words
        for kind in FILES:
            files += write(kept.name, kind)
        explain_png16(folder, kept.frame.info)
        yield [*files, folder / DEPTH_FILE], words

    def film(
        self, session: Session, weights: str, path: Path, name: str, color_map: str
    ) -> Iterator[FilmStep]:
        """Compute a video frame by frame; `session.stopped` ends it and keeps what is done."""
        try:
            info = video_info(path)
        except VideoError as error:
            raise RefusalError(
                f"{name} is no video that can be read. The page takes {', '.join(VIDEO_SUFFIXES)}."
            ) from error
        check_pixels(name, info.size)
        folder, end = session.new_result(), time.monotonic() + JOB_SECONDS
        film, done, ends, note = folder / f"{name}_depth.mp4", 0, None, ""
        picture, notes = partial(film_frame, color_map=color_map), VideoNotes()
        with ExitStack() as stack:
            stack.push(lambda kind, *_: session.drop(folder) if kind else None)
            append = stack.enter_context(write_film(film, info.fps, picture=picture))
            frames = stack.enter_context(closing(read_chosen_frames(path, lambda _: True, notes)))
            while not session.stopped:
                try:
                    read = next(frames, None)
                except VideoError:
                    note = f"The video breaks off after frame {done}; this is what could be read."
                    break
                if read is None:
                    break
                if time.monotonic() > end:
                    note = f"{TOO_LONG} This is what could be done."
                    break
                with self._room.take(read.pixels.size // 3):
                    frame = self.predict_frame(session, weights, read.pixels)
                    ends = color_ends(frame.depth, ends)
                    frame = replace(frame, time=read.time, ends=ends)
                    append(frame)
                done += 1
                yield FilmStep(done=done, total=info.frames, frame=frame)
            if done == 0:
                raise RefusalError(f"{name} holds no frame to read." if note else "Stopped.")
        note = " ".join([note, *(f"{line[0].upper()}{line[1:]}." for line in notes.lines)])
        yield FilmStep(done=done, total=info.frames, film=film, note=note.strip())


def check_pixels(name: str, size: tuple[int, int]) -> None:
    """Refuse a picture or film with frames of this size (height, width), if it is too large."""
    if (count := size[0] * size[1]) > PAGE_PIXELS:
        raise RefusalError(f"{name} has {count / 1e6:.0f} million pixels; {SMALLER}")


def preview(frame: PredictedFrame, color_map: str) -> str:
    """HTML of a small picture beside its depth."""
    size = _fit(frame.depth.shape, LONGEST_PREVIEW)
    colors = colorize(resize_depth(frame.depth, size), color_map=color_map)
    pair = np.concatenate([resize_image(frame.pixels, size), colors], axis=1)
    return shown(pair, "picture and depth")


def shown(pixels: Pixels, words: str) -> str:
    """HTML of a picture, which lies in the text."""
    return f'<img class="ssmde-live" alt="{escape(words)}" src="{_in_text(pixels, "jpeg")}">'


def film_frame(frame: PredictedFrame, color_map: str) -> Pixels:
    """Frame and depth side by side, of a size for the page."""
    size = _fit(frame.depth.shape, LONGEST_FILM)
    near, far = frame.ends or color_ends(frame.depth)
    colors = colorize(resize_depth(frame.depth, size), near=near, far=far, color_map=color_map)
    return side_by_side([resize_image(frame.pixels, size), colors])


def _fit(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Size (height, width) of the same shape with sides of at most `longest`."""
    scale = min(1, longest / max(shape))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _legend(near: float, far: float, color_map: str, facts: ModelInfo) -> str:
    ramp = color_ramp(RAMP, near, far)[None]
    bar = _in_text(colorize(ramp, near=near, far=far, color_map=color_map), "png")
    ends = [escape(f"{end:.3g} {facts.unit}".strip()) for end in (near, far)]
    return (
        f'<div class="ssmde-legend"><span>near {ends[0]}</span>'
        f'<img alt="colors from near to far" src="{bar}"><span>far {ends[1]}</span></div>'
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


def _in_text(pixels: Pixels, kind: str) -> str:
    """A picture as the address of itself."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=80)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
