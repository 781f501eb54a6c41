"""What the documents name is there, and no link, command or block of code in any of them is left unchecked."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer.main
from pymongo.uri_parser import parse_uri

import students_api
from benchmarks import faults
from students_api.cli import app
from students_api.main import create_app
from students_api.settings import Settings, variable
from tests.documents import (
    CLIENTS,
    CONTRIBUTING,
    DOCUMENTS,
    OFF_MOTOR,
    OPERATING,
    PROJECT,
    README,
    prose,
    rows,
    section,
)

MAKEFILE = (PROJECT / "Makefile").read_text()

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)


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


def sources() -> Iterator[ast.Module]:
    for path in Path(students_api.__file__).parent.rglob("*.py"):
        yield ast.parse(path.read_text())


def test_each_status_of_an_error_is_explained_and_there_are_no_others() -> None:
    names = {
        node.attr
        for source in sources()
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "HTTPStatus"
    }
    answered = {str(int(HTTPStatus[name])) for name in names & HTTPStatus.__members__.keys()}
    for operations in create_app().openapi()["paths"].values():
        answered.update(status for operation in operations.values() for status in operation["responses"])
    errors = {status for status in answered if status[0] in "45"}
    assert {row[0] for row in rows(CLIENTS, "Errors")} == errors
    named = prose(CLIENTS) + section(OPERATING, "Reliability").partition("### ")[0] + section(OPERATING, "Stopping")
    assert set(re.findall(r"\b[45]\d\d\b", named)) == errors


def test_each_header_that_openapi_has_is_in_the_page_for_clients() -> None:
    named = set(re.findall(r"`([A-Z][\w-]+)", prose(CLIENTS)))
    for operations in create_app().openapi()["paths"].values():
        for operation in operations.values():
            sent = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "header"}
            answered = {name for response in operation["responses"].values() for name in response["headers"]}
            assert sent | answered <= named


def test_each_variable_of_the_environment_that_the_code_names_is_in_the_page_for_operators() -> None:
    """Those of the settings are in their table; these are of the libraries."""
    found = set()
    for source in sources():
        constants = {
            target.id: node.value.value
            for node in source.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(source):
            match node:
                case ast.Subscript(ast.Attribute(attr="environ"), key):
                    pass
                case ast.Call(ast.Attribute(ast.Attribute(attr="environ")), [key, *_]):
                    pass
                case _:
                    continue
            found.add(key.value if isinstance(key, ast.Constant) else constants[ast.unparse(key)])
    assert len(found) >= 4
    for name in found:
        assert f"`{name!s}`" in prose(OPERATING), name


def test_the_exit_codes_are_those_of_the_help() -> None:
    assert str(app.info.epilog) in " ".join(section(OPERATING, "The command").split())


# Blocks of code: each language has its check, and a language that has none has no place in the documents.

GROUP = typer.main.get_command(app)


def check_command(words: list[str]) -> None:
    """The program is there, and takes these arguments."""
    program, *arguments = words
    match program.removeprefix(".venv/bin/"), arguments:
        case "make", [target]:
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
        case "students-api", [option] if option.startswith("-"):
            assert option in [name for parameter in GROUP.params for name in parameter.opts]
        case "students-api", [name, *options]:
            command = getattr(GROUP, "commands", {})[name]
            command.make_context(name, options)
        case "python", ["-m", module, *options] if module.startswith("benchmarks."):
            source = (PROJECT / f"{module.replace('.', '/')}.py").read_text()
            assert all(option in source for option in options if not option.isdecimal())
        case "uvicorn", [application, *_]:
            module, _, name = application.partition(":")
            assert callable(getattr(import_module(module), name))
        case "export", [setting]:
            assert setting.partition("=")[0] in map(variable, Settings.model_fields)
        case "python", ["-m", module, *_]:
            assert find_spec(module) is not None
        case ("beanie" | "hatchling" | "pre-commit") as installed, _:
            assert (Path(sys.executable).parent / installed).exists()
        case ("git", ["apply"]) | ("pip", ["install", "dist/students_api-*.whl"]):
            pass
        case _:
            raise AssertionError(f"no check knows of {program}")


def check_console(document: Path, code: str) -> None:
    """Each command; the sessions with curl are run by a test of their own."""
    if "curl" in code:
        assert document in {README, CLIENTS}
        return
    for line in code.splitlines():
        assert line.startswith("$ ")
        for command in line.removeprefix("$ ").split(" | "):
            check_command(shlex.split(command))


def check_sh(_document: Path, code: str) -> None:
    subprocess.run(["bash", "-n"], input=code, text=True, check=True)
    for line in code.splitlines():
        for command in line.split(" && "):
            check_command(shlex.split(command))
    for url in re.findall("MONGODB_URL='(.+)'", code):
        parse_uri(url.replace("mongodb+srv:", "mongodb:"))  # which the name server would be asked about


def check_js(_document: Path, code: str) -> None:
    """The settings are those with which the benchmark has measured what the page tells."""
    first, *settings, last = code.splitlines()
    assert (first, last) == ("cfg = rs.conf()", "rs.reconfig(cfg)")
    named = [re.fullmatch(r"cfg\.settings\.(\w+) = (\d+)", line) for line in settings]
    given = {name: int(value) for found in named if found for name, value in [found.groups()]}
    assert given == faults.settings_for(given["electionTimeoutMillis"] // 1000)
    for parameter in faults.PARAMETERS:
        assert f"--setParameter {parameter}" in " ".join(section(OPERATING, "Reliability").split())


def check_json(document: Path, code: str) -> None:
    """It is the line of a log, which a test compares with one of the service."""
    assert document == OPERATING
    json.loads(code)


def check_text(document: Path, _code: str) -> None:
    """It is the picture of the modules, which a test compares with them."""
    assert document.name == "architecture.md"


def check_diff(document: Path, _code: str) -> None:
    """It is a recipe, which a test applies, or the switch to Beanie 2, which is compared with the code."""
    assert document == OFF_MOTOR or document.name in (PROJECT / "tests/recipes/__init__.py").read_text()


CHECKS = {
    "console": check_console,
    "diff": check_diff,
    "js": check_js,
    "json": check_json,
    "sh": check_sh,
    "text": check_text,
}
BLOCKS = [
    pytest.param(document, *block, id=f"{document.stem}-{block[0] or 'none'}")
    for document in DOCUMENTS
    for block in re.findall(r"^ *```(.*)\n((?:.*\n)*?) *```$", document.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize(("document", "language", "code"), BLOCKS)
def test_every_block_of_code_is_checked(document: Path, language: str, code: str) -> None:
    assert language in CHECKS, "a block of code that nothing checks"
    CHECKS[language](document, code)


@each_document
def test_no_block_of_code_is_written_in_another_way(document: Path) -> None:
    text = document.read_text()
    assert "~~~" not in text
    assert len(re.findall("```", text)) == 2 * len([block for block in BLOCKS if block.values[0] == document])


@each_document
def test_every_command_in_the_text_is_there(document: Path) -> None:
    programs = "students-api|python|uvicorn|beanie|hatchling|pre-commit"
    for command in re.findall(rf"`((?:\.venv/bin/)?(?:{programs}) [^`]+)`", prose(document)):
        check_command(shlex.split(" ".join(command.split())))
