"""Drawn photos: exact depth, the same bytes for the same seed, and something to see in all."""

import json

import numpy as np
import pytest
from PIL import Image

from photographs.album import Album, draw_album, write_album
from photographs.camera import Light, take
from photographs.figures import figure
from photographs.light import sun
from photographs.materials import Stock
from photographs.patches import LEVELS, SIDE, PatchBook, image_files, look_up, rip_map
from photographs.photo import KINDS, draw
from photographs.pieces import assemble, box, piece, rod, turned
from photographs.solids import Block, Cone, Cushion, Leaves
from photographs.vehicles import bicycle, bus, car, motorcycle, truck, van
from ssmde.data.scene_folder import read_scene
from ssmde.synthetic.scene import Plane

SIZE = (31, 41)
K = np.array([[40.0, 0, 20], [0, 40.0, 15], [0, 0, 1]])
TINY = (24, 32)
TINY_K = np.array([[24.0, 0, 15.5], [0, 24.0, 11.5], [0, 0, 1]])


def stock(seed=0):
    return Stock(rng=np.random.default_rng(seed))


def light(*lamps, **more):
    return Light(lamps=lamps, above=np.full(3, 0.5), below=np.full(3, 0.4), **more)


def photo(*pieces, shining=None):
    shining = shining or light(sun(np.array([0.3, -1.0, -0.5]), np.full(3, 2.0)))
    rng = np.random.default_rng(0)
    return take(assemble(pieces), shining, PatchBook(), rng, np.eye(4), K, SIZE)


def rays():
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([(u - 20) / 40, (v - 15) / 40, np.ones(SIZE)], axis=-1)


def grey():
    return stock().material((0.5, 0.5, 0.5), contrast=0.0)


# Exact cases.


@pytest.mark.parametrize("angles", [(0.4, 0.0, 0.0), (0.0, -0.5, 0.2), (0.3, 0.4, 1.0)])
def test_depth_of_a_tilted_plane_is_that_of_its_formula(angles):
    turn = turned(*angles)
    wall = piece(Plane(2), grey(), (0.2, -0.1, 5.0), turn=turn)
    normal = turn @ np.array([0.0, 0.0, 1.0])
    expected = normal @ np.array([0.2, -0.1, 5.0]) / (rays() @ normal)
    assert photo(wall).depth == pytest.approx(np.where(expected > 0, expected, 0), rel=1e-5)


def test_depth_of_a_lying_cylinder_is_that_of_its_formula():
    depth = photo(rod((-9, 0, 4), (9, 0, 4), 0.5, grey())).depth
    slope = (np.arange(SIZE[0]) - 15) / 40
    # y = slope t and z = t: (slope t)^2 + (t - 4)^2 = 0.5^2.
    a, inside = 1 + slope**2, 16 - (1 + slope**2) * (16 - 0.25)
    expected = np.where(inside >= 0, (4 - np.sqrt(np.maximum(inside, 0))) / a, 0)
    assert depth[:, 20] == pytest.approx(expected, abs=1e-5)
    assert depth[:, 5] == pytest.approx(expected, abs=1e-5)


def test_edges_of_the_depth_are_sharp_and_neither_the_sky_nor_what_is_too_far_has_any():
    depth = photo(box((0.5, 0.5, 0.5), grey(), (0, 0, 3))).depth
    assert set(np.unique(np.round(depth, 4)).tolist()) == {0.0, 2.5}
    assert depth[0, 0] == 0
    made = photo(box((500, 500, 0.1), stock().material((0.9, 0.1, 0.1)), (0, 0, 300)))
    assert not made.depth.any()
    red, _, blue = made.image[15, 20].astype(int)
    assert red > blue + 20  # but is seen


AHEAD = np.array([[0.0, 0.0, 1.0]])


def random_rays(count):
    """Rays from around (0, 0, -4) that mostly meet something of size 1 at the origin."""
    rng = np.random.default_rng(0)
    start = np.array([0.0, 0.0, -4.0]) + rng.uniform(-0.5, 0.5, (count, 3))
    return start, rng.uniform(-0.9, 0.9, (count, 3)) - start


def test_a_cone_is_as_wide_as_its_height_says():
    cone = Cone(1.0, (0.0, 1.0))  # the tip is up
    assert cone.meet(np.array([[0.0, 0.25, -4.0]]), AHEAD)[0] == pytest.approx(3.75)
    assert cone.meet(np.array([[0.0, 0.75, -4.0]]), AHEAD)[0] == pytest.approx(3.25)
    # Its side looks out and up at 45 degrees.
    normal = cone.surface(np.array([[0.0, 0.5, -0.5]])).normals[0]
    assert normal == pytest.approx(np.array([0.0, -1.0, -1.0]) / np.sqrt(2))


@pytest.mark.parametrize(
    "shape",
    [Block((0.5, 0.4, 0.3)), Cone(0.8, (0.2, 0.5)), Cone(0.8, (0.5, 0.5), open=True),
     Cushion((0.5, 0.4, 0.3), 0.2), Leaves((0.5, 0.6, 0.4), 0.1)],
)  # fmt: skip
def test_what_rays_meet_is_within_the_bounds(shape):
    start, run = random_rays(2000)
    t = shape.meet(start, run)
    met = np.isfinite(t)
    assert met.any()
    points = start[met] + t[met, None] * run[met]
    low, high = shape.bounds()
    assert np.all(points > low - 1e-5)
    assert np.all(points < high + 1e-5)
    normals = shape.surface(points).normals
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0)


def test_a_shadow_is_seen_on_the_ground():
    ground = piece(Plane(1), grey(), (0, 1, 0), casts=False)
    above = light(sun(np.array([0.0, -1.0, 0.0]), np.full(3, 3.0)))
    roof = box((0.6, 0.05, 0.6), grey(), (0, -1.5, 4))
    bare = photo(ground, shining=above).image.astype(int)
    dark = photo(ground, roof, shining=above).image.astype(int)
    row = 15 + round(40 * 1 / 4)
    relative = dark[row].mean(axis=1) / dark[row, 1].mean()
    assert relative[20] < 0.7
    assert bare[row, 20].mean() == pytest.approx(bare[row, 1].mean(), rel=0.1)


MAKERS = {
    **{p: (lambda p=p: figure(stock(), p)) for p in ("stand", "walk", "sit", "bend")},
    **{make.__name__: (lambda make=make: make(stock())) for make in (car, van, truck, bus)},
    **{m.__name__: (lambda m=m: m(stock(), rider=True)) for m in (bicycle, motorcycle)},
}


@pytest.mark.parametrize("name", MAKERS)
def test_people_and_vehicles_stand_on_the_ground_and_are_as_large_as_they_are(name):
    corners = assemble(MAKERS[name]()).corners
    assert -0.02 < corners[..., 1].max() < 0.1  # a hand may touch the ground
    assert 0.5 < -corners[..., 1].min() < 4.6
    assert np.abs(corners[..., 0]).max() < 1.45


# Laws.


@pytest.mark.parametrize(
    ("kind", "seeds"),
    [*((kind, range(1)) for kind in KINDS),
     *(pytest.param(kind, range(3, 23), marks=pytest.mark.slow) for kind in KINDS)],
)  # fmt: skip
def test_every_seed_gives_a_photo_of_something(kind, seeds):
    looks = set()
    for seed in seeds:
        made = draw(kind, (seed,), TINY_K, TINY)
        seen = made.depth[made.depth > 0]
        assert 0 <= made.depth.min() < made.depth.max() < 200
        assert len(seen) > 0.1 * made.depth.size
        assert np.median(seen) > 0.4
        assert 10 < made.image.mean() < 245
        assert made.image.std() > 4
        looks.add(made.image.tobytes())
    assert len(looks) == len(seeds)


def test_the_same_seed_and_photos_give_the_same_bytes(tmp_path):
    first, second = (draw_album("mixed", 5, 2, (16, 24)) for _ in range(2))
    assert first.images.tobytes() == second.images.tobytes()
    assert first.depth.tobytes() == second.depth.tobytes()
    assert not np.array_equal(first.images[0], first.images[1])
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 256, (90, 120, 3)).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.jpg")
    files = sorted(tmp_path.glob("*.jpg"))
    textured, again = (draw("mixed", (3,), TINY_K, TINY, [files]) for _ in range(2))
    assert textured.image.shape == (*TINY, 3)
    assert textured.image.tobytes() == again.image.tobytes()


# Patches of photos as textures, filtered to the pixel.


def look(patch, places, footprint):
    places = np.atleast_2d(np.array(places, np.float64))
    footprint = np.broadcast_to(np.array(footprint, np.float64), places.shape)
    return look_up(rip_map(patch), np.zeros(len(places), np.int64), places, footprint)


@pytest.mark.parametrize("level", range(LEVELS))
def test_the_mean_colour_stays_at_every_distance(level):
    patch = np.random.default_rng(0).uniform(0, 1, (SIDE, SIDE, 3)).astype(np.float32)
    step = 2.0**level / SIDE
    middles = (np.arange(SIDE >> level) + 0.5) * step
    places = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    mean = pytest.approx(patch.mean(axis=(0, 1)), abs=1e-4)
    assert look(patch, places, step).mean(axis=0) == mean
    assert look(patch, (0.7, -2.4), 1.5)[0] == mean  # smaller than a pixel


def test_a_floor_seen_at_a_flat_angle_is_blurred_only_along():
    stripes = np.zeros((SIDE, SIDE, 3), np.float32)
    stripes[:, ::2] = 1.0  # columns
    places = np.array([[(2 * k + 0.5) / SIDE, 0.4] for k in range(5)])
    assert look(stripes, places, (1 / SIDE, 0.5)) == pytest.approx(1.0)
    assert look(stripes, places, (0.5, 1 / SIDE)) == pytest.approx(0.5)


# On disk.


def test_near_things_keep_half_a_percent_beside_the_farthest(tmp_path):
    depth = np.full((1, 2, 2), 199.9, np.float32)
    depth[0, 0] = 0.6, 0.0
    images = np.zeros((1, 2, 2, 3), np.uint8)
    write_album(
        Album(source="test", images=images, depth=depth, intrinsics=np.diag([10.0, 10, 1])),
        tmp_path,
    )
    assert len(read_scene(tmp_path).images) == 1
    unit = json.loads((tmp_path / "scene.json").read_text())["depth_units_per_metre"]
    steps = np.asarray(Image.open(tmp_path / "depth" / "000000.png")).astype(float)
    assert 1 / unit / 0.6 < 0.0055
    assert steps[0, 0] / unit == pytest.approx(0.6, rel=0.003)
    assert steps[0, 1] == 0
    assert steps[1, 1] / unit == pytest.approx(199.9, rel=1e-4)


# Refusals.


def test_unknown_kinds_empty_albums_and_a_folder_without_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown kind 'rom': known are room, street, mixed"):
        draw_album("rom", 0, 1)
    with pytest.raises(ValueError, match="photos must be at least 1, got 0"):
        draw_album("room", 0, 0)
    with pytest.raises(ValueError, match=r"no \.jpg or \.png picture in .*a"):
        image_files([tmp_path / "a"])
