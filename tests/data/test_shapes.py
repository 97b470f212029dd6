"""Maps of another shape than their image: refused at each door, never stretched over it."""

import numpy as np
import pytest
import torch
from PIL import Image

from ssmde.data.images import ShapeError, check_shape, write_png16
from ssmde.data.scene_folder import read_scene, read_scenes
from ssmde.diagnosis.files import open_scene
from ssmde.evaluation.benchmarks import PredictionFolder
from ssmde.evaluation.frames import frames_with_truth
from ssmde.labeling import LabelRequest, open_source

SIZE = (96, 128)


@pytest.fixture
def scene(tmp_path):
    """Folder of three frames and nothing beside them."""
    folder = tmp_path / "room"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", SIZE[::-1]).save(folder / f"{i}.png")
    return folder


def write_maps(folder, shape, ending=".npy", frames=range(3)):
    folder.mkdir(parents=True, exist_ok=True)
    for i in frames:
        if ending == ".npy":
            np.save(folder / f"{i}.npy", np.ones(shape, np.float32))
        else:
            write_png16(folder / f"{i}.png", np.ones(shape, np.uint16))


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((96, 128), (96, 128)),
        ((12, 16), (96, 128)),
        ((13, 16), (96, 128)),  # a pixel is rounding
        ((320, 1024), (375, 1242)),  # as networks see KITTI
        ((192, 640), (376, 1241)),
        ((480, 640), (481, 640)),
    ],
)
def test_the_same_view_at_another_resolution_fits(tmp_path, shape, image):
    check_shape(tmp_path, shape, image)


@pytest.mark.parametrize(
    ("shape", "image", "why"),
    [
        ((128, 96), (96, 128), "swapped"),
        ((64, 48), (96, 128), "swapped"),
        ((96, 96), (96, 128), "cut or stretched"),
        ((352, 1216), (375, 1242), "cut or stretched"),  # of KITTI
        ((465, 640), (480, 640), "cut or stretched"),  # 3 %
    ],
)
def test_another_shape_is_refused_with_both_sizes(tmp_path, shape, image, why):
    said = rf"map.png: has {shape[1]} x {shape[0]} pixels, its image {image[1]} x {image[0]}"
    with pytest.raises(ShapeError, match=f"{said}: .*{why}"):
        check_shape(tmp_path / "map.png", shape, image)


@pytest.mark.parametrize("kind", ["depth", "pseudo_depth", "motion_mask"])
@pytest.mark.parametrize("ending", [".npy", ".png"])
def test_a_scene_with_turned_maps_is_refused_and_named_by_the_doctor(scene, kind, ending):
    ending = ".png" if kind == "motion_mask" else ending
    write_maps(scene / kind, SIZE[::-1], ending)
    for read in (read_scene, lambda folder: read_scenes(folder.parent, "all")):
        with pytest.raises(ShapeError, match="96 x 128 pixels, its image 128 x 96"):
            read(scene)
    (finding,) = open_scene(scene).findings
    assert (finding.name, finding.severity) == ("shapes", "blocking")
    write_maps(scene / kind, (48, 64), ending)
    read_scene(scene)


def test_one_turned_map_among_good_ones_is_left_out(scene):
    write_maps(scene / "depth", SIZE)
    write_maps(scene / "depth", SIZE[::-1], frames=[1])
    good, turned, _ = frames_with_truth([read_scene(scene)])
    assert good.read_truth()[0].shape == SIZE
    with pytest.raises(ShapeError, match="swapped"):
        turned.read_truth()


def test_labels_and_predictions_of_others_are_refused(scene, tmp_path):
    write_maps(scene / "depth", SIZE)
    write_maps(tmp_path / "theirs", (96, 96))
    sequence = read_scene(scene)
    request = LabelRequest(kind="depth", device=torch.device("cpu"), scenes=("room",))
    with pytest.raises(ShapeError, match="96 x 96 pixels, its image 128 x 96"):
        open_source(f"folder:{tmp_path / 'theirs'}", request).read(sequence, 0)
    frames = frames_with_truth([sequence])
    predicted = PredictionFolder(tmp_path / "theirs", frames)
    with pytest.raises(ShapeError, match="96 x 96 pixels, its image 128 x 96"):
        predicted(frames[0], np.zeros((*SIZE, 3), np.uint8))
