"""Cameras: the newest frame, an end that keeps what was filmed, and errors that say what to do."""

import time

import av
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rtsp_camera import camera
from ssmde.data.video import VideoError, VideoFrame, read_frames
from ssmde.predict import Predictor, predict_files
from ssmde.prediction import jobs, live
from ssmde.prediction.live import is_live, read_live


class Brightness(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        return self.one + image.mean(dim=1, keepdim=True)


def predictor():
    return Predictor(Brightness(), (32, 32))


def frames(count, then=None):
    for i in range(count):
        yield VideoFrame(number=i, time=i / 5, pixels=np.full((24, 32, 3), 20 * i, np.uint8))
    if then is not None:
        raise then


def test_a_number_and_an_rtsp_address_are_cameras():
    assert all(is_live(s) for s in ("0", "12", "rtsp://a/b", "RTSPS://a/b"))
    assert not any(is_live(s) for s in ("walk.mp4", "http://a/b.mp4", "0.png", "-1", ""))


def test_ctrl_c_ends_a_camera_and_keeps_its_film(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "read_live", lambda _: frames(5, KeyboardInterrupt()))
    summary = predict_files(predictor(), "0", tmp_path / "out", formats=["video", "npz"])
    assert len(list(read_frames(tmp_path / "out" / "camera_depth.mp4"))) == 5
    assert [p.name for p in summary.written][:2] == ["camera_depth.mp4", "camera_000000_depth.npz"]


def test_a_camera_stops_after_as_many_frames_as_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "read_live", lambda _: frames(9))
    predict_files(predictor(), "rtsp://door/1", tmp_path / "out", max_frames=3)
    with av.open(str(tmp_path / "out" / "camera_depth.mp4")) as film:
        times = [float(f.pts * f.time_base) for f in film.decode(video=0)]
    np.testing.assert_allclose(times, (0, 0.2, 0.4), atol=1e-4)


def test_a_file_named_as_a_number_is_a_file(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 10)).save("7", "PNG")
    summary = predict_files(predictor(), "7", "out", formats=["npz"])
    assert [p.name for p in summary.written] == ["7_depth.npz"]


def test_a_platform_without_webcams_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(live.sys, "platform", "win32")
    with pytest.raises(VideoError, match="webcam 0: webcams are read on Linux and macOS only"):
        read_live("0")


def test_a_webcam_that_is_not_there_is_named(monkeypatch):
    with pytest.raises(VideoError, match=r"webcam 77: (cannot be opened|this PyAV was built)"):
        read_live("77")


def test_an_address_without_a_camera_is_named():
    with pytest.raises(VideoError, match=r"rtsp://127\.0\.0\.1:9/x: cannot be opened"):
        read_live("rtsp://127.0.0.1:9/x")


def test_frames_nobody_took_are_dropped(tmp_path, monkeypatch):
    """A network slower than the camera sees the newest frame, not an ever older one."""
    path = tmp_path / "long.mkv"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for _ in range(200):
            film.mux(stream.encode(av.VideoFrame(32, 24, "yuv420p")))
        film.mux(stream.encode(None))
    monkeypatch.setattr(live, "_open", lambda *_: av.open(str(path)))
    numbers = []
    for frame in read_live("0"):
        numbers.append(frame.number)
        time.sleep(0.02)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[0] > len(numbers)


def levels_of(shown) -> list[int]:
    return [round(float(frame.pixels.mean())) for frame in shown]


def test_an_rtsp_camera_is_asked_for_its_film_over_tcp_and_seen_until_it_ends():
    filmed = [10 * i for i in range(20)]
    with camera(filmed) as (address, asked):
        seen = levels_of(read_live(address))
    assert asked[:4] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
    assert len(seen) > 1
    assert seen == sorted(set(seen))
    assert all(min(abs(level - other) for other in filmed) <= 2 for level in seen)


def test_the_film_of_an_rtsp_camera_becomes_depth(tmp_path):
    with camera([10 * i for i in range(20)]) as (address, _):
        summary = predict_files(
            predictor(), address, tmp_path / "out", formats=["video", "npz"], max_frames=3
        )
    names = [f"camera_{i:06d}_depth.npz" for i in range(3)]
    assert [p.name for p in summary.written] == ["camera_depth.mp4", *names]
    depths = [np.load(tmp_path / "out" / name)["depth"] for name in names]
    assert [d.shape for d in depths] == [(48, 64)] * 3
    assert depths[0].mean() < depths[1].mean() < depths[2].mean()  # the film gets brighter
    assert len(list(read_frames(tmp_path / "out" / "camera_depth.mp4"))) == 3


@pytest.mark.skipif("lavfi" not in av.formats_available, reason="FFmpeg draws no camera here")
def test_a_webcam_is_opened_as_a_device_of_ffmpeg(tmp_path, monkeypatch):
    """FFmpeg's own drawn device in the place of v4l2: no test machine has a camera."""
    # As fast as a camera and long enough: of what comes meanwhile only the newest frame is kept.
    drawn = ("lavfi", "testsrc=size=64x48:rate=50:duration=6{},realtime")
    monkeypatch.setattr(live, "WEBCAMS", {live.sys.platform: drawn})
    summary = predict_files(predictor(), "1", tmp_path / "out", formats=["npz"], max_frames=2)
    assert [np.load(path)["depth"].shape for path in summary.written] == [(48, 64)] * 2
