"""Video files: what goes in comes out, the way a player shows it."""

import av
import numpy as np
import pytest

from ssmde.data.video import VideoError, read_frames, video_info, write_video


def clip(frames: int = 5, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Smooth frames that become brighter, red on the left and green at the top."""
    v, u = np.mgrid[:height, :width].astype(float)
    base = np.stack([200 * (1 - u / width), 200 * (1 - v / height), 0 * u], axis=-1)
    return [(base + 10 * i).astype(np.uint8) for i in range(frames)]


def write(path, frames, fps=10.0):
    with write_video(path, fps) as append:
        for frame in frames:
            append(frame)


def test_frames_come_back_in_order_with_their_rate(tmp_path):
    write(tmp_path / "a.mp4", clip(), fps=12.5)
    found = list(read_frames(tmp_path / "a.mp4"))
    assert len(found) == 5
    for before, after in zip(clip(), found, strict=True):
        assert np.abs(before.astype(int) - after).mean() < 6  # the film is compressed
    info = video_info(tmp_path / "a.mp4")
    assert info.fps == pytest.approx(12.5)
    assert info.frames == 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_odd_sides_are_filled_up(tmp_path):
    write(tmp_path / "a.mp4", clip(height=33, width=47))
    assert next(read_frames(tmp_path / "a.mp4")).shape == (34, 48, 3)


def test_a_failure_leaves_no_film(tmp_path):
    def fail() -> None:
        with write_video(tmp_path / "a.mp4", 10.0) as append:
            append(clip()[0])
            raise RuntimeError("the network failed")

    with pytest.raises(RuntimeError, match="the network failed"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_film_is_refused(tmp_path):
    with pytest.raises(VideoError, match=r"gone\.mp4: no such file"):
        next(read_frames(tmp_path / "gone.mp4"))
    (tmp_path / "text.mp4").write_text("not a film" * 100)
    with pytest.raises(VideoError, match=r"text\.mp4: is no video that can be read"):
        video_info(tmp_path / "text.mp4")


def test_a_stream_that_no_decoder_is_known_for_is_refused(tmp_path):
    with av.open(str(tmp_path / "new.mkv"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for pixels in clip():
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode(None))
    content = (tmp_path / "new.mkv").read_bytes()
    (tmp_path / "new.mkv").write_bytes(content.replace(b"V_MPEG4/ISO/", b"V_MPEG4/NEW/"))
    with pytest.raises(VideoError, match=r"new\.mkv: no decoder is known"):
        video_info(tmp_path / "new.mkv")
