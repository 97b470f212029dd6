"""Learning from measured depth: what the terms see, and that they are learnt from."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ssmde.config import AffineConfig
from ssmde.methods.affine_depth import (
    AffineDepth,
    log_depth_error,
    log_depth_slope,
    normalize_prediction,
)
from ssmde.types import Batch
from tiny_networks import TinyDepthNet, random_batch

H, W = 32, 64


def batch() -> Batch:
    torch.manual_seed(0)
    frames, truth = random_batch(), 1 + 3 * torch.rand(2, 1, H, W)
    truth[:, :, :4] = 0  # not measured
    return replace(frames, sources=frames.sources[:, :0], gt_depth=truth)


def method(weights: AffineConfig = AffineConfig()) -> AffineDepth:  # noqa: B008
    torch.manual_seed(0)
    return AffineDepth(TinyDepthNet(), weights)


def test_the_loss_is_the_sum_of_its_terms_and_every_weight_learns():
    network = method()
    out = network(batch(), 0.0)
    assert set(out.terms) == {"regression", "gradient", "ranking", "log_depth"}
    assert_close(out.loss.detach(), torch.stack(list(out.terms.values())).sum())
    out.loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    weights = AffineConfig(leres=0.0)  # which leaves its terms out
    assert set(method(weights)(batch(), 0.0).terms) == {"log_depth"}
    with pytest.raises(ValueError, match="one weight must be above 0"):
        AffineConfig(leres=0.0, log_depth=0.0)


@given(scale=st.floats(0.1, 10.0))
def test_the_log_error_does_not_see_the_scale_of_an_image(scale):
    truth = batch().gt_depth
    valid = truth > 0
    depth = truth.clamp(min=0.5) * (1 + torch.rand_like(truth))
    error = log_depth_error(depth, truth, valid)
    assert error > 0.05
    assert_close(log_depth_error(scale * depth, truth, valid), error, rtol=1e-3, atol=1e-5)
    assert float(log_depth_error(scale * truth.clamp(min=0.5), truth, valid)) < 1e-5


def test_a_normalized_prediction_has_mean_zero_and_deviation_one_where_it_is_valid():
    truth = batch().gt_depth
    valid = truth > 0
    p = normalize_prediction(5 * truth + 7, valid)
    assert float(p[valid].mean()) == pytest.approx(0, abs=1e-3)
    assert float(p[valid].std()) == pytest.approx(1, abs=1e-2)
    assert normalize_prediction(torch.ones_like(truth), valid).abs().max() < 1e-3


def test_a_frame_without_any_measured_depth_gives_a_finite_zero():
    network = method()
    nothing = replace(batch(), gt_depth=torch.zeros(2, 1, H, W))
    out = network(nothing, 0.0)
    out.loss.backward()
    assert float(out.loss.detach()) == pytest.approx(0, abs=1e-4)
    assert all(p.grad.isfinite().all() for p in network.parameters())
    with pytest.raises(ValueError, match="no measured depth"):
        network(replace(batch(), gt_depth=None), 0.0)


def test_the_log_slope_is_the_height_of_a_wrong_step_by_hand():
    """A step of log 2 down the middle of 8 x 8 where the truth is flat; one row apart is exact."""
    truth = torch.ones(1, 1, 8, 8)
    depth = truth.clone()
    depth[..., 4:] = 2.0
    log2 = torch.log(torch.tensor(2.0))
    # At each size one of the columns of differences is log 2: of 7, of 3, of 1, and of none.
    expected = (log2 / 7 + log2 / 3 + log2 + 0) / 4
    assert_close(log_depth_slope(depth, truth, truth > 0), expected)
    assert log_depth_slope(3 * truth, truth, truth > 0) == 0
    truth[..., 4] = 0  # it does not look across a hole
    assert log_depth_slope(depth, truth, truth > 0) == 0
