"""Presets are values that store and load; a file of YAML says what is wrong with it."""

import pytest

from ssmde.config import dump_config, load_config, read_config
from ssmde.presets import PRESETS, find_preset


def test_a_preset_is_found_by_its_name_and_the_same_value_after_a_file():
    for name, preset in PRESETS.items():
        assert find_preset(name) is preset
        assert preset.name == name
        assert load_config(dump_config(preset)) == preset


def test_the_presets_differ_where_their_papers_do():
    photometric, consistent = PRESETS["photometric"].loss, PRESETS["consistent"].loss
    assert photometric.geometry == 0 < consistent.geometry
    literal = PRESETS["ss_mde_abstract"].student
    assert (literal.labels, literal.forgetting) == ("static", "exponential")
    upsampling = [PRESETS[name].model.upsampling for name in ("photometric", "consistent")]
    assert upsampling == ["nearest", "bilinear"]


def test_an_unknown_preset_is_refused_with_the_closest_and_all():
    with pytest.raises(ValueError, match=r"'fotometric': closest match is 'photometric', there"):
        find_preset("fotometric")
    with pytest.raises(ValueError, match=r"unknown preset 'x': there are photometric, consistent"):
        find_preset("x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data: {image_sze: 3}", "unknown key data.image_sze: closest match is 'image_size'"),
        ("nam: x", "unknown key nam: closest match is 'name'"),
        ("train: {batch_size: 2.5}", "train.batch_size: Input should be a valid integer"),
        ("train: {batch_size: true}", "train.batch_size: Input should be a valid number, got True"),
        ("model: {encoder: resnet19}", "model.encoder must be resnet18, "),
        ("data: {image_size: [32, 64, 96]}", "data.image_size"),
        ("train: {steps: many}", "train.steps: Input should be a valid integer"),
        ("data: {image_size: [30, 64]}", "data.image_size must be multiples of 32, got (30, 64)"),
        ("data: 3", "data must hold keys with values, got 3"),
        ("- a", "the whole must hold keys with values, got ['a']"),
        ("model: {intrinsics: learned}", "model.intrinsics learned is no more: `ssmde track"),
        ("a: [", "no YAML: while parsing a flow node"),
    ],
)
def test_a_fault_in_a_file_is_named_with_its_path(text, says, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"run\.yaml: ") as caught:
        read_config(file)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_several_faults_have_a_line_each(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("nam: x\ntrain: {stps: 3}\nmodel: {encoder: r18}\n")
    with pytest.raises(ValueError, match="3 faults") as caught:
        read_config(file)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert all(any(path in line for line in lines) for path in ("nam", "train.stps", "model.enc"))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"run\.yaml: is no text in UTF-8"):
        read_config(file)
