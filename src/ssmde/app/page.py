"""The page: its parts, and what each of them does when somebody asks."""

import shutil
import time
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ssmde.app.guard import HEADER, BusyError, RefusalError, Session, Visitors
from ssmde.app.inputs import (
    LONGEST_WORD,
    NARROWEST,
    WIDEST,
    Upload,
    checked,
    read_picture,
    read_webcam_frame,
)
from ssmde.app.service import FilmStep, InferenceService, preview, shown
from ssmde.app.training import MOST_MINUTES, STOPPED, Training, Trainings
from ssmde.console import counted
from ssmde.data.images import read_image
from ssmde.inference.camera import DEFAULT_HFOV_DEGREES
from ssmde.inference.loading import load

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
HEAD = "## Depth from one picture\nA network looks at one picture and says how far each pixel is."
HERE = " It runs on this computer: nothing is sent elsewhere."
ABOUT_EXAMPLE = "An example, drawn by this package. Drop a picture of your own above."
ABOUT_FILES = (
    "_depth.png: depth as whole numbers of 16 bits; depth.json says how to read them",
    "_depth.npz: depth as exact numbers, for NumPy",
    "_color.png: the colors above",
    "_cloud.ply: points in space, for Blender, MeshLab and the like",
)
ABOUT_WIDTH = "A guess: set it if you know it. It shapes the view in space, not the depth."
ABOUT_WEIGHTS = (
    "What the network has learned; it computes the depth of pictures, videos and webcam."
)
ABOUT_VIDEO = (
    "Drop a video and press Start: out comes a film of each frame beside its depth. Each frame is "
    "computed by itself."
)
ABOUT_TRAINING = (
    "The network can learn from the film you dropped above, to be better at that place. In a good "
    "film you walk past things that stand still; turning on the spot tells it nothing. At the end "
    "the network is tested on frames it did not learn from: you get what it learned if they say "
    "it is better, else the weights it began with. You can close the page and come back."
)
ABOUT_WEBCAM = (
    f"Let the camera in, then press Record: depth appears below, for {WEBCAM_SECONDS} seconds at a "
    "time. No frame is stored. Browsers give the camera only to pages on this computer or behind "
    "https."
)
ASIDE = (75, 80, None)  # degrees: from a little aside and above, so that depth is seen at once
PRIVATE: dict[str, Any] = {"preprocess": False, "api_visibility": "private"}
"""Gradio neither reads what comes, which the handlers check, nor documents it."""
QUIET: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
NOT_YOURS = "This file was not sent from this browser. Choose it again."

Parts = dict[Any, Any]
"""What changes of the page, by its part; the rest stays as it is."""


def _event(job: str, part: str, *names: str, clears: str = "") -> Callable[[Any], Any]:
    """Make a handler of a method that takes a request and fields of these names, checked.

    A visitor's jobs of one kind wait for each other. A refusal is written into a part of the page,
    and empties another.
    """

    def wrap(method: Callable[..., Iterator[Parts]]) -> Any:
        def handler(self: "Page", request: gr.Request, *values: Any) -> Iterator[Parts]:
            key = request.headers[HEADER]
            try:
                fields = checked(**dict(zip(names, values, strict=True)))
                with self.visitors.working(key, job):
                    for path in (Path(each.path) for each in fields if isinstance(each, Upload)):
                        if not self.visitors.owns(key, path) or not path.is_file():
                            raise RefusalError(NOT_YOURS)
                    yield from method(self, request, *fields)
            except RefusalError as error:
                told = {getattr(self, part): _bad(error)}
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
        names = list(service.predictors)
        with gr.Blocks(
            title="ssmde: depth from one picture", analytics_enabled=False, delete_cache=CACHE
        ) as self.blocks:
            gr.Markdown(HEAD if trainings is None else HEAD + HERE)
            self.weights = gr.Dropdown(
                names, value=names[0], label="Weights", info=ABOUT_WEIGHTS,
                elem_id="ssmde-weights", interactive=True, render=False,
            )  # fmt: skip
            with gr.Tab("Picture"):
                self._picture_tab()
            with gr.Tab("Video"):
                self._video_tab()
            with gr.Tab("Webcam"):
                self._webcam_tab()
            self.weights.render()
            self.blocks.unload(self.leave)

    def _picture_tab(self) -> None:
        """A picture beside its depth and in space, and files of it."""
        self.upload = gr.Image(
            label="Drop a picture, or paste one", sources=["upload", "clipboard"], height=150,
            type="filepath", image_mode=None, elem_id="ssmde-picture", buttons=[],
        )  # fmt: skip
        self.status = gr.HTML(elem_id="ssmde-status")
        with gr.Row():
            with gr.Column(min_width=320):
                self.slider = gr.ImageSlider(
                    label="Picture | depth", interactive=False, type="filepath",
                    max_height=480, elem_id="ssmde-slider", buttons=["fullscreen"],
                )  # fmt: skip
                self.legend = gr.HTML(elem_id="ssmde-legend")
            with gr.Column(min_width=320):
                self.cloud = gr.Model3D(
                    label="In space: drag to turn", height=380, elem_id="ssmde-cloud",
                    clear_color=(0.1, 0.1, 0.12, 1.0), interactive=False, camera_position=ASIDE,
                )  # fmt: skip
                width = gr.Slider(
                    NARROWEST, WIDEST, value=DEFAULT_HFOV_DEGREES, step=1, elem_id="ssmde-width",
                    label="Field of view of the camera from left to right, in degrees",
                    info=ABOUT_WIDTH, buttons=[],
                )  # fmt: skip
        self.files = gr.File(
            label="Files", file_count="multiple", interactive=False, elem_id="ssmde-files"
        )
        gr.HTML(_note(*ABOUT_FILES))
        gr.on(
            [self.blocks.load, self.upload.input, self.weights.input, width.release],
            self.picture, [self.upload, self.weights, width],
            [self.status, self.slider, self.legend, self.cloud, self.files, self.upload],
            concurrency_limit=PICTURES_AT_ONCE, show_progress_on=self.status,
            trigger_mode="always_last", **PRIVATE,
        )  # fmt: skip

    def _video_tab(self) -> None:
        """A film, its depth, and a training on it."""
        gr.HTML(_note(ABOUT_VIDEO))
        video = gr.File(
            label="Drop a video", file_types=["video"], elem_id="ssmde-video", height=140
        )
        with gr.Row():
            start = gr.Button("Start", variant="primary", min_width=120, elem_id="ssmde-start")
            stop = gr.Button("Stop", min_width=120, elem_id="ssmde-stop")
        self.film_news = gr.HTML(elem_id="ssmde-news")
        self.made = gr.Video(
            label="Film", interactive=False, visible=False, elem_id="ssmde-film",
            buttons=["download"],
        )  # fmt: skip
        begun = start.click(self.begin, None, self.film_news, queue=False, **QUIET)
        begun.then(
            self.film, [video, self.weights], [self.film_news, self.made],
            concurrency_limit=FILMS_AT_ONCE, **QUIET,
        )  # fmt: skip
        stop.click(self.stop, None, None, queue=False, **QUIET)
        if self.trainings is None:
            return
        gr.HTML(f"<h3>Train on this film</h3>{_note(ABOUT_TRAINING)}")
        minutes = gr.Slider(
            1, MOST_MINUTES, value=10, step=1, label="Minutes it may take", buttons=[],
            elem_id="ssmde-minutes",
        )  # fmt: skip
        with gr.Row():
            train = gr.Button("Train", min_width=120, elem_id="ssmde-train")
            stop = gr.Button("Stop training", min_width=120, elem_id="ssmde-stop-training")
        self.training_news = gr.HTML(elem_id="ssmde-training-news")
        self.trained = gr.File(
            label="Files", file_count="multiple", interactive=False, visible=False,
            elem_id="ssmde-training-files",
        )  # fmt: skip
        self.clock = gr.Timer(TRAINING_EVERY, active=False)
        changed = [self.training_news, self.trained, self.weights, self.clock]
        train.click(self.train, [video, self.weights, minutes], changed, **QUIET)
        stop.click(self.stop_training, None, changed, queue=False, **QUIET)
        gr.on([self.clock.tick, self.blocks.load], self.follow, None, changed, queue=False, **QUIET)

    def _webcam_tab(self) -> None:
        """The camera and the depth it sees."""
        gr.HTML(_note(ABOUT_WEBCAM))
        camera = gr.Image(
            label="Camera", sources=["webcam"], streaming=True, type="numpy", height=300,
            elem_id="ssmde-camera", buttons=[],
        )  # fmt: skip
        live = gr.HTML(elem_id="ssmde-live")
        camera.stream(
            self.webcam, [camera, self.weights], live, stream_every=WEBCAM_EVERY,
            time_limit=WEBCAM_SECONDS, concurrency_limit=WEBCAMS_AT_ONCE, **QUIET,
        )  # fmt: skip

    @_event("picture", "status", "upload", "weights", "width", clears="upload")
    def picture(
        self, request: gr.Request, upload: Upload | None, weights: str, width: float
    ) -> Iterator[Parts]:
        """Depth of an uploaded picture, or of the example where there is none."""
        start, pixels, name, said = time.monotonic(), self.example, "example", ABOUT_EXAMPLE
        if upload is not None:
            pixels, name = read_picture(Path(upload.path), upload.name), Path(upload.name).stem
        session, size = self.session(request), f"{pixels.shape[1]} x {pixels.shape[0]} pixels"
        for step in self.service.picture(session, weights, pixels, name, width):
            if upload is not None and "slider" in step:
                said = f"{name}: {size}, {time.monotonic() - start:.1f} s"
            changed = {getattr(self, part): value for part, value in step.items()}
            yield {self.status: f"<p>{escape(said)}</p>", **changed}

    def webcam(self, request: gr.Request, frame: Any, weights: Any) -> Any:
        """The newest frame beside its depth."""
        if frame is None:
            return gr.skip()
        try:
            (weights,) = checked(weights=weights)
            # Frames come faster than they are computed: those that find no place are dropped.
            with self.visitors.working(request.headers[HEADER], "webcam", wait=False):
                pixels = read_webcam_frame(frame)
                return preview(self.service.frame(self.session(request), weights, pixels))
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

    @_event("film", "film_news", "upload", "weights")
    def film(self, request: gr.Request, upload: Upload | None, weights: str) -> Iterator[Parts]:
        """Depth of a video: news every so often while it is computed, at the end the file."""
        if upload is None:
            raise RefusalError("Choose a video first.")
        told, start = 0.0, time.monotonic()
        yield {self.film_news: "<p>Reading the video ...</p>", self.made: gr.update(visible=False)}
        path, name = Path(upload.path), Path(upload.name).stem
        for step in self.service.film(self.session(request), weights, path, name):
            now = time.monotonic()
            news = _film_news(step, now - start)
            if step.film is not None:
                film = gr.update(value=str(step.film), visible=True)
                yield {self.film_news: news, self.made: film}
            elif now - told > SECONDS_BETWEEN_NEWS and step.frame is not None:
                told = now
                yield {self.film_news: news + preview(step.frame)}

    @_event("training", "training_news", "upload", "weights", "minutes")
    def train(
        self, request: gr.Request, upload: Upload | None, weights: str, minutes: int
    ) -> Iterator[Parts]:
        """A network begins to learn from a film."""
        if upload is None or self.trainings is None:
            raise RefusalError("Choose a video first.")
        if weights not in self.service.predictors:
            raise RefusalError("Choose weights that did not learn from your film, to begin.")
        start, key = self.service.predictors[weights].source, request.headers[HEADER]
        self.trainings.start(key, Path(upload.path), upload.name, start, minutes)
        yield self.follow(request)

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
        running, results, news = training.running, training.results(), _training_news(training)
        trained, weights = gr.update(visible=bool(results)), gr.update()
        if results:
            session, name = self.session(request), f"trained on {training.name}"
            folder = session.folder / "training"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            files = [str(shutil.copy(path, folder)) for path in results]
            session.own = {name: load(results[0])}
            trained = gr.update(value=files, visible=True)
            weights = gr.update(choices=[*self.service.predictors, name])
            news += _note(
                f"To use it, choose {name!r} under Weights. Frames it did not learn from:"
            )
            news += shown(read_image(results[-1]), "frames, and their depth before and after")
        return {self.training_news: news, self.trained: trained, self.weights: weights,
                self.clock: gr.Timer(active=running)}  # fmt: skip

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        self.visitors.leave(request.headers[HEADER], _page_of(request))

    def session(self, request: gr.Request) -> Session:
        """The open page that asks."""
        return self.visitors.session(request.headers[HEADER], _page_of(request))


def _page_of(request: gr.Request) -> str:
    return str(request.session_hash)[:LONGEST_WORD]


def _note(*lines: str) -> str:
    return f'<p class="ssmde-note">{"<br>".join(map(escape, lines))}</p>'


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
    if training.running and training.fault:
        return "<p>Stopping ...</p>"
    if training.running:
        minutes = training.elapsed()
        words = f"{training.name}, {minutes:.1f} of about {training.minutes} minutes."
        return _bar(f"{words} {training.stage()}", min(minutes / training.minutes, 1.0))
    if training.fault and training.fault != STOPPED:
        return _bad(training.fault)
    return f"<p>{escape(training.fault or training.outcome())}</p>"
