"""docs/architecture.md is true: its picture is that of the modules, and its walks are those that are walked."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from fastapi.params import Depends

import students_api
from students_api.main import RESOURCES, create_app
from students_api.settings import Settings, variable
from tests.conftest import JANE
from tests.service import Service, environment

PROJECT = Path(__file__).parents[1]
PACKAGE = Path(students_api.__file__).parent
ARCHITECTURE = (PROJECT / "docs/architecture.md").read_text()

SHARED = "what resources share"
ALSO_SHARED = {"problems"}

# Runs the command with what follows the name of a file, into which it writes the functions that were called, in order.
TRACED = """
import json, sys, threading

called = []


def note(frame, event, _):
    module = frame.f_globals.get("__name__", "")
    if event == "call" and module.startswith("students_api."):
        called.append(f"{module.removeprefix('students_api.')}.{frame.f_code.co_qualname}")


threading.setprofile(note)
sys.setprofile(note)
file = sys.argv.pop(1)
from students_api.cli import app

try:
    app()
finally:
    sys.setprofile(None)
    with open(file, "w") as written:
        json.dump(called, written)
"""


def module_name(path: Path) -> str:
    """As the picture has it: without the package's name."""
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py") if "migrations" not in path.parts}
FOLDERS = {resource.__name__.removeprefix("students_api.") for resource in RESOURCES}


def imported(path: Path) -> set[str]:
    """The modules of the service that a module imports, wherever in it that is."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, *steps = name.split(".")
            if package == students_api.__name__:
                inside = [".".join(steps[:depth]) for depth in range(len(steps), 0, -1)]
                found.add(next((name for name in inside if name in MODULES), "__init__"))
    return found


def picture() -> dict[str, list[list[str]]]:
    """The layers, and in each its lines of modules, from above."""
    (drawn,) = re.findall(r"```text\n(.*?)```", ARCHITECTURE, re.DOTALL)
    layers: dict[str, list[list[str]]] = {}
    for line in drawn.splitlines()[:-1]:
        words = line.strip("┌├│┐┤─ ")
        if line.startswith("│"):
            layers[list(layers)[-1]].append(words.split())
        else:
            layers[words.partition(":")[0]] = []
    return layers


def folder(module: str) -> str | None:
    """The resource that a module belongs to."""
    return next((name for name in FOLDERS if name in {module, module.partition(".")[0]}), None)


def test_every_module_is_in_the_picture_and_none_else() -> None:
    """One resource stands for all: those that a school has added need not be there."""
    drawn = [module for lines in picture().values() for line in lines for module in line]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {module for module in MODULES if folder(module) in {None, "students"}}


def test_a_module_imports_only_what_stands_in_a_line_below_its_own() -> None:
    lines = [line for layer in picture().values() for line in layer]
    height = {module: -number for number, line in enumerate(lines) for module in line}
    for module, own in height.items():
        above = {name for name in imported(MODULES[module]) if height.get(name, own - 1) >= own}
        assert not above, f"{module} imports {above}"


def test_only_the_application_and_resources_import_a_resource_and_that_only_what_resources_share() -> None:
    shared = {module for line in picture()[SHARED] for module in line} | ALSO_SHARED
    for module, path in MODULES.items():
        resources = {name for name in imported(path) if folder(name)}
        if folder(module):
            more = imported(path) - resources - shared
            assert not more, f"{module} imports {more}, which is not for resources"
        else:
            assert not resources or module == "main", f"{module} imports {resources}"


def resolved(name: str) -> Any:
    """What is meant by a module's name, and that of something in it; `None` where there is no such thing."""
    steps = name.split(".")
    for depth in range(len(steps), 0, -1):
        if (module := ".".join(steps[:depth])) in MODULES:
            found: Any = import_module(f"students_api.{module}")
            for step in steps[depth:]:
                found = getattr(found, step, None)
            return found
    return None


def test_everything_that_is_named_exists() -> None:
    document = create_app().openapi()
    routes = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    settings = {variable(name) for name in Settings.model_fields}
    commands = {f"students-api {name}" for name in ("serve", "migrate", "check", "openapi")}
    named = set(re.findall(r"`([^`\n]+)`", re.sub("```.*?```", "", ARCHITECTURE, flags=re.DOTALL)))
    assert len(named) > 40
    for name in named - routes - settings - commands:
        assert resolved(name) is not None or (PROJECT / name).exists(), name


def steps(title: str) -> list[str]:
    """What a walk's numbered steps name and is called on the way, by the names of its code."""
    walk = ARCHITECTURE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    numbered = "".join(re.findall(r"^\d\. .*\n(?:   .*\n)*", walk, re.MULTILINE))
    return [called for name in re.findall(r"`([\w.]+\.\w+)`", numbered) for called in code_names(name)]


def code_names(name: str) -> Iterator[str]:
    """Whose calls show that something was there: of a dependency its function's, of a class those of its methods."""
    found = resolved(name)
    for part in get_args(found):
        found = part if isinstance(part, Depends) else found
    if isinstance(found, Depends):
        assert found.dependency is not None
        found = found.dependency
        yield f"{found.__module__.removeprefix('students_api.')}.{found.__qualname__}"
    elif callable(found) and not hasattr(found, "model_fields"):  # pydantic builds shapes without a call in Python
        yield name


def assert_walked(title: str, called: list[str]) -> None:
    """Each step was taken after the one before it."""
    names = steps(title)
    assert len(names) >= 5
    place = 0
    for name in names:
        later = [at for at, one in enumerate(called[place:], place) if one == name or one.startswith(f"{name}.")]
        assert later, f"{title}: {name} was not called after what is named before it"
        place = later[0] + 1


def last(called: list[str], name: str) -> int:
    """Where it was called for the last time."""
    return len(called) - called[::-1].index(name) - 1


@pytest.mark.mongod
@pytest.mark.slow
def test_a_start_and_a_request_go_as_they_are_written(tmp_path: Path, mongod_program: Path) -> None:
    calls = tmp_path / "calls.json"
    command = (sys.executable, "-c", TRACED, str(calls), "serve")
    with Service(tmp_path, [], {"STUDENTS_API_MONGOD": str(mongod_program)}, command) as service:
        service.wait_until_ready()
        student = httpx2.post(f"{service.url}/students/", json=JANE).json()
        answer = httpx2.put(f"{service.url}/students/{student['id']}", json=JANE, headers={"If-Match": '"1"'})
        assert answer.status_code == 200
        service.stop()
    called = json.loads(calls.read_text())
    assert_walked("A start", called)
    # From the first byte of the last request on; its body may come by itself.
    begun = last(called, "server.HttpProtocol.on_message_begin")
    assert_walked("A request", called[last(called[:begun], "server.HttpProtocol.data_received") :])


@pytest.mark.mongod
@pytest.mark.slow
def test_a_migration_goes_as_it_is_written(tmp_path: Path, mongodb_url: str) -> None:
    calls = tmp_path / "calls.json"
    settings = environment({"MONGODB_URL": mongodb_url, "MONGODB_DATABASE": "architecture"})
    subprocess.run([sys.executable, "-c", TRACED, calls, "migrate"], env=settings, capture_output=True, check=True)
    assert_walked("A migration", json.loads(calls.read_text()))
