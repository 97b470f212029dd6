"""What the page does when somebody asks: each answer is what its parts show next."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from ssmde.application.guard import HEADER
from ssmde.application.limits import LONGEST_WORD, BusyError, RefusalError, checked
from ssmde.application.received import read_picture, read_webcam_frame
from ssmde.application.shown import View, preview
from ssmde.application.studio import FilmStep, Studio
from ssmde.application.visitors import Session, Visitors
from ssmde.console import counted

SECONDS_BETWEEN_NEWS = 0.7
"""Of a video that is being computed."""
NOT_YOURS = "This file was not sent from this browser. Choose it again."


class Desk:
    """Answers the events of one page; every answer concerns the session that asks.

    Args:
        studio: Computes.
        visitors: Knows whose request it is, and which files are theirs.
    """

    def __init__(self, studio: Studio, visitors: Visitors) -> None:
        self.studio = studio
        self.visitors = visitors

    def picture(
        self,
        request: gr.Request,
        upload: Any,
        weights: Any,
        colour_map: Any,
        width: Any,
        formats: Any,
    ) -> Iterator[tuple[Any, ...]]:
        """Depth of an uploaded picture: first the pictures, then points, then files."""
        if upload is None:
            yield _part(status="")
            return
        try:
            given, weights, colour_map, width, formats = checked(
                upload=upload, weights=weights, colour_map=colour_map, width=width, formats=formats
            )
            with self._job(request, "picture"):
                path, name = self._upload(request, given)
                pixels = read_picture(path, name)
                words = (Path(name).stem, weights, colour_map)
                yield from self._answer(request, pixels, words, width, formats)
        except RefusalError as error:
            yield _part(status=_bad(error), upload=gr.update(value=None))

    def keep(
        self, request: gr.Request, weights: Any, colour_map: Any, width: Any, formats: Any
    ) -> Iterator[tuple[Any, ...]]:
        """The same for the newest frame of the webcam."""
        session = self._session(request)
        try:
            weights, colour_map, width, formats = checked(
                weights=weights, colour_map=colour_map, width=width, formats=formats
            )
            with self._job(request, "picture"):
                pixels = self.studio.newest_frame(session)
                if pixels is None:
                    raise RefusalError("Start the camera first.")
                session.keeping = True
                words = ("webcam", weights, colour_map)
                yield from self._answer(request, pixels, words, width, formats)
        except RefusalError as error:
            yield _part(status=_bad(error))
        finally:
            session.keeping = False

    def recolour(self, request: gr.Request, colour_map: Any) -> tuple[Any, Any]:
        """The picture that is shown, in other colours."""
        try:
            [colour_map] = checked(colour_map=colour_map)
            with self._job(request, "colours"):
                shown = self.studio.recolour(self._session(request), colour_map)
        except RefusalError as error:
            return gr.skip(), _bad(error)
        return (gr.skip(), gr.skip()) if shown is None else (_pair(shown), shown.legend)

    def widen(
        self, request: gr.Request, width: Any, formats: Any
    ) -> Iterator[tuple[Any, Any, Any]]:
        """The points of the picture that is shown, with another field of view."""
        session = self._session(request)
        try:
            width, formats = checked(width=width, formats=formats)
            with self._job(request, "points"):
                if camera := self.studio.widen(session, width or None):
                    files = self.studio.files(session, formats)
                    yield str(self.studio.cloud(session)), _note(camera), _paths(files)
        except RefusalError as error:
            yield gr.skip(), _bad(error), gr.skip()

    def files(self, request: gr.Request, formats: Any) -> Any:
        """The picture that is shown, as files."""
        try:
            [formats] = checked(formats=formats)
            with self._job(request, "files"):
                return _paths(self.studio.files(self._session(request), formats))
        except RefusalError:  # the page sends none such, and has no place to say it
            return gr.skip()

    def webcam(self, request: gr.Request, frame: Any, weights: Any, colour_map: Any) -> Any:
        """The newest frame beside its depth; nothing new while a frame is being kept."""
        session = self._session(request)
        if frame is None or session.keeping:
            return gr.skip()
        try:
            weights, colour_map = checked(weights=weights, colour_map=colour_map)
            # Frames come faster than they are computed: those that find no place are dropped.
            with self.visitors.working(request.headers[HEADER], "webcam", wait=False):
                shot = self.studio.watch(session, weights, read_webcam_frame(frame))
                return preview(shot, colour_map)
        except BusyError:
            return gr.skip()
        except RefusalError as error:
            return _bad(error)

    def begin(self, request: gr.Request) -> str:
        """A video was started: whatever was stopped before is forgotten."""
        self._session(request).stopped = False
        return "<p>Waiting for a free place ...</p>"

    def stop(self, request: gr.Request) -> None:
        """The video ends with the frame that is being computed."""
        self._session(request).stopped = True

    def film(
        self, request: gr.Request, upload: Any, weights: Any, colour_map: Any, formats: Any
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Depth of a video, with news while it is computed."""
        if isinstance(upload, list):
            upload = upload[0] if upload else None
        if upload is None:
            yield _bad("Choose a video first."), gr.skip(), gr.skip()
            return
        try:
            given, weights, colour_map, formats = checked(
                upload=upload, weights=weights, colour_map=colour_map, formats=formats
            )
            with self._job(request, "film"):
                yield "<p>Reading the video ...</p>", None, None
                path, name = self._upload(request, given)
                steps = self.studio.film(
                    self._session(request), weights, path, Path(name).stem, colour_map, formats
                )
                yield from _film_steps(steps, colour_map)
        except RefusalError as error:
            yield _bad(error), gr.skip(), gr.skip()

    def show(self, request: gr.Request) -> tuple[Any, Any]:
        """The tab of pictures or the webcam was opened."""
        has_picture = self.studio.has_picture(self._session(request))
        return gr.update(visible=True), gr.update(visible=has_picture)

    def hide(self) -> tuple[Any, Any]:
        """The tab of videos, which has a place of its own for results, was opened."""
        return gr.update(visible=False), gr.update(visible=False)

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.visitors.leave(request.headers[HEADER], _page_of(request))

    def _answer(
        self,
        request: gr.Request,
        pixels: np.ndarray,
        words: tuple[str, str, str],
        width: int | float,
        formats: Sequence[str],
    ) -> Iterator[tuple[Any, ...]]:
        """Args: `words` are the name of the picture, of the weights and of the colours."""
        session, start = self._session(request), time.monotonic()
        name, weights, colour_map = words
        shown = self.studio.look(session, weights, pixels, name, colour_map)
        camera = self.studio.widen(session, width or None)
        height, width = pixels.shape[:2]
        seconds = time.monotonic() - start
        said = f"<p>{escape(name)}: {width} x {height} pixels, {seconds:.1f} s</p>"
        yield _part(said, gr.update(visible=True), _pair(shown), shown.legend, files=[])
        yield _part(cloud=str(self.studio.cloud(session)), camera=_note(camera))
        yield _part(files=_paths(self.studio.files(session, formats)))

    def _session(self, request: gr.Request) -> Session:
        return self.visitors.session(request.headers[HEADER], _page_of(request))

    def _job(self, request: gr.Request, kind: str) -> AbstractContextManager[None]:
        """Work of a kind for this visitor, who gets no second one of it meanwhile."""
        return self.visitors.working(request.headers[HEADER], kind)

    def _upload(self, request: gr.Request, given: dict[str, str]) -> tuple[Path, str]:
        """Path and name of an uploaded file, if this visitor sent it."""
        path = Path(given["path"])
        if not self.visitors.owns(request.headers[HEADER], path) or not path.is_file():
            raise RefusalError(NOT_YOURS)
        name = Path(given["name"]).name
        return path, re.sub(r"[^\w. -]", "_", name)[-80:].lstrip(". ") or "picture"


def _page_of(request: gr.Request) -> str:
    return str(request.session_hash)[:LONGEST_WORD]


def _part(
    status: Any = None,
    box: Any = None,
    slider: Any = None,
    legend: Any = None,
    cloud: Any = None,
    camera: Any = None,
    files: Any = None,
    upload: Any = None,
) -> tuple[Any, ...]:
    """What changes of a result; the rest stays as it is."""
    parts = (status, box, slider, legend, cloud, camera, files, upload)
    return tuple(gr.skip() if part is None else part for part in parts)


def _pair(shown: View) -> tuple[str, str]:
    return str(shown.picture), str(shown.colours)


def _paths(files: Sequence[Path]) -> list[str]:
    return [str(path) for path in files]


def _note(words: str) -> str:
    return f'<p class="ssmde-note">{escape(words)}</p>'


def _bad(reason: RefusalError | str) -> str:
    return f'<p class="ssmde-bad" role="alert">{escape(str(reason))}</p>'


def _film_steps(steps: Iterator[FilmStep], colour_map: str) -> Iterator[tuple[Any, Any, Any]]:
    """What the page shows of a video: news every so often, at the end the files."""
    told, start = 0.0, time.monotonic()
    for step in steps:
        now = time.monotonic()
        if step.files:
            files = [str(path) for path in step.files]
            yield _film_news(step, now - start), files[0], files
        elif now - told > SECONDS_BETWEEN_NEWS and step.shot is not None:
            told = now
            news = _film_news(step, now - start) + preview(step.shot, colour_map)
            yield news, gr.skip(), gr.skip()


def _film_news(step: FilmStep, seconds: float) -> str:
    """How far a video is, in words and as a bar."""
    if step.files:
        size = step.files[0].stat().st_size / 1e6
        frames = counted(step.done, "frame")
        said = f"Done: {frames} in {seconds:.0f} s, film of {size:.1f} MB. {step.note}"
        return f"<p>{escape(said)}</p>"
    if not step.total:
        return f"<p>{counted(step.done, 'frame')}</p>"
    share = min(step.done / step.total, 1.0)
    left = seconds / step.done * max(step.total - step.done, 0)
    return (
        f"<p>{step.done} of {step.total} frames, {left:.0f} s left</p>"
        f'<div class="ssmde-bar"><div style="width: {share:.1%}"></div></div>'
    )
