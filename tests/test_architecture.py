"""The page on the architecture names files and functions that exist, and its picture is current."""

import ast
import importlib.util
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PLACES = re.findall(r"`([\w./-]+(?:/|\.py|\.md|\.toml|\.txt))`(?:: ((?:`\w+`(?:, )?)+))?", PAGE)


def test_every_file_and_folder_on_the_page_exists_and_holds_what_it_names():
    assert len(PLACES) > 30
    for name, functions in PLACES:
        places = [path for path in (ROOT / "src" / "ssmde" / name, ROOT / name) if path.exists()]
        assert places, f"docs/architecture.md: there is no {name}"
        for function in re.findall(r"\w+", functions):
            files = [places[0]] if places[0].is_file() else sorted(places[0].rglob("*.py"))
            text = "".join(file.read_text("utf-8") for file in files)
            assert re.search(rf"\b{function}\b", text), f"{name} has no {function}"


def test_the_picture_is_made_of_the_imports_as_they_are():
    path = ROOT / "docs" / "architecture.py"
    spec = importlib.util.spec_from_file_location("architecture", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PICTURE.read_text("utf-8") == script.picture(), "run python docs/architecture.py"


def test_the_python_of_the_page_on_parts_runs():
    names: dict[str, object] = {}
    text = (ROOT / "docs" / "parts.md").read_text("utf-8")
    for block in re.findall(r"(?ms)^```python\n(.*?)^```", text):
        exec(compile(block, "docs/parts.md", "exec"), names)
    assert names


# Lines of Python in each folder. Who needs more says in the change what it replaces; who deletes
# lowers the number. The aim of all of them together is 24,000.
BUDGET = {
    "data": 2_960, ".": 2_330, "inference": 1_960, "evaluation": 1_650, "models": 1_620,
    "preparation": 1_440, "app": 1_410, "datasets": 1_420, "synthetic": 1_380, "training": 1_100,
    "methods": 970, "diagnosis": 790, "metrics": 780, "losses": 710, "tracking": 690,
    "labeling": 650, "demo": 460, "adaptation": 480, "exporting": 410, "geometry": 380,
    "reporting": 300, "weights": 90,
}  # fmt: skip
LONGEST, MOST_FILES = 800, 140


def test_no_folder_is_over_its_budget_and_no_file_over_800_lines():
    lines: Counter[str] = Counter()
    files = [f for f in (ROOT / "src" / "ssmde").rglob("*.py") if f.name != "__init__.py"]
    for file in (ROOT / "src" / "ssmde").rglob("*.py"):
        *folder, _ = file.relative_to(ROOT / "src" / "ssmde").parts
        count = len(file.read_text("utf-8").splitlines())
        assert count <= LONGEST, file
        lines[folder[0] if folder else "."] += count
    assert len(files) <= MOST_FILES
    assert set(lines) == set(BUDGET)
    assert not {name: count for name, count in lines.items() if count > BUDGET[name]}


def private_names(file: Path) -> list[str]:
    """Private names of the package that a test imports, replaces or reads off a module."""
    tree, found, modules = ast.parse(file.read_text("utf-8")), list[str](), {"ssmde"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ssmde"):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
            modules |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("ssmde")]
            found += names
            modules |= {alias.asname for alias in node.names if alias.name in names} - {None}
        elif isinstance(node, ast.Attribute) and ast.unparse(node).split(".")[0] in modules:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Constant) and re.match(r"ssmde(\.\w+)+$", str(node.value)):
            found.append(str(node.value))
    return [name for name in found if re.search(r"(^|\.)_(?!_|replace$|asdict$)", name)]


def test_tests_take_public_names_only():
    files = (ROOT / "tests").rglob("*.py")
    found = {str(file.relative_to(ROOT)): names for file in files if (names := private_names(file))}
    assert not found
