"""What is said of a word that is none of the known ones; names as they are in bars and tables."""

import pytest
from rich.console import Console
from rich.table import Table

from ssmde.console import bars, did_you_mean, table_console, with_bar

NAMES = [f"scene_{i:03d}" for i in range(100)]


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("trian", ["predict", "train"], "closest match is 'train', there are predict, train"),
        ("x", ["predict", "train"], "there are predict, train"),
        ("x", [], "there are none"),
        ("scene_0070", NAMES, "closest match is 'scene_070'"),
        ("x", NAMES, f"there are {', '.join(NAMES[:24])}, ... (100 in all)"),
    ],
)
def test_the_closest_name_comes_first_and_then_all_but_very_many(word, known, said):
    assert did_you_mean(word, known) == said


def test_brackets_in_a_name_are_no_marks(capsys):
    assert list(with_bar(iter("abc"), "working", 3)) == list("abc")
    assert capsys.readouterr().out == ""
    with bars() as progress:
        progress.update(progress.add_task("kitchen", total=2), description="a[bold]/[/x]")
        Console(stderr=True).print(progress.get_renderable())
    table = Table(title="[/y]")
    table.add_row("[red]b")
    table_console().print(table)
    said = capsys.readouterr()
    assert all(name in said.out for name in ("[/y]", "[red]b"))
    assert "a[bold]/[/x]" in said.err
