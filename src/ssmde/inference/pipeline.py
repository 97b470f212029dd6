"""From frames to predicted frames: the network in batches, what steadies a video, the camera."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64, UInt8

from ssmde.data.sequence import check_intrinsics, from_hfov, intrinsics_at
from ssmde.data.video import VideoFrame
from ssmde.inference.pictures import depth_range
from ssmde.inference.predictor import PredictedFrame, Prediction, Predictor, check_tiles
from ssmde.inference.smoothing import Smoother

DEFAULT_HFOV_DEGREES = 60.0  # between a laptop's camera and a phone's; wrong for wide lenses
OTHER_SHAPE = 0.02  # relative difference of width / height
COLOR_MEMORY = 0.9  # of the former frame in the ends of a video's colors, so that none flickers
Pixels = UInt8[np.ndarray, "h w 3"]
Size = tuple[int, int]
"""Height and width, in pixels."""
Pinhole = tuple[float | int, float | int, float | int, float | int]


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraSpec:
    """What the user says of the camera; nothing by default."""

    intrinsics: Pinhole | None = None
    """fx, fy, cx, cy, in pixels of the upright image."""
    of_size: Size | None = None
    """Size (height, width) of the image they belong to; None: of whatever is asked about."""
    hfov_degrees: float | int | None = None
    """Instead: horizontal field of view; the principal point is the middle."""

    def __post_init__(self) -> None:
        """Refuse two answers, and angles that no pinhole has."""
        if self.intrinsics is not None and self.hfov_degrees is not None:
            raise ValueError("give intrinsics or hfov_degrees, not both")
        if self.hfov_degrees is not None and not 0 < self.hfov_degrees < 180:
            raise ValueError(
                f"hfov_degrees must be between 0 and 180, such as 65, got {self.hfov_degrees:g}"
            )


class CameraError(ValueError):
    """A camera that is not that of an image."""


def size_of_camera(intrinsics: Pinhole, sizes: Sequence[Size]) -> Size | None:
    """The size that fx, fy, cx, cy belong to: its middle is nearest to (cx, cy). None of none."""

    def off(size: Size) -> float:
        _, _, cx, cy = intrinsics
        return math.hypot((cx + 0.5) / size[1] - 0.5, (cy + 0.5) / size[0] - 0.5)

    return min(sizes, key=off, default=None)


def find_camera(size: Size, spec: CameraSpec) -> tuple[Float64[np.ndarray, "3 3"], str]:
    """Pinhole matrix for an image, and where it comes from, in words: given, or a guess.

    Raises:
        CameraError: If the numbers given cannot be of an image of this size, or are of an image of
            another shape.
    """
    height, width = size
    if spec.intrinsics is not None:
        of_size = spec.of_size or size
        fx, fy, cx, cy = spec.intrinsics
        matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
        try:
            check_intrinsics(matrix, of_size, where=f"image of {of_size[1]} x {of_size[0]}")
        except ValueError as error:
            raise CameraError(str(error)) from error
        scaled = intrinsics_at(matrix, of_size, size)
        if scaled is None:
            raise CameraError(
                f"{width} x {height} pixels, but the camera given is that of {of_size[1]} x "
                f"{of_size[0]}, another shape: predict it with a camera of its own"
            )
        return scaled, "given" if of_size == size else f"given for {of_size[1]} x {of_size[0]}"
    if spec.hfov_degrees is not None:
        return from_hfov(size, spec.hfov_degrees), f"given, {spec.hfov_degrees:g} degrees wide"
    return (
        from_hfov(size, DEFAULT_HFOV_DEGREES),
        f"a guess of {DEFAULT_HFOV_DEGREES:g} degrees wide: --hfov-degrees or --intrinsics "
        "says what it is",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictOptions:
    """How depth is to be predicted."""

    confidence: bool = False
    """Say how sure each pixel is."""
    tiles: int = 1
    """See each image in parts at so many times the network's size."""
    temporal: bool = False
    """Blend each frame of a video with those before it."""
    camera: CameraSpec = field(default_factory=CameraSpec)
    """What the user says of the camera."""
    batch_size: int = 8
    """Images the network sees at once."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        check_tiles(self.tiles)
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {self.batch_size}")


class Pipeline:
    """Frames in, predicted frames out, in order.

    `say` is called with what is to be said of the camera; it is None where nobody needs one.
    """

    def __init__(
        self, predictor: Predictor, options: PredictOptions, *, say: Callable[[str], None] | None
    ) -> None:
        self.predictor, self.options, self.say = predictor, options, say
        self._spec, self._said = options.camera, set[str]()
        self._shape: float | None = None

    def fault_of(self, size: Size) -> str | None:
        """Why an image of this size has no camera, where one is needed."""
        if self.say is None:
            return None
        try:
            find_camera(size, self._spec)
        except CameraError as error:
            return str(error)
        return None

    def predict_images(self, images: Iterable[Pixels]) -> Iterator[PredictedFrame]:
        """Each image with its depth; the images have nothing to do with each other."""
        for pixels, found in self._predict(images):
            yield self._frame(pixels, found, found.depth)

    def predict_video(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[int, PredictedFrame]]:
        """Number and prediction of each frame; its colors, and depth if wanted, are steady."""
        waiting: deque[VideoFrame] = deque()
        ends: tuple[float, float] | None = None
        smoother: Smoother | None = None

        def images() -> Iterator[Pixels]:
            for frame in frames:
                waiting.append(replace(frame, pixels=frame.pixels[:0]))  # it is kept elsewhere
                yield frame.pixels

        for pixels, found in self._predict(images()):
            frame, depth = waiting.popleft(), found.depth
            if frame.begins:  # another scene: nothing is carried over
                ends = smoother = None
            if self.options.temporal:
                if smoother is None:
                    height, width = self.predictor.size_for(pixels.shape)
                    tiles = self.options.tiles
                    smoother = Smoother((tiles * height, tiles * width))
                depth = smoother.smooth(pixels, depth)
            now = depth_range(depth) or (1.0, 2.0)
            near, far = (
                COLOR_MEMORY * before + (1 - COLOR_MEMORY) * end
                for before, end in zip(ends or now, now, strict=True)
            )
            ends = near, far
            yield frame.number, self._frame(pixels, found, depth, time=frame.time, ends=ends)

    def _predict(self, images: Iterable[Pixels]) -> Iterator[tuple[Pixels, Prediction]]:
        waiting: deque[Pixels] = deque()

        def kept() -> Iterator[Pixels]:
            for pixels in images:
                waiting.append(pixels)
                yield pixels

        o = self.options
        for found in self.predictor.predict_many(
            kept(), batch_size=o.batch_size, confidence=o.confidence, tiles=o.tiles
        ):
            yield waiting.popleft(), found

    def _frame(
        self,
        pixels: Pixels,
        found: Prediction,
        depth: np.ndarray,
        *,
        time: float | None = None,
        ends: tuple[float, float] | None = None,
    ) -> PredictedFrame:
        return PredictedFrame(
            pixels=pixels, depth=depth, confidence=found.confidence, time=time, ends=ends,
            intrinsics=self._camera((pixels.shape[0], pixels.shape[1])), info=self.predictor.info,
        )  # fmt: skip

    def _camera(self, size: Size) -> Float64[np.ndarray, "3 3"] | None:
        if self._spec.intrinsics is not None and self._spec.of_size is None:
            self._spec = replace(self._spec, of_size=size)  # of a video: that of its first frame
        try:
            matrix, origin = find_camera(size, self._spec)
        except CameraError:
            if self.say is None:  # nobody needs one: better none than a wrong one
                return None
            raise
        shape, self._shape = self._shape, size[1] / size[0]
        if not self._said:
            fov = 2 * np.degrees(np.arctan(0.5 * size[1] / matrix[0, 0]))
            self._say(f"camera: {origin} (horizontal field of view {fov:.1f} degrees)")
        elif self._spec.of_size not in (None, size):
            self._say("camera: scaled for images of other sizes")
        elif shape is not None and abs(shape / self._shape - 1) > OTHER_SHAPE:
            self._say("camera: images of several shapes are taken to have this field of view")
        return matrix

    def _say(self, line: str) -> None:
        if self.say is not None and line not in self._said:
            self._said.add(line)
            self.say(line)
