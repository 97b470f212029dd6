"""Which camera lifts the depth: the one given, the one learnt, or a guess that says so."""

import json

import numpy as np
import pytest

from ssmde.prediction.camera import AskedCamera, LearntCamera, find_camera, learnt_cameras

LEARNT = LearntCamera(
    intrinsics=np.array([[500.0, 0, 330], [0, 510, 235], [0, 0, 1]]), image_size=(480, 640)
)
OTHER = LearntCamera(intrinsics=LEARNT.intrinsics * (1.1, 1, 1), image_size=(480, 640))


def test_what_is_given_comes_before_what_was_learnt():
    asked = AskedCamera(intrinsics=(600, 601, 300, 200))
    matrix, said = find_camera((480, 640), asked, [LEARNT])
    assert matrix.tolist() == [[600, 0, 300], [0, 601, 200], [0, 0, 1]]
    assert said == "given"
    matrix, said = find_camera((480, 640), AskedCamera(hfov_degrees=90), [LEARNT])
    np.testing.assert_allclose(matrix[0], (320, 0, 319.5))
    assert "90 degrees" in said


def test_a_learnt_camera_is_resized_with_the_image():
    matrix, said = find_camera((240, 320), AskedCamera(), [LEARNT, LEARNT])
    # u' = (u + 0.5) / 2 - 0.5
    np.testing.assert_allclose(matrix, [[250, 0, 164.75], [0, 255, 117.25], [0, 0, 1]])
    assert said == "learnt with the weights"


def test_a_learnt_camera_keeps_its_wide_angle_in_an_image_that_was_cut():
    matrix, _ = find_camera((360, 640), AskedCamera(), [LEARNT])
    np.testing.assert_allclose(matrix, [[500, 0, 319.5], [0, 510, 179.5], [0, 0, 1]])


def test_without_a_camera_a_guess_is_made_and_said():
    matrix, said = find_camera((480, 640), AskedCamera())
    np.testing.assert_allclose(matrix[0, 0], 320 / np.tan(np.pi / 6))
    assert "guess of 60 degrees" in said
    assert "--hfov-degrees" in said
    assert "2 different cameras" in find_camera((480, 640), AskedCamera(), [LEARNT, OTHER])[1]


def test_cameras_are_read_from_the_head_of_a_weights_file():
    text = json.dumps(
        {"walk": {"image_size": [480, 640], "intrinsics": LEARNT.intrinsics.tolist()}}
    )
    [found] = learnt_cameras({"cameras": text})
    assert found.image_size == (480, 640)
    np.testing.assert_array_equal(found.intrinsics, LEARNT.intrinsics)
    assert learnt_cameras({}) == ()


def test_a_camera_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="not both"):
        AskedCamera(intrinsics=(1, 1, 1, 1), hfov_degrees=60)
    with pytest.raises(ValueError, match="between 0 and 180, such as 65, got 200"):
        AskedCamera(hfov_degrees=200)
    with pytest.raises(ValueError, match="outside the image of 640 x 480"):
        find_camera((480, 640), AskedCamera(intrinsics=(500, 500, 900, 200)))
