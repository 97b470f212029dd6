"""Quantiles of the chosen values, and the threshold that follows them."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ssmde.losses.masks import MAX_SAMPLES, thin
from ssmde.methods.mask_filter import MotionThreshold, masked_quantile


def flat(value: float, *, valid: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """A map of one value, whose every quantile is that value."""
    return torch.full((2, 1, 3, 4), value), torch.full((2, 1, 3, 4), valid)


@given(seed=st.integers(0, 1000), n=st.integers(1, 40), quantile=st.floats(0.0, 1.0))
def test_the_quantile_is_that_of_numpy_over_the_chosen_values(seed, n, quantile):
    rng = np.random.default_rng(seed)
    values, mask = rng.normal(size=(3, n)), rng.random((3, n)) > 0.3
    mask[:, 0] = True
    found = masked_quantile(torch.from_numpy(values), torch.from_numpy(mask), quantile)
    expected = [np.quantile(v[m], quantile) for v, m in zip(values, mask, strict=True)]
    assert_close(found.numpy(), np.array(expected))
    nothing = masked_quantile(torch.from_numpy(values), torch.from_numpy(mask) & False, quantile)
    assert nothing.isinf().all()


def test_thinning_keeps_within_the_limit_and_small_maps_whole():
    small = torch.rand(2, 1, 6, 8)
    assert torch.equal(thin(small, 96), small)
    assert torch.equal(thin(small, 95), small[..., ::2, ::2])
    large = torch.rand(1, 1, 700, 900)
    assert thin(large, MAX_SAMPLES).numel() <= MAX_SAMPLES


def test_a_large_map_is_judged_by_a_sample_the_same_one_every_time():
    ramp = torch.linspace(0.3, 0.7, 900).expand(1, 1, 700, 900)
    one, two = (MotionThreshold(0.8, 0.9) for _ in range(2))
    found = one(ramp, ramp > 0)
    assert_close(found, torch.tensor(0.62), atol=0.002, rtol=0)
    assert torch.equal(found, two(ramp, ramp > 0))


def test_the_mean_of_the_batches_has_no_bias_towards_its_start():
    threshold = MotionThreshold(0.8, 0.5)
    assert_close(threshold(*flat(0.4)), torch.tensor(0.4))
    # 0.5 * (0.5 * 0.4) + 0.5 * 0.6 = 0.4, over a weight of 0.75
    assert_close(threshold(*flat(0.6)), torch.tensor(0.4 / 0.75))
    assert_close(threshold(*flat(0.7)), torch.tensor((0.2 + 0.35) / 0.875))


def test_only_what_is_read_is_limited_not_what_is_remembered():
    threshold = MotionThreshold(0.8, 0.5)
    assert_close(threshold(*flat(2.0)), torch.tensor(0.8))
    assert_close(threshold(*flat(0.2)), torch.tensor(0.8))  # (0.5 * 1 + 0.1) / 0.75 = 0.8
    assert_close(threshold(*flat(0.0)), torch.tensor(0.3 / 0.875))
    assert_close(MotionThreshold(0.8, 0.5)(*flat(0.0)), torch.tensor(0.25))


def test_evaluation_moves_nothing_and_before_training_reads_the_batch():
    threshold = MotionThreshold(0.8, 0.9).eval()
    assert_close(threshold(*flat(0.5)), torch.tensor(0.5))
    assert_close(threshold(*flat(0.3)), torch.tensor(0.3))
    threshold.train()(*flat(0.4))
    assert_close(threshold.eval()(*flat(0.7)), torch.tensor(0.4))


@pytest.mark.parametrize(("value", "valid"), [(0.7, False), (torch.nan, True), (torch.inf, True)])
def test_a_batch_without_a_value_changes_nothing(value, valid):
    threshold = MotionThreshold(0.8, 0.9)
    assert_close(threshold(*flat(value, valid=valid)), torch.tensor(0.8))  # nothing seen ever
    threshold(*flat(0.4))
    assert_close(threshold(*flat(value, valid=valid)), torch.tensor(0.4))
    assert_close(threshold(*flat(0.4)), torch.tensor(0.4))


PROCESS = """
import sys
import torch
import torch.distributed as dist
from ssmde.methods.mask_filter import MotionThreshold

rank, meeting = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
threshold = MotionThreshold(0.8, 0.5)
seen = torch.ones(1, 1, 3, 4, dtype=torch.bool)
for values, masks in (((0.3, 0.5), (seen, seen)), ((0.6, 0.7), (seen, ~seen))):
    print(threshold(torch.full((1, 1, 3, 4), values[rank]), masks[rank]).item())
dist.destroy_process_group()
"""


@pytest.mark.distributed
def test_all_processes_follow_the_images_of_all(tmp_path):
    command = [sys.executable, "-c", PROCESS]
    processes = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "meeting")], stdout=subprocess.PIPE)
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert said[0] == said[1]
    # First 12 values of 0.3 and 12 of 0.5; then only the first process has something to say.
    expected = torch.tensor([0.5, (0.5 * 0.5 * 0.5 + 0.5 * 0.6) / 0.75])
    assert_close(torch.tensor([float(value) for value in said[0]]), expected)
