"""Every error is a problem, whatever went wrong."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any, cast

import httpx2
import pytest
from fastapi import HTTPException
from pymongo import _csot
from pymongo.errors import (
    AutoReconnect,
    ExecutionTimeout,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
)

from students_api.main import create_app
from students_api.mongodb.driver import Database
from students_api.odm.encoding import InvalidDocument
from students_api.settings import Settings
from students_api.students.student import Student
from tests.conftest import JANE, NO_STUDENT, in_memory


def problem_of(answer: httpx2.Response, status: int, title: str, *more: str) -> dict[str, Any]:
    """The answer's problem, which has the contract's form, and the keys that are named beyond it."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert list(problem) == ["type", "title", "status", "detail", "instance", "request_id", *more]
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", title, status)
    return problem


@pytest.fixture
def broken_reads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes every find raise the error that it is called with."""

    def break_reads(error: Exception) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(Student, "find_one", fail)

    return break_reads


@pytest.mark.parametrize("path", ["/nothing", "/students/1/2", "/docs/2", "/%C3%A9"])
async def test_a_path_that_is_not_there_gets_404(client: httpx2.AsyncClient, path: str) -> None:
    problem = problem_of(await client.get(path), 404, "Not Found")
    assert problem["instance"] == path
    assert "/docs" in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/livez", "GET, HEAD"),
        ("DELETE", "/docs", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("POST", "/docs-assets/swagger-ui.css", "GET, HEAD"),
    ],
)
async def test_405_names_all_methods_of_a_path_that_is_no_resources(
    client: httpx2.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path)
    assert allowed in problem_of(answer, 405, "Method Not Allowed")["detail"]
    assert answer.headers["Allow"] == allowed


async def test_an_error_that_a_developer_raises_keeps_its_words() -> None:
    app = create_app()

    @app.get("/closed")
    async def closed() -> None:
        raise HTTPException(400, "The semester is over.", {"X-Semester": "3"})

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service") as client:
        answer = await client.get("/closed")
    assert problem_of(answer, 400, "Bad Request")["detail"] == "The semester is over."
    assert answer.headers["X-Semester"] == "3"


async def test_what_a_document_refuses_is_422_with_its_place_in_the_body() -> None:
    app = create_app()

    @app.post("/pupils")
    async def create_pupil() -> None:
        raise InvalidDocument([{"loc": loc, "msg": "no", "type": "value_error"} for loc in ((), ("points",))])

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service") as client:
        problem = problem_of(await client.post("/pupils"), 422, "Unprocessable Entity", "errors")
    assert [error["loc"] for error in problem["errors"]] == [["body"], ["body", "points"]]


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("10.0.0.1"),
        ServerSelectionTimeoutError("10.0.0.1"),
        WaitQueueTimeoutError("10.0.0.1"),
        ExecutionTimeout("10.0.0.1"),
        WriteConcernError("10.0.0.1"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_database_that_cannot_be_reached_gets_503_without_its_own_words(
    client: httpx2.AsyncClient, broken_reads: Any, error: Exception
) -> None:
    broken_reads(error)
    answer = await client.get(f"/students/{NO_STUDENT}")
    problem_of(answer, 503, "Service Unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert "10.0.0.1" not in answer.text


@pytest.mark.parametrize("error", [AutoReconnect("10.0.0.1"), WaitQueueTimeoutError("10.0.0.1")])
async def test_a_write_that_may_have_been_made_all_the_same_says_so(
    client: httpx2.AsyncClient, broken_reads: Any, error: Exception
) -> None:
    broken_reads(error)  # the driver may have tried before it found no connection
    answer = await client.put(f"/students/{NO_STUDENT}", json={"gpa": 1})
    assert answer.status_code == 503
    assert answer.json()["outcome"] == "unknown"
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_write_that_was_never_tried_does_not_say_so(client: httpx2.AsyncClient, broken_reads: Any) -> None:
    broken_reads(ServerSelectionTimeoutError("10.0.0.1"))
    answer = await client.put(f"/students/{NO_STUDENT}", json={"gpa": 1})
    problem_of(answer, 503, "Service Unavailable")


async def test_what_is_unforeseen_gets_500_without_a_word_of_it(client: httpx2.AsyncClient, broken_reads: Any) -> None:
    broken_reads(RuntimeError("SECRET"))
    answer = await client.get(f"/students/{NO_STUDENT}")
    assert problem_of(answer, 500, "Internal Server Error")["request_id"] != "-"
    assert "SECRET" not in answer.text


async def test_a_500_in_a_test_shows_its_traceback(
    client: httpx2.AsyncClient, broken_reads: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Among the captured log calls, which pytest shows where a test fails."""
    broken_reads(RuntimeError("as planned"))
    assert (await client.get(f"/students/{NO_STUDENT}")).status_code == 500
    assert "Traceback (most recent call last)" in caplog.text
    assert "in get_student" in caplog.text
    assert caplog.text.rstrip().endswith("RuntimeError: as planned")


async def test_another_overflow_is_unforeseen_and_logged(
    client: httpx2.AsyncClient, broken_reads: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broken_reads(OverflowError("SECRET"))
    answer = await client.get(f"/students/{NO_STUDENT}")
    problem_of(answer, 500, "Internal Server Error")
    assert "SECRET" not in answer.text
    assert "SECRET" in caplog.text


@pytest.mark.parametrize("given", ["a", "0123456789abcdef", "A-b_c.d:e=f+g/h@i", "x" * 128])
async def test_a_well_formed_request_id_is_taken(client: httpx2.AsyncClient, given: str) -> None:
    for path, status in (("/students/", 200), ("/nothing", 404), ("/students/1", 422), ("/livez", 200), ("/docs", 200)):
        answer = await client.get(path, headers={"X-Request-ID": given})
        assert answer.status_code == status
        assert answer.headers.get_list("X-Request-ID") == [given]


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\tb", 'a"b', "a,b", "\xe9", "a;b", "{}"])
async def test_any_other_is_replaced_by_a_new_one(client: httpx2.AsyncClient, given: str | None) -> None:
    headers = [] if given is None else [(b"X-Request-ID", given.encode("latin-1"))]
    made = {(await client.get("/students/", headers=headers)).headers["X-Request-ID"] for _ in range(2)}
    assert len(made) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in made)


async def test_livez_answers_and_readyz_asks_the_database(client: httpx2.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/readyz/"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


class Failing:
    """A database that can be started with, and fails from then on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.failure: Exception | None = None
        self.never = asyncio.Event()
        self.limit: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def __getitem__(self, name: str) -> Any:
        return self._database[name]

    async def command(self, command: Any) -> Any:
        self.limit = _csot.get_timeout()  # no public name tells it
        if self.failure is None:
            return await self._database.command(command)
        if isinstance(self.failure, TimeoutError):
            await self.never.wait()
        raise self.failure


@pytest.fixture
async def failing() -> AsyncIterator[tuple[httpx2.AsyncClient, Failing]]:
    database = Failing(in_memory())
    app = create_app(Settings(), open_deployment=lambda *_: nullcontext(cast("Database", database)))
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client, database


@pytest.mark.parametrize("failure", [AutoReconnect("10.0.0.1"), TimeoutError("it hangs")], ids=["gone", "hung"])
async def test_readyz_answers_503_where_the_database_does_not_and_livez_goes_on(
    failing: tuple[httpx2.AsyncClient, Failing], failure: Exception
) -> None:
    client, database = failing
    database.failure = failure
    async with asyncio.timeout(30):  # a bound on hanging, not a measurement
        answer = await client.get("/readyz")
    problem_of(answer, 503, "Service Unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert database.limit == 1  # the driver's own, or the probe's thread would be held for ten seconds
    assert (await client.get("/livez")).status_code == 200
    database.failure = None
    assert (await client.get("/readyz")).status_code == 200


async def test_no_answer_takes_a_redirect_or_trusts_the_host_header(client: httpx2.AsyncClient) -> None:
    for path in ("/students", f"/students/{NO_STUDENT}/", "/docs/"):
        answer = await client.get(path, headers={"Host": "attacker.example"})
        assert not answer.is_redirect
    answer = await client.get("/", headers={"Host": "attacker.example"})
    assert answer.headers["Location"] == "docs"
    assert (await client.post("/students", json=JANE)).status_code == 201
