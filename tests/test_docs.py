"""What the documents beside the README name is there, and no link or block of code in any of them is left unchecked."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
README, CONTRIBUTING = PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"
DOCUMENTS = [README, CONTRIBUTING, PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").rglob("*.md"))]
MAKEFILE = (PROJECT / "Makefile").read_text()

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)


def prose(document: Path) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(document: Path) -> set[str]:
    """The places in a document that a link can lead to, as GitHub names them."""
    titles = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", prose(document)):
        file, _, anchor = target.partition("#")
        path = document.parent / file if file else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_every_target_of_the_makefile_is_documented_and_there_are_no_others() -> None:
    (names,) = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    targets = set(names.split())
    assert targets == set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
    named = set(re.findall(r"`make ([\w-]+)`", prose(README) + prose(CONTRIBUTING)))
    assert named == targets


def test_what_contributing_names_is_there() -> None:
    configured = (PROJECT / "pyproject.toml").read_text() + (PROJECT / "tests/conftest.py").read_text()
    named = re.findall(r"`([^`\n]+)`", prose(CONTRIBUTING))
    assert len(named) > 20
    for name in named:
        program, *words = name.split()
        if program == "make":
            continue  # the Makefile's own test knows them
        declared = re.search(rf'^(def |async def |  "){name}\b', configured, re.MULTILINE)  # a fixture, a marker
        assert declared or (PROJECT / program).exists(), name
        assert all((PROJECT / word).exists() for word in words if word.startswith("tests/")), name


def test_each_commit_is_checked_by_what_make_check_runs() -> None:
    hooks = re.findall(r"entry: \.venv/bin/(.+)", (PROJECT / ".pre-commit-config.yaml").read_text())
    commands = re.findall(r"^\t\$\(BIN\)/(.+)$", MAKEFILE.partition("\ncheck:")[2].partition("\n\n")[0], re.MULTILINE)
    assert [hook.replace(" --force-exclude", "") for hook in hooks] == commands
