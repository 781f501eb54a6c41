"""docs/architecture.md is true: its picture is that of the modules, and its walks are those that are walked."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from fastapi.params import Depends

import students_api
from students_api.main import create_app
from students_api.settings import Settings, variable
from tests.conftest import JANE
from tests.service import Service, environment

PROJECT = Path(__file__).parents[1]
PACKAGE = Path(students_api.__file__).parent
ARCHITECTURE = (PROJECT / "docs/architecture.md").read_text()

FOR_RESOURCES = ("resources", "odm", "http.problems", "http.negotiation")
"""What a resource imports of the service, beside other resources."""

WITHOUT_FASTAPI = ("odm", "mongodb")
EITHER_DRIVER = ("motor", "pymongo.asynchronous", "pymongo.AsyncMongoClient")
IN_BOTH_DRIVERS = ("pymongo.IndexModel", "pymongo.ReturnDocument", "pymongo.collation", "pymongo.errors")

MAX_MODULES, MAX_LINES, MAX_CLASS_LINES, MAX_TOP = 8, 300, 200, 10

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
TREES = {module: ast.parse(path.read_text()) for module, path in MODULES.items()}
RESOURCE_FOLDERS = {path.parent.name for path in PACKAGE.glob("*/routes.py")}


def imports(module: str) -> set[str]:
    """The dotted names that a module imports, wherever in it that is."""
    found = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported(module: str) -> set[str]:
    """The modules of the service that a module imports."""
    found = set()
    for name in imports(module):
        package, *steps = name.split(".")
        if package == students_api.__name__:
            inside = [".".join(steps[:depth]) for depth in range(len(steps), 0, -1)]
            found.add(next((name for name in inside if name in MODULES), "__init__"))
    return found


def is_in(module: str, folders: Iterable[str]) -> bool:
    return any(f"{module}.".startswith(f"{folder}.") for folder in folders)


def picture() -> list[tuple[str, list[list[str]]]]:
    """The layers from above, each with its lines of modules."""
    (drawn,) = re.findall(r"```text\n(.*?)```", ARCHITECTURE, re.DOTALL)
    layers: list[tuple[str, list[list[str]]]] = []
    for line in drawn.splitlines():
        if line.startswith(" "):
            folder, lines = layers[-1]
            lines.append([f"{folder}.{name}".strip(".") for name in line.split()])
        else:
            layers.append((line.split()[0].removeprefix("students_api").strip("."), []))
    return layers


def packages(module: str) -> bool:
    """Whether it is the `__init__` of a folder, which the picture has as a layer."""
    return MODULES[module].name == "__init__.py"


def test_every_module_is_in_the_picture_and_none_else() -> None:
    """One resource stands for all: those that a school has added need not be there."""
    drawn = [module for _, lines in picture() for line in lines for module in line]
    assert len(drawn) == len(set(drawn))
    others = RESOURCE_FOLDERS - {"students"}
    assert set(drawn) == {module for module in MODULES if not packages(module) and not is_in(module, others)}
    assert {folder for folder, _ in picture()} == {
        "" if module == "__init__" else module for module in MODULES if packages(module) and module not in others
    }


def test_a_module_imports_only_what_stands_in_a_line_below_its_own() -> None:
    lines = [line for _, lines in picture() for line in lines]
    height = {module: -number for number, line in enumerate(lines) for module in line}
    for module, own in height.items():
        above = {name for name in imported(module) if height.get(name, own - 1) >= own}
        assert not above, f"{module} imports {above}"


def test_a_folder_imports_only_folders_below_its_own() -> None:
    floors = {folder: -number for number, (folder, _) in enumerate(picture()) if folder}
    for folder, own in floors.items():
        for module in MODULES:
            if module.rpartition(".")[0] == folder:
                used = {name.rpartition(".")[0] for name in imported(module)} & floors.keys() - {folder}
                assert all(floors[name] < own for name in used), f"{module} imports {used}"


def test_only_main_and_resources_import_a_resource_and_only_main_and_the_command_what_is_for_operations() -> None:
    for module in MODULES:
        used = imported(module)
        if is_in(module, RESOURCE_FOLDERS):
            more = {name for name in used if not is_in(name, {*FOR_RESOURCES, *RESOURCE_FOLDERS})}
            assert not more, f"{module} imports {more}, which is not for resources"
        else:
            assert module == "main" or not {name for name in used if is_in(name, RESOURCE_FOLDERS)}, module
        if module not in {"main", "cli"} and not is_in(module, ["operations"]):
            assert not {name for name in used if is_in(name, ["operations"])}, module


def test_the_package_of_a_resource_imports_nothing() -> None:
    for folder in RESOURCE_FOLDERS:
        assert not imports(folder), folder


def test_documents_and_the_database_know_no_fastapi() -> None:
    for module in MODULES:
        if is_in(module, WITHOUT_FASTAPI):
            assert not {name for name in imports(module) if name.split(".")[0] in {"fastapi", "starlette"}}, module


def test_only_the_folder_of_the_driver_imports_it_and_only_its_module_asks_which_it_is() -> None:
    for module, path in MODULES.items():
        assert module == "mongodb.driver" or "ON_MOTOR" not in path.read_text(), module
        driver = {name for name in imports(module) if name.split(".")[0] in {"motor", "pymongo"}}
        assert module == "mongodb.driver" or not {name for name in driver if is_in(name, EITHER_DRIVER)}, module
        if not is_in(module, ["mongodb"]):
            assert all(is_in(name, IN_BOTH_DRIVERS) for name in driver), module


def test_what_belongs_together_fits_on_a_few_screens() -> None:
    for folder, lines in picture():
        assert sum(map(len, lines)) <= MAX_MODULES, folder
    for module, path in MODULES.items():
        assert len(path.read_text().splitlines()) <= MAX_LINES, module
        for node in ast.walk(TREES[module]):
            if isinstance(node, ast.ClassDef):
                assert (node.end_lineno or 0) - node.lineno < MAX_CLASS_LINES, f"{module}.{node.name}"
    visible = (
        {module.split(".")[0] for module in MODULES} - {"__init__", "__main__"} - (RESOURCE_FOLDERS - {"students"})
    )
    assert len(visible) <= MAX_TOP, visible


def test_each_folder_says_what_lives_in_it() -> None:
    for module in MODULES:
        if packages(module):
            assert ast.get_docstring(TREES[module]), module


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
        assert resolved(name) is not None or (PROJECT / name).exists() or (PACKAGE / name).exists(), name


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
    elif callable(found) and not hasattr(found, "model_fields"):  # pydantic builds models without a call in Python
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
    begun = last(called, "http.protocol.HttpProtocol.on_message_begin")
    assert_walked("A request", called[last(called[:begun], "http.protocol.HttpProtocol.data_received") :])


@pytest.mark.mongod
@pytest.mark.slow
def test_a_migration_goes_as_it_is_written(tmp_path: Path, mongodb_url: str) -> None:
    calls = tmp_path / "calls.json"
    settings = environment({"MONGODB_URL": mongodb_url, "MONGODB_DATABASE": "architecture"})
    command = [sys.executable, "-c", TRACED, str(calls), "migrate"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_walked("A migration", json.loads(calls.read_text()))
