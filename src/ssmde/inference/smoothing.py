"""Steady depth over the frames of a video: the former depth of the same points is blended in.

Between two frames the picture moves tile by tile; along this motion the former depth is carried
over, and blended with the present one where both pictures and both depths agree. What came into
view, what moved otherwise and what follows a cut keeps the depth of its own frame.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, UInt8

from ssmde.data.images import resize_image
from ssmde.data.motion import TileFlow, tile_flow
from ssmde.geometry.warp import sample
from ssmde.inference.input import resize_depth

MEMORY = 0.8  # weight of the former depth where all agrees: a mean over about five frames
ALIKE = 0.06  # difference of gray values, in [0, 1], at which the weight falls to a third
NEAR = 0.25  # difference of log depth at which the weight falls to a third
APPROACH_MEMORY = 0.8  # share of the former frames in how fast the camera comes nearer
FEWEST_FOUND = 0.3  # share of tiles that must be found again; with fewer it is a cut
TO_GRAY = np.array((0.299, 0.587, 0.114), np.float32)


class Smoother:
    """Depth of frame after frame of one video, each blended with those before it.

    The blending is done at `size` (height, width); that of the network loses nothing.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.before: tuple[Float32[np.ndarray, "h w"], Float64[np.ndarray, "h w"]] | None = None
        """Gray values and depth of the former frame."""
        self.approach = 0.0
        """What is added to the depth from one frame to the next, in its unit."""

    def smooth(
        self, pixels: UInt8[np.ndarray, "h w 3"], depth: Float32[np.ndarray, "h w"]
    ) -> Float32[np.ndarray, "h w"]:
        """Depth of the next frame, blended with what is remembered.

        s = d exp(w log(m / d)): d the predicted depth; m the former result where it went, nearer or
        farther as the camera moves; w the weight.
        """
        gray = resize_image(pixels, self.size).astype(np.float32) @ TO_GRAY / 255
        now = resize_depth(depth, self.size).astype(np.float64)
        blended = now if self.before is None else self._blend(gray, now, *self.before)
        self.before = gray, blended
        # Only the change is brought to the size of the image, so that no detail of it is lost.
        return depth * resize_depth((blended / now).astype(np.float32), depth.shape)

    def _blend(
        self,
        gray: Float32[np.ndarray, "h w"],
        now: Float64[np.ndarray, "h w"],
        former_gray: Float32[np.ndarray, "h w"],
        former: Float64[np.ndarray, "h w"],
    ) -> Float64[np.ndarray, "h w"]:
        flow = tile_flow(gray, former_gray)
        if not flow.found_share > FEWEST_FOUND:  # also where nothing has texture
            self.approach = 0.0
            return now
        v, u = np.mgrid[: now.shape[0], : now.shape[1]].astype(np.float64)
        du, dv = _dense_motion(flow, now.shape)
        there = torch.from_numpy(np.stack([u + du, v + dv], -1))[None]
        maps = np.stack([former, former_gray.astype(np.float64), np.ones_like(former)])
        before, seen, inside = sample(torch.from_numpy(maps)[None], there)[0].numpy()
        in_view = inside > 0.999
        before = np.where(in_view, before, former)
        weight = MEMORY * in_view * np.exp(-(((gray - seen) / ALIKE) ** 2))
        # A camera that comes nearer makes all depth smaller by the same amount, frame by frame: it
        # is added to the former depth, or the blend would lag behind.
        trusted = weight > 0.5 * MEMORY
        if trusted.any():
            step = float(np.median((now - before)[trusted]))
            self.approach += (1 - APPROACH_MEMORY) * (step - self.approach)
        # Nearer than half of what it was in one frame is no motion of a camera.
        apart = np.log(np.maximum(before + self.approach, 0.5 * before) / now)
        weight *= np.exp(-((apart / NEAR) ** 2))
        return now * np.exp(weight * apart)


def _dense_motion(flow: TileFlow, size: tuple[int, ...]) -> Float[np.ndarray, "2 h w"]:
    """Motion of every pixel, linear between the centers of the tiles, constant beyond them.

    Tiles that were not found go where the others go, in the median.
    """
    from scipy.ndimage import map_coordinates  # slow to import, and most films are not blended

    motion = flow.motion.astype(np.float64)
    motion[~flow.found] = np.median(motion[flow.found], axis=0)
    columns, rows = (np.unique(flow.centers[:, i]) for i in (0, 1))
    grid = motion.reshape(len(rows), len(columns), 2)
    at = [
        np.interp(np.arange(n), places, np.arange(len(places)))
        for n, places in zip(size, (rows, columns), strict=True)
    ]
    places = np.meshgrid(*at, indexing="ij")
    return np.stack([map_coordinates(grid[..., i], places, order=1) for i in (0, 1)])
