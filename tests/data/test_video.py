"""Videos as players show them: what goes in comes out, every fault and mark is seen and said."""

from fractions import Fraction

import av
import numpy as np
import pytest

from films import grey_frames, lose_packet, write
from ssmde.data import images, video

LEVELS = [20, 60, 100, 140, 180, 220]


def read(path):
    """Frames, and lines of what was noticed."""
    notes = video.VideoNotes()
    return list(video.read_chosen_frames(path, lambda _: True, notes)), notes.lines


@pytest.mark.parametrize(("ending", "lost"), [("mov", 2), ("mkv", 2), ("avi", 2), ("mov", 5)])
def test_a_frame_that_cannot_be_decoded_keeps_its_number(tmp_path, ending, lost):
    path, kept = write(tmp_path / f"a.{ending}", grey_frames(LEVELS)), [*range(6)]
    lose_packet(path, kept.pop(lost))
    frames, lines = read(path)
    assert [f.number for f in frames] == kept
    levels = [LEVELS[number] for number in kept]
    np.testing.assert_allclose([f.pixels.mean() for f in frames], levels, atol=3)
    np.testing.assert_allclose([f.time for f in frames], np.divide(kept, 10), atol=2e-3)
    assert lines == [f"frames that cannot be decoded are left out: {lost}"]
    for number in kept:
        lose_packet(path, number)
    with pytest.raises(video.VideoError, match=rf"a\.{ending}: the video has no frame that"):
        read(path)


@pytest.mark.parametrize(("ending", "times", "numbers", "lost"), [
    # Matroska and transport streams leave broken packets out; a gap in an even film tells.
    ("mkv", [0.0, 0.1, 0.2, 0.3, 0.6, 0.7], [0, 1, 2, 3, 6, 7], ["4-5"]),
    ("mov", [0.0, 0.1, 0.2, 0.3, 0.6, 0.7], [0, 1, 2, 3, 4, 5], []),  # a phone that dropped two
    ("mkv", [0, 0.1, 0.15, 0.4, 0.45, 0.9], [0, 1, 2, 3, 4, 5], []),  # uneven
])  # fmt: skip
def test_frames_that_a_container_lost_keep_their_numbers(tmp_path, ending, times, numbers, lost):
    frames, lines = read(write(tmp_path / f"a.{ending}", grey_frames(LEVELS), times))
    assert [f.number for f in frames] == numbers
    np.testing.assert_allclose([f.time for f in frames], times, atol=2e-3)
    assert lines == [f"frames that cannot be decoded are left out: {n}" for n in lost]


def test_the_film_is_read_and_not_a_still_beside_it(tmp_path):
    path, films = tmp_path / "a.mkv", (grey_frames([9], (64, 96)), grey_frames(LEVELS))
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mjpeg", rate=10) for _ in films]
        for stream, pictures in zip(streams, films, strict=True):
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuvj420p"
        for stream, pictures in zip(streams, films, strict=True):
            for pixels in pictures:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    frames, lines = read(path)
    assert [f.pixels.shape for f in frames] == [(32, 48, 3)] * 6
    assert lines == ["stream 1 is the film (48 x 32), of 2 with pictures"]
    assert video.video_info(path).size == (32, 48)


def test_pixels_become_square(tmp_path):
    path = write(tmp_path / "a.mkv", grey_frames(LEVELS[:2]), sample_aspect_ratio=Fraction(4, 3))
    frames, lines = read(path)
    info = video.video_info(path)
    assert (frames[0].pixels.shape, info.size, info.fps) == ((32, 64, 3), (32, 64), 10)
    assert next(video.decode(path)).gray(32).shape == (16, 32)
    assert lines == ["pixels are not square: 48 x 32 are shown as 64 x 32"]


def test_times_that_restart_go_on_and_a_pause_begins_a_scene(tmp_path):
    times = [5, 5.1, 5.2, 9.2, 9.3, 9.4]
    path = write(tmp_path / "a.mkv", grey_frames(LEVELS), times)
    frames, lines = read(path)
    np.testing.assert_allclose([f.time for f in frames], times, atol=2e-3)
    assert [f.number for f in frames if f.begins] == [3]
    assert lines == ["the times restart or jump, a scene begins: 3"]


def test_a_clock_never_goes_back():
    clock = video.Clock(0.1)
    given = [0.0, 0.1, 0.2, 0.2, 0.3, 0.0, 0.1, 0.25, 90_000.0, 90_000.1, None]
    shown = [clock.show(time) for time in given]
    expected = [0, 0.1, 0.2, 0.201, 0.3, 0.4, 0.5, 0.65, 0.75, 0.85]
    np.testing.assert_allclose([time for time, _ in shown[:-1]], expected, atol=2e-3)
    assert [i for i, (_, jumps) in enumerate(shown) if jumps] == [5, 8]
    assert shown[-1] == (None, False)


FLAGS = av.codec.context.Flags


def test_an_interlaced_film_says_what_makes_it_usual(tmp_path):
    path = write(tmp_path / "a.ts", grey_frames(LEVELS[:3]), codec="libx264", kind="yuv420p",
                 flags=FLAGS.interlaced_dct | FLAGS.interlaced_me)  # fmt: skip
    frames, (line,) = read(path)
    assert line.startswith("interlaced, moving edges have combs: give it as `ffmpeg")
    assert [f.number for f in frames] == [0, 1, 2]


@pytest.mark.parametrize(("curve", "white"), [(16, 0.5807), (18, 0.75)])
def test_paper_white_of_high_range_is_bright_and_the_order_of_greys_stays(curve, white):
    """203 cd/m2 is 0.5807 in PQ and 0.75 in HLG (ITU-R BT.2408, table 1)."""
    values = np.array([0, white / 2, white, 1], np.float32)
    grey = np.repeat((values * 65535).astype(np.uint16)[None, :, None], 3, axis=2)
    shown = video.to_standard_range(grey, curve, 9)[0]
    assert (shown.max(axis=1).astype(int) - shown.min(axis=1) <= 1).all()  # grey stays grey
    assert shown[0, 0] == 0
    assert 200 < shown[2, 0] < 250
    assert shown[3, 0] == 255
    assert (np.diff(shown[:, 0].astype(int)) > 0).all()


def test_a_film_of_high_range_is_tone_mapped_and_says_so(tmp_path):
    frame = np.full((32, 48, 3), 148, np.uint8)  # 0.58 of the range: paper white in PQ
    path = write(tmp_path / "a.mkv", [frame], codec="ffv1", kind="yuv420p10le", color_trc=16,
                 colorspace=9, color_primaries=9)  # fmt: skip
    (shown,), lines = read(path)
    assert shown.pixels.mean() > 200
    assert lines == ["high dynamic range (PQ), tone-mapped"]
    (frame,) = video.decode(path)
    assert abs(frame.gray(100).mean() - shown.pixels.mean()) < 3


def test_what_is_no_film_or_has_no_decoder_is_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("not a film" * 100)
    path = write(tmp_path / "new.mkv", grey_frames(LEVELS))
    path.write_bytes(path.read_bytes().replace(b"V_MJPEG", b"V_MJNEW"))
    write(tmp_path / "a.mp4", grey_frames([9]), cover=True)
    for name, says in (
        ("gone.mp4", "no such file"), ("text.mp4", "is no video that can be read"),
        ("new.mkv", "no decoder is known"), ("a.mp4", "holds no video stream"),
    ):  # fmt: skip
        with pytest.raises(video.VideoError, match=f"{name}: {says}"):
            video.video_info(tmp_path / name)


def test_films_with_too_many_pixels_are_refused_before_the_first_such_frame(tmp_path, monkeypatch):
    grows, large = (
        write(tmp_path / f"{n}.ts", grey_frames(LEVELS[:2], n), codec="libx264", kind="yuv420p")
        for n in ((32, 48), (48, 64))
    )
    grows.write_bytes(grows.read_bytes() + large.read_bytes())
    monkeypatch.setattr(images, "MOST_PIXELS", 2000)
    frames = video.read_frames(grows)
    assert next(frames).shape == next(frames).shape == (32, 48, 3)
    for read in (
        lambda: next(frames),
        lambda: video.video_info(large),
        lambda: next(video.decode(large)),
    ):
        with pytest.raises(video.VideoError, match=r"ts: a frame has .* pixels \(64 x 48\), the"):
            read()
