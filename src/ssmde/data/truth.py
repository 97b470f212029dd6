"""Frames with measured depth, one by one: what a network learns depth from directly."""

import numpy as np
import torch
from jaxtyping import Int

from ssmde.data.dataset import SnippetDataset, read_view
from ssmde.data.images import ImageError, read_depth
from ssmde.data.sampler import CONTENT
from ssmde.types import Snippets


class TruthDataset(SnippetDataset):
    """Every frame with measured depth, as a snippet without sources; its label is the truth.

    Raises:
        ValueError: If intrinsics are unknown, or no frame has measured depth.
    """

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

    def read_snippet(self, epoch: int, index: int, broken: tuple[str, ...]) -> Snippets:
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
        framing, colour = self.draw_look(rng, sequence)
        depth = read_depth(path, sequence.depth_units_per_metre)
        if not (depth > 0).any():
            raise ImageError(f"{path}: holds no measured depth")
        truth = framing.nearest(depth, sequence.image_size)
        view = read_view(sequence.images[target], framing, sequence.image_size)
        return Snippets(
            images=torch.from_numpy(np.ascontiguousarray(view))[None, None],
            intrinsics=framing.intrinsics(self.cameras[which]).float()[None],
            colour=torch.from_numpy(colour)[None],
            pseudo_depth=torch.from_numpy(np.ascontiguousarray(truth))[None, None],
            names=(sequence.frame_name(target),),
            broken=broken,
        )
