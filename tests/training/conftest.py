"""A video of a few small frames: a texture that slides past."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssmde.config import Config, DataConfig, ModelConfig, TrainConfig

HEIGHT, WIDTH, FRAMES = 32, 64, 14


def draw_frame(shift: int) -> Image.Image:
    rows, columns = np.mgrid[:HEIGHT, shift : shift + WIDTH]
    channels = [np.sin(columns / (3 + c) + rows / (4 - c)) for c in range(3)]
    return Image.fromarray((127.5 + 120 * np.stack(channels, -1)).astype(np.uint8))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A data folder with one scene and no truth."""
    scene = tmp_path / "data" / "slide"
    scene.mkdir(parents=True)
    for i in range(FRAMES):
        draw_frame(2 * i).save(scene / f"{i:03d}.png")
    (scene / "cam.txt").write_text("50 0 31.5\n0 50 15.5\n0 0 1\n")
    (tmp_path / "data" / "train.txt").write_text("slide\n")
    (tmp_path / "data" / "val.txt").write_text("slide\n")
    return tmp_path / "data"


@pytest.fixture
def small_run(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Eight short steps on the video, and small pictures of its validations."""
    monkeypatch.setattr("ssmde.training.validation.PANEL_HEIGHT", HEIGHT)
    return Config(
        name="small",
        output=tmp_path / "runs",
        data=DataConfig(root=video, image_size=(HEIGHT, WIDTH), workers=0),
        model=ModelConfig(freeze_batch_norm=True),
        train=TrainConfig(
            steps=8,
            batch_size=2,
            learning_rate=1e-5,
            validate_every=4,
            checkpoint_every=2,
            accelerator="cpu",
            threads=1,
        ),
    )
