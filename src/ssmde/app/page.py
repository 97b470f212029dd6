"""The page: its parts, and what each of them does when somebody asks."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ssmde.app.guard import HEADER, BusyError, RefusalError, Session, Visitors
from ssmde.app.inputs import (
    COLOR_MAPS,
    LONGEST_WORD,
    WIDEST,
    checked,
    read_picture,
    read_webcam_frame,
)
from ssmde.app.service import PICTURE_FORMATS, FilmStep, InferenceService, Pixels, View, preview
from ssmde.console import counted

STYLE, SCRIPT = (Path(__file__).with_suffix(suffix) for suffix in (".css", ".js"))
PICTURES_AT_ONCE, FILMS_AT_ONCE, WEBCAMS_AT_ONCE = 8, 4, 2
"""Of all visitors; one takes two places at most, with the one that waits."""
WEBCAM_EVERY, WEBCAM_SECONDS, SECONDS_BETWEEN_NEWS = 0.4, 120, 0.7
# Every so many seconds Gradio removes files that are older than so many; the visitors' own go long
# before.
CACHE = (600, 86_400)
MADE_AT_ONCE = ("png16", "npz", "color")  # formats that are ticked at the start
WORDS = {
    "png16": "16-bit PNG", "npz": "NumPy", "exr": "EXR", "color": "Colors", "normals": "Normals",
    "ply": "PLY points", "glb": "GLB points",
}  # fmt: skip
"""What the page calls a format."""
HEAD = "# Depth from one picture\nA network looks at one picture and says how far each pixel is."
ABOUT_VIDEO = "Each frame is computed by itself. The film shows frame and depth side by side."
ABOUT_WEBCAM = (
    "Browsers give the camera only to pages on this computer or behind https. "
    "No frame is stored unless you keep it."
)
FIELD_OF_VIEW = "Horizontal field of view in degrees; 0: from the weights, or a guess"
PRIVATE: dict[str, Any] = {"preprocess": False, "api_visibility": "private"}
"""Gradio neither reads what comes, which the handlers check, nor documents it."""

Parts = dict[Any, Any]
"""What changes of the page, by its part; the rest stays as it is."""


class Page:
    """One page for all visitors; every answer concerns the session that asks."""

    def __init__(self, service: InferenceService, visitors: Visitors) -> None:
        self.service, self.visitors = service, visitors
        with gr.Blocks(
            title="ssmde: depth from one picture", analytics_enabled=False, delete_cache=CACHE
        ) as self.blocks:
            gr.Markdown(HEAD)
            names = list(service.predictors)
            with gr.Row():
                self.weights = gr.Dropdown(
                    names, value=names[0], label="Weights", interactive=len(names) > 1,
                    elem_id="ssmde-weights",
                )  # fmt: skip
                self.map = gr.Dropdown(
                    COLOR_MAPS, value=COLOR_MAPS[0], label="Colors", elem_id="ssmde-map"
                )
            with gr.Tab("Picture") as pictures:
                self.upload = gr.Image(
                    label="Drop a picture, or paste one", sources=["upload", "clipboard"],
                    height=240, type="filepath", image_mode=None, elem_id="ssmde-picture",
                    buttons=[],
                )  # fmt: skip
            with gr.Tab("Video") as videos:
                self._video_tab()
            with gr.Tab("Webcam") as webcams:
                keep = self._webcam_tab()
            self._result()
            tabs = ((pictures, self.show), (videos, self.hide), (webcams, self.show))
            for tab, handler in tabs:
                tab.select(
                    handler, None, [self.status, self.box], queue=False, show_progress="hidden",
                    api_visibility="private",
                )  # fmt: skip
            self._ask(keep)
            self.blocks.unload(self.leave)

    def _video_tab(self) -> None:
        gr.HTML(_note(ABOUT_VIDEO))
        video = gr.File(
            label="Drop a video", file_types=["video"], elem_id="ssmde-video", height=140
        )
        formats = gr.CheckboxGroup(
            _format_choices(), label="Also keep every frame as", elem_id="ssmde-video-formats"
        )
        with gr.Row():
            start = gr.Button("Start", variant="primary", min_width=120, elem_id="ssmde-start")
            stop = gr.Button("Stop", min_width=120, elem_id="ssmde-stop")
        self.news = gr.HTML(elem_id="ssmde-news")
        self.video = gr.Video(label="Film", interactive=False, elem_id="ssmde-film", buttons=[])
        self.video_files = _files("ssmde-video-files")
        quiet: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
        begun = start.click(
            self.begin, None, self.news, queue=False, scroll_to_output=True, **quiet
        )
        begun.then(
            self.film, [video, self.weights, self.map, formats],
            [self.news, self.video, self.video_files],
            concurrency_id="films", concurrency_limit=FILMS_AT_ONCE, **quiet,
        )  # fmt: skip
        stop.click(self.stop, None, None, queue=False, **quiet)

    def _webcam_tab(self) -> Any:
        """The camera and what it sees; returns the button that keeps a frame."""
        gr.HTML(_note(ABOUT_WEBCAM))
        camera = gr.Image(
            label="Camera", sources=["webcam"], streaming=True, type="numpy", height=300,
            elem_id="ssmde-camera", buttons=[],
        )  # fmt: skip
        live = gr.HTML(elem_id="ssmde-live")
        camera.stream(
            self.webcam, [camera, self.weights, self.map], live,
            stream_every=WEBCAM_EVERY, time_limit=WEBCAM_SECONDS, concurrency_id="webcams",
            concurrency_limit=WEBCAMS_AT_ONCE, show_progress="hidden", **PRIVATE,
        )  # fmt: skip
        return gr.Button("Keep this picture", elem_id="ssmde-keep")

    def _result(self) -> None:
        """The parts below the tabs."""
        self.status = gr.HTML(elem_id="ssmde-status")
        with gr.Column(visible=False, elem_id="ssmde-result") as self.box:
            with gr.Row():
                with gr.Column(min_width=320):
                    self.slider = gr.ImageSlider(
                        label="Picture | depth", interactive=False, type="filepath",
                        max_height=480, elem_id="ssmde-slider", buttons=["fullscreen"],
                    )  # fmt: skip
                    self.legend = gr.HTML(elem_id="ssmde-legend")
                with gr.Column(min_width=320):
                    self.cloud = gr.Model3D(
                        label="In space: drag to turn", height=420, elem_id="ssmde-cloud",
                        clear_color=(0.1, 0.1, 0.12, 1.0), interactive=False,
                    )  # fmt: skip
                    self.camera = gr.HTML(elem_id="ssmde-camera-note")
                    self.width = gr.Slider(
                        0, WIDEST, value=0, step=1, elem_id="ssmde-width", buttons=[],
                        label=FIELD_OF_VIEW,
                    )  # fmt: skip
            self.formats = gr.CheckboxGroup(
                _format_choices(), value=list(MADE_AT_ONCE), label="Files to download",
                elem_id="ssmde-formats",
            )  # fmt: skip
            self.files = _files("ssmde-files")

    def _ask(self, keep: Any) -> None:
        """What is done when a visitor sends a picture, keeps one, or changes a choice."""
        asked = [self.upload, self.weights, self.map, self.width, self.formats]
        result = [
            self.status, self.box, self.slider, self.legend, self.cloud, self.camera, self.files,
            self.upload,
        ]  # fmt: skip
        news: dict[str, Any] = {"show_progress_on": self.status, **PRIVATE}
        gr.on(
            [self.upload.input, self.weights.input], self.picture, asked, result,
            concurrency_id="pictures", concurrency_limit=PICTURES_AT_ONCE,
            trigger_mode="always_last", **news,
        )  # fmt: skip
        keep.click(self.keep, asked[1:], result, concurrency_id="pictures", **news)
        self.map.input(self.recolor, self.map, [self.slider, self.legend], **news)
        self.formats.input(self.write_files, self.formats, self.files, **news)
        self.width.release(
            self.widen, [self.width, self.formats], [self.cloud, self.camera, self.files], **news
        )

    def picture(
        self, request: gr.Request, upload: Any, weights: Any, color_map: Any, width: Any,
        formats: Any,
    ) -> Iterator[Parts]:  # fmt: skip
        """Depth of an uploaded picture: first the pictures, then points, then files."""
        if upload is None:
            yield {self.status: ""}
            return
        try:
            given, *choices = checked(
                upload=upload, weights=weights, color_map=color_map, width=width, formats=formats
            )
            with self._job(request, "picture"):
                path, name = self._upload(request, given)
                yield from self._answer(
                    request, read_picture(path, name), Path(name).stem, *choices
                )
        except RefusalError as error:
            yield {self.status: _bad(error), self.upload: gr.update(value=None)}

    def keep(
        self, request: gr.Request, weights: Any, color_map: Any, width: Any, formats: Any
    ) -> Iterator[Parts]:
        """The same for the newest frame of the webcam."""
        session = self._session(request)
        try:
            choices = checked(weights=weights, color_map=color_map, width=width, formats=formats)
            with self._job(request, "picture"):
                pixels = self.service.newest_frame(session)
                if pixels is None:
                    raise RefusalError("Start the camera first.")
                session.keeping = True
                yield from self._answer(request, pixels, "webcam", *choices)
        except RefusalError as error:
            yield {self.status: _bad(error)}
        finally:
            session.keeping = False

    def recolor(self, request: gr.Request, color_map: Any) -> Any:
        """The picture that is shown, in other colors."""
        session = self._session(request)
        try:
            [color_map] = checked(color_map=color_map)
            with self._job(request, "colors"):
                if not self.service.has_picture(session):
                    return gr.skip()
                return self._colored(self.service.recolor(session, color_map))
        except RefusalError as error:
            return {self.legend: _bad(error)}

    def widen(self, request: gr.Request, width: Any, formats: Any) -> Any:
        """The points of the picture that is shown, with another field of view."""
        session = self._session(request)
        try:
            width, formats = checked(width=width, formats=formats)
            with self._job(request, "points"):
                if not self.service.has_picture(session):
                    return gr.skip()
                camera = self.service.set_field_of_view(session, width or None)
                files = self.service.files(session, formats)
                return {**self._points(session, camera), self.files: _paths(files)}
        except RefusalError as error:
            return {self.camera: _bad(error)}

    def write_files(self, request: gr.Request, formats: Any) -> Any:
        """The picture that is shown, as files."""
        try:
            [formats] = checked(formats=formats)
            with self._job(request, "files"):
                return _paths(self.service.files(self._session(request), formats))
        except RefusalError:  # the page sends none such, and has no place to say it
            return gr.skip()

    def webcam(self, request: gr.Request, frame: Any, weights: Any, color_map: Any) -> Any:
        """The newest frame beside its depth; nothing new while a frame is being kept."""
        session = self._session(request)
        if frame is None or session.keeping:
            return gr.skip()
        try:
            weights, color_map = checked(weights=weights, color_map=color_map)
            # Frames come faster than they are computed: those that find no place are dropped.
            with self.visitors.working(request.headers[HEADER], "webcam", wait=False):
                shot = self.service.predict_webcam(session, weights, read_webcam_frame(frame))
                return preview(shot, color_map)
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
        self, request: gr.Request, upload: Any, weights: Any, color_map: Any, formats: Any
    ) -> Iterator[Parts]:
        """Depth of a video: news every so often while it is computed, at the end the files."""
        if isinstance(upload, list):
            upload = upload[0] if upload else None
        told, start = 0.0, time.monotonic()
        try:
            if upload is None:
                raise RefusalError("Choose a video first.")
            given, weights, color_map, formats = checked(
                upload=upload, weights=weights, color_map=color_map, formats=formats
            )
            with self._job(request, "film"):
                yield {self.news: "<p>Reading the video ...</p>", self.video: None,
                       self.video_files: None}  # fmt: skip
                (path, name), session = self._upload(request, given), self._session(request)
                stem = Path(name).stem
                for step in self.service.film(session, weights, path, stem, color_map, formats):
                    now = time.monotonic()
                    news, files = _film_news(step, now - start), _paths(step.files)
                    if files:
                        yield {self.news: news, self.video: files[0], self.video_files: files}
                    elif now - told > SECONDS_BETWEEN_NEWS and step.shot is not None:
                        told = now
                        yield {self.news: news + preview(step.shot, color_map)}
        except RefusalError as error:
            yield {self.news: _bad(error)}

    def show(self, request: gr.Request) -> Parts:
        """The tab of pictures or the webcam was opened."""
        has_picture = self.service.has_picture(self._session(request))
        return {self.status: gr.update(visible=True), self.box: gr.update(visible=has_picture)}

    def hide(self) -> Parts:
        """The tab of videos, which has a place of its own for results, was opened."""
        return {part: gr.update(visible=False) for part in (self.status, self.box)}

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.visitors.leave(request.headers[HEADER], _page_of(request))

    def _answer(
        self, request: gr.Request, pixels: Pixels, name: str, weights: str, color_map: str,
        degrees: float, formats: Sequence[str],
    ) -> Iterator[Parts]:  # fmt: skip
        session, start = self._session(request), time.monotonic()
        shown = self.service.predict(session, weights, pixels, name, color_map)
        camera = self.service.set_field_of_view(session, degrees or None)
        height, width = pixels.shape[:2]
        seconds = time.monotonic() - start
        said = f"<p>{escape(name)}: {width} x {height} pixels, {seconds:.1f} s</p>"
        yield {self.status: said, self.box: gr.update(visible=True), **self._colored(shown),
               self.files: []}  # fmt: skip
        yield self._points(session, camera)
        yield {self.files: _paths(self.service.files(session, formats))}

    def _colored(self, shown: View) -> Parts:
        return {self.slider: _paths([shown.picture, shown.colors]), self.legend: shown.legend}

    def _points(self, session: Session, camera: str) -> Parts:
        return {self.cloud: str(self.service.cloud(session)), self.camera: _note(camera)}

    def _session(self, request: gr.Request) -> Session:
        return self.visitors.session(request.headers[HEADER], _page_of(request))

    def _job(self, request: gr.Request, kind: str) -> AbstractContextManager[None]:
        """Work of a kind for this visitor, who gets no second one of it meanwhile."""
        return self.visitors.working(request.headers[HEADER], kind)

    def _upload(self, request: gr.Request, given: dict[str, str]) -> tuple[Path, str]:
        """Path and name of an uploaded file, if this visitor sent it."""
        path = Path(given["path"])
        if not self.visitors.owns(request.headers[HEADER], path) or not path.is_file():
            raise RefusalError("This file was not sent from this browser. Choose it again.")
        name = Path(given["name"]).name
        return path, re.sub(r"[^\w. -]", "_", name)[-80:].lstrip(". ") or "picture"


def _page_of(request: gr.Request) -> str:
    return str(request.session_hash)[:LONGEST_WORD]


def _format_choices() -> list[tuple[str, str]]:
    """Words and names of the formats for one picture."""
    return [(WORDS.get(name, name), name) for name in PICTURE_FORMATS]


def _files(name: str) -> Any:
    return gr.File(label="Files", file_count="multiple", interactive=False, elem_id=name)


def _paths(files: Sequence[Path]) -> list[str]:
    return [str(path) for path in files]


def _note(words: str) -> str:
    return f'<p class="ssmde-note">{escape(words)}</p>'


def _bad(reason: RefusalError) -> str:
    return f'<p class="ssmde-bad" role="alert">{escape(str(reason))}</p>'


def _film_news(step: FilmStep, seconds: float) -> str:
    """How far a video is, in words and as a bar."""
    frames = counted(step.done, "frame")
    if step.files:
        size = step.files[0].stat().st_size / 1e6
        said = f"Done: {frames} in {seconds:.0f} s, film of {size:.1f} MB. {step.note}"
        return f"<p>{escape(said)}</p>"
    if not step.total:
        return f"<p>{frames}</p>"
    share = min(step.done / step.total, 1.0)
    left = seconds / step.done * max(step.total - step.done, 0)
    return (
        f"<p>{step.done} of {step.total} frames, {left:.0f} s left</p>"
        f'<div class="ssmde-bar"><div style="width: {share:.1%}"></div></div>'
    )
