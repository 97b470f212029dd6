"""The mask filter as a whole: what holds for any input."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from ssmde.geometry.camera import flip_intrinsics, rigid_motion
from ssmde.methods.mask_filter import FilterOutput, MaskFilter, TeacherPrediction, gather_evidence


def noise(
    *, batch: int = 2, sources: int = 2, size: tuple[int, int] = (12, 16), seed: int = 0, **parts
) -> TeacherPrediction:
    """A rough wall 3 m away: on the left the picture stays the same, on the right all changes."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    dtype = parts.pop("dtype", torch.float32)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    K = [[width, 0.0, (width - 1) / 2], [0.0, width, (height - 1) / 2], [0.0, 0.0, 1.0]]
    T = rigid_motion(0.02 * (rand(batch, sources, 3) - 0.5), 0.4 * (rand(batch, sources, 3) - 0.5))
    target, images = rand(batch, 3, *size), rand(batch, sources, 3, *size)
    images[..., : width // 2] = target[:, None, ..., : width // 2]
    made = TeacherPrediction(
        target=target,
        sources=images,
        depth=3 + 0.06 * rand(batch, 1, *size),
        source_depth=3 + 0.06 * rand(batch, sources, 1, *size),
        flipped_depth=3 + 0.06 * rand(batch, 1, *size),
        T_src_tgt=T,
        intrinsics=torch.tensor(K, dtype=dtype).repeat(batch, 1, 1),
    )
    return replace(made, **parts)


def masks(out: FilterOutput) -> tuple[torch.Tensor, ...]:
    return out.static, out.dynamic, out.unknown


def assert_same(one: FilterOutput, two: FilterOutput, *, mirrored: bool = False) -> None:
    flip = (lambda x: x.flip(-1)) if mirrored else (lambda x: x)
    assert_close(flip(one.weight), two.weight)
    for a, b in zip(masks(one), masks(two), strict=True):
        assert torch.equal(flip(a), b)
    assert_close(one.statistics, two.statistics)


def joined(*inputs: TeacherPrediction) -> TeacherPrediction:
    """Several inputs as one batch."""
    names = [f.name for f in fields(inputs[0]) if getattr(inputs[0], f.name) is not None]
    return TeacherPrediction(**{n: torch.cat([getattr(i, n) for i in inputs]) for n in names})


@given(
    seed=st.integers(0, 100),
    batch=st.integers(1, 3),
    sources=st.integers(1, 4),
    height=st.integers(2, 14),
    width=st.integers(2, 14),
)
def test_weights_lie_between_0_and_1_and_regions_divide_the_image(
    seed, batch, sources, height, width
):
    inputs = noise(batch=batch, sources=sources, size=(height, width), seed=seed)
    inputs.depth.requires_grad_()
    out = MaskFilter()(inputs)
    assert not out.weight.requires_grad
    assert out.weight.min() >= 0
    assert out.weight.max() <= 1
    assert torch.equal(sum(m.int() for m in masks(out)), torch.ones_like(out.weight).int())
    assert all(value.isfinite() for value in out.statistics.values())


@given(seed=st.integers(0, 100), power=st.integers(-4, 4))
def test_the_unit_of_depth_and_motion_does_not_matter(seed, power):
    inputs, scale = noise(seed=seed), 2.0**power  # a power of 2: exact, so no pixel may flip
    T = inputs.T_src_tgt.clone()
    T[..., :3, 3] *= scale
    scaled = replace(
        inputs,
        depth=scale * inputs.depth,
        source_depth=scale * inputs.source_depth,
        flipped_depth=scale * inputs.flipped_depth,
        T_src_tgt=T,
    )
    assert_same(MaskFilter()(inputs), MaskFilter()(scaled))


@given(seed=st.integers(0, 100))
def test_a_mirrored_input_gives_the_mirrored_output(seed):
    inputs = noise(seed=seed, dtype=torch.float64)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64))
    names = ("target", "sources", "depth", "source_depth", "flipped_depth")
    mirrored = replace(
        inputs,
        **{n: getattr(inputs, n).flip(-1) for n in names},
        T_src_tgt=mirror @ inputs.T_src_tgt @ mirror,
        intrinsics=flip_intrinsics(inputs.intrinsics, inputs.target.shape[-1]),
    )
    assert_same(MaskFilter()(inputs), MaskFilter()(mirrored), mirrored=True)


def test_the_order_of_the_sources_does_not_matter():
    inputs = noise(sources=4)
    names = ("sources", "source_depth", "T_src_tgt")
    turned = replace(inputs, **{n: getattr(inputs, n).roll(1, 1) for n in names})
    assert_same(MaskFilter()(inputs), MaskFilter()(turned))


def test_with_a_known_threshold_every_image_is_judged_by_itself():
    inputs = [noise(batch=1, seed=seed) for seed in range(3)]
    mask_filter = MaskFilter()
    mask_filter(inputs[0])
    together = mask_filter.eval()(joined(*inputs))
    for number, alone in enumerate(mask_filter(i) for i in inputs):
        assert_close(together.weight[number : number + 1], alone.weight)
        assert torch.equal(together.dynamic[number : number + 1], alone.dynamic)


def test_an_unseen_pixel_beside_a_mover_counts_once():
    inputs = noise(batch=1)
    inputs.T_src_tgt[..., 0, 3] = 0.6  # both sources lose three columns on the same side
    inputs.target[:], inputs.sources[:] = 0.2, 0.9  # a change that no motion explains
    out = MaskFilter()(inputs)
    both = out.dynamic & ~gather_evidence(inputs).visible.any(1, keepdim=True)
    assert both.any()
    a, b = inputs.depth, inputs.flipped_depth
    agreement = torch.exp(-(a - b).abs() / (a + b) / 0.05)
    kept = both & (out.weight > 0)
    assert_close(out.weight[kept], 0.5 * agreement[kept])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0, -1.0])
def test_depth_without_a_single_number_gives_zeros_and_an_unknown_image(value):
    inputs = noise()
    nowhere = torch.full_like(inputs.depth, value)
    out = MaskFilter()(
        replace(
            inputs,
            depth=nowhere,
            flipped_depth=nowhere,
            source_depth=torch.full_like(inputs.source_depth, value),
        )
    )
    assert (out.weight == 0).all()
    assert out.unknown.all()
    assert all(number.isfinite() for number in out.statistics.values())


def test_a_camera_that_sees_nothing_again_leaves_the_image_unknown():
    inputs = noise()
    inputs.T_src_tgt[..., 2, 3] = -10.0  # past the wall
    out = MaskFilter()(inputs)
    assert out.unknown.all()
    assert 0 < out.weight.max() <= 0.25


def test_a_checkpoint_carries_the_threshold_into_evaluation():
    first, second = (MaskFilter(quantile=0.02) for _ in range(2))
    for seed in range(3):
        first(noise(seed=seed))
    second.load_state_dict(first.state_dict())
    inputs = noise(seed=3)
    assert_same(first.eval()(inputs), second.eval()(inputs))
    fresh = MaskFilter(quantile=0.02).eval()(inputs).statistics["motion_threshold"]
    assert first(inputs).statistics["motion_threshold"] != fresh


def test_reduced_precision_does_not_reach_the_geometry():
    inputs, mask_filter = noise(), MaskFilter()
    mask_filter(inputs)
    mask_filter.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = mask_filter(inputs)
    assert_same(low, mask_filter(inputs))
