"""A batch on its way from the loader to a method: joined, copied, turned into values."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from torch.testing import assert_close

from ssmde.types import Batch, collate


def make_snippet(seed: int, *, views: int = 3, broken: tuple[str, ...] = ()) -> Batch:
    """Every field has a value of its own; colors of a pixel lie side by side."""
    torch.manual_seed(seed)
    images = torch.randint(0, 256, (1, views, 4, 6, 3), dtype=torch.uint8).permute(0, 1, 4, 2, 3)
    depths = {n: torch.rand(1, 1, 4, 6) for n in ("pseudo_depth", "sparse_depth", "gt_depth")}
    return Batch(
        target=images[:, 0], sources=images[:, 1:], intrinsics=torch.eye(3)[None] * (seed + 1),
        color=torch.full((1, 3, 4), float(seed)), T_src_tgt=torch.rand(1, views - 1, 4, 4),
        names=(f"scene/{seed:03d}",), broken=broken, **depths,
    )  # fmt: skip


def test_joined_snippets_keep_every_field_in_order_and_their_layout():
    broken = (("a.jpg: empty",), (), ("b.jpg: truncated", "c.jpg: missing"))
    snippets = [make_snippet(i, broken=broken[i]) for i in (2, 0, 1)]
    joined = collate(snippets)
    for name in (field.name for field in fields(Batch)):
        each = [getattr(s, name) for s in snippets]
        if isinstance(each[0], torch.Tensor):
            assert torch.equal(getattr(joined, name), torch.cat(each)), name
        else:
            assert getattr(joined, name) == sum(each, ()), name
    assert joined.broken == ("b.jpg: truncated", "c.jpg: missing", "a.jpg: empty")
    for image in (joined.target, joined.sources):
        assert image.movedim(-3, -1).is_contiguous()
    with pytest.raises(RuntimeError, match="size"):
        collate([snippets[0], make_snippet(1, views=2)])
    with pytest.raises(ValueError, match="2 of 3 snippets of a batch have pseudo_depth"):
        collate([*snippets[:2], replace(snippets[2], pseudo_depth=None)])


def test_the_first_view_is_the_target_and_bytes_become_values_from_0_to_1():
    batch = make_snippet(0)
    assert torch.equal(batch.images[:, 0], batch.target)
    values = batch.to_float()
    assert_close(values.target, batch.target / 255)
    assert_close(values.sources, batch.sources / 255)
    assert values.to_float() is values


def test_every_byte_has_its_own_value_and_finds_its_way_back():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    batch = Batch(target=every, sources=every[:, None], intrinsics=torch.eye(3)[None])
    target = batch.to_float().target
    assert target.dtype == torch.float32
    assert torch.equal((target * 255).round().to(torch.uint8), every)


def test_a_batch_moves_with_all_its_tensors_and_cannot_be_changed():
    moved = make_snippet(0, broken=("a.jpg: empty",)).to("meta")
    tensors = [v for f in fields(Batch) if isinstance(v := getattr(moved, f.name), torch.Tensor)]
    assert len(tensors) == 8
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert (moved.names, moved.broken) == (("scene/000",), ("a.jpg: empty",))
    with pytest.raises(FrozenInstanceError):
        moved.target = torch.zeros(1, 3, 4, 6)  # type: ignore[misc]
