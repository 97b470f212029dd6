"""Videos and cameras: their times, their sound, and what an interruption leaves."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

import films
from folders import names_in
from rtsp_camera import camera
from ssmde.data.video import VideoFrame, read_frames, video_info
from ssmde.inference import Predictor, predict_files
from tiny_networks import Brightness

RATE = 16_000


class Stopping(Brightness):
    """Stops after so many images, as Ctrl-C does."""

    def __init__(self, stop_after: float = np.inf) -> None:
        super().__init__()
        self.seen, self.stop_after = 0, stop_after

    def forward(self, image):
        self.seen += len(image)
        if self.seen > self.stop_after:
            raise KeyboardInterrupt
        return super().forward(image)


def predictor(stop_after: float = np.inf) -> Predictor:
    return Predictor(Stopping(stop_after), (32, 32), depth_range=(0.1, 100.0), source="drawn")


def record(path, frames, *, fps=10, sound=None, start=0.0, gap_after=None):
    """A film whose grey grows from frame to frame; sound is a tone in the given codec."""
    with av.open(str(path), "w") as film:
        picture = film.add_stream("libx264", rate=fps)
        picture.width, picture.height, picture.pix_fmt = 32, 24, "yuv420p"
        picture.codec_context.time_base = Fraction(1, 1000)
        speech = film.add_stream(sound, rate=RATE, layout="mono") if sound else None
        for i, pixels in enumerate(films.grey_frames(range(0, 5 * frames, 5), (24, 32))):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            late = 2.0 if gap_after is not None and i > gap_after else 0.0
            frame.pts, frame.time_base = round(1000 * (start + i / fps + late)), Fraction(1, 1000)
            film.mux(picture.encode(frame))
        film.mux(picture.encode(None))
        if speech is not None:
            wave = np.sin(2 * np.pi * 440 * np.arange(int((start + frames / fps) * RATE)) / RATE)
            tone = av.AudioFrame.from_ndarray(
                0.3 * wave[None].astype(np.float32), format="fltp", layout="mono"
            )
            tone.sample_rate, tone.pts, tone.time_base = RATE, 0, Fraction(1, RATE)
            film.mux(speech.encode(tone))
            film.mux(speech.encode(None))
    return path


def times(path):
    with av.open(str(path)) as film:
        return [float(frame.pts * frame.time_base) for frame in film.decode(video=0)]


def sound_of(path):
    with av.open(str(path)) as film:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in film.demux(film.streams.audio[0])
            if packet.pts is not None
        ]


@pytest.mark.parametrize(("name", "start"), [("talk.mp4", 0.0), ("talk.mkv", 0.5)])
def test_the_sound_of_a_video_stays_bit_by_bit_with_its_picture(tmp_path, name, start):
    path = record(tmp_path / name, 10, sound="aac", start=start)
    predict_files(predictor(), path, tmp_path / "out")
    film = tmp_path / "out" / "talk_depth.mp4"
    inside = [(t, content) for t, content in sound_of(path) if start <= t < start + 1.0]
    after = sound_of(film)
    assert len(after) >= 13
    assert [content for _, content in after] == [content for _, content in inside]
    assert times(film)[0] == 0
    shifts = [
        float(was) - start - float(now) for (was, _), (now, _) in zip(inside, after, strict=True)
    ]
    np.testing.assert_allclose(shifts, 0, atol=1e-2 if start else 1e-3)


def test_sound_that_an_mp4_cannot_hold_is_encoded_and_keeps_its_tone(tmp_path):
    path = record(tmp_path / "talk.mkv", 10, sound="pcm_s16le")
    predict_files(predictor(), path, tmp_path / "out")
    with av.open(str(tmp_path / "out" / "talk_depth.mp4")) as film:
        frames = list(film.decode(audio=0))
    rate, wave = frames[0].sample_rate, np.concatenate([f.to_ndarray()[0] for f in frames])
    assert abs(len(wave) / rate - 1.0) < 0.2
    spectrum = np.abs(np.fft.rfft(wave))
    assert np.fft.rfftfreq(len(wave), 1 / rate)[spectrum.argmax()] == pytest.approx(440, abs=1)


def test_frames_are_shown_when_they_were_filmed(tmp_path):
    path = record(tmp_path / "phone.mkv", 10, gap_after=5)
    predict_files(predictor(), path, tmp_path / "out")
    found = times(tmp_path / "out" / "phone_depth.mp4")
    np.testing.assert_allclose(found, times(path), atol=1e-3)
    assert found[6] - found[5] == pytest.approx(2.1, abs=1e-3)


def test_the_left_half_is_the_video_and_without_its_sound_there_is_none(tmp_path):
    path, film = record(tmp_path / "clip.mp4", 12), tmp_path / "out" / "clip_depth.mp4"
    predict_files(predictor(), path, tmp_path / "out")
    before, after = list(read_frames(path)), list(read_frames(film))
    assert len(before) == len(after) == 12
    for was, now in zip(before, after, strict=True):
        assert now.shape == (24, 32 + 4 + 32, 3)
        assert np.abs(now[:, :28].astype(int) - was[:, :28]).mean() < 4
    with av.open(str(film)) as opened:
        assert not opened.streams.audio


def test_depth_that_flickers_is_blended_where_that_is_asked_for(tmp_path):
    class Flickering(Brightness):
        def forward(self, image):
            odd = torch.arange(len(image)).view(-1, 1, 1, 1) % 2
            return 1.6 - 0.2 * odd + 0 * image[:, :1]

    still = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    path = films.write(tmp_path / "clip.mov", [still.repeat(8, 0).repeat(8, 1)] * 4)
    for temporal in (False, True):
        out, network = tmp_path / f"{temporal}", Predictor(Flickering(), (96, 128))
        summary = predict_files(network, path, out, format="npz", temporal=temporal)
        depths = [np.load(written)["depth"].mean() for written in summary.written]
        assert depths[0] == pytest.approx(1.6)
        assert (np.abs(np.diff(depths)).max() < 0.15) == temporal


def test_an_interrupted_video_leaves_no_film_and_is_made_again(tmp_path):
    record(tmp_path / "clip.mp4", 12, sound="aac")
    ask = {"format": "video,npz"}
    predict_files(predictor(), tmp_path / "clip.mp4", tmp_path / "whole", **ask)
    with pytest.raises(KeyboardInterrupt):
        predict_files(predictor(8), tmp_path / "clip.mp4", tmp_path / "out", **ask)
    names = names_in(tmp_path / "out")
    assert len(names) == 8
    assert all(name.endswith("_depth.npz") for name in names)
    summary = predict_files(predictor(), tmp_path / "clip.mp4", tmp_path / "out", **ask)
    assert len(summary.written) == 1 + 12
    whole, again = tmp_path / "whole", tmp_path / "out"
    assert names_in(whole) == names_in(again)
    film, *frames = names_in(whole)[::-1]
    assert times(whole / film) == times(again / film)
    assert sound_of(whole / film) == sound_of(again / film)
    pictures = [np.stack(list(read_frames(at / film))).astype(int) for at in (whole, again)]
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.5  # an encoder promises no bytes
    assert all((whole / name).read_bytes() == (again / name).read_bytes() for name in frames)


@pytest.mark.parametrize("format", ["video", "video,npz"])
def test_what_was_finished_is_not_done_again(tmp_path, format):
    path, again = record(tmp_path / "clip.mp4", 5), predictor()
    first = predict_files(predictor(), path, tmp_path / "out", format=format)
    second = predict_files(again, path, tmp_path / "out", format=format)
    assert again.network.seen == 0
    assert first.written == second.written
    assert second.present == len(second.written)
    if "npz" in format:  # a frame that is lost is made again
        lost = tmp_path / "out" / "clip_000002_depth.npz"
        before = lost.read_bytes()
        lost.unlink()
        predict_files(predictor(), path, tmp_path / "out", format=format)
        assert lost.read_bytes() == before


def test_a_video_is_stopped_after_as_many_frames_as_asked(tmp_path):
    path, film = record(tmp_path / "clip.mp4", 15, sound="aac"), tmp_path / "out/clip_depth.mp4"
    predict_files(predictor(), path, tmp_path / "out", max_frames=7)
    assert len(list(read_frames(film))) == 7
    assert sound_of(film)[-1][0] < 0.7  # no sound without a picture


def test_a_video_becomes_a_video_unless_asked_otherwise(tmp_path):
    path = films.write(tmp_path / "clip.mov", films.grey_frames([0, 40, 80]))
    predict_files(predictor(), path, tmp_path / "a")
    assert names_in(tmp_path / "a") == ["clip_depth.mp4"]
    assert video_info(tmp_path / "a" / "clip_depth.mp4").fps == pytest.approx(10.0)
    summary = predict_files(predictor(), path, tmp_path / "b", format="npz")
    assert [p.name for p in summary.written] == [f"clip_{i:06d}_depth.npz" for i in range(3)]
    depths = [np.load(p)["depth"] for p in summary.written]
    assert {d.shape for d in depths} == {(32, 48)}
    np.testing.assert_allclose([d.mean() for d in depths], [1, 1.157, 1.314], atol=0.02)


def test_frames_that_cannot_be_decoded_keep_their_numbers_and_are_named(tmp_path):
    path = films.write(tmp_path / "clip.mov", films.grey_frames([0, 40, 80, 120, 160]))
    films.lose_packet(path, 2)
    summary = predict_files(predictor(), path, tmp_path / "out", format="color")
    kept = [name for name in names_in(tmp_path / "out") if name.endswith(".png")]
    assert kept == [f"clip_{i:06d}_color.png" for i in (0, 1, 3, 4)]
    assert summary.notes == (f"{path}: frames that cannot be decoded are left out: 2",)


def test_ctrl_c_ends_a_camera_and_keeps_its_film(tmp_path, monkeypatch):
    def stopped(_):
        for i in range(5):
            pixels = np.full((24, 32, 3), 20 * i, np.uint8)
            yield VideoFrame(number=3 * i, time=i / 5, pixels=pixels)
        raise KeyboardInterrupt

    monkeypatch.setattr("ssmde.inference.predict.read_live", stopped)
    summary = predict_files(predictor(), "0", tmp_path / "out", format="video,npz")
    np.testing.assert_allclose(
        times(tmp_path / "out/camera_depth.mp4"), np.arange(5) / 5, atol=1e-4
    )
    names = ["camera_depth.mp4", *(f"camera_{i:06d}_depth.npz" for i in range(5))]
    assert [p.name for p in summary.written] == names


def test_the_film_of_an_rtsp_camera_becomes_depth(tmp_path):
    # Long enough for a slow machine; by two, since neighboring levels can be one in the film.
    with camera(list(range(0, 240, 2))) as address:
        summary = predict_files(predictor(), address, tmp_path / "out", format="npz", max_frames=3)
    depths = [np.load(path)["depth"] for path in summary.written]
    assert [d.shape for d in depths] == [(48, 64)] * 3
    assert depths[0].mean() < depths[1].mean() < depths[2].mean()  # the film gets brighter
