"""What is said of a word that is none of the known ones; names as they are in bars and tables."""

from rich.console import Console
from rich.table import Table

from ssmde.console import bars, did_you_mean, table_console, with_bar


def test_the_closest_name_comes_first_and_then_all():
    known = ["predict", "train"]
    assert did_you_mean("trian", known) == "closest match is 'train', there are predict, train"
    assert did_you_mean("x", known) == "there are predict, train"
    assert did_you_mean("x", []) == "there are none"
    shown = did_you_mean("h", ["hf"], shown=["hf:MODEL"])
    assert shown == "closest match is 'hf', there are hf:MODEL"


def test_of_very_many_names_the_closest_is_enough():
    names = [f"scene_{i:03d}" for i in range(100)]
    assert did_you_mean("scene_0070", names) == "closest match is 'scene_070'"
    assert did_you_mean("x", names).endswith("scene_023, ... (100 in all)")


def test_a_bar_hands_on_every_item(capsys):
    assert list(with_bar(iter("abc"), "working", 3)) == list("abc")
    assert capsys.readouterr().out == ""


def test_brackets_in_a_name_are_no_marks(capsys):
    with bars() as progress:
        progress.update(progress.add_task("kitchen", total=2), description="a[bold]/[/x]")
        Console(stderr=True).print(progress.get_renderable())
    table = Table(title="[/y]")
    table.add_row("[red]b")
    table_console().print(table)
    said = capsys.readouterr()
    assert "[/y]" in said.out
    assert "[red]b" in said.out
    assert "a[bold]/[/x]" in said.err
