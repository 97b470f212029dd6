"""Snippets on their way from the loader to a method: joined, copied, turned into values."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from torch.testing import assert_close

from ssmde.types import Batch, collate


def make_snippet(seed: int, *, views: int = 3, broken: tuple[str, ...] = ()) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        target=torch.randint(0, 256, (1, 3, 4, 6), dtype=torch.uint8, generator=generator),
        sources=torch.randint(
            0, 256, (1, views - 1, 3, 4, 6), dtype=torch.uint8, generator=generator
        ),
        intrinsics=torch.eye(3)[None] * (seed + 1),
        color=torch.full((1, 3, 4), float(seed)),
        names=(f"scene/{seed:03d}",),
        broken=broken,
    )


def test_joined_snippets_keep_their_order_and_every_byte():
    snippets = [make_snippet(seed) for seed in (2, 0, 1)]
    joined = collate(snippets)
    for i, snippet in enumerate(snippets):
        assert torch.equal(joined.images[i], snippet.images[0])
        assert torch.equal(joined.intrinsics[i], snippet.intrinsics[0])
        assert torch.equal(joined.color[i], snippet.color[0])
    assert joined.names == ("scene/002", "scene/000", "scene/001")


def test_a_batch_of_one_is_the_snippet_itself():
    snippet = make_snippet(3, broken=("b.jpg: truncated",))
    joined = collate([snippet])
    for field in fields(Batch):
        ours, theirs = getattr(joined, field.name), getattr(snippet, field.name)
        same = torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs
        assert same, field.name


def test_files_that_could_not_be_read_are_reported_by_the_whole_batch():
    snippets = [
        make_snippet(0, broken=("a.jpg: empty",)),
        make_snippet(1),
        make_snippet(2, broken=("b.jpg: truncated", "c.jpg: missing")),
    ]
    assert collate(snippets).broken == ("a.jpg: empty", "b.jpg: truncated", "c.jpg: missing")


def test_snippets_of_different_length_are_not_joined():
    with pytest.raises(RuntimeError, match="size"):
        collate([make_snippet(0, views=3), make_snippet(1, views=2)])


def test_the_first_view_is_the_target_and_bytes_become_values_from_0_to_1():
    images = torch.zeros(1, 3, 3, 1, 2, dtype=torch.uint8)
    images[0, 0], images[0, 1], images[0, 2] = 255, 51, 102
    batch = Batch(
        target=images[:, 0],
        sources=images[:, 1:],
        intrinsics=torch.eye(3)[None],
        color=torch.ones(1, 3, 4),
        names=("a/b",),
    ).to_float()
    assert torch.equal(batch.target, torch.ones(1, 3, 1, 2))
    assert_close(batch.sources[0, :, 0, 0, 0], torch.tensor([0.2, 0.4]))
    assert batch.names == ("a/b",)
    assert batch.color is not None


def test_every_byte_has_its_own_value_and_finds_its_way_back():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 1, 16, 16).expand(1, 2, 3, 16, 16)
    snippet = Batch(
        target=every[:, 0],
        sources=every[:, 1:],
        intrinsics=torch.eye(3)[None],
        color=torch.zeros(1, 3, 4),
        names=("a/b",),
    )
    target = snippet.to_float().target
    assert target.dtype == torch.float32
    assert torch.equal((target * 255).round().to(torch.uint8), every[:, 0])


def test_a_snippet_moves_with_all_its_tensors_and_keeps_its_names():
    moved = make_snippet(0, broken=("a.jpg: empty",)).to("meta")
    assert {moved.images.device.type, moved.intrinsics.device.type, moved.color.device.type} == {
        "meta"
    }
    assert (moved.names, moved.broken) == (("scene/000",), ("a.jpg: empty",))


def test_records_cannot_be_changed_behind_the_back_of_their_owner():
    batch = make_snippet(0).to_float()
    assert isinstance(batch, Batch)
    with pytest.raises(FrozenInstanceError):
        batch.target = torch.zeros(1, 3, 4, 6)  # type: ignore[misc]
