"""Draws pictures/architecture.svg from the imports: who stands on whom. Run it after a move.

A line leads from a folder or module of `src/ssmde` down to what it imports, unless another line
leads there already by way of others.
"""

import re
from itertools import groupby
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "ssmde"
PICTURE = Path(__file__).parent / "pictures" / "architecture.svg"
WIDTH, ROW, HEIGHT = 1180, 64, 26  # pixels: of the picture, from row to row, of a box
OUTSIDE = {"__init__", "__main__", "renamed"}  # doors, which lead to everything


def rooms() -> dict[str, set[str]]:
    """Folders and modules at the top of the package, and which of the others each imports."""
    found = {
        path.stem: [path] if path.is_file() else sorted(path.rglob("*.py"))
        for path in SOURCE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    names = found.keys() - OUTSIDE
    return {name: _imported(found[name]) & names - {name} for name in sorted(names)}


def _imported(files: list[Path]) -> set[str]:
    text = "".join(file.read_text("utf-8") for file in files)
    return set(re.findall(r"(?m)^ *(?:from|import) ssmde\.(\w+)", text))


def below(imports: dict[str, set[str]], room: str) -> set[str]:
    """All that a room stands on, at first or at second hand."""
    return imports[room].union(*(below(imports, other) for other in imports[room]))


def level(imports: dict[str, set[str]], room: str) -> int:
    """0 for a room that imports no other, else one above the highest that it imports."""
    return 1 + max((level(imports, other) for other in imports[room]), default=-1)


def picture() -> str:
    """The picture as SVG."""
    imports = rooms()
    levels = {room: level(imports, room) for room in imports}
    top = max(levels.values())
    places: dict[str, tuple[float, float]] = {}
    for row, group in groupby(sorted(imports, key=lambda r: (-levels[r], r)), levels.__getitem__):
        members = list(group)
        for i, room in enumerate(members):
            places[room] = (WIDTH * (i + 0.5) / len(members), ROW * (top - row + 0.5))
    lines, boxes = list[str](), list[str]()
    for room, (x, y) in places.items():
        far = set[str]().union(*(below(imports, other) for other in imports[room]))
        for x2, y2 in (places[other] for other in sorted(imports[room] - far)):
            lines.append(f'<path d="M{x:.0f} {y:.0f}L{x2:.0f} {y2:.0f}"/>')
        wide = 8 * len(room) + 16
        boxes.append(
            f'<rect x="{x - wide / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{wide}" '
            f'height="{HEIGHT}" rx="5"/><text x="{x:.0f}" y="{y + 5:.0f}">{room}</text>'
        )
    style = (
        "path{stroke:#9aa5b1}rect{fill:#eef2f7;stroke:#52606d}"
        "text{font:14px monospace;text-anchor:middle;fill:#1f2933}"
    )
    size = f'viewBox="0 0 {WIDTH} {ROW * (top + 1)}"'
    body = "\n".join([*lines, *boxes])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
