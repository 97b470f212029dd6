"""Exported files say what PyTorch says, or are not there."""

import json
import os
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from folders import names_in
from ssmde import exporting
from ssmde.data.images import write_image
from ssmde.inference.engines import FACTS_KEY, ExportFacts
from ssmde.inference.loading import licence_of, load
from ssmde.inference.predictor import Predictor
from ssmde.io import write_text
from ssmde.models.depth_net import DepthNet
from ssmde.outputs import recorded
from tiny_networks import Brightness

SIZE = (64, 96)
XML = pytest.param(".xml", marks=pytest.mark.slow)  # `make test` installs no OpenVINO
EACH_FORMAT = pytest.mark.parametrize("ending", [".onnx", XML])
FACTS = ExportFacts(
    name="small", licence="MIT", image_size=SIZE, depth_range=(0.5, 20.0), unit="scene units",
    precision="fp32", ssmde="0",
)  # fmt: skip


class Small(nn.Module):
    """Depth between 1 and about 3 from three convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ELU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        return 1 + 2 * (25 * self.layers(image)).sigmoid()


class Mood(Brightness):
    """Says one thing to PyTorch and another to whoever traces it."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) * (1.01 if torch.compiler.is_exporting() else 1)


drawn = cache(exporting.drawn_pictures)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return drawn(3)[seed][:height, :width]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(3)
    return Predictor(Small(), SIZE, depth_range=(0.5, 20.0), source="runs/small")


@pytest.fixture(scope="module")
def proto(predictor):
    """The ONNX model, made once, for it takes seconds."""
    return exporting.onnx_model(exporting.WholeModel(predictor), FACTS)


@pytest.fixture(scope="module")
def exported(proto, tmp_path_factory):
    """The exported file of an ending, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def make(ending: str) -> Path:
        exporting.write_graph(proto, FACTS, folder / f"small{ending}")
        return folder / f"small{ending}"

    return make


@EACH_FORMAT
def test_an_exported_file_is_loaded_as_weights_are_and_says_the_same(predictor, exported, ending):
    found = load(exported(ending))
    for size in (SIZE, (129, 191), (241, 323), (33, 51), (2, 3)):
        images = np.stack([picture(*size, seed) for seed in range(3)])
        wanted = predictor.predict(images).depth
        depth = found.network.run(images)
        assert depth.dtype == np.float32
        np.testing.assert_allclose(depth, wanted, rtol=1e-3)
        assert wanted.std() > 0.04 or min(size) < 60  # else anything would pass
    np.testing.assert_allclose(found.predict(images).depth, wanted, rtol=1e-3)
    assert (found.image_size, found.depth_range) == (SIZE, (0.5, 20.0))
    assert (found.metres_per_unit, licence_of(found)) == (None, "MIT")
    facts = found.network.facts
    assert (facts.name, facts.unit, facts.precision) == ("small", "scene units", "fp32")
    with pytest.raises(ValueError, match="export from the weights"):
        exporting.export(found, exported(ending).with_name("again.onnx"))
    with pytest.raises(ValueError, match="was exported to work at 64 x 96"):
        load(exported(ending), resolution=(96, 128))


def test_the_licence_of_released_weights_goes_with_the_file():
    predictor = load("small")
    assert licence_of(predictor).startswith("non-commercial")
    assert licence_of(replace(predictor, source="runs/mine")) is None


def test_onnx_itself_finds_the_file_sound_and_names_its_axes(proto):
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(proto, full_check=True)
    (image,), (depth,) = proto.graph.input, proto.graph.output
    sides = [side.dim_param or side.dim_value for side in image.type.tensor_type.shape.dim]
    assert (image.name, sides, depth.name) == ("image", ["n", "h", "w", 3], "depth")
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert "licence: MIT" in proto.doc_string
    assert str(Path.cwd()) not in str(proto)  # no paths of the machine that exported


def test_metres_are_inside_the_file(predictor):
    image = torch.from_numpy(picture(50, 70).copy())[None]
    with torch.no_grad():
        plain, metres = (
            exporting.WholeModel(replace(predictor, metres_per_unit=m))(image) for m in (None, 2.5)
        )
    torch.testing.assert_close(metres, 2.5 * plain)


@EACH_FORMAT
def test_an_export_in_half_precision_stays_near(predictor, tmp_path, ending):
    report = exporting.export(predictor, tmp_path / f"small{ending}", precision="fp16")
    assert (report.facts.precision, report.facts.licence) == ("fp16", exporting.UNKNOWN_LICENCE)


def test_half_precision_leaves_the_last_layer_in_float32():
    net = DepthNet(encoder="resnet18_half")
    nn.init.normal_(net.decoder.heads["0"].weight, std=2.0)
    image = torch.from_numpy(picture(64, 96).copy())[None]
    with torch.no_grad():
        exact = exporting.WholeModel(Predictor(net, SIZE))(image)
        half = exporting.WholeModel(Predictor(net, SIZE), torch.bfloat16)(image)
    assert net.decoder.heads["0"].weight.dtype == torch.float32  # the network was left alone
    # 8 bits of logit 6 would be steps of 1.6 %.
    steps = half.flatten().sort().values.diff() / half.flatten().sort().values[:-1]
    assert steps[steps > 0].median() < 1e-3
    assert ((half - exact).abs() / exact).mean() < 0.1


@EACH_FORMAT
def test_int8_stays_near_and_leaves_the_last_layer_in_float(predictor, proto, tmp_path, ending):
    small = exporting.quantize(proto, drawn(3))
    path = tmp_path / f"small{ending}"
    exporting.write_graph(small, FACTS, path)
    image = picture(200, 300, 1)
    wanted = predictor.predict(image).depth
    found = load(path).predict(image).depth
    assert 1e-5 < (np.abs(found - wanted) / wanted).mean() < 0.03
    made_by = {name: node.op_type for node in small.graph.node for name in node.output}
    convolutions = [node for node in small.graph.node if node.op_type == "Conv"]
    kinds = [made_by.get(node.input[1], "float") for node in convolutions]
    assert kinds == ["DequantizeLinear", "DequantizeLinear", "float"]


def test_weights_that_say_something_else_once_exported_leave_what_was_there(tmp_path):
    path = tmp_path / "mood.onnx"
    with recorded("other"):
        write_text(path, "former")
    with pytest.raises(FileExistsError, match="--overwrite"):
        exporting.export(Predictor(Mood(), SIZE), path)
    with pytest.raises(
        exporting.ParityError, match=r"differs by up to 1\.0e-02.*Nothing was written"
    ):
        exporting.export(Predictor(Mood(), SIZE), path, overwrite=True)
    assert path.read_text() == "former"
    assert names_in(tmp_path) == ["mood.onnx"]


def test_the_same_export_is_done_and_a_file_of_others_stays(predictor, tmp_path):
    path, others = tmp_path / "small.onnx", tmp_path / "others"
    report = exporting.export(predictor, path, licence="MIT")
    assert [d.size for d in report.differences] == [SIZE, (129, 191), (49, 51)]
    assert all(0 <= d.mean <= d.most < 1e-3 for d in report.differences)
    assert str(report).endswith(f"exported: {path}\nnext: ssmde predict {path} INPUT OUT")
    before = path.stat().st_mtime_ns
    assert exporting.export(predictor, path, licence="MIT") == report  # which lies beside the file
    assert (path.stat().st_mtime_ns, report.files, report.facts.name) == (before, (path,), "small")
    with pytest.raises(FileExistsError, match="--overwrite"):
        exporting.export(predictor, path, licence="other")
    others.mkdir()
    for name in ("small.onnx", "small_report.json"):
        (others / name).write_text("mine")
        with pytest.raises(FileExistsError, match=f"{name}: was not written by ssmde"):
            exporting.export(predictor, others / "small.onnx", overwrite=True)
        assert (others / name).read_text() == "mine"
        (others / name).unlink()


def test_options_that_do_not_fit_are_refused(predictor, tmp_path):
    (tmp_path / "a.xml").mkdir()
    for out, options, message in [
        ("a", {}, "end it in .onnx, or .xml for OpenVINO"),
        ("a.pt2", {}, "a.pt2: end it in .onnx.* .pt2 is no more"),
        ("a.xml", {}, "is a folder: give the name of the file"),
        ("a.onnx", {"precision": "int8"}, "needs --calibrate FOLDER"),
        ("a.onnx", {"calibrate": "photos"}, "--calibrate is for --precision int8"),
    ]:
        with pytest.raises(ValueError, match=message):
            exporting.export(predictor, tmp_path / out, **options)
    gone = {"precision": "int8", "calibrate": tmp_path / "gone"}
    with pytest.raises(FileNotFoundError, match="needs a folder of your own pictures"):
        exporting.export(predictor, tmp_path / "a.onnx", **gone)
    assert os.listdir(tmp_path) == ["a.xml"]
    (tmp_path / "depth").mkdir()
    for path in (tmp_path / "broken.jpg", tmp_path / "depth" / "0.png"):  # a map is no picture
        path.write_text("not read")
    for i in range(7):
        write_image(tmp_path / f"{i}.jpg", picture(100, 150))
    with pytest.raises(ValueError, match=r"at least 8 pictures .* got 7"):
        exporting.calibration_frames(tmp_path)
    write_image(tmp_path / "7.jpg", picture(100, 150))
    assert len(exporting.calibration_frames(tmp_path)) == 8


@EACH_FORMAT
def test_a_damaged_file_is_refused_by_name(exported, tmp_path, ending):
    path = tmp_path / f"damaged{ending}"
    path.write_bytes(exported(ending).read_bytes()[:200])
    path.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(ValueError, match=f"damaged{ending}.*damaged"):
        load(path)


def test_a_torch_file_which_can_run_code_is_never_opened(tmp_path):
    (tmp_path / "a.pt2").write_bytes(b"")
    for trust in (False, True):
        with pytest.raises(ValueError, match=r"a\.pt2: .* can run any code: export .* as ONNX"):
            load(tmp_path / "a.pt2", trust=trust)


def test_an_openvino_file_without_its_weights_is_refused(tmp_path):
    (tmp_path / "alone.xml").write_text("<net/>")
    with pytest.raises(FileNotFoundError, match=r"alone\.bin"):
        load(tmp_path / "alone.xml")


FAULTS = {
    "broken": ("{", "its record .*Invalid JSON"),
    "deep": ("[" * 100_000, "its record .*recursion"),
    "list": ("[]", "its record .*object"),
    "lacking": ('{"version": 1}', "its record .*name: Field required"),
    "more": ({"more": 1}, "its record .*more: "),
    "huge": ({"image_size": [32 * 10**8, 64]}, r"its record .*image_size\.0: .*equal to 8192"),
    "negative": ({"depth_range": [-1, 2]}, r"its record .*depth_range\.0: "),
    "later": ({"version": 2}, "its record .*version: Input should be 1"),
    "none": ("", "was not written by `ssmde export`"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_record_of_another_shape_is_refused_by_name(tmp_path, fault):
    record, reason = FAULTS[fault]
    text = record if isinstance(record, str) else json.dumps(json.loads(FACTS.to_text()) | record)
    _, path = graph(tmp_path, record=text)
    with pytest.raises(ValueError, match=rf"graph\.onnx: {reason}") as error:
        load(path)
    assert "\n" not in str(error.value)


GRAPH = """<ir_version: 8, opset_import: ["": 13]>
small (uint8[n, h, w, 3] image) => (float[n, h, w] depth) <float[1] half = {0.5}> {
    x = Cast <to = 1> (image)
    m = ReduceMean <axes = [3], keepdims = 0> (x)
    depth = Mul (m, half)
}"""


def graph(tmp_path, before="", after="", record=None):
    """A small ONNX file that says it is an export: half the mean color."""
    onnx = pytest.importorskip("onnx")
    model = onnx.parser.parse_model(GRAPH.replace(before, after) if before else GRAPH)
    onnx.helper.set_model_props(model, {FACTS_KEY: FACTS.to_text() if record is None else record})
    onnx.save(model, tmp_path / "graph.onnx")
    return model, tmp_path / "graph.onnx"


@pytest.mark.parametrize("odd", [("image", "img"), ("depth", "other"), ("uint8", "float")])
def test_a_graph_with_other_doors_is_refused_by_name(tmp_path, odd):
    _, path = graph(tmp_path, *odd)
    with pytest.raises(ValueError, match=r"graph\.onnx: its graph takes and gives"):
        load(path)


def test_depth_that_is_no_number_is_refused_by_name(tmp_path):
    model, path = graph(tmp_path)
    assert load(path).predict(np.full((64, 96, 3), 100, np.uint8)).depth.max() == 50  # it is sound
    model.graph.initializer[0].float_data[0] = np.nan
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"graph\.onnx: gives depth that is no number"):
        load(path).predict(np.zeros((64, 96, 3), np.uint8))


def keep_outside(onnx, model):
    (tensor,) = model.graph.initializer
    tensor.raw_data = b"    "
    onnx.external_data_helper.set_external_data(tensor, "../secret.bin", offset=0, length=4)
    tensor.ClearField("raw_data")


def add_loop(onnx, model):
    inside = onnx.helper.make_graph([], "inside", [], [])
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("body", inside))


def take_foreign(_, model):
    model.graph.node[0].domain = "com.microsoft"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (keep_outside, "keeps weights in another file"),
        (add_loop, "holds functions, branches or loops"),
        (take_foreign, "holds the operator 'Cast' of another"),
    ],
)
def test_an_onnx_file_reads_no_other_file_and_holds_no_loop(tmp_path, change, message):
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.bin").write_bytes(np.float32(0.25).tobytes())
    model, path = graph(tmp_path / "inside")
    model.graph.initializer[0].ClearField("float_data")
    change(pytest.importorskip("onnx"), model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=rf"graph\.onnx: {message}"):
        load(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("<?xml", "<!DOCTYPE net [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><?xml", "no OpenVINO"),
        ('type="Elu" version="opset1"', 'type="Elu" version="extension"', "holds the layer 'Elu'"),
        ('names="image"', 'names="img"', "its graph takes and gives img"),
        ('names="depth"', 'names="d"', "its graph takes and gives .* d "),
        ("", "", "is damaged or no OpenVINO file"),  # an ONNX file
    ],
)
def test_another_kind_of_openvino_file_is_refused(exported, tmp_path, before, after, message):
    text = exported(".xml").read_text("utf-8")
    assert before in text
    content = text.replace(before, after).encode() if after else exported(".onnx").read_bytes()
    (tmp_path / "odd.xml").write_bytes(content)
    (tmp_path / "odd.bin").write_bytes(exported(".xml").with_suffix(".bin").read_bytes())
    with pytest.raises(ValueError, match=rf"odd\.xml: .*{message}"):
        load(tmp_path / "odd.xml")


def test_without_the_extra_one_line_says_what_to_install(predictor, monkeypatch, tmp_path):
    _, path = graph(tmp_path)
    for name in ("onnx", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "a.xml").write_text("<net/>")
    (tmp_path / "a.bin").touch()
    for file in (path, tmp_path / "a.xml"):
        with pytest.raises(ImportError, match=r"pip install 'ssmde\[export\]'"):
            load(file)
    with pytest.raises(ImportError, match=r"needs onnx, .* pip install 'ssmde\[export\]'"):
        exporting.export(predictor, tmp_path / "a.onnx")
