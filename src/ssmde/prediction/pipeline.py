"""From frames to shots: the network in batches, what steadies a video, and the camera."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float64, UInt8

from ssmde.data.video import VideoFrame
from ssmde.pictures import depth_range
from ssmde.prediction.camera import AskedCamera, find_camera
from ssmde.prediction.predictor import Prediction, Predictor
from ssmde.prediction.shot import Shot
from ssmde.prediction.smoothing import Smoother
from ssmde.prediction.tiles import check_tiles

COLOUR_MEMORY = 0.9
"""Share of the former frame in the ends of a video's colours, so that they do not flicker."""
Pixels = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """How depth is to be predicted."""

    confidence: bool = False
    """Say how sure each pixel is."""
    tiles: int = 1
    """See each image in parts at so many times the network's size."""
    temporal: bool = False
    """Blend each frame of a video with those before it."""
    camera: AskedCamera = field(default_factory=AskedCamera)
    """What the user says of the camera."""
    batch_size: int = 8
    """Images the network sees at once."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        check_tiles(self.tiles)
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {self.batch_size}")


class Following:
    """What is carried from frame to frame of a video: ends of the colours, former depth."""

    def __init__(self, predictor: Predictor, wishes: Wishes) -> None:
        self.ends: tuple[float, float] | None = None
        size = tuple(side * wishes.tiles for side in predictor.image_size)
        self.smoother = Smoother((size[0], size[1])) if wishes.temporal else None

    def steady(self, pixels: Pixels, depth: Float[np.ndarray, "h w"]) -> np.ndarray:
        """Depth of the next frame; the ends of its colours are `ends` then."""
        if self.smoother is not None:
            depth = self.smoother.smooth(pixels, depth)
        now = depth_range(depth) or (1.0, 2.0)
        before = self.ends or now
        self.ends = (
            COLOUR_MEMORY * before[0] + (1 - COLOUR_MEMORY) * now[0],
            COLOUR_MEMORY * before[1] + (1 - COLOUR_MEMORY) * now[1],
        )
        return depth


class Pipeline:
    """Frames in, shots out, in order.

    Args:
        predictor: The network.
        wishes: How to predict.
        say: Called once with a line on the camera where it is a guess or learnt; with a camera
            that nobody needs, None.
    """

    def __init__(
        self, predictor: Predictor, wishes: Wishes, *, say: Callable[[str], None] | None
    ) -> None:
        self.predictor, self.wishes, self.say = predictor, wishes, say
        self.facts = predictor.facts

    def image_shots(self, images: Iterable[Pixels]) -> Iterator[Shot]:
        """A shot of each image; the images have nothing to do with each other."""
        for pixels, found in self._predict(images):
            yield self._shot(pixels, found, found.depth)

    def video_shots(self, frames: Iterable[VideoFrame], following: Following) -> Iterator[Shot]:
        """A shot of each frame of one video.

        When a shot comes out, `following` stands at its frame.
        """
        times: deque[float | None] = deque()

        def images() -> Iterator[Pixels]:
            for frame in frames:
                times.append(frame.time)
                yield frame.pixels

        for pixels, found in self._predict(images()):
            depth = following.steady(pixels, found.depth)
            yield self._shot(pixels, found, depth, time=times.popleft(), ends=following.ends)

    def _predict(self, images: Iterable[Pixels]) -> Iterator[tuple[Pixels, Prediction]]:
        waiting: deque[Pixels] = deque()

        def kept() -> Iterator[Pixels]:
            for pixels in images:
                waiting.append(pixels)
                yield pixels

        w = self.wishes
        for found in self.predictor.predict_many(
            kept(), batch_size=w.batch_size, confidence=w.confidence, tiles=w.tiles
        ):
            yield waiting.popleft(), found

    def _shot(
        self,
        pixels: Pixels,
        found: Prediction,
        depth: np.ndarray,
        *,
        time: float | None = None,
        ends: tuple[float, float] | None = None,
    ) -> Shot:
        return Shot(
            pixels=pixels,
            depth=depth,
            confidence=found.confidence,
            intrinsics=self._camera((pixels.shape[0], pixels.shape[1])),
            time=time,
            ends=ends,
            facts=self.facts,
        )

    def _camera(self, size: tuple[int, int]) -> Float64[np.ndarray, "3 3"]:
        matrix, origin = find_camera(size, self.wishes.camera)
        if self.say is not None:
            fov = 2 * np.degrees(np.arctan(0.5 * size[1] / matrix[0, 0]))
            self.say(f"camera: {origin} (horizontal field of view {fov:.1f} degrees)")
            self.say = None
        return matrix
