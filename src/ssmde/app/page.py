"""The page: its parts, and what each of them does when somebody asks."""

import inspect
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ssmde.app.guard import HEADER, BusyError, RefusalError, Session, Visitors
from ssmde.app.inputs import (
    COLOR_MAPS,
    LONGEST_WORD,
    WIDEST,
    Upload,
    checked,
    read_picture,
    read_webcam_frame,
)
from ssmde.app.service import PICTURE_FORMATS, FilmStep, InferenceService, Pixels, View, preview
from ssmde.app.training import MOST_MINUTES, Training, Trainings
from ssmde.console import counted
from ssmde.data.images import read_image

STYLE, SCRIPT = (Path(__file__).with_suffix(suffix) for suffix in (".css", ".js"))
EXAMPLE = Path(__file__).with_name("example.jpg")
"""`draw_clip("room", frames=1, size=(480, 640), seed=5, movers="mixed")` of `ssmde.synthetic`."""
PICTURES_AT_ONCE, FILMS_AT_ONCE, WEBCAMS_AT_ONCE = 8, 4, 2
"""Of all visitors; one takes two places at most, with the one that waits."""
WEBCAM_EVERY, WEBCAM_SECONDS, SECONDS_BETWEEN_NEWS = 0.4, 120, 0.7
TRAINING_EVERY = 2.0  # seconds between two looks at a training
# Every so many seconds Gradio removes files that are older than so many; the visitors' own go long
# before.
CACHE = (600, 86_400)
MADE_AT_ONCE = ("png16", "npz", "color")  # formats that are ticked at the start
WORDS = {
    "png16": "16-bit PNG", "npz": "NumPy", "exr": "EXR", "color": "Colors", "normals": "Normals",
    "ply": "PLY points", "glb": "GLB points",
}  # fmt: skip
"""What the page calls a format."""
HEAD = "## Depth from one picture\nA network looks at one picture and says how far each pixel is."
HERE = " It runs on this computer: nothing is sent elsewhere."
ABOUT_EXAMPLE = "An example, drawn by this package. Drop a picture of your own above."
ABOUT_VIDEO = "Each frame is computed by itself. The film shows frame and depth side by side."
ABOUT_TRAINING = (
    "The network can learn from your film alone to be better at that place. Walk past things that "
    "stand still; turning on the spot tells it nothing. You can close the page and come back. "
    "Frames it did not learn from decide whether the new weights are handed out."
)
ABOUT_WEBCAM = (
    "Browsers give the camera only to pages on this computer or behind https. "
    "No frame is stored unless you keep it."
)
FIELD_OF_VIEW = "Horizontal field of view in degrees; 0: from the weights, or a guess"
PRIVATE: dict[str, Any] = {"preprocess": False, "api_visibility": "private"}
"""Gradio neither reads what comes, which the handlers check, nor documents it."""
QUIET: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}

Parts = dict[Any, Any]
"""What changes of the page, by its part; the rest stays as it is."""


def _event(job: str, part: str = "", clears: str = "") -> Callable[[Any], Any]:
    """Make a handler of a method that takes a session and checked fields, by their names.

    A visitor's jobs of one kind wait for each other. A refusal is written into a part of the page,
    and empties another.
    """

    def wrap(method: Callable[..., Iterator[Parts]]) -> Any:
        names = list(inspect.signature(method).parameters)[2:]

        def handler(self: "Page", request: gr.Request, *values: Any) -> Iterator[Parts]:
            key = request.headers[HEADER]
            try:
                fields = checked(**dict(zip(names, values, strict=True)))
                with self.visitors.working(key, job):
                    for value in fields:
                        if isinstance(value, Upload):
                            self.check_owner(key, value)
                    yield from method(self, self.session(request), *fields)
            except RefusalError as error:
                told = {getattr(self, part): _bad(error)} if part else {}
                yield told | ({getattr(self, clears): gr.update(value=None)} if clears else {})

        handler.__name__ = method.__name__
        return handler

    return wrap


class Page:
    """One page for all visitors; every answer concerns the session that asks.

    With `trainings`, visitors sit at this machine, and can train on their films.
    """

    def __init__(
        self, service: InferenceService, visitors: Visitors, trainings: Trainings | None = None
    ) -> None:
        self.service, self.visitors, self.trainings = service, visitors, trainings
        self.example = read_image(EXAMPLE)
        with gr.Blocks(
            title="ssmde: depth from one picture", analytics_enabled=False, delete_cache=CACHE
        ) as self.blocks:
            gr.Markdown(HEAD if trainings is None else HEAD + HERE)
            names = list(service.predictors)
            self.weights = gr.Dropdown(
                names, value=names[0], label="Weights", interactive=True,
                elem_id="ssmde-weights", render=False,
            )  # fmt: skip
            self.map = gr.Dropdown(
                COLOR_MAPS, value=COLOR_MAPS[0], label="Colors", elem_id="ssmde-map", render=False
            )
            with gr.Tab("Picture") as pictures:
                self.upload = gr.Image(
                    label="Drop a picture, or paste one", sources=["upload", "clipboard"],
                    height=150, type="filepath", image_mode=None, elem_id="ssmde-picture",
                    buttons=[],
                )  # fmt: skip
            with gr.Tab("Video") as videos:
                self._video_tab()
            with gr.Tab("Webcam") as webcams:
                keep = self._webcam_tab()
            self._result()
            with gr.Row():
                self.weights.render()
                self.map.render()
            tabs = ((pictures, self.show), (videos, self.hide), (webcams, self.show))
            for tab, handler in tabs:
                tab.select(handler, None, [self.status, self.box], queue=False, **QUIET)
            self._connect(keep)
            self.blocks.unload(self.leave)

    def _video_tab(self) -> None:
        gr.HTML(_note(ABOUT_VIDEO))
        video = gr.File(
            label="Drop a video", file_types=["video"], elem_id="ssmde-video", height=140
        )
        with gr.Row():
            start = gr.Button("Start", variant="primary", min_width=120, elem_id="ssmde-start")
            stop = gr.Button("Stop", min_width=120, elem_id="ssmde-stop")
        self.news = gr.HTML(elem_id="ssmde-news")
        self.video = gr.Video(
            label="Film", interactive=False, elem_id="ssmde-film", buttons=[], visible=False
        )
        self.video_files = _files("ssmde-video-files")
        begun = start.click(
            self.begin, None, self.news, queue=False, scroll_to_output=True, **QUIET
        )
        begun.then(
            self.film, [video, self.weights, self.map], [self.news, self.video, self.video_files],
            concurrency_id="films", concurrency_limit=FILMS_AT_ONCE, **QUIET,
        )  # fmt: skip
        stop.click(self.stop, None, None, queue=False, **QUIET)
        if self.trainings is not None:
            self._training_part(video)

    def _training_part(self, video: Any) -> None:
        """Below the video: the network learns from it."""
        gr.HTML(f"<h3>Train on this film</h3>{_note(ABOUT_TRAINING)}")
        minutes = gr.Slider(
            1, MOST_MINUTES, value=10, step=1, label="Minutes", buttons=[], elem_id="ssmde-minutes"
        )
        with gr.Row():
            train = gr.Button("Train on this film", min_width=120, elem_id="ssmde-train")
            stop = gr.Button("Stop training", min_width=120, elem_id="ssmde-stop-training")
        self.training_news = gr.HTML(elem_id="ssmde-training-news")
        self.compared = gr.Image(
            label="Frames it did not learn from", visible=False, interactive=False, buttons=[],
            elem_id="ssmde-compared",
        )  # fmt: skip
        self.training_files = _files("ssmde-training-files")
        self.clock = gr.Timer(TRAINING_EVERY, active=False)
        shown = [
            self.training_news, self.compared, self.training_files, self.weights, self.clock
        ]  # fmt: skip
        train.click(self.train, [video, self.weights, minutes], shown, queue=False, **QUIET)
        stop.click(self.stop_training, None, shown, queue=False, **QUIET)
        gr.on([self.clock.tick, self.blocks.load], self.follow, None, shown, queue=False, **QUIET)

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
            concurrency_limit=WEBCAMS_AT_ONCE, **QUIET,
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
                [(WORDS.get(name, name), name) for name in PICTURE_FORMATS],
                value=list(MADE_AT_ONCE), label="Files to download", elem_id="ssmde-formats",
            )  # fmt: skip
            self.files = _files("ssmde-files")

    def _connect(self, keep: Any) -> None:
        """What is done when a visitor comes, sends a picture, keeps one, or changes a choice."""
        choices = [self.weights, self.map, self.width, self.formats]
        result = [
            self.status, self.box, self.slider, self.legend, self.cloud, self.camera, self.files,
            self.upload,
        ]  # fmt: skip
        news: dict[str, Any] = {"show_progress_on": self.status, **PRIVATE}
        gr.on(
            [self.blocks.load, self.upload.input, self.weights.input], self.picture,
            [self.upload, *choices], result, concurrency_id="pictures",
            concurrency_limit=PICTURES_AT_ONCE, trigger_mode="always_last", **news,
        )  # fmt: skip
        keep.click(self.keep, choices, result, concurrency_id="pictures", **news)
        self.map.input(self.recolor, self.map, [self.slider, self.legend], **news)
        self.formats.input(self.write_files, self.formats, self.files, **news)
        self.width.release(
            self.widen, [self.width, self.formats], [self.cloud, self.camera, self.files], **news
        )

    @_event("picture", "status", clears="upload")
    def picture(
        self, session: Session, upload: Upload | None, weights: str, color_map: str,
        width: float | None, formats: list[str] | None,
    ) -> Iterator[Parts]:  # fmt: skip
        """Depth of an uploaded picture, or of the example where there is none."""
        pixels, name, said = self.example, "example", ABOUT_EXAMPLE
        if upload is not None:
            pixels, said = read_picture(Path(upload.path), upload.name), ""
            name = Path(upload.name).stem
        yield from self._answer(session, pixels, name, weights, color_map, width, formats, said)

    @_event("picture", "status")
    def keep(
        self, session: Session, weights: str, color_map: str, width: float | None,
        formats: list[str] | None,
    ) -> Iterator[Parts]:  # fmt: skip
        """The same for the newest frame of the webcam."""
        pixels = self.service.newest_frame(session)
        if pixels is None:
            raise RefusalError("Start the camera first.")
        session.keeping = True
        try:
            yield from self._answer(session, pixels, "webcam", weights, color_map, width, formats)
        finally:
            session.keeping = False

    @_event("colors", "legend")
    def recolor(self, session: Session, color_map: str) -> Iterator[Parts]:
        """The picture that is shown, in other colors."""
        if self.service.has_picture(session):
            yield self._colored(self.service.recolor(session, color_map))

    @_event("points", "camera")
    def widen(
        self, session: Session, width: float | None, formats: list[str] | None
    ) -> Iterator[Parts]:
        """The points of the picture that is shown, with another field of view."""
        if self.service.has_picture(session):
            points = self._points(session, width)
            yield {**points, self.files: _paths(self.service.files(session, formats or []))}

    @_event("files")
    def write_files(self, session: Session, formats: list[str] | None) -> Iterator[Parts]:
        """The picture that is shown, as files."""
        yield {self.files: _paths(self.service.files(session, formats or []))}

    def webcam(self, request: gr.Request, frame: Any, weights: Any, color_map: Any) -> Any:
        """The newest frame beside its depth; nothing new while a frame is being kept."""
        session = self.session(request)
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
        self.session(request).stopped = False
        return "<p>Waiting for a free place ...</p>"

    def stop(self, request: gr.Request) -> None:
        """The video ends with the frame that is being computed."""
        self.session(request).stopped = True

    @_event("film", "news")
    def film(
        self, session: Session, upload: Upload | None, weights: str, color_map: str
    ) -> Iterator[Parts]:
        """Depth of a video: news every so often while it is computed, at the end the file."""
        if upload is None:
            raise RefusalError("Choose a video first.")
        told, start = 0.0, time.monotonic()
        yield {self.news: "<p>Reading the video ...</p>", self.video: gr.update(visible=False),
               self.video_files: None}  # fmt: skip
        path, name = Path(upload.path), Path(upload.name).stem
        for step in self.service.film(session, weights, path, name, color_map):
            now = time.monotonic()
            news = _film_news(step, now - start)
            if step.film is not None:
                film = gr.update(value=str(step.film), visible=True)
                yield {self.news: news, self.video: film, self.video_files: _paths([step.film])}
            elif now - told > SECONDS_BETWEEN_NEWS and step.frame is not None:
                told = now
                yield {self.news: news + preview(step.frame, color_map)}

    def train(self, request: gr.Request, upload: Any, weights: Any, minutes: Any) -> Parts:
        """A network begins to learn from a film."""
        key = request.headers[HEADER]
        try:
            upload, weights, minutes = checked(upload=upload, weights=weights, minutes=minutes)
            if upload is None or self.trainings is None:
                raise RefusalError("Choose a video first.")
            self.check_owner(key, upload)
            if weights not in self.service.predictors:
                raise RefusalError("Choose weights that did not learn from your film, to begin.")
            start = self.service.predictors[weights].source
            self.trainings.start(key, Path(upload.path), upload.name, start, minutes)
        except RefusalError as error:
            return {self.training_news: _bad(error)}
        return self.follow(request)

    def stop_training(self, request: gr.Request) -> Parts:
        """The visitor's training ends."""
        training = self.trainings and self.trainings.of(request.headers[HEADER])
        if training and training.running:
            training.stop()
        return self.follow(request)

    def follow(self, request: gr.Request) -> Parts:
        """How far the visitor's training is, and in the end what came out."""
        training = self.trainings and self.trainings.of(request.headers[HEADER])
        if not training:
            return {self.clock: gr.Timer(active=False)}
        running = training.running
        parts = {self.training_news: _training_news(training), self.clock: gr.Timer(active=running),
                 self.compared: gr.update(visible=False), self.training_files: None}  # fmt: skip
        if results := training.results():
            session = self.session(request)
            folder = session.folder / "training"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            files = _paths([shutil.copy(path, folder) for path in results])
            name = f"trained on {training.name}"
            session.own = {name: training.predictor()}
            names = gr.update(choices=[*self.service.predictors, name])
            parts |= {self.compared: gr.update(value=files[-1], visible=True),
                      self.training_files: files, self.weights: names}  # fmt: skip
        return parts

    def show(self, request: gr.Request) -> Parts:
        """The tab of pictures or the webcam was opened."""
        has_picture = self.service.has_picture(self.session(request))
        return {self.status: gr.update(visible=True), self.box: gr.update(visible=has_picture)}

    def hide(self) -> Parts:
        """The tab of videos, which has a place of its own for results, was opened."""
        return {part: gr.update(visible=False) for part in (self.status, self.box)}

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.visitors.leave(request.headers[HEADER], _page_of(request))

    def _answer(
        self, session: Session, pixels: Pixels, name: str, weights: str, color_map: str,
        width: float | None, formats: Sequence[str] | None, said: str = "",
    ) -> Iterator[Parts]:  # fmt: skip
        """First the pictures, then points, then files."""
        start = time.monotonic()
        shown = self.service.predict(session, weights, pixels, name, color_map)
        size, seconds = f"{pixels.shape[1]} x {pixels.shape[0]}", time.monotonic() - start
        said = said or f"{name}: {size} pixels, {seconds:.1f} s"
        yield {self.status: f"<p>{escape(said)}</p>", self.box: gr.update(visible=True),
               **self._colored(shown), self.files: []}  # fmt: skip
        yield self._points(session, width)
        yield {self.files: _paths(self.service.files(session, formats or []))}

    def _colored(self, shown: View) -> Parts:
        return {self.slider: _paths([shown.picture, shown.colors]), self.legend: shown.legend}

    def _points(self, session: Session, width: float | None) -> Parts:
        camera = self.service.set_field_of_view(session, width or None)
        return {self.cloud: str(self.service.cloud(session)), self.camera: _note(camera)}

    def session(self, request: gr.Request) -> Session:
        """The open page that asks."""
        return self.visitors.session(request.headers[HEADER], _page_of(request))

    def check_owner(self, key: str, upload: Upload) -> None:
        """Refuse a file that this visitor did not send."""
        path = Path(upload.path)
        if not self.visitors.owns(key, path) or not path.is_file():
            raise RefusalError("This file was not sent from this browser. Choose it again.")


def _page_of(request: gr.Request) -> str:
    return str(request.session_hash)[:LONGEST_WORD]


def _files(name: str) -> Any:
    return gr.File(
        label="Files", file_count="multiple", interactive=False, elem_id=name, height=110
    )


def _paths(files: Sequence[Path | str]) -> list[str]:
    return [str(path) for path in files]


def _note(words: str) -> str:
    return f'<p class="ssmde-note">{escape(words)}</p>'


def _bad(reason: object) -> str:
    return f'<p class="ssmde-bad" role="alert">{escape(str(reason))}</p>'


def _bar(words: str, share: float) -> str:
    return (
        f'<p>{escape(words)}</p><div class="ssmde-bar"><div style="width: {share:.1%}"></div></div>'
    )


def _film_news(step: FilmStep, seconds: float) -> str:
    """How far a video is, in words and as a bar."""
    frames = counted(step.done, "frame")
    if step.film is not None:
        size = step.film.stat().st_size / 1e6
        said = f"Done: {frames} in {seconds:.0f} s, film of {size:.1f} MB. {step.note}"
        return f"<p>{escape(said)}</p>"
    if not step.total:
        return f"<p>{frames}</p>"
    left = seconds / step.done * max(step.total - step.done, 0)
    words = f"{step.done} of {step.total} frames, {left:.0f} s left"
    return _bar(words, min(step.done / step.total, 1.0))


def _training_news(training: Training) -> str:
    """How far a training is, in words and as a bar."""
    if training.running:
        minutes = f"{training.share() * training.minutes:.1f} of about {training.minutes} minutes"
        return _bar(f"{training.name}, {minutes}. {training.stage()}", training.share())
    return _bad(training.fault) if training.fault else f"<p>{escape(training.outcome())}</p>"
