"""What the page computes: pictures, depths for the pointer, files, points and films."""

import base64
import io
import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from films import grey_frames, write, write_mp4
from ssmde.app.guard import RefusalError, Session
from ssmde.app.inputs import FRAME_PIXELS, read_picture, read_webcam_frame
from ssmde.app.service import LONGEST_SHOWN, METRES, PAGE_PIXELS, RELATIVE, InferenceService
from ssmde.data.video import VideoError, read_chosen_frames, read_frames
from ssmde.inference import Predictor
from tiny_networks import Brightness


@pytest.fixture
def service() -> InferenceService:
    metric = Predictor(Brightness(), (64, 96), metres_per_unit=2.0)
    return InferenceService({"near": Predictor(Brightness(), (64, 96)), "metric": metric})


@pytest.fixture
def session(tmp_path) -> Session:
    return Session(tmp_path / "session")


def ramp(height=64, width=96):
    """Black at the left, white at the right."""
    levels = np.linspace(0, 255, width).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels[None, :, None], (height, width, 3)))


def film(path, frames=6):
    return write_mp4(path, grey_frames([40 * i for i in range(frames)], (34, 46)))


def read_off(legend):
    """The depths that the page's script reads, by its formula."""
    data = dict(re.findall(r'data-([a-z]+)="([^"]*)"', legend))
    levels = np.frombuffer(base64.b64decode(data["values"]), "<u2").astype(np.float64)
    shape = int(data["height"]), int(data["width"])
    return np.exp(float(data["low"]) + float(data["span"]) * levels / 65535).reshape(shape), data


@pytest.mark.parametrize(
    ("weights", "pixels", "scale", "unit", "words"),
    [("near", ramp(), 1, "relative units", RELATIVE), ("metric", ramp(), 2, "m", METRES),
     ("near", np.zeros((40, 40, 3), np.uint8), 1, "relative units", RELATIVE)],
    ids=["relative", "metres", "no-relief"],
)  # fmt: skip
def test_the_pointer_reads_depth_and_unit(service, session, weights, pixels, scale, unit, words):
    legend = next(service.picture(session, weights, pixels, "ramp", 60.0))["legend"]
    depths, data = read_off(legend)
    np.testing.assert_allclose(depths, scale * (1 + pixels.mean(-1) / 255), rtol=1e-4)
    assert data["unit"] == unit
    assert [each in legend for each in (RELATIVE, METRES)] == [words == RELATIVE, words == METRES]


def test_a_large_picture_is_shown_small_and_its_files_hold_all_of_it(service, session):
    large = ramp(40, 2 * LONGEST_SHOWN)
    first, second, third = service.picture(session, "near", large, "wide", 60.0)
    for path in first["slider"]:
        with Image.open(path) as image:
            assert image.size == (LONGEST_SHOWN, 20)
    assert Path(second["cloud"]).stat().st_size
    files = [Path(path) for path in third["files"]]
    names = ["wide_depth.png", "wide_depth.npz", "wide_color.png", "wide_cloud.ply", "depth.json"]
    assert [path.name for path in files] == names
    assert all(path.stat().st_size for path in files)
    with np.load(files[1]) as arrays:
        assert arrays["depth"].shape == (40, 2 * LONGEST_SHOWN)


def test_a_wider_field_of_view_makes_points_and_surface_wider(service, session):
    import trimesh

    widths = []
    for degrees in (40.0, 80.0):
        _, shown, made = service.picture(session, "near", ramp(), "ramp", degrees)
        points = np.asarray(trimesh.load(made["files"][3]).vertices)
        widths.append(np.ptp(points[:, 0]))
        surface = trimesh.load(shown["cloud"], force="mesh")
        assert np.ptp(surface.vertices[:, 0]) == pytest.approx(widths[-1], rel=1e-3)
    expected = np.tan(np.radians(40)) / np.tan(np.radians(20))
    assert widths[1] / widths[0] == pytest.approx(expected, rel=1e-3)


def test_other_weights_and_no_or_too_large_films_are_refused(
    service, session, tmp_path, monkeypatch
):
    with pytest.raises(RefusalError, match="no weights named 'best'"):
        list(service.picture(session, "best", ramp(), "a", 60.0))
    (tmp_path / "film.mp4").write_text("no film")
    with pytest.raises(RefusalError, match=r"film is no video that can be read.*\.mp4"):
        list(service.film(session, "near", tmp_path / "film.mp4", "film"))
    path = film(tmp_path / "clip.mp4")
    monkeypatch.setattr("ssmde.app.service.PAGE_PIXELS", 1000)
    with pytest.raises(RefusalError, match=r"clip has .* million pixels; the page takes up to"):
        list(service.film(session, "near", path, "clip"))


def test_a_film_has_each_frame_at_its_time_and_news_of_it(service, session, tmp_path):
    times = [0, 0.04, 0.5, 0.54, 1.17]  # as a browser records: its head states 1000 a second
    path, codec = tmp_path / "clip.mp4", {"codec": "mpeg4", "kind": "yuv420p", "rate": 1000}
    frames, tick = grey_frames(range(5), (34, 46)), Fraction(1, 1000)
    write(path, frames, times, time_base=tick, **codec)
    steps = list(service.film(session, "near", path, "clip"))
    assert [step.done for step in steps] == [1, 2, 3, 4, 5, 5]
    assert {(step.total, step.note) for step in steps} == {(5, "")}
    frames = list(read_chosen_frames(steps[-1].film, lambda _: True))
    assert [frame.pixels.shape for frame in frames] == [(34, 46 + 4 + 46, 3)] * 5
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.002)


def test_a_stop_keeps_frames_that_are_done_and_no_empty_film(service, session, tmp_path):
    path = film(tmp_path / "clip.mp4")
    steps = service.film(session, "near", path, "clip")
    next(steps)
    next(steps)
    session.stopped = True
    (last,) = steps
    assert last.done == len(list(read_frames(last.film))) == 2
    before = list(session.results)
    with pytest.raises(RefusalError, match="Stopped"):
        list(service.film(session, "near", path, "clip"))
    assert session.results == before
    session.stopped = False
    steps = service.film(session, "near", path, "clip")
    next(steps)
    steps.close()  # nobody waits for it any more
    assert session.results == before


def test_a_video_that_breaks_off_gives_what_could_be_read(service, session, tmp_path, monkeypatch):
    path = film(tmp_path / "clip.mp4")

    def break_off(video, wanted, notes):
        for i, frame in enumerate(read_chosen_frames(video, wanted, notes)):
            if i == 3:
                raise VideoError("torn")
            yield frame

    monkeypatch.setattr("ssmde.app.service.read_chosen_frames", break_off)
    *_, last = service.film(session, "near", path, "clip")
    assert last.done == 3
    assert len(list(read_frames(last.film))) == 3
    assert last.note == "The video breaks off after frame 3; this is what could be read."


def test_a_file_that_is_no_picture_or_too_large_is_named_without_its_path(tmp_path):
    Image.fromarray(ramp(200, 300)).save(tmp_path / "half.png")
    half = (tmp_path / "half.png").read_bytes()
    side = int(PAGE_PIXELS**0.5) + 100
    Image.new("1", (side, side)).save(tmp_path / "huge.png")  # it is refused before it is read
    for name, content, message in (
        ("notes.png", b"no picture", "notes.png is no picture that can be read.*JPEG, PNG"),
        ("empty.jpg", b"", "empty.jpg is no picture"),
        ("half.png", half[: len(half) // 2], "half.png is no picture"),
        ("clip.mp4", b"\0\0\0\x18ftypmp42", "Use the tab Video"),
        ("huge.png", None, "huge.png has 51 million pixels; the page takes up to 50"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(RefusalError, match=message) as caught:
            read_picture(tmp_path / name, name)
        assert str(tmp_path) not in str(caught.value)


def test_a_film_that_takes_too_long_keeps_what_is_done(service, session, tmp_path, monkeypatch):
    path = film(tmp_path / "clip.mp4")
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr("ssmde.app.service.time", clock)
    steps = service.film(session, "near", path, "clip")
    next(steps)
    clock.monotonic = lambda: 601.0
    (last,) = steps
    assert last.done == len(list(read_frames(last.film))) == 1
    monkeypatch.setattr("ssmde.app.service.JOB_SECONDS", -1.0)
    with pytest.raises(RefusalError, match="no frame"):
        list(service.film(session, "near", path, "clip"))
    with pytest.raises(RefusalError, match="computes for 10 minutes at most"):
        list(service.picture(session, "near", ramp(), "ramp", 60.0))


def as_text(pixels, kind="png"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


@pytest.mark.parametrize(
    "frame",
    [
        None, [], "x", {}, {"path": "/etc/passwd"}, {"url": "http://127.0.0.1/a.png"},
        {"url": "file:///etc/passwd"}, {"url": "data:image/png;base64,***"},
        {"url": "data:image/png;base64,AAAA"}, {"url": "data:image/svg+xml;base64,AAAA"},
        {"url": as_text(np.zeros((1, FRAME_PIXELS + 1, 3), np.uint8))},
    ],
)  # fmt: skip
def test_a_frame_of_the_webcam_is_read_from_its_text_and_what_is_none_is_refused(frame):
    np.testing.assert_array_equal(read_webcam_frame({"url": as_text(ramp())}), ramp())
    with pytest.raises(RefusalError, match="picture of"):
        read_webcam_frame(frame)
