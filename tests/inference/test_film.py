"""Videos and cameras: their times, and what an interruption leaves."""

import av
import numpy as np
import pytest
import torch

import films
from folders import names_in
from rtsp_camera import camera
from ssmde.data.video import VideoFrame, read_frames, video_info
from ssmde.inference import Predictor, predict_files
from tiny_networks import Brightness, Stopping


def predictor(stop_after: float = np.inf) -> Predictor:
    return Predictor(Stopping(stop_after), (32, 32), depth_range=(0.1, 100.0), source="drawn")


def record(path, frames, moments=None):
    """A film of 10 frames a second, or at these times, whose grey grows from frame to frame."""
    levels = films.grey_frames(range(0, 5 * frames, 5), (24, 32))
    return films.write(path, levels, moments, codec="libx264", kind="yuv420p")


def times(path):
    with av.open(str(path)) as film:
        return [float(frame.pts * frame.time_base) for frame in film.decode(video=0)]


def test_a_film_shows_the_video_at_its_left_at_the_times_it_was_filmed(tmp_path):
    moments = [i / 10 + (2.0 if i > 5 else 0.0) for i in range(12)]
    path, film = record(tmp_path / "phone.mkv", 12, moments), tmp_path / "phone_depth.mp4"
    predict_files(predictor(), path, tmp_path)
    found = times(film)
    np.testing.assert_allclose(found, times(path), atol=1e-3)
    assert found[6] - found[5] == pytest.approx(2.1, abs=1e-3)
    for was, now in zip(read_frames(path), read_frames(film), strict=True):
        assert now.shape == (24, 32 + 4 + 32, 3)
        assert np.abs(now[:, :28].astype(int) - was[:, :28]).mean() < 4


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


def test_an_interrupted_video_leaves_no_film_and_is_made_again_and_what_is_there_is_not(tmp_path):
    path, whole, again = record(tmp_path / "clip.mp4", 12), tmp_path / "whole", tmp_path / "out"
    ask = {"format": "video,npz"}
    predict_files(predictor(), path, whole, **ask)
    with pytest.raises(KeyboardInterrupt):
        predict_files(predictor(8), path, again, **ask)
    names = names_in(again)
    assert len(names) == 8
    assert all(name.endswith("_depth.npz") for name in names)
    first = predict_files(predictor(), path, again, **ask)
    assert len(first.written) == 1 + 12
    assert names_in(whole) == names_in(again)
    film, *frames = names_in(whole)[::-1]
    assert times(whole / film) == times(again / film)
    pictures = [np.stack(list(read_frames(at / film))).astype(int) for at in (whole, again)]
    assert np.abs(pictures[0] - pictures[1]).mean() < 0.5  # an encoder promises no bytes
    finished = predictor()
    second = predict_files(finished, path, again, **ask)
    assert (finished.network.seen, second.written, second.present) == (0, first.written, 13)
    (again / "clip_000002_depth.npz").unlink()
    predict_files(predictor(), path, again, **ask)
    assert all((whole / name).read_bytes() == (again / name).read_bytes() for name in frames)


def test_a_video_becomes_a_video_unless_asked_otherwise(tmp_path):
    path = films.write(tmp_path / "clip.mov", films.grey_frames([0, 40, 80, 120]))
    films.lose_packet(path, 3)
    summary = predict_files(predictor(), path, tmp_path / "a")
    assert summary.notes == (f"{path}: frames that cannot be decoded are left out: 3",)
    assert names_in(tmp_path / "a") == ["clip_depth.mp4"]
    assert video_info(tmp_path / "a" / "clip_depth.mp4").fps == pytest.approx(10.0)
    summary = predict_files(predictor(), path, tmp_path / "b", format="npz", max_frames=3)
    assert [p.name for p in summary.written] == [f"clip_{i:06d}_depth.npz" for i in range(3)]
    depths = [np.load(p)["depth"] for p in summary.written]
    assert {d.shape for d in depths} == {(32, 48)}
    np.testing.assert_allclose([d.mean() for d in depths], [1, 1.157, 1.314], atol=0.02)


def test_ctrl_c_ends_a_camera_and_keeps_its_film(tmp_path, monkeypatch):
    def stopped(_):
        for i in range(5):
            pixels = np.full((24, 32, 3), 20 * i, np.uint8)
            yield VideoFrame(number=3 * i, time=i / 5, pixels=pixels)
        raise KeyboardInterrupt

    monkeypatch.setattr("ssmde.inference.predict.read_live", stopped)
    summary = predict_files(predictor(), "0", tmp_path / "out", format="video,npz")
    assert times(tmp_path / "out/camera_depth.mp4") == pytest.approx(np.arange(5) / 5, abs=1e-4)
    names = ["camera_depth.mp4", *(f"camera_{i:06d}_depth.npz" for i in range(5))]
    assert [p.name for p in summary.written] == names


def test_the_film_of_an_rtsp_camera_becomes_depth(tmp_path):
    # Long enough for a slow machine; by two, since neighboring levels can be one in the film.
    with camera(list(range(0, 240, 2))) as address:
        summary = predict_files(predictor(), address, tmp_path / "out", format="npz", max_frames=3)
    depths = [np.load(path)["depth"] for path in summary.written]
    assert [d.shape for d in depths] == [(48, 64)] * 3
    assert depths[0].mean() < depths[1].mean() < depths[2].mean()  # the film gets brighter
