"""Labelling: every frame once, by any source, and what stands in the way is said."""

import inspect
import json
import sys
from dataclasses import fields
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image

from ssmde.cli import main, parse
from ssmde.data.images import read_image, write_png16
from ssmde.data.pseudo_depth import LabelInfo, read_pseudo_depth
from ssmde.data.scene_folder import read_scene
from ssmde.inference.predictor import Predictor
from ssmde.label import SOURCES, Row, label
from ssmde.labelling import weights
from ssmde.labelling.hub import find_licence
from ssmde.labelling.source import Source
from ssmde.synthetic import draw_clip, write_clip

SIZE = (32, 48)
FRAMES = 5


@pytest.fixture(scope="module")
def clip():
    return draw_clip("wall", frames=FRAMES, size=SIZE, seed=1)


@pytest.fixture
def data(clip, tmp_path):
    for name in ("left", "right"):
        write_clip(clip, tmp_path / "data" / name)
    return tmp_path / "data"


@pytest.fixture
def seen(monkeypatch):
    """A source `drawn`, depth 1 + brightness; the sizes of the batches it was given."""
    return add_source(monkeypatch, "drawn")


def add_source(monkeypatch, name, **about):
    batches = []

    def give(images):
        batches.append(len(images))
        return [brightness(image) for image in images]

    known = {"kind": "depth", "affine": True, "licence": "MIT", "version": "1"}
    source = Source(info=LabelInfo(source=name, **(known | about)), label=give)
    monkeypatch.setitem(SOURCES, name, Row(open=lambda asked: source, takes=()))
    return batches


def brightness(image):
    return 1 + image.mean(axis=2, dtype=np.float32) / 255


def run(data, source="drawn", **options):
    return label(data, source=source, **({"show_progress": False, "split": "all"} | options))


def labels(data, scene="left"):
    return sorted(file.stem for file in (data / scene / "pseudo_depth").glob("*.png"))


def info_of(data, scene="left"):
    return json.loads((data / scene / "pseudo_depth" / "label.json").read_text())


# Every frame once


def test_every_frame_gets_the_label_that_the_scene_then_shows(seen, data, capsys):
    found = run(data, batch_size=2)
    assert (found.written, found.present, found.skipped) == (2 * FRAMES, 0, ())
    assert seen == [2, 2, 1, 2, 2, 1]
    scene = read_scene(data / "right")
    assert (scene.pseudo_depth_kind, scene.pseudo_depth_affine) == ("depth", True)
    assert scene.pseudo_depth_source == "drawn"
    for image, file in zip(scene.images, scene.pseudo_depth, strict=True):
        expected = brightness(read_image(image))
        np.testing.assert_allclose(
            read_pseudo_depth(file), expected / expected.max(), atol=1 / 60000
        )
    assert capsys.readouterr().out == "source: drawn, licence: MIT\n"
    assert info_of(data)["licence"] == "MIT"


def test_only_the_frames_of_the_split_are_labelled(seen, data):
    assert run(data, split="train").written == 2 * (FRAMES - 1)
    assert run(data, split="val").written == 2


def test_a_second_run_does_only_what_is_missing(seen, data):
    run(data)
    (data / "right" / "pseudo_depth" / "000003.png").unlink()
    seen.clear()
    found = run(data)
    assert (found.written, found.present) == (1, 2 * FRAMES - 1)
    assert seen == [1]
    assert (run(data).written, seen) == (0, [1])


def test_a_stop_loses_at_most_the_running_batch(data, monkeypatch):
    batches = []

    def stop_in_the_second(images):
        batches.append(len(images))
        if len(batches) == 2:
            raise KeyboardInterrupt
        return [brightness(image) for image in images]

    info = LabelInfo(source="drawn", kind="depth", affine=True, licence="MIT")
    source = Source(info=info, label=stop_in_the_second)
    monkeypatch.setitem(SOURCES, "drawn", Row(open=lambda asked: source, takes=()))
    with pytest.raises(KeyboardInterrupt):
        run(data, batch_size=2)
    assert labels(data) == ["000000", "000001"]
    assert run(data).written == 2 * FRAMES - 2
    assert not list(data.rglob("*.part"))


def test_a_stop_before_the_first_label_can_be_gone_on_with(seen, data, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("ssmde.data.pseudo_depth.write_pseudo_depth", stop)
        with pytest.raises(KeyboardInterrupt):
            run(data)
    assert run(data).written == 2 * FRAMES


def test_a_broken_frame_is_named_and_left_out(seen, data):
    broken = data / "left" / "000001.png"
    broken.write_bytes(broken.read_bytes()[:100])
    found = run(data)
    assert found.written == 2 * FRAMES - 1
    (reason,) = found.skipped
    assert "left/000001.png: cannot be read" in reason
    assert read_scene(data / "left").pseudo_depth[1] is None
    again = run(data)
    assert (again.written, again.present, len(again.skipped)) == (0, 2 * FRAMES - 1, 1)


def test_a_map_without_a_value_is_no_label(data, monkeypatch):
    def nothing_in_the_first(images):
        return [np.full(SIZE, np.nan, np.float32), *map(brightness, images[1:])]

    info = LabelInfo(source="drawn", kind="depth", affine=True, licence="MIT")
    source = Source(info=info, label=nothing_in_the_first)
    monkeypatch.setitem(SOURCES, "drawn", Row(open=lambda asked: source, takes=()))
    assert run(data / "left").skipped == ("left/000000: the source gives no value",)
    assert labels(data) == ["000001", "000002", "000003", "000004"]


def test_the_command_names_what_was_skipped_and_ends_well(seen, data, capsys):
    (data / "left" / "000001.png").write_bytes(b"")
    assert main(["label", str(data), "--source", "drawn", "--split", "all"]) == 0
    said = capsys.readouterr()
    assert said.out == "source: drawn, licence: MIT\nlabels: 9 written now, 0 there before\n"
    assert "skipped: " in said.err
    assert "000001.png: the file is empty" in said.err


def test_without_options_the_command_does_what_python_does():
    own, asked = inspect.signature(label).parameters, parse("label", ["a"])
    options = [f.name for f in fields(asked) if f.name != "data"]
    assert {*options, "data", "show_progress"} == set(own)
    assert all(getattr(asked, name) == own[name].default for name in options)


# One source at a time


def test_another_source_is_refused_until_it_may_overwrite(seen, data, monkeypatch):
    run(data)
    others = add_source(monkeypatch, "other", kind="disparity")
    with pytest.raises(ValueError, match=r"source of the labels is 'drawn', now .* --overwrite"):
        run(data, "other")
    assert others == []
    assert run(data, "other", split="val", overwrite=True).written == 2
    assert labels(data) == ["000004"], "no label of the former source is left"
    assert info_of(data)["kind"] == "disparity"


def test_an_unknown_source_names_the_closest(data):
    with pytest.raises(
        ValueError, match=r"'leress': closest match is 'leres', there are .*hf:MODEL"
    ):
        run(data, "leress")


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        ("folder", {}, "source 'folder' is written folder:PATH"),
        ("midas:x", {}, "source 'midas' is written midas, got 'midas:x'"),
        ("midas", {"kind": "depth"}, "source 'midas' takes no kind; hf, folder does"),
        ("hf:a/b", {"checkpoint": "w.pth"}, "takes no checkpoint; leres does"),
        ("folder:.", {"size": (32, 32)}, "source 'folder' takes no size"),
        ("leres", {}, "needs --checkpoint FILE"),
        ("folder:.", {}, "needs --kind depth or --kind disparity"),
        ("midas", {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_words_that_do_not_fit_are_explained(source, options, says, data, tmp_path):
    if "checkpoint" in options:
        options["checkpoint"] = tmp_path / options["checkpoint"]
    with pytest.raises(ValueError, match=says):
        run(data, source, **options)


def test_a_gpu_that_is_not_there_is_named(seen, data, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no CUDA device here"):
        run(data, device="gpu")
    assert run(data, device="auto").written


# Existing files


@pytest.fixture
def files(tmp_path):
    """Labels of the frames 0 to 3 of both scenes, as PNG, .npy and .npz; 0 is no value."""
    for scene in ("left", "right"):
        (tmp_path / "files" / scene).mkdir(parents=True)
        place = tmp_path / "files" / scene
        steps = np.full(SIZE, 100, np.uint16)
        steps[0, 0] = 0
        write_png16(place / "000000.png", steps)
        write_png16(place / "000001.png", steps * 2)
        np.save(place / "000002.npy", steps.astype(np.float32))
        np.savez(place / "000003.npz", depth=steps / 10)
    return tmp_path / "files"


@pytest.mark.parametrize("kind", ["depth", "disparity"])
def test_existing_files_are_copied_with_their_kind(kind, files, data):
    found = run(data, f"folder:{files}", kind=kind)
    assert found.written == 8
    assert len(found.skipped) == 2
    assert "left/000004: no such label (.png, .npy, .npz)" in found.skipped[0]
    scene = read_scene(data / "left")
    assert scene.pseudo_depth_kind == kind
    for file in scene.pseudo_depth[:4]:
        values = read_pseudo_depth(file)
        assert values[0, 0] == 0
        assert (values.ravel()[1:] == 1).all()


def test_the_files_of_a_single_scene_need_no_folder_of_its_name(files, data):
    assert run(data / "left", f"folder:{files / 'left'}", kind="depth").written == 4
    with pytest.raises(FileNotFoundError, match="left: no such folder; labels of several scenes"):
        run(data, f"folder:{files / 'left'}", kind="depth")


def test_labels_are_not_copied_onto_themselves(seen, data):
    run(data)
    place = data / "right" / "pseudo_depth"
    with pytest.raises(ValueError, match="nothing to copy"):
        run(data / "right", f"folder:{place}", kind="depth", overwrite=True)
    assert len(labels(data)) == len(labels(data, "right")) == FRAMES


def test_files_that_fit_no_frame_are_a_fault(data, tmp_path):
    with pytest.raises(ValueError, match=r"not one frame could be labelled: .*no such label"):
        run(data / "left", f"folder:{tmp_path}", kind="depth")


# Networks of the user


class Bright(torch.nn.Module):
    """Depth 1 + mean of the colours."""

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(()))
        self.sizes = []

    def forward(self, image):
        return self.one + image.mean(dim=1, keepdim=True)

    def predict_depth(self, image, *, size):
        self.sizes.append((tuple(image.shape), size))
        return self(image)


def test_leres_labels_with_the_users_checkpoint(data, tmp_path, monkeypatch):
    network, file = Bright(), tmp_path / "res101.pth"
    file.write_bytes(b"weights")
    monkeypatch.setattr("ssmde.models.leres.load_leres", lambda path: network)
    found = run(data / "left", "leres", checkpoint=file, batch_size=3, size=(64, 96))
    assert network.sizes == [((3, 3, *SIZE), (64, 96)), ((2, 3, *SIZE), (64, 96))]
    info = info_of(data)
    assert (info["kind"], info["affine"], info["network_size"]) == ("depth", True, [64, 96])
    assert info["version"].startswith("sha256:")
    assert "non-commercial" in found.info.licence
    file.write_bytes(b"other weights")
    with pytest.raises(ValueError, match="version of the labels is 'sha256:"):
        run(data / "left", f"leres:{file}", size=(64, 96))  # as `ssmde train` names it


def test_a_network_trained_here_labels_without_an_unknown_shift(data, tmp_path, monkeypatch):
    asked = []

    def load(path, *, resolution, device):
        asked.append((path.name, resolution, device.type))
        return Predictor(Bright(), resolution or (64, 96))

    monkeypatch.setattr(weights, "load", load)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.safetensors").write_bytes(b"weights")
    run(data / "left", f"ssmde:{tmp_path / 'run'}", device="cpu")
    assert asked == [("last.safetensors", None, "cpu")]
    scene, info = read_scene(data / "left"), info_of(data)
    assert info["source"] == "ssmde:run/last.safetensors"
    assert not scene.pseudo_depth_affine
    expected = brightness(read_image(scene.images[0]))
    read = read_pseudo_depth(scene.pseudo_depth[0])
    assert abs(np.median(read) - np.median(expected)) < 0.05, "in the unit of the network"


# Networks of others


class FakeInputs(dict):
    def to(self, device):
        return self


class FakeProcessor:
    """Half the size; remembers what it was given."""

    def __init__(self):
        self.options = []

    def __call__(self, images, return_tensors, **options):
        assert return_tensors == "pt"
        assert all(isinstance(image, Image.Image) for image in images)
        self.options.append(options)
        stack = np.stack([np.asarray(image, np.float32) / 255 for image in images])
        return FakeInputs(pixel_values=torch.from_numpy(stack).permute(0, 3, 1, 2))

    def post_process_depth_estimation(self, outputs, sizes):
        assert sizes == [SIZE] * len(outputs.predicted_depth)
        return [{"predicted_depth": depth} for depth in outputs.predicted_depth]


class FakeNetwork(torch.nn.Module):
    def __init__(self, **config):
        super().__init__()
        self.config = SimpleNamespace(_commit_hash="abc", **config)

    def forward(self, pixel_values):
        return SimpleNamespace(predicted_depth=pixel_values.mean(1)[:, ::2, ::2])


@pytest.fixture
def transformers(monkeypatch):
    """Stands in for the package; a hub that cannot be asked for licences."""
    found = SimpleNamespace(processor=FakeProcessor(), network=FakeNetwork(), names=[])

    def give(what):
        def from_pretrained(name, *, trust_remote_code):
            assert trust_remote_code is False
            found.names.append(name)
            return getattr(found, what)

        return SimpleNamespace(from_pretrained=from_pretrained)

    package = SimpleNamespace(
        AutoImageProcessor=give("processor"), AutoModelForDepthEstimation=give("network")
    )
    monkeypatch.setitem(sys.modules, "transformers", package)
    monkeypatch.setattr(huggingface_hub, "model_info", unreachable)
    monkeypatch.setattr("ssmde.labelling.hub.from_hub", lambda load, name, **options: (
        None if load is huggingface_hub.hf_hub_download else load(name, **options)
    ))  # fmt: skip
    return found


def unreachable(*args, **kwargs):
    raise OSError("no route to host")


def test_the_default_source_is_a_disparity_of_the_hub(transformers, data):
    found = label(data / "left", show_progress=False, size=(28, 42))
    assert transformers.names == ["depth-anything/Depth-Anything-V2-Small-hf"] * 2
    assert transformers.processor.options == [{"size": {"height": 28, "width": 42}}]
    info = info_of(data)
    assert info["source"] == "hf:depth-anything/Depth-Anything-V2-Small-hf"
    assert (info["version"], info["kind"], info["affine"]) == ("abc", "disparity", True)
    assert found.info.licence == "apache-2.0"
    with Image.open(data / "left" / "pseudo_depth" / "000000.png") as image:
        assert image.size == SIZE[::-1]


@pytest.mark.parametrize(
    ("config", "kind", "gives"),
    [
        ({"model_type": "depth_anything", "depth_estimation_type": "relative"}, None,
         ("disparity", True)),
        ({"model_type": "depth_anything", "depth_estimation_type": "metric"}, None,
         ("depth", False)),
        ({"model_type": "depth_pro"}, "depth", ("depth", False)),
        ({"model_type": "dpt"}, "disparity", ("disparity", True)),
    ],
)  # fmt: skip
def test_what_a_model_gives_is_read_or_asked(config, kind, gives, transformers, data):
    transformers.network = FakeNetwork(**config)
    run(data / "left", "hf:some/model", kind=kind)
    info = info_of(data)
    assert (info["kind"], info["affine"]) == gives
    assert info["licence"] == "unknown: see https://huggingface.co/some/model"


def test_what_a_model_gives_is_never_guessed(transformers, data):
    transformers.network = FakeNetwork(model_type="dpt")
    with pytest.raises(ValueError, match=r"whether this model gives depth or disparity.*--kind"):
        run(data, "hf:some/model")
    transformers.network = FakeNetwork(model_type="zoedepth")
    with pytest.raises(ValueError, match="gives depth, not disparity"):
        run(data, "hf:some/model", kind="disparity")


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({"license": "cc-by-nc-4.0"}, "cc-by-nc-4.0"),
        ({"license": "other", "license_name": "mine"}, "mine: see https://huggingface.co/a/b"),
        ({}, "unknown: see https://huggingface.co/a/b"),
        (None, "unknown: see https://huggingface.co/a/b"),
    ],
)
def test_the_licence_is_that_of_the_model_card(card, licence, monkeypatch):
    answer = SimpleNamespace(card_data=card)
    monkeypatch.setattr(huggingface_hub, "model_info", lambda name, timeout: answer)
    assert find_licence("a/b") == licence


def test_a_missing_package_is_named_with_its_remedy(data, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["label", str(data)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ssmde label: error: this source of `ssmde label` needs transformers")
    assert said.endswith("pip install 'ssmde[labels]'\n")
    monkeypatch.setitem(sys.modules, "depth_anything_3.api", None)
    with pytest.raises(ImportError, match=r"needs depth_anything_3.*pip install git"):
        run(data, "depth-anything-3")


def test_without_internet_one_line_says_what_else_there_is(transformers, data, capsys):
    sys.modules["transformers"].AutoImageProcessor.from_pretrained = unreachable
    assert main(["label", str(data)]) == 1
    said = capsys.readouterr().err
    assert "cannot open the model depth-anything/Depth-Anything-V2-Small-hf" in said
    assert "no route to host" in said
    assert "--source leres" in said
    assert said.count("\n") == 1
    assert not (data / "left" / "pseudo_depth").exists()


def test_depth_anything_3_sees_one_image_at_a_time(data, monkeypatch):
    calls = []

    class DepthAnything3(torch.nn.Module):
        @classmethod
        def from_pretrained(cls, name):
            assert name == "depth-anything/DA3MONO-LARGE"
            return cls()

        def inference(self, images, **options):
            calls.append((len(images), options))
            return SimpleNamespace(depth=np.stack([brightness(i)[::2, ::2] for i in images]))

    package = SimpleNamespace(DepthAnything3=DepthAnything3)
    monkeypatch.setitem(sys.modules, "depth_anything_3.api", package)
    monkeypatch.setattr(huggingface_hub, "model_info", unreachable)
    run(data / "left", "depth-anything-3", size=(280, 420))
    assert calls == [(1, {"process_res": 420})] * FRAMES
    info = info_of(data)
    assert (info["kind"], info["affine"], info["licence"]) == ("depth", True, "apache-2.0")
