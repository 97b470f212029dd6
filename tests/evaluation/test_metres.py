"""Metres: each source of them finds the true factor of a drawn video, and predict applies it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ssmde.data.images import write_image
from ssmde.evaluation import metres, scale
from ssmde.evaluation.metres import depth_at, height_over_ground, join_estimates, read_points
from ssmde.inference import predict_files
from ssmde.inference.loading import load
from ssmde.inference.predictor import Predictor
from ssmde.models.checkpoint import MetricScale, read_weights, stored_scale, with_scale
from ssmde.synthetic import write_clip
from streets import draw_street
from tiny_networks import write_random_weights

SIZE = (64, 96)
UNIT = 7.0  # metres of a scene unit
FAR = 200.0


class Memory(nn.Module):
    """The true depth of the image it knows, in units of 7 m."""

    def __init__(self, images, depth):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        self.depth = torch.from_numpy(np.where(depth > 0, depth, FAR)).float() / UNIT

    def forward(self, image):
        nearest = [int((self.images - i).abs().mean((1, 2, 3)).argmin()) for i in image]
        return self.depth[nearest][:, None]


@pytest.fixture(scope="module")
def street():
    return draw_street(frames=6, size=SIZE, seed=3)


@pytest.fixture
def data(street, tmp_path):
    write_clip(street, tmp_path / "data" / "street")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return write_random_weights(tmp_path_factory.mktemp("weights") / "w.safetensors")


@pytest.fixture
def weights(stored, tmp_path):
    """A weights file whose numbers nobody looks at; see `knows`."""
    return Path(shutil.copy(stored, tmp_path))


@pytest.fixture
def knows(street, monkeypatch):
    """Weights say the true depth in units of 7 m."""
    network = Memory(street.images, street.depth)
    monkeypatch.setattr(metres, "load", lambda *_: Predictor(network, SIZE))


def test_the_camera_is_as_high_over_a_tilted_plane_as_it_is():
    K = np.array([[100.0, 0, 79.5], [0, 110.0, 47.5], [0, 0, 1]])
    tilt = np.radians(12)
    normal = np.array([0.05, np.cos(tilt), np.sin(tilt)])
    normal /= np.linalg.norm(normal)
    v, u = np.mgrid[0:96, 0:160].astype(float)
    rays = np.linalg.inv(K) @ np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
    along = (normal @ rays).reshape(96, 160)
    depth = np.where(along > 0.01, 1.3 / along.clip(0.01), 130.0)
    assert height_over_ground(depth, K) == pytest.approx(1.3, rel=1e-6)
    assert height_over_ground(np.full((96, 160), 3.0), K) is None, "a wall ahead is no ground"


def test_camera_height_tells_the_scale_and_the_networks_stay_as_they_are(weights, data, knows):
    tensors, head = read_weights(weights)
    found = scale(weights, data, camera_height=1.6)
    assert found.metres_per_unit == pytest.approx(UNIT, rel=0.02)
    assert (found.estimates, 0 <= found.error < found.spread < 0.1) == (6, True)
    again, new = read_weights(weights)
    assert stored_scale(new) == found
    assert again.keys() == tensors.keys()
    assert all(torch.equal(tensors[k], again[k]) for k in tensors)
    assert with_scale(new, None) == head


def test_known_poses_tell_the_scale(weights, data, knows):
    found = scale(weights, data, poses=True, max_frames=2)
    assert found.metres_per_unit == pytest.approx(UNIT, rel=0.03)


def test_points_tell_the_scale_which_is_stored_and_predict_is_then_in_metres(weights, data):
    before = load(weights)
    picture, new = data / "street" / "000000.png", data / "m.safetensors"
    depth = before.predict(picture)
    lines = [f"street/000000.png,{u},50,{3 * depth.depth[50, u]}" for u in (40, 60)]
    (data / "points.csv").write_text("image,u,v,metres\n# by tape\n" + "\n".join(lines))
    found = scale(weights, points=data / "points.csv", out=new)
    assert found.metres_per_unit == pytest.approx(3, rel=1e-5)
    assert (found.estimates, found.source) == (2, "2 points in 1 image of points.csv")
    assert load(weights).metres_per_unit is None
    with pytest.raises(FileExistsError, match=r"m\.safetensors: exists: give another name"):
        scale(weights, points=data / "points.csv", out=new)
    after = load(new)
    metric = after.predict(picture)
    assert (depth.metric, metric.metric) == (False, True)
    np.testing.assert_allclose(metric.depth, 3 * depth.depth, rtol=1e-5)
    assert after.depth_range == pytest.approx([3 * end for end in before.depth_range], rel=1e-5)
    predict_files(after, picture, data / "out", format="png16")
    said = json.loads((data / "out" / "depth.json").read_text())
    assert (said["metric"], "png16_units_per_metre" in said) == (True, True)
    # found again from weights that have a scale, it is the same
    again = scale(new, points=data / "points.csv")
    assert again.metres_per_unit == pytest.approx(3, rel=1e-5)


def test_neighboring_frames_do_not_count_as_independent():
    rng = np.random.default_rng(0)
    drift = np.exp(np.repeat(rng.normal(0, 0.1, 10), 100))
    found, single = join_estimates(drift.tolist(), "x"), join_estimates([2.0], "x")
    assert found.error == pytest.approx(
        1.25 * np.std(np.log(drift[::100]), ddof=1) / 10**0.5, rel=0.01
    )
    assert (single.metres_per_unit, single.error, single.spread) == (2.0, None, None)
    assert found.spread == pytest.approx(0.1, rel=0.5)


def test_a_scale_is_printed_with_its_error_bar_and_what_is_none_is_refused():
    spread = {"error": 0.012, "spread": 0.08, "estimates": 20}
    found = MetricScale(metres_per_unit=7.0, source="known poses", **spread)
    text = "1 scene unit = 7 m +- 1.2 % (single frames +- 8.0 %), from known poses"
    assert str(found) == text
    assert str(replace(found, error=None, spread=None)) == "1 scene unit = 7 m, from known poses"
    with pytest.raises(ValueError, match="must be a positive number, got -1"):
        replace(found, metres_per_unit=-1.0)
    with pytest.raises(ValueError, match="is no scale"):
        stored_scale({"metric_scale": '{"metres": 3}'})


def test_depth_between_pixels_is_bilinear():
    depth = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert [depth_at(depth, *p) for p in ((0.5, 0.5), (0.0, 1.0), (1.0, 0.0))] == [3.0, 3.0, 2.0]
    with pytest.raises(ValueError, match=r"\(2, 0\) is outside an image of 2 x 2"):
        depth_at(depth, 2.0, 0.0)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "one source of metres, .* got none"),
        ({"camera_height": 1.0, "poses": True}, "got camera height and poses"),
        ({"camera_height": -1.0}, "camera height must be positive"),
        ({"poses": True}, "poses needs DATA"),
    ],
)
def test_a_scale_without_one_source_is_refused(asked, says, weights):
    with pytest.raises(ValueError, match=says):
        scale(weights, **asked)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a.png,1,2", r"line 1: expected image,u,v,metres"),
        ("a.png,1,2,x", r"line 1: expected image,u,v,metres, the last three numbers"),
        ("a.png,1,2,0", r"line 1: metres must be positive, got 0"),
        ("b.png,1,2,3", r"no such image .*b\.png"),
        ("# nothing", "holds no point"),
        (f'"{"x" * 200_000}', r"p\.csv: cannot be read as CSV"),
    ],
)
def test_a_faulty_line_of_points_is_named(line, says, tmp_path):
    write_image(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "p.csv").write_text(line)
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        read_points(tmp_path / "p.csv")


def test_what_does_not_tell_a_scale_says_why(weights, data, knows, monkeypatch):
    def refused(says, weights=weights, **source):
        with pytest.raises(ValueError, match=says):
            scale(weights, data, **source)

    refused(r"'small' cannot be stored .*give --out FILE", "small", camera_height=1.6)
    (data / "street" / "poses.txt").unlink()
    refused(r"no scene has a poses\.txt", poses=True)
    wall = Predictor(Memory(np.zeros((1, *SIZE, 3), np.uint8), np.ones((1, *SIZE))), SIZE)
    monkeypatch.setattr(metres, "load", lambda *_: wall)
    refused("no frame shows level ground", camera_height=1.6)
    (data / "street" / "cam.txt").unlink()
    refused("its camera is unknown", camera_height=1.6)
