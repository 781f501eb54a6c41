"""The README and the pages that it leads to are true: what can be run is run, and what they list is all there is."""

import itertools
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

import httpx2
import pytest
import typer.main
from prometheus_client.parser import text_string_to_metric_families

from students_api.cli import app
from students_api.main import create_app
from students_api.settings import Settings, variable
from students_api.students.student import StudentQuery
from tests.conftest import JANE, cannot_run
from tests.documents import CLIENTS, DOCUMENTS, OFF_MOTOR, OPERATING, PROJECT, README, SPEED, blocks, rows, section
from tests.resources import STUDENTS
from tests.service import Service

OBJECT_ID = re.compile(r"\b[0-9a-f]{24}\b")
MADE_BY_THE_SERVICE = re.compile(rf'{OBJECT_ID.pattern}|(?<="next_cursor":")[\w-]+')
"""What is another each time, and what later commands of a session send back: ids and cursors."""


def same_request(printed: str) -> str:
    """What was printed, as if it were of one request."""
    return re.sub(r'("request_id":)"[0-9a-f]{32}"', r'\1"-"', printed)


def replaced(text: str, values: Mapping[str, str]) -> str:
    """The text with each of these keys' values in the place of the key."""
    for old, new in values.items():
        text = text.replace(old, new)
    return text


def without(added: set[str], printed: str) -> object:
    """What was printed, as JSON, but for the keys of these fields."""
    return json.loads(printed, object_hook=lambda item: {key: value for key, value in item.items() if key not in added})


@pytest.mark.mongod
@pytest.mark.slow
def test_a_line_of_the_log_is_as_it_is_written(start_service: Callable[..., Service], mongodb_url: str) -> None:
    service = start_service(MONGODB_URL=mongodb_url, STUDENTS_API_LOG_FORMAT="json")
    student = httpx2.post(f"{service.url}/students/", json=JANE).json()
    httpx2.get(f"{service.url}/students/{student['id']}")
    assert service.stop() == 0
    (example,) = blocks(OPERATING, "json")
    real = next(line for line in service.log.read_text().splitlines() if '"/students/{id}"' in line)
    varying = {"duration_ms", "request_id", "timestamp"}
    written, logged = json.loads(example), json.loads(real)
    assert list(logged) == list(written)
    assert {key: type(value) for key, value in logged.items()} == {key: type(value) for key, value in written.items()}
    for key in written.keys() - varying:
        assert logged[key] == written[key]


@pytest.mark.mongod
@pytest.mark.slow
def test_the_sessions_go_as_they_are_written(start_service: Callable[..., Service]) -> None:
    if shutil.which("curl") is None:
        cannot_run("the documents' sessions need curl: `apt-get install curl`")
    service = start_service()
    sessions = [block for page in (README, CLIENTS) for block in blocks(page, "console") if "curl" in block]
    written = [re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", session, re.MULTILINE) for session in sessions]
    assert list(map(len, written)) == [6, 5, 3]
    added = {name for name in STUDENTS.fields if f'"{name}"' not in sessions[0]}  # by a school
    real: dict[str, str] = {}
    for command, expected in itertools.chain(*written):
        words = shlex.split(replaced(command, real | {"localhost:8000": f"127.0.0.1:{service.port}"}))
        printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        made, meant = MADE_BY_THE_SERVICE.findall(printed), MADE_BY_THE_SERVICE.findall(expected)
        real |= dict(zip(meant, made, strict=True))
        printed = replaced(printed, {as_made: as_written for as_written, as_made in real.items()})
        assert without(added, same_request(printed)) == without(added, same_request(expected))


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.read_text().splitlines()) <= 200


def test_everything_that_it_can_do_is_explained_in_a_page() -> None:
    for what, where in rows(README, "What it can do"):
        assert re.search(r"\]\(docs/\w+", where), what


TERMS = {
    "keyset": (CLIENTS, "Pagination"),
    "optimistic": (CLIENTS, "ETags and conditional requests"),
    "idempotent": (CLIENTS, "Retries"),
    "nullable": (CLIENTS, "The student"),
    "projection": (CLIENTS, "Lists"),
    "lifespan": (OPERATING, "Stopping"),
    "graceful": (OPERATING, "Stopping"),
    "pool": (OPERATING, "Workers and the connection pool"),
    "concurrency": (OPERATING, "Workers and the connection pool"),
    "Depends": (PROJECT / "docs/decisions/0012-checks-before-fastapi.md", "Context"),
}
"""What people search for, and where they find it."""


@pytest.mark.parametrize("term", TERMS)
def test_a_search_for_the_fields_own_term_finds_the_place(term: str) -> None:
    assert re.search(rf"\b{term}\b", section(*TERMS[term]))


def test_the_commands_of_the_start_are_targets_of_the_makefile() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    named = [name for document in DOCUMENTS for name in re.findall(r"`(make [\w-]+)`", document.read_text())]
    for command in [*blocks(README, "console")[0].splitlines(), *named]:
        assert re.search(rf"^{command.split()[-1]}:", makefile, re.MULTILINE), command


def test_the_lines_to_change_for_the_way_off_motor_are_there_and_lead_to_what_is_tested() -> None:
    project = (PROJECT / "pyproject.toml").read_text()
    for changes in blocks(OFF_MOTOR, "diff"):  # none, when they have been made
        old, new = ({line[1:] for line in changes.splitlines() if line[0] == sign} for sign in "-+")
        assert len(old) == 3
        assert old <= set(project.splitlines())
        (beanie,) = [line for line in new if line.startswith('  "beanie')]
        assert beanie in project.split("[dependency-groups]")[1].splitlines()


def test_every_setting_is_in_the_table_with_its_default() -> None:
    table = {row[0].strip("`"): row[1].strip("`") for row in rows(OPERATING, "Settings")}
    defaults = {
        variable(name): {None: "", False: "false"}.get(field.default, str(field.default))
        for name, field in Settings.model_fields.items()
    }
    assert table == defaults


def test_every_metric_is_in_the_table_with_its_labels() -> None:
    table = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1]) for row in rows(OPERATING, "Metrics")}
    program = """
from students_api.operations import metrics
metrics.request_finished("GET", "/", 200, 1)
metrics.LISTENERS[0].finished("find", "ok", 1)
print(metrics.get_metrics().body.decode())
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    real = {
        re.sub("_(bucket|sum|count)$", "", sample.name): [label for label in sample.labels if label != "le"]
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
        if not sample.name.startswith(("python_", "process_"))
    }
    assert table == real


def test_every_route_is_in_the_table() -> None:
    routes = " ".join(row[0] for row in rows(CLIENTS, "Routes"))
    for path, methods in create_app().openapi()["paths"].items():
        for method in methods if path.startswith(STUDENTS.path) else ():  # a resource that is added need not be there
            assert f"`{method.upper()} {path}`" in routes, "add it to the table Routes in docs/clients.md"
    for path in ("/livez", "/readyz", "/metrics", "/docs", "/redoc", "/openapi.json"):
        assert path in routes


def test_the_parameters_and_the_orders_in_the_table_of_lists_exist() -> None:
    """Those of a field that a school has added need not be there."""
    table = {name: row[1] for row in rows(CLIENTS, "Lists") for name in re.findall(r"`(\w+)`", row[0])}
    parameters = [one["name"] for one in create_app().openapi()["paths"]["/students/"]["get"]["parameters"]]
    assert len(table) == 15
    assert set(table) <= set(parameters)
    named = re.findall(r"`([-\w,]+)`", table["sort"])
    assert len(named) == 10
    assert set(named) <= set(StudentQuery.orders)


def test_every_command_and_option_is_in_the_table() -> None:
    table = {row[0].strip("`"): " ".join(row[1:]) for row in rows(OPERATING, "The command")}
    group = typer.main.get_command(app)
    commands = getattr(group, "commands", {})
    assert set(table) == {f"students-api {name}" for name in commands}
    for name, command in commands.items():
        for option in [option for parameter in command.params for option in parameter.opts if option != "--help"]:
            assert option in table[f"students-api {name}"], option


def test_every_benchmark_is_in_the_table() -> None:
    table = " ".join(row[2] for row in rows(SPEED, "Benchmarks"))
    for benchmark in (PROJECT / "benchmarks").glob("[!_]*.py"):
        assert f"`python -m benchmarks.{benchmark.stem}`" in table


def test_what_the_table_of_places_names_is_in_the_file_that_it_names() -> None:
    """Each name in the style of code that is no file or command stands in one of the row's files."""
    places = rows(README, "Where to add ...")
    assert len(places) >= 10
    for what, where, *_ in places:
        files = [PROJECT / target for target in re.findall(r"\]\(([^)#]+)", where)]
        assert files, what
        sources = [file for folder in files for file in (folder.rglob("*.*") if folder.is_dir() else [folder])]
        text = "".join(file.read_text() for file in sources if file.suffix in {".py", ".toml", ".md"})
        for name in re.findall(r"(?<!\[)`(\w+)(?:\(\))?`", where):
            assert re.search(rf"\b{name}\b", text), (what, name)


def test_every_decision_says_context_choice_and_consequence() -> None:
    decisions = list((PROJECT / "docs/decisions").glob("*.md"))
    assert decisions
    for decision in decisions:
        for title in ("## Context", "## Choice", "## Consequence"):
            assert title in decision.read_text(), decision
