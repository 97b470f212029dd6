"""How the page looks: its parts, and which of them asks the desk for what."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ssmde.application.desk import Desk
from ssmde.application.limits import (
    COLOUR_MAPS,
    FILMS_AT_ONCE,
    PICTURE_FORMATS,
    PICTURES_AT_ONCE,
    WIDEST,
)

HERE = Path(__file__).parent
STYLE = HERE / "page.css"
SCRIPT = HERE / "page.js"
MADE_AT_ONCE = ("png16", "npz", "color")
"""Formats that are ticked at the start; the others are written when somebody ticks them."""
WEBCAM_EVERY, WEBCAM_SECONDS, WEBCAMS = 0.4, 120, 2
CACHE = (600, 86_400)
"""Every so many seconds Gradio removes files that are older than so many; the visitors' own go long
before."""
WORDS = {
    "png16": "16-bit PNG", "npz": "NumPy", "exr": "EXR", "color": "Colours", "normals": "Normals",
    "ply": "PLY points", "glb": "GLB points",
}  # fmt: skip
"""What the page calls a format."""
HEAD = "# Depth from one picture\nA network looks at one picture and says how far each pixel is."
ABOUT_VIDEO = "Each frame is computed by itself. The film shows frame and depth side by side."
ABOUT_WEBCAM = (
    "Browsers give the camera only to pages on this computer or behind https. "
    "No frame is stored unless you keep it."
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a visitor chooses for every tab."""

    weights: Any
    colour_map: Any


@dataclass(frozen=True, slots=True)
class Result:
    """Where the answer for a picture is shown, in the order in which the desk answers."""

    status: Any
    box: Any
    slider: Any
    legend: Any
    cloud: Any
    camera: Any
    files: Any

    def parts(self) -> list[Any]:
        """All of them."""
        return [
            self.status, self.box, self.slider, self.legend, self.cloud, self.camera, self.files
        ]  # fmt: skip


def build_page(desk: Desk) -> gr.Blocks:
    """All of the page, not yet served."""
    with gr.Blocks(
        title="ssmde: depth from one picture", analytics_enabled=False, delete_cache=CACHE
    ) as page:
        gr.Markdown(HEAD)
        choices = _choices(list(desk.studio.predictors))
        with gr.Tab("Picture") as pictures:
            picture = gr.Image(
                label="Drop a picture, or paste one", sources=["upload", "clipboard"], height=240,
                type="filepath", image_mode=None, elem_id="ssmde-picture", buttons=[],
            )  # fmt: skip
        with gr.Tab("Video") as videos:
            _video_tab(desk, choices)
        with gr.Tab("Webcam") as webcams:
            keep = _webcam_tab(desk, choices)
        result, width, formats = _result()
        asked = [picture, choices.weights, choices.colour_map, width, formats]
        news: dict[str, Any] = {"show_progress_on": result.status, "api_visibility": "private"}
        news["preprocess"] = False  # the desk checks what comes
        gr.on(
            [picture.input, choices.weights.input], desk.picture, asked, [*result.parts(), picture],
            concurrency_id="pictures", concurrency_limit=PICTURES_AT_ONCE,
            trigger_mode="always_last", **news,
        )  # fmt: skip
        keep.click(
            desk.keep, asked[1:], [*result.parts(), picture], concurrency_id="pictures", **news
        )
        choices.colour_map.input(
            desk.recolour, choices.colour_map, [result.slider, result.legend], **news
        )
        formats.input(desk.files, formats, result.files, **news)
        width.release(
            desk.widen, [width, formats], [result.cloud, result.camera, result.files], **news
        )
        for tab, shown in ((pictures, True), (videos, False), (webcams, True)):
            tab.select(
                desk.show if shown else desk.hide, None, [result.status, result.box], queue=False,
                api_visibility="private", show_progress="hidden",
            )  # fmt: skip
        page.unload(desk.leave)
    return page


def format_choices() -> list[tuple[str, str]]:
    """Words and names of the formats for one picture."""
    return [(WORDS.get(name, name), name) for name in PICTURE_FORMATS]


def _choices(names: list[str]) -> Choices:
    with gr.Row():
        return Choices(
            gr.Dropdown(
                names,
                value=names[0],
                label="Weights",
                interactive=len(names) > 1,
                elem_id="ssmde-weights",
            ),
            gr.Dropdown(COLOUR_MAPS, value=COLOUR_MAPS[0], label="Colours", elem_id="ssmde-map"),
        )


def _result() -> tuple[Result, Any, Any]:
    """The parts below the tabs; the field of view and the formats to choose from."""
    status = gr.HTML(elem_id="ssmde-status")
    with gr.Column(visible=False, elem_id="ssmde-result") as box:
        with gr.Row():
            with gr.Column(min_width=320):
                slider = gr.ImageSlider(
                    label="Picture | depth", interactive=False, type="filepath", max_height=480,
                    elem_id="ssmde-slider", buttons=["fullscreen"],
                )  # fmt: skip
                legend = gr.HTML(elem_id="ssmde-legend")
            with gr.Column(min_width=320):
                cloud = gr.Model3D(
                    label="In space: drag to turn", height=420,
                    elem_id="ssmde-cloud", clear_color=(0.1, 0.1, 0.12, 1.0), interactive=False,
                )  # fmt: skip
                camera = gr.HTML(elem_id="ssmde-camera-note")
                width = gr.Slider(
                    0, WIDEST, value=0, step=1, elem_id="ssmde-width", buttons=[],
                    label="Horizontal field of view in degrees; 0: from the weights, or a guess",
                )  # fmt: skip
        formats = gr.CheckboxGroup(
            format_choices(), value=list(MADE_AT_ONCE), label="Files to download",
            elem_id="ssmde-formats",
        )  # fmt: skip
        files = _files("ssmde-files")
    return Result(status, box, slider, legend, cloud, camera, files), width, formats


def _files(name: str) -> Any:
    return gr.File(label="Files", file_count="multiple", interactive=False, elem_id=name)


def _video_tab(desk: Desk, choices: Choices) -> None:
    gr.HTML(f'<p class="ssmde-note">{ABOUT_VIDEO}</p>')
    video = gr.File(label="Drop a video", file_types=["video"], elem_id="ssmde-video", height=140)
    formats = gr.CheckboxGroup(
        format_choices(), label="Also keep every frame as", elem_id="ssmde-video-formats"
    )
    with gr.Row():
        start = gr.Button("Start", variant="primary", min_width=120, elem_id="ssmde-start")
        stop = gr.Button("Stop", min_width=120, elem_id="ssmde-stop")
    news = gr.HTML(elem_id="ssmde-news")
    film = gr.Video(label="Film", interactive=False, elem_id="ssmde-film", buttons=[])
    files = _files("ssmde-video-files")
    kind: dict[str, Any] = {
        "preprocess": False,
        "api_visibility": "private",
        "show_progress": "hidden",
    }
    start.click(desk.begin, None, news, queue=False, scroll_to_output=True, **kind).then(
        desk.film, [video, choices.weights, choices.colour_map, formats], [news, film, files],
        concurrency_id="films", concurrency_limit=FILMS_AT_ONCE, **kind,
    )  # fmt: skip
    stop.click(desk.stop, None, None, queue=False, **kind)


def _webcam_tab(desk: Desk, choices: Choices) -> Any:
    """The camera and what it sees; returns the button that keeps a frame."""
    gr.HTML(f'<p class="ssmde-note">{ABOUT_WEBCAM}</p>')
    camera = gr.Image(
        label="Camera", sources=["webcam"], streaming=True, type="numpy", height=300,
        elem_id="ssmde-camera", buttons=[],
    )  # fmt: skip
    live = gr.HTML(elem_id="ssmde-live")
    camera.stream(
        desk.webcam, [camera, choices.weights, choices.colour_map], live,
        preprocess=False, stream_every=WEBCAM_EVERY, time_limit=WEBCAM_SECONDS,
        concurrency_limit=WEBCAMS, concurrency_id="webcams",
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    return gr.Button("Keep this picture", elem_id="ssmde-keep")
