"""Loading weights, and predicting at the size of the image."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssmde.config import Config, DataConfig, LossConfig, ModelConfig, dump_config
from ssmde.models.depth_net import DepthNet
from ssmde.models.load import save_weights
from ssmde.prediction.loading import load
from ssmde.prediction.predictor import Predictor

SIZE = (64, 96)
CONFIG = Config(
    data=DataConfig(image_size=SIZE),
    model=ModelConfig(pretrained="hub", depth_range=(0.5, 20.0)),
    loss=LossConfig(scales=(0, 2)),
)


class Brightness(nn.Module):
    """Depth 1 + mean of the colours, so that a test knows the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        return self.one + image.mean(dim=1, keepdim=True)


@pytest.fixture(scope="module")
def network() -> DepthNet:
    torch.manual_seed(1)
    return DepthNet(depth_range=CONFIG.model.depth_range, scales=CONFIG.loss.scales).eval()


def metadata(**changes: str) -> dict[str, str]:
    return {"format": "ssmde-depth", "version": "1", "config": dump_config(CONFIG)} | changes


@pytest.fixture(scope="module")
def run(tmp_path_factory, network) -> Path:
    folder = tmp_path_factory.mktemp("run")
    tensors = {f"depth_net.{key}": value for key, value in network.state_dict().items()}
    tensors["pose_net.convolution.weight"] = torch.zeros(2)
    save_weights(folder / "last.safetensors", tensors, metadata())
    return folder


@pytest.fixture
def bad_weights(tmp_path) -> Callable[..., Path]:
    def write(**changes: str) -> Path:
        save_weights(tmp_path / "bad.safetensors", {"a": torch.zeros(2)}, metadata(**changes))
        return tmp_path / "bad.safetensors"

    return write


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_loaded_weights_say_what_the_network_said(run, network):
    predictor = load(run, device="cpu")
    pixels = picture(*SIZE)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        expected = network(image)[0, 0].numpy()
    np.testing.assert_allclose(predictor.predict(pixels).depth, expected, rtol=1e-5)
    assert predictor.image_size == SIZE
    assert predictor.depth_range == (0.5, 20.0)
    assert predictor.source == str(run)


def test_a_run_folder_gives_its_best_weights_before_its_last(run, tmp_path):
    (tmp_path / "last.safetensors").write_text("not read")
    (tmp_path / "best.safetensors").write_bytes((run / "last.safetensors").read_bytes())
    assert load(tmp_path).image_size == SIZE


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (64, 96), (241, 320)])
def test_depth_has_the_size_of_the_image(size):
    found = Predictor(Brightness(), SIZE).predict(picture(*size))
    assert found.depth.shape == size
    assert found.depth.dtype == np.float32
    assert found.confidence is None


def test_the_given_array_is_left_as_it_was():
    pixels = picture(30, 40)
    pixels.flags.writeable = False
    Predictor(Brightness(), SIZE).predict(pixels)
    np.testing.assert_array_equal(pixels, picture(30, 40))


def test_depth_lies_where_the_image_is():
    pixels = np.zeros((65, 97, 3), np.uint8)
    pixels[:32, :48] = 255
    depth = Predictor(Brightness(), SIZE).predict(pixels).depth
    np.testing.assert_allclose(depth[:30, :46], 2, atol=1e-5)
    np.testing.assert_allclose(depth[34:, :], 1, atol=1e-5)
    np.testing.assert_allclose(depth[:, 50:], 1, atol=1e-5)


def test_many_images_of_many_sizes_give_what_each_gives_alone():
    predictor = Predictor(Brightness(), SIZE)
    images = [picture(40 + i, 50 - i, seed=i) for i in range(5)]
    together = list(predictor.predict_many(iter(images), batch_size=2))
    assert len(together) == 5
    for image, found in zip(images, together, strict=True):
        np.testing.assert_allclose(found.depth, predictor.predict(image).depth, rtol=1e-6)


def test_another_resolution_changes_the_working_size_and_not_the_result_size(run):
    predictor = load(run, resolution=(32, 64), device="cpu")
    assert predictor.network_depth(picture(50, 70)).shape == (32, 64)
    assert predictor.predict(picture(50, 70)).depth.shape == (50, 70)
    assert Predictor(Brightness(), SIZE).at((32, 32)).image_size == (32, 32)


def test_a_network_in_training_is_set_to_evaluation():
    network = nn.Sequential(nn.BatchNorm2d(3), Brightness()).train()
    Predictor(network, SIZE).predict(picture(*SIZE))
    norm = network[0]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.num_batches_tracked == 0


def test_a_size_the_network_cannot_take_is_refused():
    with pytest.raises(ValueError, match="multiples of 32, got 60 x 96"):
        Predictor(Brightness(), (60, 96))


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder; give a"):
        load(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"holds neither best\.safetensors nor last"):
        load(tmp_path)


def test_weights_of_another_project_are_refused(bad_weights):
    with pytest.raises(ValueError, match=r"no depth network of this project \(format 'pt'"):
        load(bad_weights(format="pt"))


def test_weights_of_another_version_are_refused(bad_weights):
    with pytest.raises(ValueError, match="is of format version 2, this package reads version 1"):
        load(bad_weights(version="2"))


def test_weights_with_a_strange_configuration_are_refused(bad_weights):
    with pytest.raises(ValueError, match="stored configuration cannot be read") as caught:
        load(bad_weights(config="model: {depth: 3}"))
    assert "model.depth" in str(caught.value)


def test_weights_that_do_not_fit_are_refused(bad_weights):
    with pytest.raises(ValueError, match="does not fit this DepthNet: missing: depth_net"):
        load(bad_weights())


def test_a_file_that_is_no_weights_file_is_refused(tmp_path):
    (tmp_path / "a.safetensors").write_text("hello")
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        load(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("shape", "seen"),
    [((480, 640), (64, 96)), ((640, 480), (96, 64)), ((100, 400), (32, 128)), ((64, 96), (64, 96))],
)
def test_an_image_is_seen_at_the_size_whose_proportions_are_nearest(shape, seen):
    sizes = []

    class Looking(Brightness):
        def forward(self, image):
            sizes.append(tuple(image.shape[-2:]))
            return super().forward(image)

    predictor = Predictor(Looking(), SIZE, more_sizes=((96, 64), (32, 128)))
    assert predictor.predict(picture(*shape)).depth.shape == shape
    assert predictor.network_depth(picture(*shape)).shape == seen
    assert sizes == [seen, seen]
    predictor.at((32, 32)).predict(picture(*shape))
    assert sizes[-1] == (32, 32)  # a size that is asked for is the only one


def test_images_of_several_proportions_come_back_in_order():
    predictor = Predictor(Brightness(), SIZE, more_sizes=((96, 64),))
    shapes = [(60, 90), (90, 60), (61, 90), (90, 61), (92, 61)]
    found = list(predictor.predict_many([picture(*s) for s in shapes]))
    assert [p.depth.shape for p in found] == shapes


def test_stored_sizes_are_those_of_the_training_unless_one_is_asked_for(tmp_path, network):
    config = replace(CONFIG, data=replace(CONFIG.data, more_sizes=((96, 64),)))
    tensors = {f"depth_net.{key}": value for key, value in network.state_dict().items()}
    save_weights(tmp_path / "w.safetensors", tensors, metadata(config=dump_config(config)))
    assert load(tmp_path / "w.safetensors", device="cpu").size_for((640, 480)) == (96, 64)
    asked = load(tmp_path / "w.safetensors", resolution=(32, 32), device="cpu")
    assert asked.size_for((640, 480)) == (32, 32)


def test_a_batch_is_predicted_image_by_image_and_a_predictor_moves():
    predictor = Predictor(Brightness(), SIZE).to("cpu")
    images = torch.rand(3, 3, 40, 50)
    found = predictor.predict(images, confidence=True)
    assert found.depth.shape == found.confidence.shape == (3, 40, 50)
    for image, depth in zip(images, found.depth, strict=True):
        np.testing.assert_allclose(predictor.predict(image).depth, depth, rtol=1e-6)
    array = (255 * images.permute(0, 2, 3, 1)).byte().numpy()
    assert predictor.predict(array).depth.shape == (3, 40, 50)
    with pytest.raises(ValueError, match="at least one image"):
        predictor.predict(images[:0])
