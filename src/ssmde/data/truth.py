"""Frames with measured depth, one by one: what a network learns depth from directly."""

import fnmatch
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, Int

from ssmde.data.dataset import SnippetDataset, read_view
from ssmde.data.degrade import degrade
from ssmde.data.images import ImageError, read_depth
from ssmde.data.sampler import CONTENT
from ssmde.types import Snippets


def first_match(name: str, patterns: Sequence[str]) -> int:
    """Number of the first pattern, as in a shell, that fits a name; -1 if none does."""
    return next((i for i, p in enumerate(patterns) if fnmatch.fnmatchcase(name, p)), -1)


class TruthDataset(SnippetDataset):
    """Every frame with measured depth, as a snippet without sources; its label is the truth.

    Raises:
        ValueError: If intrinsics are unknown, or no frame has measured depth.
    """

    keep_proportions = True  # a stretched picture is one no camera takes

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
        """Relative frequency of every snippet, by `data.scene_weights`; None: all are alike."""
        if not self.data.scene_weights:
            return None
        which = self.targets[:, 0]
        patterns = [pattern for pattern, _ in self.data.scene_weights]
        group = np.array([first_match(s.name, patterns) for s in self.sequences])[which]
        weights = np.ones(len(which))
        for number, (pattern, weight) in enumerate(self.data.scene_weights):
            members = group == number
            if not members.any():
                raise ValueError(
                    f"data.scene_weights: no scene with measured depth is called {pattern!r}"
                )
            weights[members] = weight / members.sum()
        # What no pattern names keeps its number of snippets beside the shares of the others.
        others = group < 0
        weights[others] = 1 / len(which)
        return weights

    def read_snippet(
        self, epoch: int, index: int, broken: tuple[str, ...], image_size: tuple[int, int]
    ) -> Snippets:
        """A frame and its depth.

        Raises:
            ImageError: If one of them cannot be read.
        """
        which, target = self.targets[index].tolist()
        sequence = self.sequences[which]
        assert sequence.depth is not None
        path = sequence.depth[target]
        assert path is not None
        rng = np.random.default_rng((CONTENT, self.seed, epoch, index))
        framing, colour = self.draw_look(rng, sequence, image_size)
        depth = read_depth(path, sequence.depth_units_per_metre, image_size=sequence.image_size)
        if not (depth > 0).any():
            raise ImageError(f"{path}: holds no measured depth")
        truth = framing.nearest(depth, sequence.image_size)
        view = read_view(sequence.images[target], framing, sequence.image_size)
        if self.augment and self.data.degrade > 0:
            view = degrade(rng, view.transpose(1, 2, 0), self.data.degrade).transpose(2, 0, 1)
        return Snippets(
            images=torch.from_numpy(np.ascontiguousarray(view))[None, None],
            intrinsics=framing.intrinsics(self.cameras[which]).float()[None],
            colour=torch.from_numpy(colour)[None],
            pseudo_depth=torch.from_numpy(np.ascontiguousarray(truth))[None, None],
            names=(sequence.frame_name(target),),
            broken=broken,
        )
