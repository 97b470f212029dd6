"""Cameras nobody measured: focal lengths and principal point as parameters, one set a camera.

What a video tells about them (Faugeras, Luong and Maybank, ECCV 1992; as a part of depth learning
Gordon et al., ICCV 2019, https://arxiv.org/abs/1904.04998):

- *Without rotation, nothing of the focal length.* Pixels under intrinsics (f, T = (tx, ty, tz)) and
  under (2 f, T = (tx / 2, ty / 2, tz)) are the same for any depth. Under a dolly, a slider or a car
  on a straight road the focal length stays where it started, or drifts.
- A turn about x or y (pitch, heading) tells the focal length, the more the larger its angle: the
  flow f * angle of a small turn is the same for a longer lens that turns less; only the second
  order, f * angle * (x / f)^2, sets them apart.
- fy / fx shows in roll and in large pitch alone. On a drawn room it drifted by 12 % while fx was
  found within 1 %, so it is no parameter: pixels are square unless the user knows better.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

LARGEST_SHIFT = 0.05  # of the principal point from the middle; phones and KITTI stay within 0.03
NEARLY_ONE = 0.999  # a tanh that starts at its bound would have no gradient
LOGGED_CAMERAS = 8  # that have a curve of their own; each is a name in the log
METADATA_KEY = "cameras"  # in the head of a weights file


class LearnedCameras(nn.Module):
    """Pinhole matrices with a gradient, one for each unknown camera.

    fx = width exp(a), so that it is positive whatever is learnt; fy = aspect fx; the principal
    point is the middle of the image, moved by at most 0.05 of each side through a tanh.

    Args:
        scenes: Number of the camera, from 0, that filmed each scene.
        sizes: Size (height, width) of the stored images of each camera, in pixels.
        hfov_degrees: Horizontal field of view all of them start with.
        aspect: fy / fx of all of them; positive, stays.

    Example:
        >>> cameras = LearnedCameras({"walk": 0}, [(100, 200)], hfov_degrees=90.0)
        >>> cameras.matrices()[0].detach()
        tensor([[100.0000,   0.0000,  99.5000],
                [  0.0000, 100.0000,  49.5000],
                [  0.0000,   0.0000,   1.0000]])
    """

    size: Tensor

    def __init__(
        self,
        scenes: Mapping[str, int],
        sizes: Sequence[tuple[int, int]],
        *,
        hfov_degrees: float,
        aspect: float = 1.0,
    ) -> None:
        super().__init__()
        self.scenes, self.sizes, self.aspect = dict(scenes), tuple(sizes), aspect
        start = math.log(0.5 / math.tan(math.radians(hfov_degrees) / 2))
        self.log_focal = nn.Parameter(torch.full((len(sizes),), start))
        """log(fx / width)."""
        self.shift = nn.Parameter(torch.zeros(len(sizes), 2))
        """Principal point from the middle, through a tanh."""
        wide_high = torch.tensor([(w, h) for h, w in sizes], dtype=torch.float32).view(-1, 2)
        self.register_buffer("size", wide_high, persistent=False)

    def matrices(self) -> Float[Tensor, "n 3 3"]:
        """Pinhole matrix of each camera, in pixels of its stored images."""
        fx = self.size[:, 0] * self.log_focal.exp()
        centre = (self.size - 1) / 2 + LARGEST_SHIFT * self.size * self.shift.tanh()
        return pinhole(torch.stack([fx, self.aspect * fx], dim=1), centre)

    def forward(
        self,
        given: Float[Tensor, "b 3 3"],
        framing: Float[Tensor, "b 3 3"],
        camera: Int64[Tensor, " b"],
    ) -> Float[Tensor, "b 3 3"]:
        """Pinhole matrix of each view: the learnt one as it is framed, or the one that was given.

        Args:
            given: Matrices that are known, in pixels of the views; handed through unchanged.
            framing: Affine map A from pixels of the stored frame to those of the view: u' = A u.
                A mirrored view has a negative A[0, 0] and, as ever, a positive focal length.
            camera: Number of the camera; -1 takes the given matrix.
        """
        stored = self.matrices()[camera.clamp(min=0)]
        scale = framing.diagonal(dim1=1, dim2=2)[:, :2]  # no matrix product: exact under autocast
        focal = scale.abs() * stored.diagonal(dim1=1, dim2=2)[:, :2]
        centre = scale * stored[:, :2, 2] + framing[:, :2, 2]
        return torch.where((camera >= 0)[:, None, None], pinhole(focal, centre), given)

    def statistics(self) -> dict[str, Float[Tensor, ""]]:
        """`fx_SCENE` of the first cameras, in pixels of their stored images, detached."""
        focal = self.matrices()[:LOGGED_CAMERAS, 0, 0].detach()
        first = {number: name for name, number in reversed(self.scenes.items())}
        return {f"fx_{first[number]}": value for number, value in enumerate(focal)}

    def of_scene(self, name: str) -> Float64[np.ndarray, "3 3"] | None:
        """What was learnt for a scene, in pixels of its stored images; None if nothing was."""
        if name not in self.scenes:
            return None
        return self.matrices()[self.scenes[name]].detach().cpu().double().numpy()

    @torch.no_grad()
    def start_at(self, name: str, intrinsics: Float64[np.ndarray, "3 3"]) -> None:
        """Begin at fx and principal point of a matrix; beyond the bounds, begin just inside them.

        Args:
            name: Scene whose camera it is.
            intrinsics: Pinhole matrix, in pixels of its stored images.
        """
        number = self.scenes[name]
        height, width = self.sizes[number]
        (fx, _, cx), (_, _, cy) = intrinsics[:2].tolist()
        self.log_focal[number] = math.log(fx / width)
        self.shift[number, 0] = _inside((cx - (width - 1) / 2) / (LARGEST_SHIFT * width))
        self.shift[number, 1] = _inside((cy - (height - 1) / 2) / (LARGEST_SHIFT * height))

    def to_text(self) -> str:
        """JSON of every scene with its `image_size` (height, width) and its `intrinsics`."""
        found = {name: self.of_scene(name) for name in self.scenes}
        content = {
            name: {"image_size": self.sizes[self.scenes[name]], "intrinsics": matrix.tolist()}
            for name, matrix in found.items()
            if matrix is not None
        }
        return json.dumps(content)


def pinhole(focal: Float[Tensor, "*b 2"], centre: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 3 3"]:
    """Pinhole matrix [fx 0 cx; 0 fy cy; 0 0 1].

    Args:
        focal: (fx, fy), in pixels.
        centre: (cx, cy), in pixels.
    """
    upper = torch.cat([torch.diag_embed(focal), centre[..., None]], dim=-1)
    last = focal.new_tensor([0.0, 0.0, 1.0]).expand(*focal.shape[:-1], 1, 3)
    return torch.cat([upper, last], dim=-2)


def stored_cameras(metadata: Mapping[str, str]) -> dict[str, Float64[np.ndarray, "3 3"]]:
    """Learnt intrinsics by scene, in pixels of its stored images, from the head of a weights file.

    Empty where all cameras were given.

    Args:
        metadata: As `read_weights` gives it.
    """
    content: dict[str, Any] = json.loads(metadata.get(METADATA_KEY, "{}"))
    return {name: np.array(c["intrinsics"], dtype=np.float64) for name, c in content.items()}


def _inside(share: float) -> float:
    """What a tanh makes of it, kept off the bounds."""
    return math.atanh(min(max(share, -NEARLY_ONE), NEARLY_ONE))
