"""Snippets: a target frame with one frame before and one after it, cut from sequences.

What a snippet holds depends on (seed, epoch, index) alone, and which snippets a step sees on
(seed, step) alone. So a run can stop anywhere and go on with the same data, and the number of
workers or processes changes nothing. The global random generators are neither read nor seeded.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ssmde.config import DataConfig
from ssmde.data.augment import Framing, draw_colour, draw_framing, whole_frame
from ssmde.data.images import ImageError, read_image
from ssmde.data.motion import known_poses, relative_motion, usable_gaps
from ssmde.data.sequence import FrameSequence
from ssmde.types import Snippets

Key = tuple[int, int]
"""Epoch and index of a snippet."""

MOST_BROKEN = 50  # snippets that fail in a row before the reader gives up
# First numbers of the seeds, so that the order and the content of snippets are independent.
ORDER, CONTENT = 1, 2


class SnippetDataset(Dataset[Snippets]):
    """Every frame that has neighbours on both sides, as the target of a snippet.

    Args:
        sequences: Where to cut from; a snippet never crosses two of them.
        data: Image size, frame gaps and augmentation.
        seed: Start of every random number; at least 0.
        augment: Whether to mirror, zoom and change colours.

    Raises:
        ValueError: If intrinsics are unknown, or no sequence is long enough for a snippet.
    """

    def __init__(
        self, sequences: Sequence[FrameSequence], data: DataConfig, *, seed: int, augment: bool
    ) -> None:
        _check_seed(seed)
        self.sequences = tuple(sequences)
        self.cameras = tuple(_camera(sequence) for sequence in sequences)
        """Intrinsics of every sequence, in pixels of its stored images."""
        self.data = data
        self.seed = seed
        self.augment = augment
        self.usable = tuple(usable_gaps(s, data, frame_gaps(data, s)) for s in sequences)
        """For every frame of every sequence, which of its gaps a snippet may draw."""
        self.targets = _targets(self.sequences, self.usable, data)
        """Sequence and frame of every target."""

    def __len__(self) -> int:
        """Number of targets."""
        return len(self.targets)

    def __getitem__(self, key: Key | int) -> Snippets:
        """The snippet of (epoch, index) as a batch of one; an index alone means epoch 0.

        A snippet with an unreadable frame is replaced by the next one that can be read, and
        `broken` says so.

        Raises:
            IndexError: If there is no such index.
            ImageError: If very many snippets in a row cannot be read.
        """
        epoch, index = (0, key) if isinstance(key, int) else key
        if not 0 <= index < len(self):
            raise IndexError(f"snippet {index} of {len(self)}")
        broken: dict[str, None] = {}
        for step in range(MOST_BROKEN):
            try:
                return self._read(epoch, (index + step) % len(self), tuple(broken))
            except ImageError as error:
                broken[str(error)] = None
        raise ImageError(
            f"{MOST_BROKEN} snippets in a row have an unreadable frame; last: {list(broken)[-1]}"
        )

    def _read(self, epoch: int, index: int, broken: tuple[str, ...]) -> Snippets:
        which, target = self.targets[index].tolist()
        sequence = self.sequences[which]
        rng = np.random.default_rng((CONTENT, self.seed, epoch, index))
        choice = zip(frame_gaps(self.data, sequence), self.usable[which][target], strict=True)
        gaps = [gap for gap, usable in choice if usable]
        gap = gaps[rng.integers(len(gaps))]
        framing = whole_frame(sequence.image_size, self.data.image_size)
        colour = np.eye(3, 4, dtype=np.float32)
        if self.augment:
            framing = draw_framing(rng, self.data, sequence.image_size)
            colour = draw_colour(rng, self.data)
        sources = (target - gap, target + gap)
        files = [sequence.images[i] for i in (target, *sources)]
        views = np.stack([_read_view(file, framing, sequence.image_size) for file in files])
        motion = None
        if known := known_poses(sequence, self.data):
            T = relative_motion(known[0], target, sources, flip=framing.flip)
            motion = torch.from_numpy(T).float()[None]
        return Snippets(
            images=torch.from_numpy(views)[None],
            intrinsics=framing.intrinsics(self.cameras[which]).float()[None],
            colour=torch.from_numpy(colour)[None],
            T_src_tgt=motion,
            names=(sequence.frame_name(target),),
            broken=broken,
        )


class SnippetSampler(Sampler[list[Key]]):
    """The batches of a training, without end: a pure function of seed and step.

    Position p of the training is snippet `p % length` of the shuffled epoch `p // length`; step s
    takes the next `batch_size` positions. So an epoch sees each index once, a batch may reach into
    the next epoch, and any step can be the first. A process gets a run of neighbours: the batches
    of all ranks, one after the other, are the batch of a single process.

    Args:
        length: Number of snippets.
        batch_size: Snippets a step, over all processes together.
        seed: Start of the order; at least 0.
        start_step: Step of the first batch.
        rank: Number of this process, from 0.
        world: Number of processes.

    Raises:
        ValueError: If there is nothing to draw from, or the batch does not divide evenly.
    """

    def __init__(
        self,
        length: int,
        *,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        _check_seed(seed)
        if length < 1:
            raise ValueError(f"a sampler needs at least 1 snippet, got {length}")
        if batch_size < 1 or batch_size % world:
            raise ValueError(
                f"batch size {batch_size} must be a positive multiple of the {world} processes"
            )
        if not 0 <= rank < world:
            raise ValueError(f"rank must be in [0, {world}), got {rank}")
        if start_step < 0:
            raise ValueError(f"start_step must be at least 0, got {start_step}")
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.start_step = start_step
        self.rank = rank
        self.world = world

    def __iter__(self) -> Iterator[list[Key]]:
        """The batches of this process from `start_step` on, as (epoch, index) of each snippet."""
        share = self.batch_size // self.world
        position = self.start_step * self.batch_size + self.rank * share
        orders: dict[int, Int[np.ndarray, " n"]] = {}
        while True:
            places = [divmod(p, self.length) for p in range(position, position + share)]
            needed = {epoch for epoch, _ in places}
            orders = {e: orders[e] if e in orders else self._order(e) for e in needed}
            yield [(epoch, int(orders[epoch][place])) for epoch, place in places]
            position += self.batch_size

    def _order(self, epoch: int) -> Int[np.ndarray, " n"]:
        return np.random.default_rng((ORDER, self.seed, epoch)).permutation(self.length)


def spread(length: int, most: int) -> list[int]:
    """At most `most` indices of `length`, evenly spread, in order; all if there are no more.

    Each is the middle of one of `most` equal parts.
    """
    if length <= most:
        return list(range(length))
    return [int((part + 0.5) * length / most) for part in range(most)]


def _camera(sequence: FrameSequence) -> Float64[Tensor, "3 3"]:
    if sequence.intrinsics is None:
        raise ValueError(
            f"scene '{sequence.name}': intrinsics are unknown, training needs them; write the "
            f"3 x 3 matrix in pixels of its images to {sequence.images[0].parent / 'cam.txt'}"
        )
    return torch.from_numpy(sequence.intrinsics.astype(np.float64))


def frame_gaps(data: DataConfig, sequence: FrameSequence) -> tuple[int, ...]:
    """The gaps a snippet of this scene may draw: its own in `scene_gaps`, else `frame_gaps`."""
    return tuple(gap for name, gap in data.scene_gaps if name == sequence.name) or data.frame_gaps


def _targets(
    sequences: tuple[FrameSequence, ...],
    usable: tuple[Bool[np.ndarray, "_ _"], ...],
    data: DataConfig,
) -> Int[np.ndarray, "n 2"]:
    """Sequence and frame of every frame that has sources at one of its gaps."""
    frames = [np.flatnonzero(gaps.any(1)) for gaps in usable]
    if any(len(own) for own in frames):
        return np.concatenate(
            [np.stack([np.full_like(own, i), own], axis=1) for i, own in enumerate(frames)]
        )
    gap = min(data.frame_gaps)
    lengths = ", ".join(f"'{s.name}' has {len(s)}" for s in sequences[:5]) or "there are no scenes"
    if any(2 * gap < len(s) for s in sequences):
        raise ValueError(
            f"no frame has sources with known poses (data.poses {data.poses}) that are at least "
            f"data.least_baseline {data.least_baseline} away, at gaps {data.frame_gaps}; {lengths}"
        )
    raise ValueError(
        f"no scene is long enough: a snippet with frame gap {gap} needs {2 * gap + 1} frames, "
        f"{lengths}; give longer scenes or a smaller data.frame_gaps"
    )


def _read_view(
    path: Path, framing: Framing, image_size: tuple[int, int]
) -> UInt8[np.ndarray, "3 h w"]:
    pixels = read_image(path, reduction=framing.reduction)
    expected = tuple(side // framing.reduction for side in image_size)
    if pixels.shape[:2] != expected:
        raise ImageError(
            f"{path}: its size differs from the {image_size[1]} x {image_size[0]} pixels "
            "of the other frames; give each size a scene of its own"
        )
    return framing.image(pixels)


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
