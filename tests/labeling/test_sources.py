"""Sources: what each gives, whose weights it takes, and under which licence."""

import sys
from types import SimpleNamespace
from unittest.mock import Mock

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ssmde.cli import main
from ssmde.data.images import read_image
from ssmde.inference.loading import find_weights, load
from ssmde.labeling import LabelRequest, label, open_source
from ssmde.models.checkpoint import MetricScale, read_weights, with_scale
from ssmde.synthetic import draw_clip, write_clip
from ssmde.weights import RELEASED

SIZE = (32, 64)


@pytest.fixture
def data(tmp_path):
    write_clip(draw_clip("room", frames=3, size=SIZE, seed=1), tmp_path / "data" / "left")
    return tmp_path / "data"


def opened(name, **options):
    return open_source(name, LabelRequest(device=torch.device("cpu"), **options))


class Bright(torch.nn.Module):
    """Depth 1 + mean of the colors; remembers what it was given."""

    sizes = ()

    def predict_depth(self, image, *, size):
        self.sizes = [*self.sizes, (tuple(image.shape), size)]
        return 1 + image.mean(dim=1, keepdim=True)


def test_leres_labels_with_the_users_checkpoint(data, tmp_path, monkeypatch):
    network, file = Bright(), tmp_path / "res101.pth"
    file.write_bytes(b"weights")
    monkeypatch.setattr("ssmde.models.leres.load_leres", lambda path: network)
    options = {"split": "all", "size": (64, 96), "batch_size": 2, "show_progress": False}
    info = label(data, source=f"leres:{file}", **options).info
    assert network.sizes == [((2, 3, *SIZE), (64, 96)), ((1, 3, *SIZE), (64, 96))]
    assert (info.kind, info.affine, info.network_size) == ("depth", True, (64, 96))
    assert info.version.startswith("sha256:")
    assert "non-commercial" in info.licence
    file.write_bytes(b"other weights")
    with pytest.raises(ValueError, match="version of the labels is 'sha256:"):
        label(data, source=f"leres:{file}", **options)


def test_weights_are_named_as_predict_takes_them(data, tmp_path, monkeypatch):
    file, image = find_weights("small"), read_image(data / "left" / "000000.png")
    (tmp_path / "run").mkdir()
    tensors, metadata = read_weights(file)
    scale = MetricScale(metres_per_unit=2.5, error=None, spread=None, estimates=1, source="")
    save_file(tensors, tmp_path / "run" / "last.safetensors", with_scale(metadata, scale))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(file))
    # Labels are in scene units, whatever the weights know.
    expected = load(tmp_path / "run", resolution=SIZE).predict(image).depth / 2.5
    for weights, said, licence in (
        ("small", "small", RELEASED["small"].licence),
        (str(tmp_path / "run"), "run/last.safetensors", "that of your own weights"),
        ("hf:me/mine", "hf:me/mine", "that of its model card: see https://huggingface.co/me/mine"),
    ):
        source = opened(f"ssmde:{weights}", size=SIZE)
        np.testing.assert_allclose(source.label([image])[0], expected, rtol=1e-5)
        assert source.info.source == f"ssmde:{said}"
        assert (source.info.version == "sha256:44ce4534cc43") == ("run" not in said)
        assert source.info.licence.startswith(licence)
        assert (source.info.affine, source.info.network_size) == (False, SIZE)


class FakeInputs(dict):
    def to(self, device):
        return self


class FakeProcessor:
    """Remembers what it was given."""

    options = None

    def __call__(self, images, return_tensors, **options):
        self.options = options
        stack = np.stack([np.asarray(image, np.float32) / 255 for image in images])
        return FakeInputs(pixel_values=torch.from_numpy(stack).permute(0, 3, 1, 2))

    def post_process_depth_estimation(self, outputs, sizes):
        assert sizes == [SIZE] * len(outputs.predicted_depth)
        return [{"predicted_depth": depth} for depth in outputs.predicted_depth]


class FakeNetwork(torch.nn.Module):
    """Depth of half the size."""

    def __init__(self, **config):
        super().__init__()
        self.config = SimpleNamespace(_commit_hash="abc", **config)

    def forward(self, pixel_values):
        return SimpleNamespace(predicted_depth=pixel_values.mean(1)[:, ::2, ::2])


@pytest.fixture
def transformers(monkeypatch):
    """Stands in for the package."""
    found = SimpleNamespace(processor=FakeProcessor(), network=FakeNetwork(), asked=[])

    def give(what):
        def from_pretrained(*words, **options):
            found.asked.append((*words, options))
            return getattr(found, what)

        return SimpleNamespace(from_pretrained=from_pretrained)

    package = SimpleNamespace(
        AutoImageProcessor=give("processor"), AutoModelForDepthEstimation=give("network"),
        __spec__="installed",
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "transformers", package)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda name, filename: None)
    return found


def test_the_default_source_is_a_disparity_of_the_hub(transformers, data):
    info = label(data, show_progress=False, size=(28, 42)).info
    name = "depth-anything/Depth-Anything-V2-Small-hf"
    assert transformers.asked == [(name, {"trust_remote_code": False})] * 2
    assert transformers.processor.options == {"size": {"height": 28, "width": 42}}
    found = (info.source, info.version, info.kind, info.affine, info.licence)
    assert found == (f"hf:{name}", "abc", "disparity", True, "apache-2.0")
    with Image.open(data / "left" / "pseudo_depth" / "000000.png") as image:
        assert image.size == SIZE[::-1]


@pytest.mark.parametrize(
    ("config", "kind", "gives"),
    [
        ({"model_type": "depth_anything"}, None, ("disparity", True)),
        ({"model_type": "dpt", "depth_estimation_type": "metric"}, None, ("depth", False)),
        ({"model_type": "depth_pro"}, "depth", ("depth", False)),
        ({"model_type": "dpt"}, "disparity", ("disparity", True)),
        ({"model_type": "dpt"}, None, r"whether this model gives depth or disparity.*--kind"),
        ({"model_type": "zoedepth"}, "disparity", "gives depth, not disparity"),
    ],
)  # fmt: skip
def test_what_a_model_gives_is_read_or_asked_and_never_guessed(config, kind, gives, transformers):
    transformers.network = FakeNetwork(**config)
    if isinstance(gives, str):
        with pytest.raises(ValueError, match=gives):
            opened("hf:some/model", kind=kind)
        return
    info = opened("hf:some/model", kind=kind).info
    assert (info.kind, info.affine) == gives
    assert info.licence.endswith("see https://huggingface.co/some/model")


def test_without_internet_one_line_says_what_else_there_is(transformers, data, capsys):
    sys.modules["transformers"].AutoImageProcessor.from_pretrained = Mock(
        side_effect=OSError("no route to host")
    )
    assert main(["label", str(data)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "cannot open the model depth-anything/Depth-Anything-V2-Small-hf" in said
    assert "no route to host" in said
    assert "--source ssmde:small" in said
    assert not (data / "left" / "pseudo_depth").exists()
