"""The student: what it learns from whom, and what its teacher never does."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ssmde.config import Config, LossConfig, ModelConfig, PseudoDepthConfig, StudentConfig
from ssmde.methods.self_supervised import SelfSupervised
from ssmde.methods.student import Student, TeacherNetworks, build_student, forgetting_factor
from ssmde.methods.teacher import Teacher, build_teacher
from ssmde.models.checkpoint import save_weights
from tiny_networks import TinyDepthNet, TinyPoseNet, random_batch

H, W = 32, 64
LOSS = LossConfig(geometry=0.1)
ALL_LABELS = PseudoDepthConfig(structure=0.1, depth=0.1)
LABEL_TERMS = {"pseudo_normals", "pseudo_ranking", "pseudo_edge_normals", "pseudo_depth"}


def student(
    config: StudentConfig = StudentConfig(),  # noqa: B008
    pseudo_depth: PseudoDepthConfig = ALL_LABELS,
) -> Student:
    torch.manual_seed(0)
    own = SelfSupervised(TinyDepthNet(), TinyPoseNet(), LOSS)
    taught = TeacherNetworks(TinyDepthNet(), TinyPoseNet())
    return Student(own, taught, config, pseudo_depth)


def teacher(pseudo_depth: PseudoDepthConfig) -> Teacher:
    torch.manual_seed(0)
    return Teacher(TinyDepthNet(), TinyPoseNet(), LOSS, pseudo_depth).eval()


def terms_at(method: nn.Module, progress: float) -> dict[str, torch.Tensor]:
    """Terms of one batch, with the same random pairs each time."""
    torch.manual_seed(1)
    return method(random_batch(step=0.02), progress).terms


@pytest.mark.parametrize("labels", ["none", "static", "all"])
def test_the_loss_is_the_sum_of_its_named_terms_and_the_teacher_stays_as_it_is(labels):
    method = student(StudentConfig(labels=labels)).train()
    before = copy.deepcopy(method.teacher.state_dict())
    out = method(random_batch(step=0.02), 0.5)
    own = {"photometric", "geometry", "smoothness", "pose", "distillation"}
    assert set(out.terms) == own | (set() if labels == "none" else LABEL_TERMS)
    assert_close(out.loss.detach(), torch.stack(list(out.terms.values())).sum())
    assert {"teacher_depth", "teacher_weight", "static", "dynamic"} <= set(out.maps)
    assert {"forgetting_factor", "filter_dynamic"} <= set(out.statistics)
    out.loss.backward()
    assert [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None] == []
    assert_close(method.teacher.state_dict(), before, rtol=0, atol=0)
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    assert not any(module.training for module in method.teacher.modules())


def test_a_student_equal_to_its_teacher_has_nothing_to_distill():
    method = student().eval()
    method.teacher.depth_net.load_state_dict(method.depth_net.state_dict())
    assert float(terms_at(method, 0.0)["distillation"]) == pytest.approx(0, abs=1e-5)


def test_labels_fade_exponentially_where_they_are_to_and_the_teacher_does_not():
    fading, staying = (
        student(StudentConfig(labels="static", forgetting=form)).eval()
        for form in ("exponential", "constant")
    )
    first, half, last = (terms_at(fading, progress) for progress in (0.0, 0.5, 1.0))
    for name in LABEL_TERMS:
        assert_close(last[name], 0.05 * first[name])
        assert_close(half[name], 0.05**0.5 * first[name])
        assert_close(terms_at(staying, 1.0)[name], first[name])
    assert_close(last["distillation"], first["distillation"])
    assert forgetting_factor(1.7, "exponential") == pytest.approx(0.05)
    assert forgetting_factor(-0.1, "exponential") == 1


def test_what_moves_is_left_out_of_the_views_and_of_labels_of_static_areas():
    method = student(StudentConfig(labels="static")).eval()
    honest = method.mask_filter.forward
    right = (torch.arange(W) >= W // 2).expand(2, 1, H, W)
    method.mask_filter.forward = lambda found: replace(honest(found), dynamic=right, static=~right)
    some = random_batch(step=0.02)
    before = method(some, 0.0).terms
    some.pseudo_depth[..., W // 2 + 2 :] *= 3.0  # two pixels off: normals read their neighbors
    assert_close(method(some, 0.0).terms["pseudo_depth"], before["pseudo_depth"])


def test_without_poses_the_unit_of_the_teachers_depth_does_not_matter():
    method = student(pseudo_depth=PseudoDepthConfig()).eval()
    unposed = replace(random_batch(step=0.02), T_src_tgt=None)
    before = method(unposed, 0.0).maps
    decode = method.teacher.depth_net.decode
    method.teacher.depth_net.decode = lambda f, scales: tuple(5 * d for d in decode(f, scales))
    after = method(unposed, 0.0).maps
    assert_close(after["teacher_weight"], before["teacher_weight"], rtol=1e-3, atol=1e-4)
    assert_close(after["teacher_depth"], before["teacher_depth"], rtol=1e-4, atol=1e-5)


def test_labels_that_are_wanted_and_missing_are_asked_for():
    blind = replace(random_batch(step=0.02), pseudo_depth=None)
    for method in (student(), teacher(ALL_LABELS)):
        with pytest.raises(ValueError, match=r"has no labels; `ssmde label` makes them"):
            method(blind, 0.0)


def test_a_teacher_learns_from_labels_by_name_and_weight():
    method = teacher(ALL_LABELS)
    once = terms_at(method, 0.0)
    assert set(once) >= LABEL_TERMS
    method.pseudo_depth = replace(ALL_LABELS, structure=0.3)
    thrice = terms_at(method, 0.0)
    assert_close(thrice["pseudo_normals"], 3 * once["pseudo_normals"])
    assert_close(thrice["pseudo_depth"], once["pseudo_depth"])


def test_without_poses_the_depth_of_a_label_counts_up_to_scale_and_shift():
    method = teacher(PseudoDepthConfig(depth=1.0))
    some = replace(random_batch(step=0.02), T_src_tgt=None)
    for parameter in method.pose_net.parameters():
        nn.init.zeros_(parameter)  # a camera that does not move
    depth = method(some, 0.0).maps["depth"]
    plain = replace(some, pseudo_depth=depth * (1 + 0.1 * torch.rand_like(depth)))
    moved = replace(some, pseudo_depth=3 * plain.pseudo_depth + 2)
    a, b = (float(method(label, 0.0).terms["pseudo_depth"]) for label in (plain, moved))
    assert a > 0
    assert a == pytest.approx(b, rel=1e-3)


def test_a_student_is_built_from_the_weights_of_stage_one(tmp_path):
    config = Config(model=ModelConfig(encoder="resnet18_half"), loss=LOSS)
    first, weights = build_teacher(config), tmp_path / "best.safetensors"
    asked = replace(config, student=StudentConfig(teacher=weights))
    with pytest.raises(FileNotFoundError, match=r"best\.safetensors"):
        build_student(asked)
    save_weights(weights, first.state_dict(), {})
    second = build_student(asked)
    for own in (second, second.teacher):
        found = own.state_dict()
        assert all(torch.equal(found[key], value) for key, value in first.state_dict().items())
    with pytest.raises(ValueError, match=r"stage 2 needs the weights of stage 1"):
        build_student(Config())
