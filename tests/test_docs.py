"""Documents and rooms: files explain themselves, and what a page says a test says too."""

import re
import shlex
import tomllib
from pathlib import Path

import yaml

import ssmde
from ssmde.cli import VERBS, parse

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "src" / "ssmde").rglob("*.py"))
PAGES = ("quickstart", "gallery", "faq", "your-own-video", "datasets", "export", "command-line")
COMMANDS = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in PAGES)]


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_every_file_opens_with_a_sentence_and_has_a_name():
    for path in MODULES:
        assert re.match(r'"""[^\n]*[.:]("""|\n)', path.read_text("utf-8")), path
        nameless = {"utils", "util", "common", "helpers", "misc", "base"}
        assert not {path.stem, path.parent.name} & nameless, path


def test_the_pages_name_tests_that_exist():
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]
    texts = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    exist = {name for text in texts for name in re.findall(r"(?m)^def (test_\w+)", text)}
    for page in pages:
        text = page.read_text("utf-8")
        named = set(re.findall(r"`(test_\w+)`", text))
        assert named <= exist, f"{page.name}: no such test: {sorted(named - exist)}"
        files = re.findall(r"`(?:tests/)?((?:\w+/)*test_\w+\.py)`", text)
        assert all(list((ROOT / "tests").rglob(file)) for file in files), f"{page.name}: {files}"


def test_the_conventions_are_held_by_tests():
    page = re.findall(r"(?ms)^- (.*?)(?=^- |^$)", read("docs/conventions.md"))
    others = [item for item in page if not re.search(r"`test_\w+`", item)]
    assert len(page) >= 20
    # The order of axes is held by the annotations, which every test checks.
    assert all(item.startswith("Maps are channel-first") for item in others)


def test_decisions_are_numbered_without_a_gap_and_name_their_price():
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text("utf-8")
        assert text.startswith(f"# {page.name[:4]}. "), page.name
        assert all(f"**{part}.**" in text for part in ("Context", "Choice", "Price")), page.name


def test_links_between_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link} does not exist"


def test_the_version_is_the_same_wherever_it_stands():
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == version == ssmde.__version__
    assert f"\n## {version}, {citation['date-released']}\n" in read("CHANGELOG.md")


def test_commands_in_the_readme_are_targets_of_the_makefile():
    targets = set(re.findall(r"(?m)^([a-z][a-z-]*):", read("Makefile")))
    assert {*re.findall(r"\bmake ([a-z][a-z-]*)\b", read("README.md"))} <= targets


def test_commands_in_the_documents_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/photometric").mkdir(parents=True)
    Path("runs/photometric/config.yaml").write_text("name: photometric\n")
    text = "\n".join(page.read_text("utf-8") for page in COMMANDS)
    blocks = "\n".join(re.findall(r"(?ms)^```bash\n(.*?)^```", text))
    for line in set(re.sub(r"\\\n\s*", "", blocks).splitlines()):
        words = shlex.split(line, comments=True)
        # NAME: the form of a command
        if words[:1] == ["ssmde"] and words[1:] and not {"--help", "--version", "NAME"} & {*words}:
            assert words[1] in VERBS, line
            parse(words[1], words[2:])


def test_options_in_the_documents_exist():
    known = {"--debug", "--version", *re.findall(r"--[a-z][a-z.-]+", read("docs/command-line.md"))}
    for page in COMMANDS:
        named = set(re.findall(r"`[^`\n]*?(--[a-z][a-z.-]+)", page.read_text("utf-8")))
        assert named <= known, f"{page.name}: no such option: {sorted(named - known)}"
