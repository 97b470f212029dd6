"""The student: what it learns from whom, and what its teacher never does."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ssmde.config import (
    Config,
    FilterConfig,
    LossConfig,
    ModelConfig,
    PseudoDepthConfig,
    StudentConfig,
)
from ssmde.methods.pseudo_depth import blend_with_label
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.student import Student, TeacherNetworks, build_student
from ssmde.methods.teacher import build_networks, build_teacher
from ssmde.models.checkpoint import save_weights
from ssmde.types import Batch

H, W = 32, 64
LOSS = LossConfig(geometry=0.1, weight_mask=True, both_directions=True)
ALL_LABELS = PseudoDepthConfig(normals=0.1, ranking=0.1, edge_normals=0.1, depth=0.1)
DISTILLED = {"distillation", "gradient", "dynamic_ranking", "features"}
VARIANTS = ("off", "strict", "soft", "photo_sdfa", "learned")


def batch(size: int = 2, *, seed: int = 0) -> Batch:
    """Random smooth frames with known motion and labels."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(size, 3, 3, H, W, generator=generator)
    frames = nn.functional.avg_pool2d(frames.flatten(0, 1), 5, 1, 2).unflatten(0, (size, 3))
    K = torch.tensor([[40.0, 0, 31.5], [0, 40.0, 15.5], [0, 0, 1]]).expand(size, 3, 3)
    T = torch.eye(4).repeat(size, 2, 1, 1)
    T[:, 0, 0, 3], T[:, 1, 0, 3] = 0.02, -0.02
    labels = 0.2 + torch.rand(size, 1, H, W, generator=generator)
    return Batch(
        target=frames[:, 0], sources=frames[:, 1:], intrinsics=K, T_src_tgt=T, pseudo_depth=labels
    )


def student(config: StudentConfig = StudentConfig(), *, loss: LossConfig = LOSS) -> Student:  # noqa: B008
    torch.manual_seed(0)
    own = SelfSupervised(*build_networks(ModelConfig(), loss), loss)
    return Student(own, TeacherNetworks(*build_networks(ModelConfig(), loss)), config)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_is_the_sum_of_its_named_terms_with_every_filter(variant):
    method = student(StudentConfig(filter=FilterConfig(variant=variant)))
    out = method(batch(), 0.5)
    own = {"photometric", "geometry", "smoothness", "pose"}
    labels = {"pseudo_normals", "pseudo_ranking", "pseudo_edge_normals"}
    extra = {"uncertainty"} if variant == "learned" else set()
    assert set(out.terms) == own | labels | DISTILLED | extra
    assert_close(out.loss.detach(), torch.stack(list(out.terms.values())).sum())
    assert {"teacher_depth", "teacher_weight", "static", "dynamic"} <= set(out.maps)
    assert {"forgetting_factor", "filter_dynamic"} <= set(out.statistics)
    out.loss.backward()
    left = [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None]
    assert left == []


def test_a_frozen_teacher_is_the_same_after_a_step_and_gets_no_gradient():
    method = student().train()
    before = copy.deepcopy(method.teacher.state_dict())
    method(batch(), 0.0).loss.backward()
    method.after_step()
    method.after_validation(best=True)
    after = method.teacher.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    assert not any(module.training for module in method.teacher.modules())


def test_an_ema_teacher_follows_by_its_momentum():
    method = student(StudentConfig(teacher_mode="ema", ema_momentum=0.9))
    key = "encoder.conv1.weight"
    own = method.depth_net.state_dict()[key]
    for step in range(1, 4):
        old = method.teacher.depth_net.state_dict()[key].clone()
        method.after_step()
        momentum = min(1 - 1 / (step + 1), 0.9)
        assert_close(
            method.teacher.depth_net.state_dict()[key], momentum * old + (1 - momentum) * own
        )


def test_an_epoch_best_teacher_gives_way_to_a_better_student_only():
    method = student(StudentConfig(teacher_mode="epoch_best"))
    old = copy.deepcopy(method.teacher.depth_net.state_dict())
    method.after_validation(best=False)
    assert all(torch.equal(old[k], v) for k, v in method.teacher.depth_net.state_dict().items())
    method.after_validation(best=True)
    own = method.depth_net.state_dict()
    assert all(torch.equal(own[k], v) for k, v in method.teacher.depth_net.state_dict().items())


def test_a_student_equal_to_its_teacher_has_nothing_to_distil():
    method = student(StudentConfig(filter=FilterConfig(variant="off"))).eval()
    method.teacher.depth_net.load_state_dict(method.depth_net.state_dict())
    terms = method(batch(), 0.0).terms
    for name in ("distillation", "gradient", "features"):
        assert float(terms[name]) == pytest.approx(0, abs=1e-5)


def test_pseudo_depth_fades_and_what_the_teacher_says_does_not():
    method = student().eval()
    torch.manual_seed(1)
    first = method(batch(), 0.0)
    torch.manual_seed(1)
    last = method(batch(), 1.0)
    assert_close(last.terms["pseudo_normals"], 0.05 * first.terms["pseudo_normals"])
    assert_close(last.terms["distillation"], first.terms["distillation"])
    assert float(first.statistics["forgetting_factor"]) == 1
    assert float(last.statistics["forgetting_factor"]) == pytest.approx(0.05)


def test_a_fresh_student_listens_to_its_teacher_little_by_little():
    method = student(StudentConfig(start="fresh", distillation_ramp=0.5)).eval()
    torch.manual_seed(1)
    early = method(batch(), 0.25).terms
    torch.manual_seed(1)
    late = method(batch(), 0.75).terms
    assert_close(early["distillation"], 0.5 * late["distillation"])
    assert_close(early["features"], 0.5 * late["features"])


def test_the_method_can_be_copied_after_a_step():
    method = student()
    method(batch(), 0.0).loss.backward()
    copied = copy.deepcopy(method)
    assert copied.depth_net is not method.depth_net
    kept = method.state_dict()
    assert all(torch.equal(kept[key], value) for key, value in copied.state_dict().items())


def test_without_poses_the_unit_of_the_teachers_depth_does_not_matter():
    method = student(loss=replace(LOSS, normalise_depth=True)).eval()
    unposed = replace(batch(), T_src_tgt=None)
    before = method(unposed, 0.0).maps
    decode = method.teacher.depth_net.decode
    method.teacher.depth_net.decode = lambda f, scales: tuple(5 * d for d in decode(f, scales))
    after = method(unposed, 0.0).maps
    assert_close(after["teacher_weight"], before["teacher_weight"], rtol=1e-3, atol=1e-4)
    assert_close(after["teacher_depth"], before["teacher_depth"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_teachers_network_runs_once_a_step(variant):
    method = student(StudentConfig(filter=FilterConfig(variant=variant)))
    calls = []
    encode = method.teacher.depth_net.encode
    method.teacher.depth_net.encode = lambda image: (calls.append(1), encode(image))[1]
    method(batch(), 0.0)
    assert len(calls) == 1


def test_views_that_show_nothing_give_a_finite_loss_with_a_gradient():
    away = torch.eye(4).repeat(2, 2, 1, 1)
    away[..., 2, 3] = -1e4  # every point lies behind the sources
    for variant in VARIANTS:
        method = student(StudentConfig(filter=FilterConfig(variant=variant)))
        out = method(replace(batch(), T_src_tgt=away), 0.0)
        out.loss.backward()
        assert torch.isfinite(out.loss)
        grads = [p.grad for p in method.depth_net.parameters()]
        assert all(g is not None and torch.isfinite(g).all() for g in grads)


def test_labels_that_are_wanted_and_missing_are_asked_for():
    blind = replace(batch(), pseudo_depth=None)
    with pytest.raises(ValueError, match=r"has no labels; `ssmde label` makes them"):
        student()(blind, 0.0)
    with pytest.raises(ValueError, match=r"has no labels; `ssmde label` makes them"):
        build_teacher(ModelConfig(), LOSS, ALL_LABELS)(blind, 0.0)


def test_a_teacher_learns_from_labels_by_name_and_weight():
    torch.manual_seed(0)
    method = build_teacher(ModelConfig(), LOSS, ALL_LABELS).eval()
    labels = {"pseudo_normals", "pseudo_ranking", "pseudo_edge_normals", "pseudo_depth"}
    torch.manual_seed(1)
    once = method(batch(), 0.0).terms
    assert labels <= set(once)
    method.pseudo_depth = replace(ALL_LABELS, normals=0.3, forgetting="zero")
    assert all(float(method(batch(), 0.0).terms[name]) == 0 for name in labels)
    method.pseudo_depth = replace(ALL_LABELS, normals=0.3)
    assert_close(method(batch(), 0.0).terms["pseudo_normals"], 3 * once["pseudo_normals"])


def test_a_blend_is_the_fitted_label_at_first_and_the_prior_at_last():
    generator = torch.Generator().manual_seed(0)
    prior = 1 + torch.rand(2, 1, H, W, generator=generator, dtype=torch.float64)
    label = (prior - 0.5) / 3  # the same depth, another scale and shift
    label[:, :, :4] = 0  # unknown
    label[:, :, -1] *= 1.5  # where the two differ
    trusted = torch.ones_like(prior, dtype=torch.bool)
    first, half, last = (blend_with_label(prior, label, trusted, g) for g in (1.0, 0.5, 0.0))
    assert_close(last, prior)
    assert_close(first[:, :, :4], prior[:, :, :4])
    assert_close(first[:, :, 4:-1], prior[:, :, 4:-1], rtol=1e-6, atol=1e-6)
    assert_close(first[:, :, -1], 1.5 * (prior[:, :, -1] - 0.5) + 0.5, rtol=1e-6, atol=1e-6)
    assert_close(half, (first * last).sqrt())
    assert_close(blend_with_label(prior, -label, trusted, 1.0), prior)  # no label at all


def test_a_student_may_forget_the_label_in_place_of_its_weight():
    by_weight, by_label = student().eval(), student(StudentConfig(forgets="label")).eval()
    apart = {name for name in by_weight(batch(), 0.0).terms if name.startswith("pseudo_")}
    first, last = (by_label(batch(), progress).terms for progress in (0.0, 1.0))
    assert len(apart) == 3
    assert not any(name.startswith("pseudo_") for name in first)
    assert set(first) == set(last) == set(by_weight(batch(), 0.0).terms) - apart
    teacher_alone = by_weight(batch(), 0.5).terms["distillation"]
    assert abs(float(first["distillation"]) - float(teacher_alone)) > 1e-4
    by_label.student = replace(
        by_label.student, pseudo_depth=replace(ALL_LABELS, forgetting="zero")
    )
    assert_close(by_label(batch(), 0.5).terms["distillation"], teacher_alone)
    with pytest.raises(ValueError, match=r"student\.forgets label .* needs student\.distillation"):
        StudentConfig(forgets="label", distillation=0.0)


def test_aligned_labels_do_not_see_scale_and_shift():
    method = build_teacher(
        ModelConfig(),
        LOSS,
        PseudoDepthConfig(normals=1.0, depth=1.0, align="least_squares_to_depth"),
    ).eval()
    some = batch()
    depth = method(some, 0.0).maps["depth"]
    plain = replace(some, pseudo_depth=depth * (1 + 0.1 * torch.rand_like(depth)))
    moved = replace(some, pseudo_depth=3 * plain.pseudo_depth + 2)
    a, b = method(plain, 0.0).terms, method(moved, 0.0).terms
    for name in ("pseudo_normals", "pseudo_depth"):
        assert float(a[name]) > 0
        assert_close(a[name], b[name], rtol=1e-3, atol=1e-5)


def test_a_student_is_built_from_the_weights_of_stage_one(tmp_path):
    torch.manual_seed(3)
    config = Config(loss=LOSS)
    first = build_teacher(config.model, config.loss)
    save_weights(tmp_path / "best.safetensors", first.state_dict(), {})
    config = replace(config, student=StudentConfig(teacher=tmp_path / "best.safetensors"))
    second = build_student(config)
    for own in (second.depth_net, second.teacher.depth_net):
        for key, value in first.depth_net.state_dict().items():
            assert torch.equal(own.state_dict()[key], value)
    fresh = build_student(replace(config, student=replace(config.student, start="fresh")))
    assert not torch.equal(
        fresh.depth_net.encoder.conv1.weight, fresh.teacher.depth_net.encoder.conv1.weight
    )
    with pytest.raises(ValueError, match=r"stage 2 needs the weights of stage 1"):
        build_student(Config())
    with pytest.raises(FileNotFoundError, match="nowhere"):
        build_student(Config(student=StudentConfig(teacher=tmp_path / "nowhere.safetensors")))
