"""A video of a few small frames: a texture that slides past; a short run of tiny networks on it."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from ssmde.config import Config, DataConfig, ModelConfig, TrainConfig
from texture import sliding
from tiny_networks import TinyDepthNet, TinyPoseNet, build_tiny_teacher

HEIGHT, WIDTH, FRAMES = 32, 64, 14


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A data folder with one scene and no truth."""
    scene = tmp_path / "data" / "slide"
    scene.mkdir(parents=True)
    for i in range(FRAMES):
        Image.fromarray(sliding(i, (HEIGHT, WIDTH))).save(scene / f"{i:03d}.png")
    (scene / "cam.txt").write_text("50 0 31.5\n0 50 15.5\n0 0 1\n")
    for split in ("train", "val"):
        (tmp_path / "data" / f"{split}.txt").write_text("slide\n")
    return tmp_path / "data"


@pytest.fixture
def small_run(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Four short steps of tiny networks on the video, and small pictures of its validations."""
    monkeypatch.setattr("ssmde.training.validation.PANEL_HEIGHT", HEIGHT)
    monkeypatch.setattr("ssmde.training.run.build_teacher", build_tiny_teacher)
    monkeypatch.setattr(
        "ssmde.methods.student.build_networks", lambda model, loss: (TinyDepthNet(), TinyPoseNet())
    )
    return Config(
        name="small",
        output=tmp_path / "runs",
        data=DataConfig(root=video, image_size=(HEIGHT, WIDTH), workers=0),
        model=ModelConfig(encoder="resnet18_half", freeze_batch_norm=True),
        train=TrainConfig(
            steps=4, batch_size=2, learning_rate=1e-5, validate_every=2, checkpoint_every=2,
            accelerator="cpu", threads=1,
        ),
    )  # fmt: skip


@pytest.fixture
def losses():
    """Function: (step, value) of a curve; written with all digits, so equal text is equal bits."""

    def read(folder: Path, name: str = "train/loss") -> list[tuple[int, str]]:
        with (folder / "log.csv").open(newline="") as file:
            return [(int(r["step"]), r["value"]) for r in csv.DictReader(file) if r["name"] == name]

    return read
