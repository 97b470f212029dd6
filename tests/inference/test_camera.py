"""Which camera lifts the depth: the one given, or a guess that says so."""

import numpy as np
import pytest

from ssmde.inference.camera import CameraSpec, find_camera, size_of_camera


@pytest.mark.parametrize(
    ("given", "row", "words"),
    [
        ({"intrinsics": (600, 601, 300, 200)}, (600, 0, 300), "given for 640 x 480, 56.1 degrees"),
        ({"hfov_degrees": 90}, (320, 0, 319.5), "given, 90 degrees wide"),
        ({}, (320 / np.tan(np.pi / 6), 0, 319.5), "a guess of 60 degrees wide: --hfov-degrees"),
    ],
)
def test_what_is_given_is_taken_else_a_guess_is_made_and_said(given, row, words):
    matrix, said = find_camera((480, 640), CameraSpec(**given))
    np.testing.assert_allclose(matrix[0], row)
    assert said.startswith(words)


def test_a_camera_that_cannot_be_is_refused():
    for words, message in (
        ({"intrinsics": (1, 1, 1, 1), "hfov_degrees": 60}, "not both"),
        ({"hfov_degrees": 200}, "between 0 and 180, such as 65, got 200"),
    ):
        with pytest.raises(ValueError, match=message):
            CameraSpec(**words)
    with pytest.raises(ValueError, match="outside the image of 640 x 480"):
        find_camera((480, 640), CameraSpec(intrinsics=(500, 500, 900, 200)))


def test_one_matrix_belongs_to_one_size():
    spec = CameraSpec(intrinsics=(500, 500, 319.5, 239.5), of_size=(480, 640))
    matrix, said = find_camera((240, 320), spec)
    np.testing.assert_allclose(matrix, [[250, 0, 159.5], [0, 250, 119.5], [0, 0, 1]])
    assert said == "given for 640 x 480, 65.2 degrees wide, scaled for images of other sizes"
    with pytest.raises(ValueError, match="480 x 640 pixels, but the camera given is that of 640"):
        find_camera((640, 480), spec)
    sizes = [(240, 320), (480, 640), (960, 1280), (640, 480)]
    assert size_of_camera((500, 500, 319.5, 239.5), sizes) == (480, 640)
    assert size_of_camera((500, 500, 319.5, 239.5), []) is None
