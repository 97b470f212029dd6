"""From frames to shots: the network in batches, what steadies a video, and the camera."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Float64, UInt8

from ssmde.data.video import VideoFrame
from ssmde.pictures import depth_range
from ssmde.prediction.camera import AskedCamera, CameraError, find_camera
from ssmde.prediction.predictor import Prediction, Predictor
from ssmde.prediction.shot import Shot
from ssmde.prediction.smoothing import Smoother
from ssmde.prediction.tiles import check_tiles

OTHER_SHAPE = 0.02  # relative difference of width / height
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
        self.predictor, self.wishes = predictor, wishes
        self.smoother: Smoother | None = None

    def forget(self) -> None:
        """Another scene begins: nothing is carried over."""
        self.ends, self.smoother = None, None

    def steady(self, pixels: Pixels, depth: Float[np.ndarray, "h w"]) -> np.ndarray:
        """Depth of the next frame; the ends of its colours are `ends` then."""
        if self.wishes.temporal:
            if self.smoother is None:
                height, width = self.predictor.size_for(pixels.shape)
                tiles = self.wishes.tiles
                self.smoother = Smoother((tiles * height, tiles * width))
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
        say: Called with what is to be said of the camera; None where nobody needs one.
    """

    def __init__(
        self, predictor: Predictor, wishes: Wishes, *, say: Callable[[str], None] | None
    ) -> None:
        self.predictor, self.wishes, self.say = predictor, wishes, say
        self.facts = predictor.facts
        self._asked, self._said = wishes.camera, set[str]()
        self._shape: float | None = None

    def fault_of(self, size: tuple[int, int]) -> str | None:
        """Why an image of this size (height, width) has no camera, where one is needed."""
        if self.say is None:
            return None
        try:
            find_camera(size, self._asked)
        except CameraError as error:
            return str(error)
        return None

    def image_shots(self, images: Iterable[Pixels]) -> Iterator[Shot]:
        """A shot of each image; the images have nothing to do with each other."""
        for pixels, found in self._predict(images):
            yield self._shot(pixels, found, found.depth)

    def video_shots(self, frames: Iterable[VideoFrame], following: Following) -> Iterator[Shot]:
        """A shot of each frame of one video.

        When a shot comes out, `following` stands at its frame.
        """
        waiting: deque[VideoFrame] = deque()

        def images() -> Iterator[Pixels]:
            for frame in frames:
                waiting.append(replace(frame, pixels=frame.pixels[:0]))  # it is kept elsewhere
                yield frame.pixels

        for pixels, found in self._predict(images()):
            frame = waiting.popleft()
            if frame.begins:
                following.forget()
            depth = following.steady(pixels, found.depth)
            yield self._shot(pixels, found, depth, time=frame.time, ends=following.ends)

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

    def _camera(self, size: tuple[int, int]) -> Float64[np.ndarray, "3 3"] | None:
        if self._asked.intrinsics is not None and self._asked.of_size is None:
            self._asked = replace(self._asked, of_size=size)  # of a video: that of its first frame
        try:
            matrix, origin = find_camera(size, self._asked)
        except CameraError:
            if self.say is None:  # nobody needs one: better none than a wrong one
                return None
            raise
        shape, self._shape = self._shape, size[1] / size[0]
        if not self._said:
            fov = 2 * np.degrees(np.arctan(0.5 * size[1] / matrix[0, 0]))
            self._say(f"camera: {origin} (horizontal field of view {fov:.1f} degrees)")
        elif self._asked.of_size not in (None, size):
            self._say("camera: scaled for images of other sizes")
        elif shape is not None and abs(shape / self._shape - 1) > OTHER_SHAPE:
            self._say("camera: images of several shapes are taken to have this field of view")
        return matrix

    def _say(self, line: str) -> None:
        if self.say is not None and line not in self._said:
            self._said.add(line)
            self.say(line)
