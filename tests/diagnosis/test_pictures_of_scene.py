"""Pictures: repeated, blurred, flickering, framed or covered ones are named; good ones are not."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from doctor_scenes import BRIEF, names
from ssmde.diagnosis.footage import look, sharpness
from ssmde.diagnosis.pictures import check_pictures


def test_a_good_walk_has_good_pictures(room_footage):
    assert check_pictures(room_footage) == []


def test_a_repeated_frame_is_named(room, filmed):
    images = room.images.copy()
    images[4] = images[3]
    (finding,) = check_pictures(filmed(room, images=images))
    assert (finding.name, finding.frames) == ("duplicates", (4,))


def test_two_frames_that_wrap_in_bytes_are_no_difference(measured):
    """|10 - 12| is 2 levels, not 254."""
    footage = measured({1: {"change": np.array([2.0, *[50.0] * 19])}})
    (finding,) = check_pictures(footage)
    assert (finding.name, finding.frames) == ("duplicates", (1,))


def test_a_blurred_frame_is_named(room, filmed):
    images = room.images.copy()
    images[6] = np.asarray(Image.fromarray(images[6]).filter(ImageFilter.BoxBlur(3)))
    (finding,) = check_pictures(filmed(room, images=images))
    assert (finding.name, finding.frames) == ("blur", (6,))


def test_blur_of_one_direction_counts():
    image = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    smeared = np.mean([np.roll(image, k, 1) for k in range(7)], 0).astype(np.float32)
    assert sharpness(smeared) < 0.6 * sharpness(image)
    assert sharpness(smeared.T.copy()) == pytest.approx(sharpness(smeared), rel=0.05)


def test_a_jump_of_the_exposure_is_named(room, filmed):
    images = room.images.copy()
    images[5:] = images[5:] * 0.6
    (finding,) = check_pictures(filmed(room, images=images))
    assert (finding.name, finding.frames) == ("exposure-jumps", (5,))
    assert "6" in finding.what


def test_black_bars_are_measured_and_a_dark_corner_is_none(room, filmed):
    images = room.images.copy()
    images[:, :10] = 0
    images[:, -12:] = 3
    (finding,) = check_pictures(filmed(room, images=images))
    assert finding.name == "bars"
    assert "10 rows above, 12 below, 0 columns left and 0 right" in finding.what
    corner = room.images.copy()
    corner[:, :10, :40] = 0
    assert "bars" not in names(check_pictures(filmed(room, images=corner)))


def test_a_logo_over_all_frames_is_found_where_it_is(room, filmed):
    images = room.images.copy()
    images[:, 80:90, 100:124] = (np.indices((10, 24)).sum(0) % 6 < 3)[..., None] * 200
    (finding,) = check_pictures(filmed(room, images=images))
    assert finding.name == "overlay"
    rows, columns = finding.what.split("within rows ")[1].split(" and columns ")
    assert 79 <= int(rows.split()[0]) <= int(rows.split()[2]) <= 91
    assert 99 <= int(columns.split()[0]) <= int(columns.split()[2]) <= 125


def test_a_street_and_a_static_camera_have_no_overlay(room, street, filmed):
    assert check_pictures(filmed(street)) == []
    still = np.repeat(room.images[:1], len(room.images), 0)
    assert "overlay" not in names(check_pictures(filmed(room, images=still)))


def test_images_that_cannot_be_read_are_named_and_the_others_looked_at(room, film):
    sequence = film(room)
    sequence.images[4].write_bytes(sequence.images[4].read_bytes()[:300])
    footage = look(sequence, BRIEF)
    (finding,) = check_pictures(footage)
    assert (finding.name, finding.frames) == ("broken-images", (4,))
    assert "000004.png" in finding.what
    assert len(footage.frames) == 11


def test_no_frame_that_can_be_read_is_no_footage(room, film):
    sequence = film(room)
    sequence = replace(sequence, images=tuple(p.with_suffix(".gone") for p in sequence.images))
    assert look(sequence, BRIEF) is None
