"""Documents and rooms: files explain themselves, and what a page says a test says too."""

import ast
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


def module_name(path: Path) -> str:
    return str(path.relative_to(ROOT / "src"))


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def names_of_tests() -> set[str]:
    texts = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r"(?m)^def (test_\w+)", text)}


def statements(page: str) -> list[str]:
    """The bullet points of a page, each joined to one line."""
    return [" ".join(item.split()) for item in re.findall(r"(?ms)^- (.*?)(?=^- |^$)", page)]


def test_every_file_opens_with_a_sentence():
    for path in MODULES:
        opening = re.match(r'"""(.*)', path.read_text("utf-8"))
        assert opening, f"{module_name(path)} has no opening docstring"
        assert opening[1].removesuffix('"""').endswith((".", ":")), f"{path}: {opening[1]}"


def test_no_room_is_nameless():
    nameless = {"utils", "util", "common", "helpers", "misc", "base"}
    assert not [module_name(p) for p in MODULES if {p.stem, p.parent.name} & nameless]


def test_the_pages_name_tests_that_exist():
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "decisions").glob("*.md")]
    exist = names_of_tests()
    for page in pages:
        text = page.read_text("utf-8")
        named = set(re.findall(r"`(test_\w+)`", text))
        assert named <= exist, f"{page.name}: no such test: {sorted(named - exist)}"
        files = re.findall(r"`(?:tests/)?((?:\w+/)*test_\w+\.py)`", text)
        assert all(list((ROOT / "tests").rglob(file)) for file in files), f"{page.name}: {files}"


def test_the_conventions_are_held_by_tests():
    page = statements(read("docs/conventions.md"))
    held = [item for item in page if re.search(r"`test_\w+`", item)]
    assert len(held) >= 20
    # The order of axes is held by the annotations, which every test checks.
    assert all(item.startswith("Maps are channel-first") for item in page if item not in held)


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


def test_the_reference_names_what_exists():
    for name in re.findall(r"(?m)^::: (\S+)", read("docs/reference.md")):
        path = ROOT / "src" / name.replace(".", "/")
        if not (path.is_dir() or path.with_suffix(".py").is_file()):  # then a name in a module
            inside = path.parent / "__init__.py"
            home = inside if path.parent.is_dir() else path.parent.with_suffix(".py")
            assert path.name in home.read_text("utf-8"), f"{name} does not exist"


def test_the_version_is_the_same_wherever_it_stands():
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert yaml.safe_load(read("CITATION.cff"))["version"] == version == ssmde.__version__
    assert f"\n## {version}, {yaml.safe_load(read('CITATION.cff'))['date-released']}\n" in read(
        "CHANGELOG.md"
    )


def test_python_in_the_readme_parses_and_imports_names_that_exist():
    for block in re.findall(r"(?ms)^```python\n(.*?)^```", read("README.md")):
        nodes = list(ast.walk(ast.parse(block)))
        imports = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(body=list(imports), type_ignores=[]), "README.md", "exec"), {})
        for node in nodes:
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "ssmde":
                assert hasattr(ssmde, node.attr), f"the README uses ssmde.{node.attr}"


def test_commands_in_the_readme_are_targets_of_the_makefile():
    targets = set(re.findall(r"(?m)^([a-z][a-z-]*):", read("Makefile")))
    assert {"setup", "demo", "check", "test", "test-all", "docs", "bench"} <= targets
    assert set(re.findall(r"\bmake ([a-z][a-z-]*)\b", read("README.md"))) <= targets


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
    known = set(re.findall(r"--[a-z][a-z.-]+", read("docs/command-line.md")))
    ours = ("--debug", "--help", "--version", *known)
    for page in COMMANDS:
        named = set(re.findall(r"`[^`\n]*?(--[a-z][a-z.-]+)", page.read_text("utf-8")))
        assert named <= set(ours), f"{page.name}: no such option: {sorted(named - set(ours))}"
