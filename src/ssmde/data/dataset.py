"""Snippets: a target frame with one frame before and one after it, cut from sequences.

What a snippet holds depends on (seed, epoch, index) alone, and which snippets a step sees on
(seed, step) alone. So a run can stop anywhere and go on with the same data, and the number of
workers or processes changes nothing. The global random generators are neither read nor seeded.
"""

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ssmde.config import DataConfig
from ssmde.data.augment import (
    COLOR_LIMITS,
    Framing,
    degrade,
    draw_color,
    draw_framing,
    largest_frame,
    pad_frames,
    whole_frame,
)
from ssmde.data.images import ImageError, read_depth, read_image
from ssmde.data.motion import known_poses, relative_motion, usable_gaps
from ssmde.data.pseudo_labels import fit_to_points, plausible, read_pseudo_depth
from ssmde.data.sampler import CONTENT, Key, check_seed
from ssmde.data.scene_files import TRACKED_POINTS, read_tracked_points
from ssmde.data.sequence import DepthMap, FrameSequence, Pixels, Size
from ssmde.types import Batch

# Added to a disparity, whose largest value is 1, before it is turned into depth: the shift is not
# known, and what is far away must stay finite.
DISPARITY_FLOOR = 0.02
UNKNOWN_CAMERA = torch.full((3, 3), torch.nan, dtype=torch.float64)
MOST_BROKEN = 50  # snippets that fail in a row before the reader gives up


class SnippetDataset(Dataset[Batch]):
    """Every frame that has neighbors on both sides, as the target of a snippet.

    Args:
        sequences: Where to cut from; a snippet never crosses two of them.
        data: Image size, frame gaps and augmentation.
        seed: Start of every random number; at least 0.
        augment: Whether to mirror, zoom and change colors.
        labels: Whether to read the pseudo-depth of the target.
        fit_labels: Whether to give it scale and shift by the points of `ssmde track`.
        with_points: Whether to hand over the depth of these points.
        with_cameras: Whether scenes without intrinsics are refused; else theirs are nan.

    Raises:
        ValueError: If intrinsics or labels are missing, or no sequence is long enough.
    """

    keep_proportions = False  # SC-Depth stretches views a little; see `draw_framing`
    color_limits = COLOR_LIMITS

    def __init__(
        self,
        sequences: Sequence[FrameSequence],
        data: DataConfig,
        *,
        seed: int,
        augment: bool,
        labels: bool = False,
        fit_labels: bool = False,
        with_points: bool = False,
        with_cameras: bool = True,
    ) -> None:
        check_seed(seed)
        self.sequences = tuple(sequences)
        self.cameras = tuple(
            UNKNOWN_CAMERA if s.intrinsics is None and not with_cameras else _camera(s)
            for s in sequences
        )
        """Intrinsics of every sequence, in pixels of its stored images; nan where not known."""
        self.data, self.seed, self.augment, self.labels = data, seed, augment, labels
        self.fit_labels, self.with_points = fit_labels, with_points
        self.points = tuple(
            read_tracked_points(s.images[0].parent / TRACKED_POINTS)
            if (fit_labels or with_points) and s.tracked_points is None
            else {}
            for s in sequences
        )
        """For every sequence of a folder, the points that were tracked, by the index of a frame."""
        for sequence in sequences if labels else ():
            if sequence.pseudo_depth is None:
                folder = sequence.images[0].parent
                raise ValueError(
                    f"scene '{sequence.name}': there is no {folder / 'pseudo_depth'}; "
                    f"`ssmde label {folder.parent}` makes the labels"
                )
        self.sizes = (data.image_size, *data.more_sizes)
        """Training sizes (height, width), by their number."""
        self.largest = largest_frame({s.image_size for s in sequences}, data)
        """Size (height, width) that holds each frame as it is decoded."""
        self.targets = self.find_targets()
        """Sequence and frame of every target."""

    def find_targets(self) -> Int[np.ndarray, "n 2"]:
        """Sequence and frame of everything the data set has a snippet of."""
        self.usable = tuple(
            usable_gaps(s, self.data, frame_gaps(self.data, s)) for s in self.sequences
        )
        frames = [np.flatnonzero(gaps.any(1)) for gaps in self.usable]
        if not any(map(len, frames)):
            self._refuse()
        return np.concatenate([np.stack([np.full_like(f, i), f], 1) for i, f in enumerate(frames)])

    def _refuse(self) -> NoReturn:
        """Say why there is no target."""
        data, gap = self.data, min(self.data.frame_gaps)
        scenes = [f"'{s.name}' has {len(s)}" for s in self.sequences[:5]]
        lengths = ", ".join(scenes) or "there are no scenes"
        if any(2 * gap < len(s) for s in self.sequences):
            raise ValueError(
                f"no frame has sources with known poses (data.poses {data.poses}) at gaps "
                f"{data.frame_gaps}; {lengths}"
            )
        raise ValueError(
            f"no scene is long enough: a snippet with frame gap {gap} needs {2 * gap + 1} frames, "
            f"{lengths}; give longer scenes or a smaller data.frame_gaps"
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, key: Key | int) -> Batch:
        """The snippet of (epoch, index) as a batch of one; an index alone means epoch 0.

        A snippet with an unreadable frame is replaced by the next one that can be read, and
        `broken` says so; very many in a row are an `ImageError`.
        """
        epoch, index, *size = (0, key) if isinstance(key, int) else key
        if not 0 <= index < len(self):
            raise IndexError(f"snippet {index} of {len(self)}")
        broken: dict[str, None] = {}
        for step in range(MOST_BROKEN):
            try:
                return self.read_snippet(
                    epoch, (index + step) % len(self), tuple(broken), self.sizes[sum(size)]
                )
            except ImageError as error:
                broken[str(error)] = None
        raise ImageError(
            f"{MOST_BROKEN} snippets in a row have an unreadable frame; last: {list(broken)[-1]}"
        )

    def read_snippet(
        self, epoch: int, index: int, broken: tuple[str, ...], image_size: Size
    ) -> Batch:
        """The snippet of one index at one size, as chance has it in this epoch."""
        which, target = self.targets[index].tolist()
        sequence = self.sequences[which]
        rng = np.random.default_rng((CONTENT, self.seed, epoch, index))
        choice = zip(frame_gaps(self.data, sequence), self.usable[which][target], strict=True)
        gaps = [gap for gap, usable in choice if usable]
        gap = gaps[rng.integers(len(gaps))]
        framing, color = self.draw(rng, sequence, image_size)
        sources = (target - gap, target + gap)
        files = [sequence.images[i] for i in (target, *sources)]
        frames = [read_frame(f, framing, sequence.image_size) for f in files]
        on_device = self.augment and self.data.augment_on == "device"
        views = pad_frames(frames, self.largest) if on_device else framing.images(frames)
        images = torch.from_numpy(views)[None]
        motion = None
        if known := known_poses(sequence, self.data):
            T = relative_motion(known[0], target, sources, flip=framing.flip)
            motion = torch.from_numpy(T).float()[None]
        return Batch(
            target=images[:, 0],
            sources=images[:, 1:],
            intrinsics=framing.intrinsics(self.cameras[which]).float()[None],
            color=torch.from_numpy(color)[None],
            T_src_tgt=motion,
            pseudo_depth=self._label(which, target, framing) if self.labels else None,
            sparse_depth=self._points(which, target, framing) if self.with_points else None,
            names=(sequence.frame_name(target),),
            crops=(framing.crop,) if on_device else (),
            broken=broken,
        )

    def draw(
        self, rng: np.random.Generator, sequence: FrameSequence, image_size: Size
    ) -> tuple[Framing, Float32[np.ndarray, "3 4"]]:
        """Framing and color change of a snippet; none without augmentation."""
        if not self.augment:
            return whole_frame(sequence.image_size, image_size), np.eye(3, 4, dtype=np.float32)
        framing = draw_framing(
            rng, self.data, sequence.image_size, image_size, keep_proportions=self.keep_proportions
        )
        return framing, draw_color(rng, self.data.color_jitter, self.color_limits)

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

    def _tracked(
        self, which: int, target: int
    ) -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, " n"]]:
        """Points (u, v) that were tracked in a frame, and their depth."""
        packed = self.sequences[which].tracked_points
        points = self.points[which].get(target) if packed is None else packed[target]
        return points or (np.zeros((0, 2), np.float32), np.zeros(0, np.float32))


class SupervisedDepthDataset(SnippetDataset):
    """Every frame with measured depth, as a snippet without sources."""

    keep_proportions = True  # a stretched picture is one no camera takes
    color_limits = (0.2, 0.2, 0.4, 0.05)  # as `small` was trained

    def find_targets(self) -> Int[np.ndarray, "n 2"]:
        """Sequence and frame of every measured depth."""
        rows = [
            (which, frame)
            for which, sequence in enumerate(self.sequences)
            for frame, path in enumerate(sequence.depth or ())
            if path is not None
        ]
        if not rows:
            names = ", ".join(f"'{s.name}'" for s in self.sequences[:5]) or "there are no scenes"
            raise ValueError(
                f"no frame has measured depth to learn from: {names}; scenes need depth/FRAME.png "
                "with depth_units_per_metre in scene.json, or .npy in metres"
            )
        return np.array(rows)

    def weights(self) -> Float64[np.ndarray, " n"] | None:
        """Relative frequency of every snippet, by `data.scene_weights`; None: all are alike.

        Patterns are those of a shell; the first that fits the name of a scene counts.
        """
        if not self.data.scene_weights:
            return None
        which = self.targets[:, 0]
        patterns = [pattern for pattern, _ in self.data.scene_weights]
        first = [
            next((i for i, p in enumerate(patterns) if fnmatch.fnmatchcase(s.name, p)), -1)
            for s in self.sequences
        ]
        group = np.array(first)[which]
        # What no pattern names keeps its number of snippets beside the shares of the others.
        weights = np.full(len(which), 1 / len(which))
        for number, (pattern, weight) in enumerate(self.data.scene_weights):
            members = group == number
            if not members.any():
                raise ValueError(
                    f"data.scene_weights: no scene with measured depth is called {pattern!r}"
                )
            weights[members] = weight / members.sum()
        return weights

    def read_snippet(
        self, epoch: int, index: int, broken: tuple[str, ...], image_size: Size
    ) -> Batch:
        """A frame and its depth."""
        which, target = self.targets[index].tolist()
        sequence = self.sequences[which]
        assert sequence.depth is not None
        path = sequence.depth[target]
        assert path is not None
        rng = np.random.default_rng((CONTENT, self.seed, epoch, index))
        framing, color = self.draw(rng, sequence, image_size)
        depth = read_depth(path, sequence.depth_units_per_metre, image_size=sequence.image_size)
        if not (depth > 0).any():
            raise ImageError(f"{path}: holds no measured depth")
        view = read_view(sequence.images[target], framing, sequence.image_size)
        if self.augment and self.data.degrade > 0:
            view = degrade(rng, view.transpose(1, 2, 0), self.data.degrade).transpose(2, 0, 1)
        image = torch.from_numpy(np.ascontiguousarray(view))[None]
        return Batch(
            target=image,
            sources=image[:, None][:, :0],
            intrinsics=framing.intrinsics(self.cameras[which]).float()[None],
            color=torch.from_numpy(color)[None],
            gt_depth=_as_map(framing.nearest(depth, sequence.image_size)),
            names=(sequence.frame_name(target),),
            broken=broken,
        )


def spread(length: int, most: int) -> list[int]:
    """At most `most` indices of `length`, evenly spread, in order; all if there are no more.

    Each is the middle of one of `most` equal parts.
    """
    if most < 1:  # verbs call it max_frames
        raise ValueError(f"max_frames must be at least 1, got {most}")
    if length <= most:
        return list(range(length))
    return [int((part + 0.5) * length / most) for part in range(most)]


def frame_gaps(data: DataConfig, sequence: FrameSequence) -> tuple[int, ...]:
    """The gaps a snippet of this scene may draw: its own in `scene_gaps`, else `frame_gaps`."""
    return tuple(gap for name, gap in data.scene_gaps if name == sequence.name) or data.frame_gaps


def read_view(path: Path, framing: Framing, image_size: Size) -> UInt8[np.ndarray, "3 h w"]:
    """One stored frame as a view."""
    return framing.images([read_frame(path, framing, image_size)])[0]


def read_frame(path: Path, framing: Framing, image_size: Size) -> Pixels:
    """One stored frame, decoded at the size that `framing` crops from."""
    pixels = read_image(path, reduction=framing.reduction)
    expected = tuple(side // framing.reduction for side in image_size)
    if pixels.shape[:2] != expected:
        raise ImageError(
            f"{path}: its size differs from the {image_size[1]} x {image_size[0]} pixels "
            "of the other frames; give each size a scene of its own"
        )
    return pixels


def _camera(sequence: FrameSequence) -> Float64[Tensor, "3 3"]:
    if sequence.intrinsics is None:
        raise ValueError(
            f"scene '{sequence.name}': intrinsics are unknown, training needs them; write the "
            f"3 x 3 matrix in pixels of its images to {sequence.images[0].parent / 'cam.txt'}, or "
            "let `ssmde track` find the camera"
        )
    return torch.from_numpy(sequence.intrinsics.astype(np.float64))


def _as_map(values: DepthMap) -> Float32[Tensor, "1 1 h w"]:
    return torch.from_numpy(np.ascontiguousarray(values))[None, None]
