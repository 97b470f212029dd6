"""What the page computes: pictures, depths for the pointer, files, points and films."""

import base64
import io
import re
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from films import write_mp4
from ssmde.app.guard import RefusalError, Session
from ssmde.app.inputs import FRAME_PIXELS, read_picture, read_webcam_frame
from ssmde.app.service import (
    LONGEST_SHOWN,
    METRES,
    PAGE_PIXELS,
    RELATIVE,
    InferenceService,
)
from ssmde.data.video import VideoError, read_chosen_frames, read_frames, video_info
from ssmde.inference import Predictor
from tiny_networks import Brightness


@pytest.fixture
def service() -> InferenceService:
    return InferenceService(
        {"near": Predictor(Brightness(), (64, 96)), "far": Predictor(Brightness(5.0), (64, 96))}
    )


@pytest.fixture
def session(tmp_path) -> Session:
    return Session(tmp_path / "session")


def ramp(height=64, width=96):
    """Black at the left, white at the right."""
    levels = np.linspace(0, 255, width).round().astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels[None, :, None], (height, width, 3)))


def film(path, frames=6):
    return write_mp4(path, [np.full((34, 46, 3), 40 * i, np.uint8) for i in range(frames)])


def read_off(legend):
    """The depths that the page's script reads, by its formula."""
    data = dict(re.findall(r'data-([a-z]+)="([^"]*)"', legend))
    levels = np.frombuffer(base64.b64decode(data["values"]), "<u2").astype(np.float64)
    shape = int(data["height"]), int(data["width"])
    return np.exp(float(data["low"]) + float(data["span"]) * levels / 65535).reshape(shape), data


@pytest.mark.parametrize(
    ("weights", "least", "pixels"),
    [("near", 1, ramp()), ("far", 5, ramp()), ("near", 1, np.zeros((40, 40, 3), np.uint8))],
    ids=["near", "far", "no-relief"],
)
def test_the_pointer_reads_the_depth_of_the_picture(service, session, weights, least, pixels):
    service.predict(session, weights, pixels, "ramp")
    *_, legend = service.view(session.kept, "magma")
    depths, data = read_off(legend)
    np.testing.assert_allclose(depths, least + pixels.mean(-1) / 255, rtol=1e-4)
    assert data["unit"] == "relative units"
    assert RELATIVE in legend


def test_only_weights_that_know_metres_are_shown_in_metres(session):
    metric = Predictor(Brightness(), (64, 96), metres_per_unit=2.0)
    service = InferenceService({"metric": metric})
    service.predict(session, "metric", ramp(), "ramp")
    *_, legend = service.view(session.kept, "magma")
    assert read_off(legend)[1]["unit"] == "m"
    assert METRES in legend
    assert "relative" not in legend.lower()


def test_a_large_picture_is_shown_small_and_kept_large(service, session):
    service.predict(session, "near", ramp(40, 2 * LONGEST_SHOWN), "wide")
    *shown, _ = service.view(session.kept, "magma")
    for path in shown:
        with Image.open(path) as image:
            assert image.size == (LONGEST_SHOWN, 20)
    _, ((_, path, *_), _) = service.in_space(session.kept, None)
    with np.load(path) as arrays:
        assert arrays["depth"].shape == (40, 2 * LONGEST_SHOWN)


def test_other_colors_change_the_picture_and_not_the_depth(service, session):
    service.predict(session, "near", ramp(), "ramp")
    before, after = (service.view(session.kept, name) for name in ("magma", "gray"))
    assert read_off(before[2])[1]["values"] == read_off(after[2])[1]["values"]
    with Image.open(after[1]) as image:
        red, green, blue = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    assert (red == green).all()
    assert (red == blue).all()
    assert before[1] != after[1]  # a browser would show the old one


def test_the_files_of_a_picture_hold_its_depth_and_points(service, session):
    service.predict(session, "near", ramp(), "ramp")
    _, (files, _) = service.in_space(session.kept, None)
    names = "ramp_depth.png", "ramp_depth.npz", "ramp_color.png", "ramp_cloud.ply", "depth.json"
    assert tuple(path.name for path in files) == names
    assert all(path.stat().st_size for path in files)


def test_a_wider_field_of_view_makes_the_files_wider(service, session):
    import trimesh

    service.predict(session, "near", ramp(), "ramp")
    widths = []
    for degrees in (40.0, 80.0):
        ((shown,), words), (paths, _) = service.in_space(session.kept, degrees)
        assert f"{degrees:g} degrees wide" in words
        points = np.asarray(trimesh.load(paths[3]).vertices)
        widths.append(np.ptp(points[:, 0]))
        surface = trimesh.load(shown, force="mesh")
        assert np.ptp(surface.vertices[:, 0]) == pytest.approx(widths[-1], rel=1e-3)
        files = sorted(f.name for f in session.kept.folder.rglob("*.[gp]l[by]"))
        assert files == ["points_cloud.glb", "ramp_cloud.ply"]  # none of the other camera
    expected = np.tan(np.radians(40)) / np.tan(np.radians(20))
    assert widths[1] / widths[0] == pytest.approx(expected, rel=1e-3)
    assert "guess of 60" in next(service.in_space(session.kept, None))[1]


def test_weights_off_the_list_files_that_are_no_video_and_films_too_large_are_refused(
    service, session, tmp_path, monkeypatch
):
    with pytest.raises(RefusalError, match="no weights named 'best'"):
        service.predict(session, "best", ramp(), "a")
    (tmp_path / "film.mp4").write_text("no film")
    with pytest.raises(RefusalError, match=r"film is no video that can be read.*\.mp4"):
        list(service.film(session, "near", tmp_path / "film.mp4", "film", "magma"))
    path = film(tmp_path / "clip.mp4")
    monkeypatch.setattr("ssmde.app.service.PAGE_PIXELS", 1000)
    with pytest.raises(RefusalError, match=r"clip has .* million pixels; the page takes up to"):
        list(service.film(session, "near", path, "clip", "magma"))


def test_a_film_has_a_frame_for_each_frame_and_news_of_each(service, session, tmp_path):
    path = film(tmp_path / "clip.mp4")
    steps = list(service.film(session, "near", path, "clip", "magma"))
    assert [(step.done, step.total) for step in steps] == [(i, 6) for i in range(1, 7)] + [(6, 6)]
    made = steps[-1].film
    assert [frame.shape for frame in read_frames(made)] == [(34, 46 + 4 + 46, 3)] * 6
    assert video_info(made).fps == pytest.approx(10.0)
    assert steps[-1].note == ""


def test_a_stop_keeps_the_frames_that_are_done_and_before_the_first_it_is_said(
    service, session, tmp_path
):
    path = film(tmp_path / "clip.mp4")
    steps = service.film(session, "near", path, "clip", "magma")
    next(steps)
    next(steps)
    session.stopped = True
    (last,) = steps
    assert last.done == len(list(read_frames(last.film))) == 2
    before = list(session.results)
    with pytest.raises(RefusalError, match="Stopped"):
        list(service.film(session, "near", path, "clip", "magma"))
    assert session.results == before


def test_a_film_that_nobody_waits_for_any_more_leaves_no_file(service, session, tmp_path):
    path = film(tmp_path / "clip.mp4")
    steps = service.film(session, "near", path, "clip", "magma")
    next(steps)
    steps.close()
    assert not [p for p in session.folder.rglob("*") if p.is_file()]


def test_a_video_that_breaks_off_gives_what_could_be_read(service, session, tmp_path, monkeypatch):
    path = film(tmp_path / "clip.mp4")

    def break_off(video, wanted, notes):
        for i, frame in enumerate(read_chosen_frames(video, wanted, notes)):
            if i == 3:
                raise VideoError("torn")
            yield frame

    monkeypatch.setattr("ssmde.app.service.read_chosen_frames", break_off)
    *_, last = service.film(session, "near", path, "clip", "magma")
    assert last.done == 3
    assert len(list(read_frames(last.film))) == 3
    assert last.note == "The video breaks off after frame 3; this is what could be read."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("notes.png", b"no picture", "notes.png is no picture that can be read.*JPEG, PNG"),
     ("empty.jpg", b"", "empty.jpg is no picture"),
     ("half.png", None, "half.png is no picture"),
     ("clip.mp4", b"\0\0\0\x18ftypmp42", "Use the tab Video")],
)  # fmt: skip
def test_a_file_that_is_no_picture_is_named_without_its_path(tmp_path, name, content, message):
    if content is None:
        Image.fromarray(ramp(200, 300)).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        content = content[: len(content) // 2]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RefusalError, match=message) as caught:
        read_picture(tmp_path / name, name)
    assert str(tmp_path) not in str(caught.value)


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path):
    side = int(PAGE_PIXELS**0.5) + 100
    Image.new("1", (side, side)).save(tmp_path / "huge.png")
    with pytest.raises(
        RefusalError, match=r"huge\.png has 51 million pixels; the page takes up to 50"
    ):
        read_picture(tmp_path / "huge.png", "huge.png")


def test_a_film_keeps_the_times_of_its_frames_whatever_rate_its_head_states(
    service, session, tmp_path
):
    times = [0, 40, 500, 540, 1170]  # ms, as a browser records: its head states 1000 a second
    with av.open(str(tmp_path / "media.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=1000)
        stream.height, stream.width, stream.pix_fmt = 34, 46, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for shown in times:
            frame = av.VideoFrame.from_ndarray(np.zeros((34, 46, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = shown, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    *_, last = service.film(session, "near", tmp_path / "media.mp4", "media", "turbo")
    frames = read_chosen_frames(last.film, lambda _: True)
    assert [frame.time for frame in frames] == pytest.approx([t / 1000 for t in times], abs=0.002)


def test_a_film_that_takes_too_long_keeps_what_is_done(service, session, tmp_path, monkeypatch):
    path = film(tmp_path / "clip.mp4")
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr("ssmde.app.service.time", clock)
    steps = service.film(session, "near", path, "clip", "magma")
    next(steps)
    clock.monotonic = lambda: 601.0
    (last,) = steps
    assert last.done == len(list(read_frames(last.film))) == 1
    monkeypatch.setattr("ssmde.app.service.JOB_SECONDS", -1.0)
    with pytest.raises(RefusalError, match="no frame"):
        list(service.film(session, "near", path, "clip", "magma"))
    service.predict(session, "near", ramp(), "ramp")
    with pytest.raises(RefusalError, match="computes for 10 minutes at most"):
        list(service.in_space(session.kept, None))


def as_text(pixels, kind="png"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def test_a_frame_of_the_webcam_is_read_from_its_text():
    np.testing.assert_array_equal(read_webcam_frame({"url": as_text(ramp())}), ramp())


@pytest.mark.parametrize(
    "frame",
    [
        None, [], "x", {}, {"path": "/etc/passwd"}, {"url": "http://127.0.0.1/a.png"},
        {"url": "file:///etc/passwd"}, {"url": "data:image/png;base64,***"},
        {"url": "data:image/png;base64,AAAA"}, {"url": "data:image/svg+xml;base64,AAAA"},
        {"url": as_text(np.zeros((1, FRAME_PIXELS + 1, 3), np.uint8))},
    ],
)  # fmt: skip
def test_what_is_no_frame_of_a_webcam_is_refused(frame):
    with pytest.raises(RefusalError, match="picture of"):
        read_webcam_frame(frame)
