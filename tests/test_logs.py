"""The service's log: a line for each request, with its id, and nothing in it that is personal or secret."""

import asyncio
import io
import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from students_api.main import create_app
from students_api.operations.access_log import AccessLogMiddleware
from students_api.operations.logs import PIPE_BUF, BatchingHandler
from tests.conftest import JANE, NO_STUDENT
from tests.service import Service, run

# `students-api serve` with a route that fails.
BROKEN = """
import warnings
import pymongo.errors, structlog
import students_api.main, students_api.cli

@students_api.main.app.get("/broken")
async def broken():
    local = "LOCAL"[::-1][::-1] + " VALUE"
    students_api.main.logger.warning("about to %s", "break")
    structlog.get_logger("school").warning("said by structlog", pupils=3)
    warnings.warn("said by warnings")
    try:
        raise pymongo.errors.OperationFailure(local + " E11000 dup key: {email: 'jane@example.com'}", 11000)
    except pymongo.errors.OperationFailure as error:
        raise RuntimeError("as planned") from error

students_api.cli.app()
"""
CONSOLE = re.compile(r"^\S+Z \[(\w+) *\] (.*?) +\[([\w.]+)\](.*)$")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[Any, ...]]]:
    """The lines of requests at level INFO or higher: method, route and status."""
    caplog.set_level(logging.INFO, "students_api")

    def read() -> list[tuple[Any, ...]]:
        found: list[dict[str, Any]] = [vars(record)["request"] for record in caplog.records if record.msg == "request"]
        return [(fields["method"], fields["route"], fields["status"]) for fields in found]

    return read


@pytest.mark.parametrize(
    ("method", "path", "line"),
    [
        ("GET", "/students/?name=Jane&email=jdoe@example.com", ("GET", "/students/", 200)),
        ("GET", "/students?q=Jane&cursor=Jane", ("GET", "/students/", 422)),
        ("HEAD", "/students", ("HEAD", "/students/", 200)),
        ("PUT", "/students/", ("PUT", "/students/", 405)),
        ("GET", f"/students/{NO_STUDENT}", ("GET", "/students/{id}", 404)),
        ("PATCH", f"/students/{NO_STUDENT}/", ("PATCH", "/students/{id}", 422)),
        ("GET", "/students/Jane", ("GET", "/students/{id}", 422)),
        ("JANE", "/students/Jane", ("other", "/students/{id}", 405)),
        ("GET", "/students/Jane/Doe", ("GET", "-", 404)),
        ("GET", "/", ("GET", "/", 307)),
        ("GET", "/docs", ("GET", "/docs", 200)),
        ("GET", "/openapi.json", ("GET", "/openapi.json", 200)),
        ("POST", "/openapi.json", ("POST", "/openapi.json", 405)),
        ("GET", "/docs-assets/favicon.png", ("GET", "/docs-assets/{path}", 200)),
        ("GET", "/docs-assets/Jane", ("GET", "/docs-assets/{path}", 404)),
    ],
)
async def test_the_line_of_a_request_has_its_route_and_never_its_path(
    client: httpx2.AsyncClient, lines: Callable[[], Any], method: str, path: str, line: tuple[Any, ...]
) -> None:
    await client.request(method, path)
    assert lines() == [line]


async def test_a_proxys_prefix_is_no_part_of_the_route(lines: Callable[[], Any]) -> None:
    transport = httpx2.ASGITransport(create_app(), root_path="/school")
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
        for path in ("/livez/Jane", "/docs", "/openapi.json", "/docs-assets/favicon.png"):
            await client.get(f"/school{path}")
    assert [route for _, route, _ in lines()] == ["-", "/docs", "/openapi.json", "/docs-assets/{path}"]


async def test_the_route_is_the_whole_template_wherever_it_is_declared(lines: Callable[[], Any]) -> None:
    async def answer(_request: Request) -> Response:
        return Response()

    inner = APIRouter(prefix="/inner")
    inner.add_api_route("/{id}", lambda id: id)  # noqa: A006  # the parameter's name in the path
    inner.add_route("/plain/here", answer)
    outer = APIRouter()
    outer.include_router(inner, prefix="/mid")
    outer.mount("/star", Starlette(routes=[Route("/{id}", answer), Route("/here", answer)]))
    other = FastAPI()
    other.include_router(outer, prefix="/other")
    other.add_api_route("/own/{id}", lambda id: id)  # noqa: A006  # as above
    app = FastAPI()
    app.add_middleware(AccessLogMiddleware, meters=[])
    app.include_router(outer, prefix="/outer")
    app.add_api_route("/{id}", lambda id: id)  # noqa: A006  # as above
    app.add_route("/plain/{id}", answer)
    app.mount("/app", other)
    app.mount("/of/{id}", Starlette(routes=[Route("/here", answer)]))
    expected = {
        "/outer/mid/inner/Jane": "/outer/mid/inner/{id}",
        "/outer/mid/plain/here": "/outer/mid/plain/here",
        "/outer/star/Jane": "/outer/star/{id}",
        "/outer/star/Jane/Doe": "/outer/star/{path}",
        "/Jane": "/{id}",
        "/plain/Jane": "-",
        "/app/other/mid/inner/Jane": "/app/other/mid/inner/{id}",
        "/app/own/Jane": "/app/own/{id}",
        "/app/Jane": "/app/{path}",
        "/of/Jane/here": "-",
        "/Jane/Doe": "-",
    }
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
        for path in expected:
            await client.get(path)
    assert {path: route for path, (_, route, _) in zip(expected, lines(), strict=True)} == expected


async def test_probes_are_logged_only_where_they_fail(
    client: httpx2.AsyncClient, lines: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [(await client.get(path)).status_code for path in ("/livez", "/readyz")] == [200, 200]
    assert lines() == []
    monkeypatch.setattr("students_api.operations.health.time_limit", None)  # calling it fails
    assert (await client.get("/readyz")).status_code == 503
    assert lines() == [("GET", "/readyz", 503)]


@pytest.mark.any_driver
@pytest.mark.mongod
@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["console", "json"])
def test_every_line_has_the_same_form_and_the_requests_id(tmp_path: Path, mongodb_url: str, log_format: str) -> None:
    command = (sys.executable, "-c", BROKEN, "serve")
    settings = {"MONGODB_URL": mongodb_url, "STUDENTS_API_LOG_FORMAT": log_format}
    with Service(tmp_path, [], settings, command) as service:
        service.wait_until_ready()
        headers = {"X-Request-ID": "abc-1"}
        problem = httpx2.get(f"{service.url}/broken", headers=headers)
        assert (problem.status_code, problem.headers["X-Request-ID"]) == (500, "abc-1")
        assert problem.json()["request_id"] == "abc-1"
        assert "as planned" not in problem.text
        made = httpx2.get(f"{service.url}/students/").headers["X-Request-ID"]
        assert service.stop() == 0
        log = service.log.read_text()
    written = [json.loads(line) for line in log.splitlines()] if log_format == "json" else list(console_lines(log))
    assert all(
        {"timestamp", "level", "logger", "event"} <= line.keys() and line["timestamp"].endswith("Z") for line in written
    )
    during = [line for line in written if line.get("request_id") == "abc-1"]
    assert [(line["level"], line["logger"]) for line in during] == [
        ("warning", "students_api"),
        ("warning", "school"),
        ("warning", "py.warnings"),
        ("info", "students_api"),
        ("error", "uvicorn.error"),
    ]
    assert (during[0]["event"], during[1]["event"], str(during[1]["pupils"])) == (
        "about to break",
        "said by structlog",
        "3",
    )
    assert "said by warnings" in during[2]["event"]
    request, failure = during[3:]
    assert (request["method"], request["route"], int(request["status"])) == ("GET", "/broken", 500)
    assert float(request["duration_ms"]) > 0
    assert failure["event"] == "Exception in ASGI application"
    assert failure["exception"].startswith("Traceback (most recent call last):\n")
    assert failure["exception"].endswith("\nRuntimeError: as planned")
    assert "\npymongo.errors.OperationFailure: code 11000\n\nThe above exception was the direct" in failure["exception"]
    assert "LOCAL VALUE" not in log
    (listed,) = [line for line in written if line.get("request_id") == made]
    assert (listed["event"], listed["route"]) == ("request", "/students/")
    assert "request_id" not in next(line for line in written if line["event"] == "Application startup complete.")


def console_lines(log: str) -> Any:
    """The lines for a person, taken apart; what follows one without a time belongs to it."""
    for entry in re.split(r"\n(?=\d{4}-)", log.strip()):
        head, _, rest = entry.partition("\nTraceback")
        match = CONSOLE.match(head.replace("\n", " "))
        assert match, entry
        level, event, logger, fields = match.groups()
        line = {"timestamp": head.split()[0], "level": level, "event": event, "logger": logger}
        yield line | dict(re.findall(r"(\w+)=(\S+)", fields)) | ({"exception": f"Traceback{rest}"} if rest else {})


OF_A_REQUEST: dict[str, Any] = {"name": "students_api", "msg": "request", "request": {}}


async def test_lines_of_requests_are_written_together_in_order_and_soon() -> None:
    handler = BatchingHandler()
    handler.setFormatter(logging.Formatter("%(number)s"))
    handler.setStream(stream := io.StringIO())

    def handle(number: int, record: dict[str, Any]) -> str:
        handler.handle(logging.makeLogRecord({**record, "number": number}))
        return stream.getvalue()

    of_another = {"name": "students_api", "msg": "asked for a name", "request": "Jane"}
    assert [handle(1, OF_A_REQUEST), handle(2, OF_A_REQUEST), handle(3, of_another)] == ["", "", "1\n2\n3\n"]
    assert handle(4, OF_A_REQUEST) == "1\n2\n3\n"
    while stream.getvalue() != "1\n2\n3\n4\n":
        await asyncio.sleep(0)
    handle(5, OF_A_REQUEST)
    handler.flush()
    assert stream.getvalue().endswith("4\n5\n")


async def test_workers_that_share_a_pipe_do_not_break_each_others_lines() -> None:
    class Pieces(io.StringIO):
        sizes: ClassVar[list[int]] = []

        def write(self, text: str) -> int:
            self.sizes.append(len(text.encode()))
            return super().write(text)

    handler = BatchingHandler()
    handler.setFormatter(logging.Formatter("%(line)s"))
    handler.setStream(stream := Pieces())
    lines = [f"{number} {'é' * number}" for number in range(300)]
    for line in lines:
        handler.handle(logging.makeLogRecord({**OF_A_REQUEST, "line": line}))
    handler.flush()
    assert stream.getvalue().splitlines() == lines
    assert PIPE_BUF // 2 < max(stream.sizes) <= PIPE_BUF


async def test_nobody_need_read_the_log() -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    handler = BatchingHandler()
    handler.setStream(Broken())
    handler.handle(logging.makeLogRecord(OF_A_REQUEST))
    handler.flush()
    handler.setStream(stream := io.StringIO())
    handler.handle(logging.makeLogRecord({"msg": "2"}))
    assert stream.getvalue() == "2\n"


@pytest.mark.mongod
@pytest.mark.slow
def test_nothing_personal_is_in_the_log(start_service: Callable[..., Service], mongodb_url: str) -> None:
    service = start_service(MONGODB_URL=mongodb_url, STUDENTS_API_LOG_FORMAT="json", STUDENTS_API_LOG_LEVEL="DEBUG")
    with httpx2.Client(base_url=service.url, headers={"Authorization": "Bearer SECRET"}) as client:
        jane = client.post("/students/", json=JANE).json()
        for path in (f"/students/{jane['id']}", f"/{jane['name']}", f"/students/{jane['email']}", "/livez"):
            client.get(path, params={"name": jane["name"], "email": jane["email"], "x": "SECRET"})
        client.put(f"/students/{jane['id']}", json={"name": jane["name"], "email": "SECRET"})
        client.delete(f"/students/{jane['id']}")
    assert service.stop() == 0
    log = service.log.read_text()
    assert '"/students/{id}"' in log
    assert '"route": "/livez", "status": 200' in log  # at this level
    for value in ("SECRET", jane["id"], jane["name"], jane["name"].split()[0], jane["email"], jane["course"]):
        assert value not in log


@pytest.mark.slow
def test_nothing_secret_is_in_the_log_of_a_start_that_fails(tmp_path: Path) -> None:
    settings = {"MONGODB_URL": "mongodb://user:pa/SECRET@host/"}
    done = run("serve", cwd=tmp_path, **settings)
    assert done.returncode == 3
    assert "SECRET" not in done.stdout + done.stderr
    with Service(tmp_path, [], settings, (sys.executable, "-m", "uvicorn", "students_api.main:app")) as service:
        assert service.process.wait(30) == 3
        log = service.log.read_text()
    assert "MONGODB_URL" in log
    assert "SECRET" not in log


@pytest.mark.any_driver
@pytest.mark.mongod
@pytest.mark.slow
def test_the_level_is_a_setting(start_service: Callable[..., Service], mongodb_url: str) -> None:
    service = start_service(MONGODB_URL=mongodb_url, STUDENTS_API_LOG_LEVEL="ERROR")
    httpx2.get(f"{service.url}/students/")
    assert service.stop() == 0
    assert service.log.read_text() == ""
