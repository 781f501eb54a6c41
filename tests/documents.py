"""The documents, and their parts: a section by its title, the rows of its table, the blocks of code."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[1]
README, CONTRIBUTING = PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"
CLIENTS, OPERATING, SPEED = (PROJECT / "docs" / f"{name}.md" for name in ("clients", "operating", "speed"))
OFF_MOTOR = PROJECT / "docs/decisions/0010-the-way-off-motor.md"
DOCUMENTS = [README, CONTRIBUTING, PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").rglob("*.md"))]


def prose(document: Path) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)


def blocks(document: Path, language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)


def section(document: Path, title: str) -> str:
    """What stands under a title, with the sections under it."""
    found = re.search(rf"^(##+) {re.escape(title)}\n(.*)", document.read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"{document.name} has no section {title}"
    level, rest = found.groups()
    return re.split(rf"^#{{2,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(document: Path, title: str) -> list[list[str]]:
    """The cells of the first table in a section, without its head."""
    (table, *_) = re.findall(r"(?:^\|.*\n)+", section(document, title), re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
