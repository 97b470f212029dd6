"""What the page computes: depth of a picture, files of it, and depth of a video frame by frame."""

import secrets
import time
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import UInt8

from ssmde.application.limits import (
    ARCHIVE_BYTES,
    JOB_SECONDS,
    PICTURE_FORMATS,
    PixelRoom,
    RefusalError,
)
from ssmde.application.received import check_pixels
from ssmde.application.shown import View, film_frame, view
from ssmde.application.visitors import Session
from ssmde.data.video import (
    VIDEO_SUFFIXES,
    VideoError,
    VideoInfo,
    VideoNotes,
    read_chosen_frames,
    video_info,
)
from ssmde.inference import (
    FORMATS,
    ModelInfo,
    PredictedFrame,
    Predictor,
    WriterOptions,
    explain_formats,
    write_frame,
)
from ssmde.inference.film import write_film
from ssmde.inference.pipeline import CameraSpec, find_camera
from ssmde.io import whole_file

SHOWN_POINTS = 120_000
"""Points of the cloud on the page; files hold more."""
TOO_LONG = f"The page computes for {JOB_SECONDS / 60:.0f} minutes at most; use ssmde predict."
KEPT_ARRAYS = ("pixels", "depth", "intrinsics")


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmStep:
    """How far a video is."""

    done: int
    """Frames that are computed."""
    total: int
    """Frames of the video; 0 if its file does not say."""
    shot: PredictedFrame | None = None
    """The frame that was just computed."""
    files: tuple[Path, ...] = ()
    """Film and, if asked for, archive of all frames: at the end."""
    note: str = ""
    """What went wrong, if something did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """The newest picture of a session, of which more files can be asked for."""

    folder: Path
    name: str
    weights: str
    facts: ModelInfo
    pixels: int

    def shot(self) -> PredictedFrame:
        arrays = {key: np.load(self.folder / f"{key}.npy") for key in KEPT_ARRAYS}
        return PredictedFrame(**arrays, info=self.facts)


class Studio:
    """The networks of a page, and the newest picture of every session.

    Args:
        predictors: Loaded weights by the name the page shows.
    """

    def __init__(self, predictors: Mapping[str, Predictor]) -> None:
        self.predictors = predictors
        self._room = PixelRoom()
        self._kept: WeakKeyDictionary[Session, _Kept] = WeakKeyDictionary()
        self._frames: WeakKeyDictionary[Session, np.ndarray] = WeakKeyDictionary()

    def look(
        self,
        session: Session,
        weights: str,
        pixels: UInt8[np.ndarray, "h w 3"],
        name: str,
        colour_map: str,
    ) -> View:
        """Compute the depth of a picture, and keep it until the next one."""
        with self._room.take(pixels.size // 3):
            shot = self._shot(weights, pixels)
            folder = session.new_result()
            for key in KEPT_ARRAYS:
                np.save(folder / f"{key}.npy", getattr(shot, key))
            self._kept[session] = _Kept(
                folder=folder, name=name, weights=weights, facts=shot.info, pixels=shot.depth.size
            )
            return view(folder, shot, colour_map)

    def _shot(self, weights: str, pixels: UInt8[np.ndarray, "h w 3"]) -> PredictedFrame:
        """Depth of a picture by the weights of that name."""
        if weights not in self.predictors:
            raise RefusalError(
                f"There are no weights named {weights!r} here: choose from the list."
            )
        predictor = self.predictors[weights]
        depth = predictor.predict(pixels).depth
        intrinsics, _ = find_camera(depth.shape, CameraSpec())
        return PredictedFrame(
            pixels=pixels, depth=depth, intrinsics=intrinsics, info=predictor.info
        )

    def watch(
        self, session: Session, weights: str, pixels: UInt8[np.ndarray, "h w 3"]
    ) -> PredictedFrame:
        """Depth of a webcam's frame; the newest frame is remembered, and nothing is written."""
        self._frames[session] = pixels
        with self._room.take(pixels.size // 3):
            return self._shot(weights, pixels)

    def newest_frame(self, session: Session) -> UInt8[np.ndarray, "h w 3"] | None:
        """What the webcam saw last."""
        return self._frames.get(session)

    def has_picture(self, session: Session) -> bool:
        """True once the depth of a picture was computed."""
        return session in self._kept

    def recolour(self, session: Session, colour_map: str) -> View | None:
        """The kept picture in other colours; None without one."""
        if (kept := self._kept.get(session)) is None:
            return None
        with self._room.take(kept.pixels):
            return view(kept.folder, kept.shot(), colour_map)

    def cloud(self, session: Session) -> Path | None:
        """A point cloud of the kept picture for the page; None without a picture."""
        if (kept := self._kept.get(session)) is None:
            return None
        style = WriterOptions(mesh=True, max_points=SHOWN_POINTS)
        folder = kept.folder / f"points-{secrets.token_hex(4)}"
        with self._room.take(kept.pixels):
            return write_frame(folder, kept.name, kept.shot(), ["glb"], style)[0]

    def widen(self, session: Session, hfov_degrees: int | float | None) -> str:
        """Lift the kept picture with another camera from now on, and say which one.

        Args:
            session: Whose picture.
            hfov_degrees: Horizontal field of view; None: as the weights learnt it, or a guess.
        """
        if (kept := self._kept.get(session)) is None:
            return ""
        asked = _asked_camera(hfov_degrees)
        size = np.load(kept.folder / "depth.npy", mmap_mode="r").shape
        intrinsics, origin = find_camera(size, asked)
        np.save(kept.folder / "intrinsics.npy", intrinsics)
        for path in kept.folder.glob("files/*"):
            path.unlink()
        return f"Camera of the points: {origin.split(':')[0]}."

    def files(self, session: Session, formats: Sequence[str]) -> list[Path]:
        """The kept picture in each of the formats; none without a picture."""
        if (kept := self._kept.get(session)) is None:
            return []
        folder, end = kept.folder / "files", time.monotonic() + JOB_SECONDS
        folder.mkdir(exist_ok=True)
        written: list[Path] = []
        for name in dict.fromkeys(formats):
            if name not in PICTURE_FORMATS:
                raise RefusalError(f"There is no format {name!r}: choose from the list.")
            path = folder / f"{kept.name}{FORMATS[name].suffix}"
            if not path.exists():
                if time.monotonic() > end:
                    raise RefusalError(TOO_LONG)
                with self._room.take(kept.pixels):
                    write_frame(folder, kept.name, kept.shot(), [name])
            written.append(path)
        if "png16" in formats:
            explain_formats(folder, kept.facts, ["png16"])
            written.append(folder / "depth.json")
        return written

    def film(
        self,
        session: Session,
        weights: str,
        path: Path,
        name: str,
        colour_map: str,
        formats: Sequence[str] = (),
    ) -> Iterator[FilmStep]:
        """Compute a video frame by frame; a stop keeps the frames that are done.

        Args:
            session: Whose it is; its `stopped` ends the work.
            weights: Name of the weights.
            path: The video.
            name: Its name without ending.
            colour_map: Name of the colours.
            formats: Of `PICTURE_FORMATS`: every frame goes into an archive, in each of these.
        """
        info = _film_info(path, name)
        folder, end = session.new_result(), time.monotonic() + JOB_SECONDS
        film, archive = folder / f"{name}_depth.mp4", folder / f"{name}_frames.zip"
        done, ends, note, packed = 0, None, "", 0

        def picture(shot: PredictedFrame) -> UInt8[np.ndarray, "h w 3"]:
            nonlocal ends
            pixels, ends = film_frame(shot, colour_map, ends)
            return pixels

        with ExitStack() as stack:
            stack.enter_context(_dropped_on_failure(session, folder))
            append = stack.enter_context(write_film(film, info.fps, path, picture=picture))
            pack = stack.enter_context(_archive(archive, folder / "frames", formats))
            notes = VideoNotes()
            frames = stack.enter_context(closing(read_chosen_frames(path, lambda _: True, notes)))
            while not session.stopped:
                try:
                    frame = next(frames, None)
                except VideoError:
                    note = f"The video breaks off after frame {done}; this is what could be read."
                    break
                if frame is None:
                    break
                if time.monotonic() > end or packed > ARCHIVE_BYTES:
                    note = f"{TOO_LONG} This is what could be done."
                    break
                with self._room.take(frame.pixels.size // 3):
                    shot = replace(self._shot(weights, frame.pixels), time=frame.time)
                    append(shot)
                    packed += pack(f"{name}_{frame.number:06d}", shot)
                done += 1
                yield FilmStep(done=done, total=info.frames, shot=shot)
            if done == 0:
                raise RefusalError(f"{name} holds no frame to read." if note else "Stopped.")
        files = (film, archive) if formats else (film,)
        note = " ".join([note, *(f"{line[0].upper()}{line[1:]}." for line in notes.lines)])
        yield FilmStep(done=done, total=info.frames, files=files, note=note.strip())


def _asked_camera(hfov_degrees: int | float | None) -> CameraSpec:
    try:
        return CameraSpec(hfov_degrees=hfov_degrees)
    except ValueError as error:
        raise RefusalError(
            f"The field of view must be between 0 and 180 degrees, got {hfov_degrees:g}."
        ) from error


def _film_info(path: Path, name: str) -> VideoInfo:
    try:
        info = video_info(path)
        check_pixels(name, info.size)
        return info
    except VideoError as error:
        raise RefusalError(
            f"{name} is no video that can be read. The page takes {', '.join(VIDEO_SUFFIXES)}."
        ) from error


@contextmanager
def _dropped_on_failure(session: Session, folder: Path) -> Generator[None]:
    """Mark the session as busy while the block runs; a result that fails is removed."""
    session.busy = True
    try:
        yield
    except BaseException:
        session.drop(folder)
        raise
    finally:
        session.busy = False


@contextmanager
def _archive(
    path: Path, folder: Path, formats: Sequence[str]
) -> Generator[Callable[[str, PredictedFrame], int]]:
    """Function that puts a frame into an archive and says its bytes; its files are removed then."""
    if not formats:
        yield lambda name, shot: 0
        return
    with whole_file(path) as part, zipfile.ZipFile(part, "w") as archive:

        def pack(name: str, shot: PredictedFrame) -> int:
            size = 0
            for file in write_frame(folder, name, shot, formats):
                archive.write(file, file.name)
                size += file.stat().st_size
                file.unlink()
            return size

        yield pack
