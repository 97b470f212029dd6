"""Prediction on a Ray cluster: a worker that is lost loses nothing."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from folders import names_in
from ssmde.predict import Predictor, predict_files
from ssmde.prediction.jobs import Job
from ssmde.prediction.marks import Marks
from ssmde.prediction.on_ray import Piece, predict_on_ray, predict_piece
from ssmde.prediction.pipeline import Pipeline, Wishes
from ssmde.prediction.shot import Style

COUNT = 11


class Brightness(nn.Module):
    """Depth 1 + mean of the colours, so that a test knows the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        return self.one + image.mean(dim=1, keepdim=True)


def make_predictor() -> Predictor:
    return Predictor(Brightness(), (32, 32), depth_range=(0.1, 100.0), source="drawn")


def open_job(out: Path) -> Job:
    pipeline = Pipeline(make_predictor(), Wishes(batch_size=2), say=None)
    return Job(pipeline=pipeline, out=out, formats=("npz",), style=Style(), marks=Marks(way=""))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(COUNT):
        Image.fromarray(np.full((20, 24, 3), 10 * i, np.uint8)).save(folder / f"{i:02d}.png")
    return folder


def assert_predicted(out: Path, names: list[str]) -> None:
    assert names_in(out) == [f"{name}_depth.npz" for name in names]
    for name in names:
        with np.load(out / f"{name}_depth.npz") as arrays:
            np.testing.assert_allclose(arrays["depth"], 1 + 10 * int(name) / 255, rtol=1e-5)


def test_a_piece_says_what_it_wrote_and_what_it_could_not_read(photos, tmp_path):
    images = {f"{i:02d}": photos / f"{i:02d}.png" for i in (0, 1)}
    images["broken"] = photos / "missing.png"
    good, reasons = predict_piece(open_job(tmp_path), Piece(number=3, images=images))
    assert good == ["00", "01"]
    assert len(reasons) == 1
    assert "missing.png" in reasons[0]
    assert sorted(p.name for p in tmp_path.glob("*.npz")) == ["00_depth.npz", "01_depth.npz"]


def test_a_recording_of_all_images_and_a_video_are_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="rerun is one file for all of them"):
        predict_files(make_predictor(), photos, tmp_path / "out", formats=["rerun"], engine="ray")
    (tmp_path / "walk.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"walk\.mp4 is a video or a camera"):
        predict_files(make_predictor(), tmp_path / "walk.mp4", tmp_path / "out", engine="ray")


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine."""
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2, object_store_memory=80 * 2**20, include_dashboard=False, log_to_driver=False
    )
    yield ray
    ray.shutdown()


@pytest.mark.distributed
@pytest.mark.filterwarnings("ignore")  # of Ray, about its own sockets and files
def test_a_killed_worker_loses_nothing(cluster, photos, tmp_path):
    out, log, killed = tmp_path / "out", tmp_path / "log", tmp_path / "killed"
    out.mkdir()

    class Noting(Job):
        """Writes down what it writes, and dies once in the middle of a piece."""

        def write(self, name, shot):
            if name == "05" and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            with log.open("a") as file:
                file.write(f"{name}\n")
            return Job.write(self, name, shot)

    def noting_job() -> Job:
        job = open_job(out)
        return Noting(pipeline=job.pipeline, out=out, formats=job.formats, style=job.style)

    images = {f"{i:02d}": photos / f"{i:02d}.png" for i in range(COUNT)}
    images["broken"] = tmp_path / "missing.png"
    summary = predict_on_ray(noting_job, open_job(out), images, piece_size=4)
    assert killed.exists()
    assert set(log.read_text().split()) == set(sorted(images)[:COUNT])
    assert [p.name for p in summary.written] == [f"{i:02d}_depth.npz" for i in range(COUNT)]
    assert len(summary.skipped) == 1
    assert_predicted(out, [f"{i:02d}" for i in range(COUNT)])


@pytest.mark.distributed
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_writes_what_one_process_writes_from_a_list(cluster, photos, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(f"photos/{i:02d}.png" for i in (0, 3, 7)))
    summary = predict_files(
        make_predictor(), listed, tmp_path / "out", formats=["npz"], engine="ray"
    )
    assert len(summary.written) == 3
    assert_predicted(tmp_path / "out", ["00", "03", "07"])
