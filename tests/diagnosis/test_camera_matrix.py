"""Camera matrix: one of another image size, or of no lens, is named; a fair one is not."""

from dataclasses import replace

import numpy as np
import pytest

from ssmde.diagnosis.camera import check_camera, field_of_view


def camera(sequence, **changes):
    fx, fy, cx, cy = ({"fx": 100.0, "fy": 100.0, "cx": 63.5, "cy": 47.5} | changes).values()
    return replace(sequence, intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]))


def test_a_fair_camera_is_fine(room_footage):
    assert check_camera(room_footage.sequence) == []
    assert check_camera(camera(room_footage.sequence, cx=70.0, fy=110.0)) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"fx": 10.0, "fy": 10.0}, "fx 10 at a width of 128 is a field of view of 162 degrees"),
        ({"fx": 2000.0, "fy": 2000.0}, "a field of view of 4 degrees"),
        ({"fy": 200.0}, "differ by a factor of 2.00"),
        (
            {"cx": 31.5, "cy": 23.5},
            r"is the middle of 64 x 48 pixels, but the images have 128 x 96",
        ),
        ({"cx": 100.0}, "is far from the middle"),
    ],
)
def test_an_unlikely_camera_is_named(room_footage, changes, what):
    (finding,) = check_camera(camera(room_footage.sequence, **changes))
    assert (finding.name, finding.severity) == ("intrinsics", "warning")
    assert what in finding.what


def test_an_unknown_camera_is_named(room, film):
    sequence = film(room)
    (sequence.images[0].parent / "cam.txt").unlink()
    (finding,) = check_camera(replace(sequence, intrinsics=None))
    assert finding.name == "no-intrinsics"
    assert "--hfov-degrees" in finding.remedy


def test_the_field_of_view_of_a_focal_length_of_half_the_width_is_a_right_angle():
    assert field_of_view(64.0, 128) == pytest.approx(90)
