"""From frames to predicted frames: the network in batches, what steadies a video, the camera."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import tee
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from ssmde.data.sequence import check_intrinsics, from_hfov, intrinsics_at
from ssmde.data.video import VideoFrame
from ssmde.inference.pictures import color_ends
from ssmde.inference.predictor import BATCH_SIZE, PredictedFrame, Prediction, Predictor
from ssmde.inference.smoothing import Smoother

DEFAULT_HFOV_DEGREES = 60.0  # between a laptop's camera and a phone's; wrong for wide lenses
OTHER_SHAPE = 0.02  # relative difference of width / height
Pixels = UInt8[np.ndarray, "h w 3"]
Size = tuple[int, int]
"""Height and width, in pixels."""
Pinhole = tuple[float | int, float | int, float | int, float | int]
Name = TypeVar("Name")


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraSpec:
    """What the user says of the camera; nothing by default."""

    intrinsics: Pinhole | None = None  # fx, fy, cx, cy, in pixels of the upright image
    of_size: Size | None = None  # of the image they belong to; None: of whatever is asked about
    hfov_degrees: float | int | None = None  # instead; the principal point is the middle

    def __post_init__(self) -> None:
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

    A `CameraError` where the numbers given are those of an image of another shape.
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


@dataclass(kw_only=True)
class Pipeline:
    """Frames in, predicted frames out, in order."""

    predictor: Predictor
    camera: CameraSpec = field(default_factory=CameraSpec)
    tiles: int = 1
    temporal: bool = False  # blend each frame of a video with those before it
    batch_size: int = BATCH_SIZE
    say: Callable[[str], None] | None = None
    """Called with what is to be told of the camera; None where nobody needs one."""

    def __post_init__(self) -> None:
        self._told, self._shape = set[str](), 0.0

    def fault_of(self, size: Size) -> str | None:
        """Why an image of this size has no camera, where one is needed."""
        try:
            if self.say is not None:
                find_camera(size, self.camera)
        except CameraError as error:
            return str(error)
        return None

    def predict_images(
        self, images: Iterable[tuple[Name, Pixels]]
    ) -> Iterator[tuple[Name, PredictedFrame]]:
        """Each image with its depth; the images have nothing to do with each other."""
        for found, (name, pixels) in self._predict(images):
            yield name, self._frame(pixels, found.depth)

    def predict_video(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[int, PredictedFrame]]:
        """Number and prediction of each frame; its colors, and depth if wanted, are steady."""
        ends: tuple[float, float] | None = None
        smoother: Smoother | None = None
        for found, (frame, pixels) in self._predict((frame, frame.pixels) for frame in frames):
            depth = found.depth
            if frame.begins:  # another scene: nothing is carried over
                ends = smoother = None
            if self.temporal:
                if smoother is None:
                    height, width = self.predictor.size_for(pixels.shape)
                    smoother = Smoother((self.tiles * height, self.tiles * width))
                depth = smoother.smooth(pixels, depth)
            ends = color_ends(depth, ends)
            yield frame.number, self._frame(pixels, depth, time=frame.time, ends=ends)

    def _predict(
        self, images: Iterable[tuple[Name, Pixels]]
    ) -> Iterator[tuple[Prediction, tuple[Name, Pixels]]]:
        named, seen = tee(images)  # which keeps those that the network has not answered yet
        found = self.predictor.predict_many(
            (pixels for _, pixels in seen), batch_size=self.batch_size, tiles=self.tiles
        )
        return zip(found, named, strict=False)  # the network reads first

    def _frame(
        self,
        pixels: Pixels,
        depth: Float32[np.ndarray, "h w"],
        *,
        time: float | None = None,
        ends: tuple[float, float] | None = None,
    ) -> PredictedFrame:
        return PredictedFrame(
            pixels=pixels, depth=depth, time=time, ends=ends,
            intrinsics=self._camera((pixels.shape[0], pixels.shape[1])), info=self.predictor.info,
        )  # fmt: skip

    def _camera(self, size: Size) -> Float64[np.ndarray, "3 3"] | None:
        if self.camera.intrinsics is not None and self.camera.of_size is None:
            self.camera = replace(self.camera, of_size=size)  # of a video: that of its first frame
        try:
            matrix, origin = find_camera(size, self.camera)
        except CameraError:
            if self.say is None:  # nobody needs one: better none than a wrong one
                return None
            raise
        shape, self._shape = self._shape, size[1] / size[0]
        if not self._told:
            fov = 2 * np.degrees(np.arctan(0.5 * size[1] / matrix[0, 0]))
            self._tell(f"camera: {origin} (horizontal field of view {fov:.1f} degrees)")
        elif self.camera.of_size not in (None, size):
            self._tell("camera: scaled for images of other sizes")
        elif abs(shape / self._shape - 1) > OTHER_SHAPE:
            self._tell("camera: images of several shapes are taken to have this field of view")
        return matrix

    def _tell(self, line: str) -> None:
        if self.say is not None and line not in self._told:
            self._told.add(line)
            self.say(line)
