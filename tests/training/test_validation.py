"""What a run without measured depth is judged by, where its video is short."""

import shutil

import pytest
import torch

from ssmde.config import Config, DataConfig
from ssmde.data.drawn import draw_clip, write_clip
from ssmde.training.log import RunLog
from ssmde.training.validation import Validation


class Judge:
    """Notes what it is asked to judge."""

    def __init__(self) -> None:
        self.asked = []

    def photometric_loss(self, batch):
        self.asked.append(batch)
        return torch.tensor(0.5)


@pytest.mark.parametrize(("frames", "held_out"), [(40, 4), (12, 12)])
def test_a_held_out_part_too_short_for_the_gaps_is_judged_at_a_smaller_one(
    tmp_path, frames, held_out
):
    scene = tmp_path / "data" / "room"
    write_clip(draw_clip("wall", frames=frames, size=(32, 64)), scene)
    shutil.rmtree(scene / "depth")
    data = DataConfig(root=tmp_path / "data", image_size=(32, 64), frame_gaps=(8, 12), workers=0)
    validation = Validation(tmp_path, Config(data=data), object.__new__(RunLog))
    assert sum(len(s) for s in validation.sequences) in (held_out, held_out - 1)
    judge = Judge()
    score = validation._photometric(judge, torch.device("cpu"))
    assert (score.name, score.value) == ("photometric", 0.5)
    assert judge.asked
