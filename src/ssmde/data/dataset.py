"""Snippets: a target frame with one frame before and one after it, cut from sequences.

What a snippet holds depends on (seed, epoch, index) alone, and which snippets a step sees on
(seed, step) alone. So a run can stop anywhere and go on with the same data, and the number of
workers or processes changes nothing. The global random generators are neither read nor seeded.
"""

import fnmatch
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int, UInt8
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ssmde.config import DataConfig
from ssmde.data import augment as augmentation
from ssmde.data.augment import COLOR_LIMITS, Framing
from ssmde.data.images import ImageError, read_depth, read_image
from ssmde.data.pseudo_labels import fit_to_points, plausible, read_pseudo_depth
from ssmde.data.scene_files import TRACKED_POINTS, TrackedPoints, read_tracked_points
from ssmde.data.sequence import DepthMap, FrameSequence, PerFrame, Pixels, Poses, Size
from ssmde.types import Batch

# Added to a disparity, whose largest value is 1, before it is turned into depth: the shift is not
# known, and what is far away must stay finite.
DISPARITY_FLOOR = 0.02
Key = tuple[int, int] | tuple[int, int, int]
"""Epoch and index of a snippet, and the number of the size it is to have, 0 where it is missing."""
# First numbers of the seeds, so that the order and the content of snippets are independent.
ORDER, CONTENT = 1, 2
MIRROR = np.diag((-1.0, 1.0, 1.0, 1.0))  # x to the left: the camera of a mirrored image
MOST_BROKEN = 50  # snippets that fail in a row before the reader gives up


class SnippetDataset(Dataset[Batch]):
    """Every frame that has neighbors on both sides, as the target of a snippet.

    With `labels` its pseudo-depth comes along, given scale and shift by the points of `ssmde
    track` if `fit_labels`; the depth of these comes `with_points`. Unknown intrinsics are nan, or
    with `with_cameras` refused. A ValueError says what is missing, or that no sequence is long
    enough.
    """

    keep_proportions = False  # SC-Depth stretches views a little; see `draw_framing`
    color_limits = COLOR_LIMITS

    def __init__(
        self, sequences: Sequence[FrameSequence], data: DataConfig, *, seed: int, augment: bool,
        labels: bool = False, fit_labels: bool = False, with_points: bool = False,
        with_cameras: bool = True,
    ) -> None:  # fmt: skip
        self.sequences = tuple(sequences)
        self.data, self.seed, self.augment, self.labels = data, seed, augment, labels
        self.fit_labels, self.with_points = fit_labels, with_points
        # Of every sequence: intrinsics, in pixels of its stored images, nan where not known; and
        # the points that were tracked, by the index of a frame, where they are a file.
        self.cameras: list[Float64[Tensor, "3 3"]] = []
        self.points: list[dict[int, TrackedPoints]] = []
        for s in sequences:
            folder = s.images[0].parent
            if s.intrinsics is None and with_cameras:
                raise ValueError(
                    f"scene '{s.name}': intrinsics are unknown, training needs them; write the "
                    f"3 x 3 matrix in pixels of its images to {folder / 'cam.txt'}, or let "
                    "`ssmde track` find the camera"
                )
            camera = np.full((3, 3), np.nan) if s.intrinsics is None else s.intrinsics
            self.cameras.append(torch.from_numpy(camera.astype(np.float64)))
            in_file = (fit_labels or with_points) and s.tracked_points is None
            self.points.append(read_tracked_points(folder / TRACKED_POINTS) if in_file else {})
            if labels and s.pseudo_depth is None:
                raise ValueError(
                    f"scene '{s.name}': there is no {folder / 'pseudo_depth'}; "
                    f"`ssmde label {folder.parent}` makes the labels"
                )
        self.sizes = (data.image_size, *data.more_sizes)  # training sizes, by their number
        self.targets = self.find_targets()  # sequence and frame of each

    def find_targets(self) -> Int[np.ndarray, "n 2"]:
        """Sequence and frame of everything the data set has a snippet of."""
        data = self.data
        self.usable = tuple(usable_gaps(s, data) for s in self.sequences)
        frames = [np.flatnonzero(gaps.any(1)) for gaps in self.usable]
        targets = [np.stack([np.full_like(f, i), f], 1) for i, f in enumerate(frames)]
        if any(map(len, targets)):
            return np.concatenate(targets)
        named = ", ".join(f"'{s.name}' has {len(s)}" for s in self.sequences[:5])
        known = "" if data.poses == "none" else f" with known poses (data.poses {data.poses})"
        raise ValueError(
            f"no frame has sources{known} on both sides at gaps {data.frame_gaps}: "
            f"{named or 'there are no scenes'}; give longer scenes or a smaller data.frame_gaps"
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, key: Key | int) -> Batch:
        """The snippet of (epoch, index) as a batch of one; an index alone means epoch 0.

        One with an unreadable frame is replaced by the next, and `broken` says so; 50 are an
        `ImageError`.
        """
        epoch, index, *size = (0, key) if isinstance(key, int) else key
        if not 0 <= index < len(self):
            raise IndexError(f"snippet {index} of {len(self)}")
        broken: dict[str, None] = {}
        for number in range(index, index + MOST_BROKEN):
            number %= len(self)
            which, target = self.targets[number].tolist()
            rng = np.random.default_rng((CONTENT, self.seed, epoch, number))
            try:
                fields = self.read_snippet(which, target, rng, self.sizes[sum(size)])
            except ImageError as error:
                broken[str(error)] = None
            else:
                name = self.sequences[which].frame_name(target)
                return Batch(names=(name,), broken=tuple(broken), **fields)
        raise ImageError(
            f"{MOST_BROKEN} snippets in a row have an unreadable frame; last: {list(broken)[-1]}"
        )

    def read_snippet(self, which: int, target: int, rng: Generator, size: Size) -> dict[str, Any]:
        """Fields of a batch: a target and its sources at one size, as chance has it."""
        sequence = self.sequences[which]
        choice = zip(frame_gaps(self.data, sequence), self.usable[which][target], strict=True)
        gaps = [gap for gap, usable in choice if usable]
        gap = gaps[rng.integers(len(gaps))]
        framing, drawn = self.draw(rng, which, size)
        sources = (target - gap, target + gap)
        files = [sequence.images[i] for i in (target, *sources)]
        views = framing.images([read_frame(f, framing, sequence.image_size) for f in files])
        images = torch.from_numpy(views)[None]
        motion = None
        if known := known_poses(sequence, self.data):
            T = relative_motion(known[0], target, sources, flip=framing.flip)
            motion = torch.from_numpy(T).float()[None]
        return drawn | {
            "target": images[:, 0], "sources": images[:, 1:], "T_src_tgt": motion,
            "pseudo_depth": self._label(which, target, framing) if self.labels else None,
            "sparse_depth": self._points(which, target, framing) if self.with_points else None,
        }  # fmt: skip

    def draw(self, rng: Generator, which: int, size: Size) -> tuple[Framing, dict[str, Tensor]]:
        """Framing of a snippet of a sequence, its camera and its change of color."""
        stored = self.sequences[which].image_size
        if self.augment:
            framing = augmentation.draw_framing(
                rng, self.data, stored, size, keep_proportions=self.keep_proportions
            )
            color = augmentation.draw_color(rng, self.data.color_jitter, self.color_limits)
        else:
            framing, color = augmentation.whole_frame(stored, size), np.eye(3, 4, dtype=np.float32)
        intrinsics = framing.intrinsics(self.cameras[which]).float()[None]
        return framing, {"intrinsics": intrinsics, "color": torch.from_numpy(color)[None]}

    def _label(self, which: int, target: int, framing: Framing) -> Float32[Tensor, "1 1 h w"]:
        """Pseudo-depth of the target as depth; 0 everywhere for a frame without a label."""
        sequence = self.sequences[which]
        assert sequence.pseudo_depth is not None
        path = sequence.pseudo_depth[target]
        if path is None:
            return torch.zeros(1, 1, *framing.image_size)
        values = read_pseudo_depth(path, image_size=sequence.image_size)
        if sequence.pseudo_depth_kind == "disparity":
            values = np.where(values > 0, 1 / (values + DISPARITY_FLOOR), 0).astype(np.float32)
        if self.fit_labels:
            values = fit_to_points(
                values, *self._tracked(which, target), sequence.image_size,
                affine=sequence.pseudo_depth_affine,
            )  # fmt: skip
        return _as_map(framing.nearest(values, sequence.image_size))

    def _points(self, which: int, target: int, framing: Framing) -> Float32[Tensor, "1 1 h w"]:
        """Depth of the tracked points of the target; 0 where there is none."""
        pixels, depth = self._tracked(which, target)
        sure = plausible(depth)
        return _as_map(framing.scatter(pixels[sure], depth[sure]))

    def _tracked(self, which: int, target: int) -> TrackedPoints:
        packed = self.sequences[which].tracked_points
        points = self.points[which].get(target) if packed is None else packed[target]
        return points or (np.zeros((0, 2), np.float32), np.zeros(0, np.float32))


class SupervisedDepthDataset(SnippetDataset):
    """Every frame with measured depth, as a snippet without sources."""

    keep_proportions = True  # a stretched picture is one no camera takes
    color_limits = (0.2, 0.2, 0.4, 0.05)  # as `small` was trained

    def find_targets(self) -> Int[np.ndarray, "n 2"]:
        """Sequence and frame of every measured depth."""
        targets = [(i, frame) for i, s in enumerate(self.sequences)
                   for frame, path in enumerate(s.depth or ()) if path is not None]  # fmt: skip
        if not targets:
            names = ", ".join(f"'{s.name}'" for s in self.sequences[:5])
            raise ValueError(
                f"no frame has measured depth to learn from: {names}; scenes need depth/FRAME.png "
                "with depth_units_per_metre in scene.json, or .npy in metres"
            )
        return np.array(targets)

    def weights(self) -> Float64[np.ndarray, " n"] | None:
        """Relative frequency of every snippet, by `data.scene_weights`; None: all are alike.

        Patterns are those of a shell; the first that fits the name of a scene counts.
        """
        shares = self.data.scene_weights
        if not shares:
            return None
        first = [
            next((i for i, (p, _) in enumerate(shares) if fnmatch.fnmatchcase(s.name, p)), -1)
            for s in self.sequences
        ]
        group = np.array(first)[self.targets[:, 0]]
        # What no pattern names keeps its number of snippets beside the shares of the others.
        weights = np.full(len(self), 1 / len(self))
        for number, (pattern, weight) in enumerate(shares):
            members = group == number
            if not members.any():
                raise ValueError(
                    f"data.scene_weights: no scene with measured depth is called {pattern!r}"
                )
            weights[members] = weight / members.sum()
        return weights

    def read_snippet(self, which: int, target: int, rng: Generator, size: Size) -> dict[str, Any]:
        """Fields of a batch: a frame and its depth."""
        sequence = self.sequences[which]
        path = sequence.depth[target] if sequence.depth else None
        assert path is not None
        framing, drawn = self.draw(rng, which, size)
        depth = read_depth(path, sequence.depth_units_per_metre, image_size=sequence.image_size)
        if not (depth > 0).any():
            raise ImageError(f"{path}: holds no measured depth")
        view = read_view(sequence.images[target], framing, sequence.image_size)
        if self.augment and self.data.degrade > 0:
            worse = augmentation.degrade(rng, view.transpose(1, 2, 0), self.data.degrade)
            view = worse.transpose(2, 0, 1)
        image = torch.from_numpy(np.ascontiguousarray(view))[None]
        gt_depth = _as_map(framing.nearest(depth, sequence.image_size))
        return drawn | {"target": image, "sources": image[:, None][:, :0], "gt_depth": gt_depth}


class SnippetSampler(Sampler[list[Key]]):
    """The batches of a training, without end: a pure function of seed and step.

    Position p of the training is snippet `p % length` of the shuffled epoch `p // length`; step s
    takes the next `batch_size` positions, of all processes, and has training size s % `sizes`. So
    an epoch sees each index once, a batch may reach into the next epoch, and any step can be the
    first. A process gets a run of neighbors: the batches of all ranks, one after the other, are
    the batch of a single process.

    With weights (relative, positive) an epoch is as long, but a snippet comes as often in it as
    its weight asks for, rounded up or down by chance.
    """

    def __init__(
        self, length: int, *, batch_size: int, seed: int, start_step: int = 0, rank: int = 0,
        world: int = 1, sizes: int = 1, weights: Float64[np.ndarray, " n"] | None = None,
    ) -> None:  # fmt: skip
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.start_step, self.rank, self.world = start_step, rank, world
        self.sizes, self.weights = sizes, weights

    def __iter__(self) -> Iterator[list[Key]]:
        share = self.batch_size // self.world
        position = self.start_step * self.batch_size + self.rank * share
        order = lru_cache(maxsize=2)(self._order)
        while True:
            places = [divmod(p, self.length) for p in range(position, position + share)]
            keys = [(epoch, int(order(epoch)[place])) for epoch, place in places]
            size = position // self.batch_size % self.sizes
            yield [(*key, size) for key in keys] if self.sizes > 1 else list[Key](keys)
            position += self.batch_size

    def _order(self, epoch: int) -> Int[np.ndarray, " n"]:
        rng = np.random.default_rng((ORDER, self.seed, epoch))
        shuffled = rng.permutation(self.length)
        if self.weights is None:
            return shuffled
        # Systematic sampling: one comb with a random start over the summed weights takes each
        # snippet the whole number of times below or above its due. Laid over a random order, so
        # that chance alone decides which snippets of a rare kind come.
        due = self.weights[shuffled].cumsum()
        comb = (np.arange(self.length) + rng.random()) / self.length * due[-1]
        drawn = shuffled[np.searchsorted(due, comb, side="right").clip(max=self.length - 1)]
        return rng.permutation(drawn)


def spread(length: int, most: int) -> list[int]:
    """At most `most` indices of `length`: the middle of each of `most` equal parts, in order."""
    if most < 1:  # verbs call it max_frames
        raise ValueError(f"max_frames must be at least 1, got {most}")
    most = min(most, length)
    return [int((part + 0.5) * length / most) for part in range(most)]


def frame_gaps(data: DataConfig, sequence: FrameSequence) -> tuple[int, ...]:
    """The gaps a snippet of this scene may draw: its own in `scene_gaps`, else `frame_gaps`."""
    return tuple(gap for name, gap in data.scene_gaps if name == sequence.name) or data.frame_gaps


def known_poses(sequence: FrameSequence, data: DataConfig) -> tuple[Poses, PerFrame] | None:
    """Camera-to-world matrices as `data.poses` asks, nan where unknown; None for `none`.

    Also the part of the video each belongs to: two parts have worlds and units of their own.
    """
    if data.poses == "none":
        return None
    folder = sequence.images[0].parent
    poses, parts, name = sequence.poses, np.zeros(len(sequence)), "poses.txt"
    remedy = "write it, or let `ssmde track` find the motion and take tracked"
    if data.poses == "tracked":
        poses, parts = sequence.tracked_poses, sequence.tracked_parts
        name, remedy = "tracked_poses.txt", f"`ssmde track {folder.parent}` writes it"
    if poses is None or parts is None:
        raise ValueError(
            f"scene '{sequence.name}': data.poses is {data.poses}, but {folder / name} does not "
            f"exist; {remedy}"
        )
    return poses, parts


def relative_motion(
    poses: Poses, target: int, sources: tuple[int, ...], *, flip: bool
) -> Float64[np.ndarray, "s 4 4"]:
    """`T_src_tgt` of each source, of poses camera to world; `flip` if images are mirrored."""
    T = np.linalg.inv(poses[list(sources)].astype(np.float64)) @ poses[target]
    return MIRROR @ T @ MIRROR if flip else T


def usable_gaps(sequence: FrameSequence, data: DataConfig) -> Bool[np.ndarray, "n g"]:
    """Whether a frame can be a target with sources one of its `frame_gaps` before and after.

    Where poses are asked for all are known, and of one part of the video.
    """
    count, gaps = len(sequence), np.array(frame_gaps(data, sequence))
    at = np.arange(count)[:, None]
    usable = (at >= gaps) & (at + gaps < count)
    if known := known_poses(sequence, data):
        part = np.where(np.isfinite(known[0].sum((1, 2))), known[1], np.nan)
        for places in (at - gaps, at + gaps):
            usable &= part[places.clip(0, count - 1)] == part[:, None]
    return usable


def read_view(path: Path, framing: Framing, image_size: Size) -> UInt8[np.ndarray, "3 h w"]:
    """One stored frame as a view."""
    return framing.images([read_frame(path, framing, image_size)])[0]


def read_frame(path: Path, framing: Framing, image_size: Size) -> Pixels:
    """One stored frame, decoded at the size that `framing` crops from."""
    pixels = read_image(path, reduction=framing.reduction)
    if pixels.shape[:2] != tuple(side // framing.reduction for side in image_size):
        raise ImageError(
            f"{path}: its size differs from the {image_size[1]} x {image_size[0]} pixels "
            "of the other frames; give each size a scene of its own"
        )
    return pixels


def _as_map(values: DepthMap) -> Float32[Tensor, "1 1 h w"]:
    return torch.from_numpy(np.ascontiguousarray(values))[None, None]
