"""One ray, computed by hand, through every path an image and its camera can take."""

import numpy as np
import pytest
from PIL import Image

import films
from ssmde.config import DataConfig
from ssmde.data.dataset import SnippetDataset
from ssmde.data.images import read_image
from ssmde.data.scene_folder import read_scene, read_scenes
from ssmde.inference import Predictor, predict_files
from ssmde.preparation import prepare
from ssmde.preparation.packing import pack
from tiny_networks import Brightness

WIDTH, HEIGHT = 128, 96
FX, FY, CX, CY = 100.0, 90.0, 70.0, 40.0
U, V = 90, 60
RAY = np.array([(U - CX) / FX, (V - CY) / FY])  # 0.2 to the right, 0.222 down
MATRICES = {  # the display matrices (a b; c d) that turn as each EXIF mark: x a + y c, x b + y d
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
    5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip


def spot():
    """A soft white spot on black, around (U, V)."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    grey = 255 * np.exp(-((u - U) ** 2 + (v - V) ** 2) / 18)
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


def ray(pixels, intrinsics):
    """Where the spot is seen: x / z and y / z."""
    grey = np.asarray(pixels, float)[..., 0]
    grey = np.where(grey > 30, grey - 30, 0)
    v, u = np.mgrid[: grey.shape[0], : grey.shape[1]]
    fx, fy, cx, cy = (float(intrinsics[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return ((u * grey).sum() / grey.sum() - cx) / fx, ((v * grey).sum() / grey.sum() - cy) / fy


def photos(folder, mark=1, count=3):
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = mark
    for i in range(count):
        Image.fromarray(spot()).save(folder / f"{i}.png", exif=exif)
    (folder / "cam.txt").write_text(f"{FX} 0 {CX} 0 {FY} {CY} 0 0 1")
    return folder


def upright(mark):
    """fx fy cx cy of the upright image, by hand."""
    cx = WIDTH - 1 - CX if mark in (2, 3, 7, 8) else CX
    cy = HEIGHT - 1 - CY if mark in (3, 4, 6, 7) else CY
    return (FX, FY, cx, cy) if mark < 5 else (FY, FX, cy, cx)


def assert_turned(folder, mark):
    """The ray of the first frame of a scene is the one by hand."""
    scene = read_scene(folder)
    by_hand = RAY @ np.reshape(MATRICES[mark], (2, 2))
    found = ray(read_image(scene.images[0]), scene.intrinsics)
    np.testing.assert_allclose(found, by_hand, atol=0.004)


@pytest.mark.parametrize("mark", MATRICES)
def test_photos_turned_by_exif_beside_a_cam_txt_and_films_by_a_display_matrix(tmp_path, mark):
    folder, how = photos(tmp_path / "photos", mark), {"step": 1, "show_progress": False}
    assert_turned(folder, mark)
    assert_turned(prepare(folder, tmp_path / "data", width=48, **how).scenes[0], mark)
    film = films.write(tmp_path / "a.mov", [spot()] * 2)
    films.set_matrix(film, *MATRICES[mark])
    made = prepare(film, tmp_path / "films", width=64, intrinsics=upright(mark), **how)
    assert_turned(made.scenes[0], mark)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_snippets_that_are_packed_cut_and_mirrored(tmp_path, flip):
    photos(tmp_path / "data" / "a", count=12)
    (tmp_path / "data" / "train.txt").write_text("a\n")
    (tmp_path / "data" / "val.txt").write_text("a\n")
    pack(tmp_path / "data", tmp_path / "packed", size=(64, 96), show_progress=False)
    data = DataConfig(image_size=(64, 64), flip=flip, zoom=1.15, color_jitter=0.0)
    for root in (tmp_path / "data", tmp_path / "packed"):
        dataset = SnippetDataset(read_scenes(root, "train"), data, seed=0, augment=True)
        for index in range(3):
            snippet = dataset[index]
            found = ray(snippet.images[0, 0].permute(1, 2, 0), snippet.intrinsics[0])
            x, y = RAY
            np.testing.assert_allclose(found, (-x if flip else x, y), atol=0.006)


def test_predictions_of_images_of_two_sizes(tmp_path):
    folder = photos(tmp_path / "photos", count=1)
    Image.fromarray(spot()).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BOX).save(
        folder / "small.png"
    )
    predict_files(Predictor(Brightness(), (32, 32)), folder, tmp_path / "out", format="npz",
                  intrinsics=(FX, FY, CX, CY))  # fmt: skip
    for name in ("0", "small"):
        with np.load(tmp_path / "out" / f"{name}_depth.npz") as arrays:
            found = ray(read_image(folder / f"{name}.png"), arrays["intrinsics"])
        np.testing.assert_allclose(found, RAY, atol=0.006)
