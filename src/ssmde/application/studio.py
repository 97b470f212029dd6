"""What the page computes: depth of a picture, files of it, and depth of a video frame by frame."""

import secrets
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import UInt8

from ssmde.application.shown import View, film_frame, view
from ssmde.application.visitors import Session
from ssmde.data.images import ImageError, read_image, read_size, whole_file
from ssmde.data.video import VIDEO_SUFFIXES, VideoError, read_frames, video_info, write_video
from ssmde.predict import FORMATS, Facts, Predictor, Shot, Style, explain_formats, write_frame
from ssmde.prediction.camera import AskedCamera, find_camera
from ssmde.prediction.formats import FrameFormat

MOST_PIXELS = 50_000_000
"""A larger picture is refused: it would fill the memory of the server."""
SHOWN_POINTS = 120_000
"""Points of the cloud on the page; files hold more."""
KEPT_ARRAYS = ("pixels", "depth", "intrinsics")
PICTURE_FORMATS = tuple(name for name, kind in FORMATS.items() if isinstance(kind, FrameFormat))


class RefusalError(ValueError):
    """Something a visitor asked for that cannot be done; the message is for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FilmStep:
    """How far a video is."""

    done: int
    """Frames that are computed."""
    total: int
    """Frames of the video; 0 if its file does not say."""
    shot: Shot | None = None
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
    facts: Facts

    def shot(self) -> Shot:
        arrays = {key: np.load(self.folder / f"{key}.npy") for key in KEPT_ARRAYS}
        return Shot(**arrays, facts=self.facts)


class Studio:
    """The networks of a page, and the newest picture of every session.

    Args:
        predictors: Loaded weights by the name the page shows.
    """

    def __init__(self, predictors: Mapping[str, Predictor]) -> None:
        self.predictors = predictors
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
        shot = self.shot(weights, pixels)
        folder = session.new_result()
        for key in KEPT_ARRAYS:
            np.save(folder / f"{key}.npy", getattr(shot, key))
        self._kept[session] = _Kept(folder=folder, name=name, weights=weights, facts=shot.facts)
        return view(folder, shot, colour_map)

    def shot(self, weights: str, pixels: UInt8[np.ndarray, "h w 3"]) -> Shot:
        """Depth of a picture by the weights of that name."""
        if weights not in self.predictors:
            raise RefusalError(
                f"There are no weights named {weights!r} here: choose from the list."
            )
        predictor = self.predictors[weights]
        depth = predictor.predict(pixels).depth
        intrinsics, _ = find_camera(depth.shape, AskedCamera())
        return Shot(pixels=pixels, depth=depth, intrinsics=intrinsics, facts=predictor.facts)

    def watch(self, session: Session, weights: str, pixels: UInt8[np.ndarray, "h w 3"]) -> Shot:
        """Depth of a webcam's frame; the newest frame is remembered, and nothing is written."""
        self._frames[session] = pixels
        return self.shot(weights, pixels)

    def newest_frame(self, session: Session) -> UInt8[np.ndarray, "h w 3"] | None:
        """What the webcam saw last."""
        return self._frames.get(session)

    def has_picture(self, session: Session) -> bool:
        """True once the depth of a picture was computed."""
        return session in self._kept

    def recolour(self, session: Session, colour_map: str) -> View | None:
        """The kept picture in other colours; None without one."""
        kept = self._kept.get(session)
        return None if kept is None else view(kept.folder, kept.shot(), colour_map)

    def cloud(self, session: Session) -> Path | None:
        """A point cloud of the kept picture for the page; None without a picture."""
        if (kept := self._kept.get(session)) is None:
            return None
        style = Style(mesh=True, max_points=SHOWN_POINTS)
        folder = kept.folder / f"points-{secrets.token_hex(4)}"
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
        folder, shot = kept.folder / "files", None
        folder.mkdir(exist_ok=True)
        written: list[Path] = []
        for name in formats:
            if name not in PICTURE_FORMATS:
                raise RefusalError(f"There is no format {name!r}: choose from the list.")
            path = folder / f"{kept.name}{FORMATS[name].suffix}"
            if not path.exists():
                shot = shot or kept.shot()
                write_frame(folder, kept.name, shot, [name])
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
        total = _film_length(path, name)
        folder = session.new_result()
        film, archive = folder / f"{name}_depth.mp4", folder / f"{name}_frames.zip"
        done, ends, note = 0, None, ""
        with ExitStack() as stack:
            stack.enter_context(_dropped_on_failure(session, folder))
            append = stack.enter_context(write_video(film, video_info(path).fps))
            pack = stack.enter_context(_archive(archive, folder / "frames", formats))
            frames = read_frames(path)
            while not session.stopped:
                try:
                    pixels = next(frames, None)
                except VideoError:
                    note = f"The video breaks off after frame {done}; this is what could be read."
                    break
                if pixels is None:
                    break
                shot = self.shot(weights, pixels)
                picture, ends = film_frame(shot, colour_map, ends)
                append(picture)
                pack(f"{name}_{done:06d}", shot)
                done += 1
                yield FilmStep(done=done, total=total, shot=shot)
            if done == 0:
                raise RefusalError(f"{name} holds no frame to read." if note else "Stopped.")
        files = (film, archive) if formats else (film,)
        yield FilmStep(done=done, total=total, files=files, note=note)


def read_picture(path: Path, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of an uploaded file.

    Raises:
        RefusalError: If it holds no picture, or too large a one.
    """
    try:
        height, width = read_size(path)
        if height * width > MOST_PIXELS:
            raise RefusalError(
                f"{name} has {height * width / 1e6:.0f} million pixels; the page takes up to "
                f"{MOST_PIXELS / 1e6:.0f} million. Make it smaller, or use ssmde predict."
            )
        return read_image(path)
    except ImageError as error:
        hint = "Use the tab Video." if path.suffix.lower() in VIDEO_SUFFIXES else (
            "The page takes JPEG, PNG, WebP, BMP and TIFF."
        )  # fmt: skip
        raise RefusalError(f"{name} is no picture that can be read. {hint}") from error


def _asked_camera(hfov_degrees: int | float | None) -> AskedCamera:
    try:
        return AskedCamera(hfov_degrees=hfov_degrees)
    except ValueError as error:
        raise RefusalError(
            f"The field of view must be between 0 and 180 degrees, got {hfov_degrees:g}."
        ) from error


def _film_length(path: Path, name: str) -> int:
    try:
        return video_info(path).frames
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
) -> Generator[Callable[[str, Shot], object]]:
    """Function that puts a frame into an archive: each file is removed once it is in."""
    if not formats:
        yield lambda name, shot: None
        return
    with whole_file(path) as part, zipfile.ZipFile(part, "w") as archive:

        def pack(name: str, shot: Shot) -> None:
            for file in write_frame(folder, name, shot, formats):
                archive.write(file, file.name)
                file.unlink()

        yield pack
