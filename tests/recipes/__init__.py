"""The recipes of docs/extending.md: a patch each, and here the tests that hold where it is applied."""

import re
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
EXTENDING = PROJECT / "docs" / "extending.md"


class Recipe(NamedTuple):
    """The patch of a recipe, after those of the recipes that it builds on."""

    name: str
    patch: str
    after: tuple[str, ...]

    @property
    def tests(self) -> Path:
        """The recipe's own tests."""
        return Path(__file__).parent / f"{self.name.replace('-', '_')}.py"


def recipes() -> dict[str, Recipe]:
    """Every recipe by its name, which is the anchor of its section."""
    found: dict[str, Recipe] = {}
    for section in EXTENDING.read_text().split("\n## ")[1:]:
        blocks = re.findall(r"^```diff\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
        if blocks:
            name = section.partition("\n")[0].lower().replace(" ", "-")
            on = re.findall(r"^On top of \[[^\]]+\]\(#([\w-]+)\)", section, re.MULTILINE)
            found[name] = Recipe(
                name, "".join(blocks), tuple(step for base in on for step in (*found[base].after, base))
            )
    return found
