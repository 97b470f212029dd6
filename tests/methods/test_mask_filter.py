"""The mask filter: what holds for any input, what the sources say, regions, threshold, a scene."""

import subprocess
import sys
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from mask_scene import MaskScene, draw_scene
from ssmde.geometry.camera import flip_intrinsics, rigid_motion
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

# Any input


def noise(
    *,
    batch: int = 2,
    sources: int = 2,
    size: tuple[int, int] = (12, 16),
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
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


@pytest.mark.parametrize(("seed", "power"), [(0, -4), (1, 3)])
def test_the_unit_of_depth_and_motion_does_not_matter(seed, power):
    inputs, scale = noise(seed=seed), 2.0**power  # a power of 2: exact, so no pixel may flip
    T = inputs.T_src_tgt.clone()
    T[..., :3, 3] *= scale
    names = ("depth", "flipped_depth", "source_depth")
    scaled = {n: scale * getattr(inputs, n) for n in names}
    assert_same(MaskFilter()(inputs), MaskFilter()(replace(inputs, T_src_tgt=T, **scaled)))


@pytest.mark.parametrize("seed", [0, 1])
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


@pytest.mark.parametrize("value", [torch.nan, 0.0])
def test_depth_without_a_single_number_gives_zeros_and_an_unknown_image(value):
    inputs = noise()
    names = ("depth", "flipped_depth", "source_depth")
    nowhere = {n: torch.full_like(getattr(inputs, n), value) for n in names}
    out = MaskFilter()(replace(inputs, **nowhere))
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
    first, second, fresh = (MaskFilter() for _ in range(3))
    for each in (first, second, fresh):
        each.threshold.quantile = 0.02
    for seed in range(3):
        first(noise(seed=seed))
    second.load_state_dict(first.state_dict())
    inputs = noise(seed=3)
    found = first.eval()(inputs)
    assert_same(found, second.eval()(inputs))
    other = fresh.eval()(inputs).statistics["motion_threshold"]
    assert found.statistics["motion_threshold"] != other


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
    return TeacherPrediction(
        target=image,
        sources=image[:, None],
        depth=torch.full((1, 1, H, W), depth),
        source_depth=torch.full((1, 1, 1, H, W), source_depth),
        flipped_depth=torch.full((1, 1, H, W), depth),
        T_src_tgt=T,
        intrinsics=K,
    )


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


def test_a_pixel_that_would_return_behind_the_camera_is_infinitely_far():
    found = gather_evidence(look(3.0, 1.0, z=1.5))  # 1 m before a camera that went back 1.5 m
    assert found.visible.any()
    assert found.return_error[found.visible].isinf().all()


def test_points_behind_the_source_are_not_visible():
    found = gather_evidence(look(1.0, 1.0, z=-2.0))
    assert not found.visible.any()
    assert all((part == 0).all() for part in found[1:4])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 0.0, -1.0])
def test_what_is_no_depth_or_no_motion_is_seen_by_nobody_and_confirms_nothing(value):
    inputs = look(3.0, 3.0)
    inputs.depth[0, 0, 2, 3] = value
    found = gather_evidence(inputs)
    assert torch.equal(found.visible[0, 0], inputs.depth[0, 0] == 3)
    lost = gather_evidence(replace(inputs, T_src_tgt=inputs.T_src_tgt * torch.nan))
    assert not lost.visible.any()
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


def says(
    *,
    visible: bool = True,
    difference: float = 0.0,
    way: float = 0.0,
    error: float = 0.0,
    identity: float = 0.0,
) -> Evidence:
    """One source, one pixel."""
    floats = (torch.full((1, 1, 1, 1), v) for v in (difference, way, error, identity))
    return Evidence(torch.full((1, 1, 1, 1), visible), *floats)


def together(*sources: Evidence) -> Evidence:
    return Evidence(*(torch.cat(parts, 1) for parts in zip(*sources, strict=True)))


def reliability(*sources: Evidence) -> float:
    return depth_reliability(together(*sources)).item()


def test_reliability_is_that_of_the_best_source_and_falls_with_depth_difference_and_way_back():
    for apart in (says(difference=0.05), says(difference=-0.05)):
        assert reliability(apart) == pytest.approx(np.exp(-1))
    assert reliability(says(difference=0.05, way=2.0)) == pytest.approx(np.exp(-3))
    assert reliability(says(difference=0.5), says(), says(difference=0.1)) == 1
    assert reliability(says(visible=False), says(visible=False)) == 0
    assert reliability(says(visible=False), says(way=2.0)) == pytest.approx(np.exp(-2))


def agree(*sources: Evidence) -> bool:
    return bool(depths_agree(together(*sources)))


def test_agreement_needs_sight_depth_and_way_back_in_one_of_three_sources_or_two_of_four():
    yes, no = says(difference=0.04, way=0.9), says(difference=0.06)
    for wrong in (no, says(difference=-0.06), says(way=1.1), says(visible=False)):
        assert not agree(wrong)
    assert agree(yes)
    assert agree(no, no, yes)
    assert not agree(no, no, no, yes)
    assert agree(no, yes, no, yes)


def test_the_ratio_is_the_smallest_of_the_sources_that_see():
    far, near = says(error=0.3, identity=0.28), says(error=0.1, identity=0.18)
    assert_close(motion_ratio(together(far, near)).item(), 0.5)
    assert_close(motion_ratio(together(far, says(visible=False))).item(), 1.0)
    assert motion_ratio(says(visible=False)).isinf().all()
    assert motion_ratio(says()).item() == 0  # nothing changes: nothing to explain


def moves(*sources: Evidence, threshold: float = 0.5) -> bool:
    evidence = together(*sources)
    found = motion_candidates(evidence, motion_ratio(evidence), torch.tensor(threshold))
    return bool(found)


def test_an_unexplained_change_is_motion():
    assert moves(says(error=0.2, identity=0.2))
    assert not moves(says(error=0.05, identity=0.2))
    assert not moves(says(error=0.2, identity=0.2), says(error=0.05, identity=0.2))
    # where the images hardly differ nothing moves
    assert not moves(says(error=0.019, identity=0.019), threshold=0.25)
    assert moves(says(error=0.021, identity=0.021), threshold=0.25)


def test_a_pixel_hidden_in_every_source_that_could_see_it_is_not_moving():
    change = {"error": 0.2, "identity": 0.2}
    hidden, before = says(difference=0.1, **change), says(difference=-0.1, **change)
    out = says(visible=False, **change)
    assert not moves(hidden)
    assert not moves(hidden, hidden)
    assert not moves(hidden, out)
    assert not moves(out)
    assert moves(hidden, says(**change))
    assert moves(before)  # the source sees a farther surface: something left, or came


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


def test_thinning_keeps_within_the_limit_and_small_maps_whole():
    small = torch.rand(2, 1, 6, 8)
    assert torch.equal(thin(small, 96), small)
    assert torch.equal(thin(small, 95), small[..., ::2, ::2])
    ramp = torch.linspace(0.3, 0.7, 900).expand(1, 1, 700, 900)
    assert thin(ramp, MAX_SAMPLES).numel() <= MAX_SAMPLES
    assert_close(MotionThreshold(0.8, 0.9)(ramp, ramp > 0), torch.tensor(0.62), atol=0.002, rtol=0)


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


# A drawn scene whose truth is known

scene = cache(draw_scene)


def test_moving_and_unseen_pixels_are_weighted_by_the_mirrored_prediction():
    inputs = scene("lateral").inputs
    out = MaskFilter()(inputs)
    a, b = inputs.depth, inputs.flipped_depth
    agreement = torch.exp(-(a - b).abs() / (a + b) / 0.05)
    seen = gather_evidence(inputs).visible.any(1, keepdim=True)
    unseen = out.unknown & ~seen
    assert unseen.any()
    assert_close(out.weight[unseen], 0.25 * agreement[unseen])
    assert (out.weight[out.unknown & seen] == 0).all()  # every view contradicts the depth
    kept = out.dynamic & (out.weight > 0)
    assert_close(out.weight[kept], 0.5 * agreement[kept])
    assert abs(kept.sum() / out.dynamic.sum() - 0.9) < 0.01  # the lowest tenth is dropped
    kept_static = (out.static & (out.weight > 0)).sum() / out.static.sum()
    assert abs(kept_static - 0.9) < 0.01


@cache
def filtered(kind: str, seed: int) -> tuple[MaskScene, FilterOutput]:
    return scene(kind, seed=seed), MaskFilter()(scene(kind, seed=seed).inputs)


def share(mask: torch.Tensor, among: torch.Tensor) -> float:
    return mask[among].float().mean().item()


def mean_over_seeds(measure, kind: str) -> float:
    return sum(measure(*filtered(kind, seed)) for seed in range(3)) / 3


@pytest.mark.parametrize(("kind", "bound"), [("lateral", 0.85), ("oblique", 0.6), ("towards", 0.6)])
def test_most_of_what_stands_still_and_of_what_moves_is_found_and_the_teachers_error_falls(
    kind, bound
):
    """The bounds hold for errors that are independent from image to image; a network's are not."""

    def gain(drawn: MaskScene, out: FilterOutput) -> float:
        error = (drawn.inputs.depth - drawn.depth).abs() / drawn.depth
        return ((out.weight * error).sum() / out.weight.sum() / error.mean()).item()

    assert mean_over_seeds(lambda s, out: share(out.static, ~s.box), kind) > 0.65
    assert mean_over_seeds(lambda s, out: share(out.dynamic, ~s.box), kind) < 0.20
    assert mean_over_seeds(lambda s, out: share(out.dynamic, s.box), kind) > bound
    assert mean_over_seeds(lambda s, out: share(out.static, s.box), kind) < 0.22
    assert mean_over_seeds(gain, kind) < 0.6
    assert mean_over_seeds(lambda s, out: (out.weight > 0).float().mean().item(), kind) > 0.7
