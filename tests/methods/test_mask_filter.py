"""The mask filter: what holds for any input, what the sources say, regions, threshold, a scene."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch.testing import assert_close

from ssmde.geometry.camera import flip_intrinsics, invert_motion, rigid_motion
from ssmde.losses.masks import MAX_SAMPLES, thin
from ssmde.methods.mask_filter import (
    Evidence,
    FilterOutput,
    MaskFilter,
    MotionThreshold,
    TeacherPrediction,
    depth_reliability,
    depths_agree,
    drop_lowest,
    gather_evidence,
    masked_quantile,
    motion_candidates,
    motion_ratio,
    split_regions,
)
from ssmde.synthetic import draw_clip

# Any input


def noise(
    *, batch: int = 2, sources: int = 2, size=(12, 16), seed: int = 0, dtype=torch.float32
) -> TeacherPrediction:
    """A rough wall 3 m away: on the left the picture stays the same, on the right all changes."""
    generator, (height, width) = torch.Generator().manual_seed(seed), size

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).to(dtype)

    K = [[width, 0.0, (width - 1) / 2], [0.0, width, (height - 1) / 2], [0.0, 0.0, 1.0]]
    T = rigid_motion(0.02 * (rand(batch, sources, 3) - 0.5), 0.4 * (rand(batch, sources, 3) - 0.5))
    target, images = rand(batch, 3, *size), rand(batch, sources, 3, *size)
    images[..., : width // 2] = target[:, None, ..., : width // 2]
    return TeacherPrediction(
        target=target, sources=images, depth=3 + 0.06 * rand(batch, 1, *size),
        source_depth=3 + 0.06 * rand(batch, sources, 1, *size),
        flipped_depth=3 + 0.06 * rand(batch, 1, *size), T_src_tgt=T,
        intrinsics=torch.tensor(K, dtype=dtype).repeat(batch, 1, 1),
    )  # fmt: skip


REGIONS = ("static", "dynamic", "unknown")


def assert_same(one: FilterOutput, two: FilterOutput, *, mirrored: bool = False) -> None:
    flip = (lambda x: x.flip(-1)) if mirrored else (lambda x: x)
    assert_close(flip(one.weight), two.weight)
    for name in REGIONS:
        assert torch.equal(flip(getattr(one, name)), getattr(two, name))
    assert_close(one.statistics, two.statistics)


SIDE = st.integers(2, 14)


@given(st.integers(0, 100), st.integers(1, 3), st.integers(1, 4), st.tuples(SIDE, SIDE))
def test_weights_lie_between_0_and_1_and_regions_divide_the_image(seed, batch, sources, size):
    inputs = noise(batch=batch, sources=sources, size=size, seed=seed)
    inputs.depth.requires_grad_()
    out = MaskFilter()(inputs)
    assert not out.weight.requires_grad
    assert out.weight.min() >= 0
    assert out.weight.max() <= 1
    assert (sum(getattr(out, name).int() for name in REGIONS) == 1).all()
    assert all(value.isfinite() for value in out.statistics.values())


DEPTHS = ("depth", "flipped_depth", "source_depth")
OF_SOURCES = ("sources", "source_depth", "T_src_tgt")


def test_neither_the_unit_of_depth_and_motion_nor_the_order_of_the_sources_matters():
    inputs, scale = noise(sources=4), 8.0  # a power of 2: exact, so no pixel may flip
    T = inputs.T_src_tgt.clone()
    T[..., :3, 3] *= scale
    scaled = {n: scale * getattr(inputs, n) for n in DEPTHS}
    assert_same(MaskFilter()(inputs), MaskFilter()(replace(inputs, T_src_tgt=T, **scaled)))
    turned = replace(inputs, **{n: getattr(inputs, n).roll(1, 1) for n in OF_SOURCES})
    assert_same(MaskFilter()(inputs), MaskFilter()(turned))


def test_a_mirrored_input_gives_the_mirrored_output():
    inputs = noise(dtype=torch.float64)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64))
    mirrored = replace(
        inputs,
        **{n: getattr(inputs, n).flip(-1) for n in ("target", "sources", *DEPTHS)},
        T_src_tgt=mirror @ inputs.T_src_tgt @ mirror,
        intrinsics=flip_intrinsics(inputs.intrinsics, inputs.target.shape[-1]),
    )
    assert_same(MaskFilter()(inputs), MaskFilter()(mirrored), mirrored=True)


@pytest.mark.parametrize("value", [torch.nan, 0.0, None])
def test_without_a_depth_or_a_view_of_it_the_image_is_unknown(value):
    inputs = noise()
    if value is None:
        inputs.T_src_tgt[..., 2, 3] = -10.0  # past the wall
    else:
        nowhere = {n: torch.full_like(getattr(inputs, n), value) for n in DEPTHS}
        inputs = replace(inputs, **nowhere)
    out = MaskFilter()(inputs)
    assert out.unknown.all()
    assert (out.weight.max() == 0) == (value is not None)
    assert out.weight.max() <= 0.25
    assert all(number.isfinite() for number in out.statistics.values())


def test_reduced_precision_does_not_reach_the_geometry():
    inputs, mask_filter = noise(), MaskFilter()
    mask_filter(inputs)
    mask_filter.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = mask_filter(inputs)
    assert_same(low, mask_filter(inputs))


# Sources, on walls whose geometry is a formula

H, W, F = 8, 12, 10.0
K = torch.tensor([[[F, 0, 5.5], [0, F, 3.5], [0, 0, 1]]])


def look(depth: float, source_depth: float, *, x: float = 0.0, z: float = 0.0) -> TeacherPrediction:
    """Two walls of the same random picture, and a step between the cameras."""
    image = torch.rand(1, 3, H, W)
    T = torch.eye(4).repeat(1, 1, 1, 1)
    T[..., 0, 3], T[..., 2, 3] = x, z
    wall = torch.full((1, 1, H, W), depth)
    return TeacherPrediction(
        target=image, sources=image[:, None], depth=wall, flipped_depth=wall,
        source_depth=torch.full((1, 1, 1, H, W), source_depth), T_src_tgt=T, intrinsics=K,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "z", "difference"),
    [(3.0, 0.0, 0.0), (2.0, 0.0, 0.2), (4.5, 0.0, -0.2), (2.0, -1.0, 0)],
)
def test_the_difference_is_positive_where_the_source_sees_a_nearer_surface(seen, z, difference):
    """Of a wall 3 m away; walking forward brings it nearer."""
    found = gather_evidence(look(3.0, seen, z=z))
    assert found.visible.any()
    off = found.depth_difference[found.visible] - difference
    assert_close(off, torch.zeros_like(off), atol=1e-6, rtol=0)
    if difference == 0:
        assert found.return_error[found.visible].max() < 1e-4


def test_a_source_with_twice_the_depth_sends_the_pixel_half_the_way_back():
    # The step moves the wall by 0.4 / 2 * 10 = 2 pixels, and points twice as far by only one.
    found = gather_evidence(look(2.0, 4.0, x=-0.4))
    assert found.visible.sum() == H * (W - 2)
    returned = found.return_error[found.visible]
    assert_close(returned, torch.full_like(returned, 320 / W), rtol=1e-4, atol=0)
    found = gather_evidence(look(3.0, 1.0, z=1.5))  # 1 m before a camera that went back 1.5 m
    assert found.return_error[found.visible].isinf().all()  # it would return behind the camera


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0, -1.0])
def test_what_is_no_depth_or_no_motion_is_seen_by_nobody_and_confirms_nothing(value):
    inputs = look(3.0, 3.0)
    inputs.depth[0, 0, 2, 3] = value
    found = gather_evidence(inputs)
    assert torch.equal(found.visible[0, 0], inputs.depth[0, 0] == 3)
    lost = gather_evidence(replace(inputs, T_src_tgt=inputs.T_src_tgt * torch.nan))
    assert not lost.visible.any()
    assert all((part == 0).all() for part in lost[1:4])
    assert all(part.isfinite().all() for part in (*found, *lost))
    inputs.source_depth[0, 0, 0, 4, 5] = value
    found = gather_evidence(inputs)
    assert found.depth_difference[0, 0, 4, 5] > 0.9
    assert found.depth_difference.abs().gt(0.01).sum() == 1


def test_unseen_pixels_do_not_darken_the_windows_of_their_neighbours():
    wide = torch.rand(1, 3, H, W + 2)
    inputs = replace(look(2.0, 2.0, x=-0.4), target=wide[..., :W], sources=wide[:, None, ..., 2:])
    found = gather_evidence(inputs)
    assert found.visible.sum() == H * (W - 2)
    assert found.error.max() < 1e-4
    assert found.identity_error.mean() > 0.2


# Regions, on rows of pixels small enough to count


def says(*, visible=True, difference=0.0, way=0.0, error=0.0, identity=0.0) -> Evidence:
    """One source, one pixel."""
    floats = (torch.full((1, 1, 1, 1), v) for v in (difference, way, error, identity))
    return Evidence(torch.full((1, 1, 1, 1), visible), *floats)


CHANGE = {"error": 0.2, "identity": 0.2}  # a ratio of 0.2 / 0.22
SEEN, UNSEEN = says(**CHANGE), says(visible=False, **CHANGE)
HIDDEN, EXPLAINED = says(difference=0.1, **CHANGE), says(error=0.05, identity=0.2)
YES, NO = says(difference=0.04, way=0.9), says(difference=0.06)


@pytest.mark.parametrize(
    ("sources", "reliability", "agree", "ratio", "moves"),
    [
        ([says()], 1, True, 0, False),  # nothing changes: nothing to explain
        ([YES], np.exp(-0.8 - 0.405), True, 0, False),
        ([NO], np.exp(-1.2), False, 0, False),
        ([says(difference=-0.06)], np.exp(-1.2), False, 0, False),
        ([says(way=1.1)], np.exp(-0.605), False, 0, False),
        # the best source counts, and of four two must agree
        ([NO, NO, YES], np.exp(-1.2), True, 0, False),
        ([NO, NO, NO, YES], np.exp(-1.2), False, 0, False),
        ([NO, YES, NO, YES], np.exp(-1.2), True, 0, False),
        # a change that the motion does not explain in any source, where the images differ enough
        ([SEEN], 1, True, 0.2 / 0.22, True),
        ([EXPLAINED], 1, True, 0.05 / 0.22, False),
        ([SEEN, EXPLAINED], 1, True, 0.05 / 0.22, False),
        ([says(error=0.03, identity=0.019)], 1, True, 0.03 / 0.039, False),
        ([says(error=0.03, identity=0.021)], 1, True, 0.03 / 0.041, True),
        # what is hidden in every source that could see it does not move
        ([UNSEEN], 0, False, np.inf, False),
        ([HIDDEN, UNSEEN], np.exp(-2), False, 0.2 / 0.22, False),
        ([HIDDEN, SEEN], 1, True, 0.2 / 0.22, True),
        # a farther surface: something left, or came
        ([says(difference=-0.1, **CHANGE)], np.exp(-2), False, 0.2 / 0.22, True),
    ],
)
def test_what_sources_say_of_a_pixel(sources, reliability, agree, ratio, moves):
    evidence = Evidence(*(torch.cat(parts, 1) for parts in zip(*sources, strict=True)))
    assert depth_reliability(evidence).item() == pytest.approx(reliability)
    assert bool(depths_agree(evidence)) == agree
    found = motion_ratio(evidence)
    assert found.item() == pytest.approx(ratio)
    assert bool(motion_candidates(evidence, found, torch.tensor(0.5))) == moves


def block(size: int, *, height: int = 15, width: int = 15, at: tuple[int, int] = (6, 6)):
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    mask[..., at[0] : at[0] + size, at[1] : at[1] + size] = True
    return mask


def test_specks_of_motion_vanish_and_blocks_grow_also_at_the_border():
    nowhere = torch.zeros(1, 1, 15, 15, dtype=torch.bool)
    assert not split_regions(block(2), nowhere)[1].any()
    assert torch.equal(split_regions(block(3), nowhere)[1], block(7, at=(4, 4)))
    # 2 x 2 pixels in the corner: only the corner itself survives the erosion, and grows by 3.
    assert torch.equal(split_regions(block(2, at=(0, 0)), nowhere)[1], block(4, at=(0, 0)))


def test_agreement_counts_where_most_of_the_neighbourhood_agrees():
    nothing = torch.zeros(1, 1, 15, 15, dtype=torch.bool)
    assert not split_regions(nothing, block(3))[0].any()  # 9 of 25
    static = split_regions(nothing, block(5))[0]
    assert static[0, 0, 8, 8]
    assert static[0, 0, 8, 6]  # 15 of 25
    assert not static[0, 0, 6, 6]  # a corner: 9 of 25
    everywhere = ~nothing
    assert split_regions(nothing, everywhere)[0].all()  # the border has no say from outside
    hole = everywhere & ~block(1)
    assert torch.equal(split_regions(nothing, hole)[0], hole)  # nothing is filled in


def test_the_lowest_tenth_of_a_region_is_dropped_image_by_image():
    weight = torch.stack([torch.arange(1.0, 21.0), torch.arange(101.0, 121.0)])[:, None, None]
    region = torch.zeros_like(weight, dtype=torch.bool)
    region[..., 5:] = True  # 15 values each; their 0.1 quantile lies between the 2nd and the 3rd
    dropped = drop_lowest(weight, region, 0.1)
    expected = weight.clone()
    expected[..., 5:7] = 0
    assert torch.equal(dropped, expected)
    assert weight.min() == 1  # the argument is left as it came
    weight = torch.full((1, 1, 4, 5), 0.5)  # equal weights have no lowest
    assert torch.equal(drop_lowest(weight, weight > 0, 0.1), weight)
    assert torch.equal(drop_lowest(weight, weight < 0, 0.1), weight)  # an empty region


# The threshold


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


def test_the_mean_of_the_batches_has_no_bias_and_only_what_is_read_of_it_is_limited():
    ramp = torch.linspace(0.3, 0.7, 900).expand(1, 1, 700, 900)
    assert thin(ramp, MAX_SAMPLES).numel() <= MAX_SAMPLES
    assert_close(MotionThreshold(0.8, 0.9)(ramp, ramp > 0), torch.tensor(0.62), atol=0.002, rtol=0)
    for values, means in (
        # 0.5 * (0.5 * 0.4) + 0.5 * 0.6 = 0.4, over a weight of 0.75
        ((0.4, 0.6, 0.7), (0.4, 0.4 / 0.75, (0.2 + 0.35) / 0.875)),
        ((2.0, 0.2, 0.0), (0.8, 0.8, 0.3 / 0.875)),  # (0.5 * 1 + 0.1) / 0.75 = 0.8
        ((0.0,), (0.25,)),
    ):
        threshold = MotionThreshold(0.8, 0.5)
        found = torch.stack([threshold(*flat(value)) for value in values])
        assert_close(found, torch.tensor(means))


def test_evaluation_moves_nothing_before_training_reads_the_batch_and_after_it_the_checkpoint():
    mask_filter, other = MaskFilter(), MaskFilter()
    threshold = mask_filter.threshold.eval()
    assert_close(threshold(*flat(0.5)), torch.tensor(0.5))
    assert_close(threshold(*flat(0.3)), torch.tensor(0.3))
    threshold.train()(*flat(0.4))
    other.load_state_dict(mask_filter.state_dict())
    for each in (threshold, other.threshold):
        assert_close(each.eval()(*flat(0.7)), torch.tensor(0.4))


@pytest.mark.parametrize(("value", "valid"), [(0.7, False), (torch.nan, True), (torch.inf, True)])
def test_a_batch_without_a_value_changes_nothing(value, valid):
    threshold = MotionThreshold(0.8, 0.9)
    assert_close(threshold(*flat(value, valid=valid)), torch.tensor(0.8))  # nothing seen ever
    threshold(*flat(0.4))
    assert_close(threshold(*flat(value, valid=valid)), torch.tensor(0.4))
    assert_close(threshold(*flat(0.4)), torch.tensor(0.4))


# A drawn scene whose truth is known


@cache
def drawn(kind: str, seed: int) -> tuple[TeacherPrediction, torch.Tensor, torch.Tensor]:
    """Three frames, the true depth of the middle one, and what moves.

    The teacher's depth has the faults of a network, anew for every image: 3 % of smooth noise, and
    30 % too near or too far in patches on 15 %. A network's are less independent.
    """
    clip = draw_clip(kind, frames=3, size=(96, 128), movers="across", seed=seed)
    rng, at = np.random.default_rng(seed), [1, 0, 2, 1]  # the last for the mirrored target
    depths = []
    for truth in clip.depth[at]:
        noise, where, sign = (ndimage.zoom(rng.normal(size=(6, 8)), 16) for _ in range(3))
        patches = np.where(where > np.quantile(where, 0.85), 0.3 * np.sign(sign), 0)
        wrong = np.where(truth > 0, truth, 100) * (1 + 0.03 * noise) * (1 + patches)
        depths.append(torch.from_numpy(wrong).float()[None, None])
    images = torch.from_numpy(clip.images[at[:3]]).movedim(3, 1) / 255
    T, K = torch.from_numpy(clip.poses).float(), torch.tensor(clip.intrinsics).float()
    inputs = TeacherPrediction(
        target=images[:1], sources=images[None, 1:], depth=depths[0], flipped_depth=depths[3],
        source_depth=torch.cat(depths[1:3])[None], intrinsics=K[None],
        T_src_tgt=(invert_motion(T[[0, 2]]) @ T[1])[None],
    )  # fmt: skip
    return inputs, torch.from_numpy(clip.depth[1:2, None]), clip.motion_mask[1:2, None] == 255


def test_moving_and_unseen_pixels_are_weighted_by_the_mirrored_prediction():
    both, _, _ = drawn("room", 0)
    inputs = replace(both, **{n: getattr(both, n)[:, :1] for n in OF_SOURCES})  # misses a border
    out, a, b = MaskFilter()(inputs), inputs.depth, inputs.flipped_depth
    agreement = torch.exp(-(a - b).abs() / (a + b) / 0.05)
    seen = gather_evidence(inputs).visible.any(1, keepdim=True)
    unseen = out.unknown & ~seen
    assert unseen.any()
    assert_close(out.weight[unseen], 0.25 * agreement[unseen])
    assert (out.weight[out.unknown & seen] == 0).all()  # every view contradicts the depth
    kept = out.dynamic & (out.weight > 0)
    assert_close(out.weight[kept], 0.5 * agreement[kept])
    assert abs(kept.sum() / out.dynamic.sum() - 0.9) < 0.01  # the lowest tenth is dropped
    assert abs((out.static & (out.weight > 0)).sum() / out.static.sum() - 0.9) < 0.01


@pytest.mark.parametrize("kind", ["room", pytest.param("street", marks=pytest.mark.slow)])
def test_most_of_what_stands_still_and_of_what_moves_is_found_and_the_teachers_error_falls(kind):
    found = []
    for seed in range(3):
        inputs, depth, moving = drawn(kind, seed)
        out, still = MaskFilter()(inputs), ~moving
        error = torch.where(depth > 0, (inputs.depth - depth).abs() / depth, 0)
        gain = (out.weight * error).sum() / out.weight.sum() / error.mean()
        regions = (out.static[still], out.dynamic[still], out.static[moving], out.dynamic[moving])
        shares = [mask.float().mean() for mask in (*regions, out.weight > 0)]
        found.append([float(share) for share in (*shares, gain)])
    low = {"room": (0.65, 0, 0, 0.85, 0.7, 0), "street": (0.58, 0, 0, 0.8, 0.7, 0)}[kind]
    assert (np.mean(found, axis=0) > low).all()
    assert (np.mean(found, axis=0) < (1, 0.2, 0.1, 1, 1, 0.4)).all()
