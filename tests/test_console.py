"""What is said of a word that is none of the known ones."""

from ssmde.console import did_you_mean, with_bar


def test_the_closest_name_comes_first_and_then_all():
    assert did_you_mean("trian", ["predict", "train"]) == (
        "closest match is 'train', there are predict, train"
    )


def test_without_a_close_name_all_are_named():
    assert did_you_mean("x", ["predict", "train"]) == "there are predict, train"
    assert did_you_mean("x", []) == "there are none"


def test_of_very_many_names_the_closest_is_enough():
    names = [f"scene_{i:03d}" for i in range(100)]
    assert did_you_mean("scene_0070", names) == "closest match is 'scene_070'"
    assert did_you_mean("x", names).endswith("scene_023, ... (100 in all)")


def test_names_are_shown_as_they_are_written():
    assert did_you_mean("h", ["hf"], shown=["hf:MODEL"]) == (
        "closest match is 'hf', there are hf:MODEL"
    )


def test_a_bar_hands_on_every_item(capsys):
    assert list(with_bar(iter("abc"), "working", 3)) == list("abc")
    assert capsys.readouterr().out == ""
