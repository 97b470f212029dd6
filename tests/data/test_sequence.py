"""Sequences: what belongs to a frame, and what cannot be a sequence."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from ssmde.data.sequence import FrameSequence, check_intrinsics

CAMERA = np.array([[300.0, 0, 159.5], [0, 310.0, 119.5], [0, 0, 1]])


def sequence(frames=5, **fields):
    images = tuple(Path(f"/data/room/{i:03d}.jpg") for i in range(frames))
    return FrameSequence(name="room", images=images, image_size=(240, 320), **fields)


def test_a_part_cuts_everything_that_has_an_entry_a_frame():
    depth = tuple(None if i == 2 else Path(f"{i}.png") for i in range(5))
    whole = sequence(intrinsics=CAMERA, depth=depth, timestamps=np.arange(5) / 10)
    part = whole.part(1, 4)
    assert (len(part), part.images, part.depth) == (3, whole.images[1:4], depth[1:4])
    assert (part.timestamps.tolist(), part.frame_name(2)) == ([0.1, 0.2, 0.3], "room/003")
    assert part.intrinsics is CAMERA


@pytest.mark.parametrize(("fields", "message"), [
    ({"frames": 0}, "scene 'room' has no images"),
    ({"depth": (None,)}, "depth has 1 entries for 5 images"),
    ({"poses": np.zeros((4, 4, 4))}, "poses has 4 entries for 5 images"),
    ({"depth_units_per_metre": 0.0}, "depth_units_per_metre must be positive, got 0"),
    ({"timestamps": np.array([0.0, 1, 1, 2, 3])}, "timestamps must increase"),
    ({"intrinsics": -CAMERA}, "scene 'room': intrinsics must be"),
])  # fmt: skip
def test_what_does_not_fit_together_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        sequence(**fields)


@pytest.mark.parametrize(("numbers", "message"), [
    ({"fx": -300}, r"cam\.txt: focal lengths must be positive, got fx -300"),
    ({"fx": 1e300, "fy": 1e300}, r"an image of 320 x 240, got fx 1e.300"),
    ({"cx": 320}, r"principal point \(320, 119.5\) lies outside the image of 320 x 240"),
    ({"fx": 0.9, "fy": 1.2, "cx": 0.5, "cy": 0.5}, r"normalised.*width 320.*height 240"),
    ({"skew": 2.0}, r"skew must be 0, got 2; undistort"),
    ({"cx": float("nan")}, r"must be finite"),
    ({"one": 0.0}, r"must be \[fx 0 cx; 0 fy cy; 0 0 1\], got 300 0 159.5"),
    ({"cx": -0.5, "cy": -0.5}, None),  # anywhere in the image
    ({"cx": 319.5, "cy": 239.5}, None),
])  # fmt: skip
def test_a_matrix_that_is_no_pinhole_camera_is_refused(numbers, message):
    places = {"fx": (0, 0), "fy": (1, 1), "cx": (0, 2), "cy": (1, 2), "skew": (0, 1), "one": (2, 2)}
    camera = CAMERA.copy()
    for name, value in numbers.items():
        camera[places[name]] = value
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        check_intrinsics(camera, (240, 320), where="cam.txt")
