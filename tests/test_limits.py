"""How large a request may be, and how long it may take."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import nullcontext

import httpx2
import pytest
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from students_api.http import limits
from students_api.http.limits import LIMITED_REQUEST, READ_TIMEOUT
from students_api.main import create_app
from students_api.mongodb.driver import Database
from students_api.settings import Settings
from tests.conftest import JANE, NO_STUDENT, running
from tests.test_problems import problem_of

JSON = {"Content-Type": "application/json"}


def body_of(size: int) -> bytes:
    body = json.dumps(JANE).encode()
    return body + b" " * (size - len(body))


async def in_parts(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


async def test_a_body_that_is_too_large_is_413_where_none_is_read(client: httpx2.AsyncClient) -> None:
    answer = await client.request("DELETE", f"/students/{NO_STUDENT}", content=body_of(2**16 + 1), headers=JSON)
    assert answer.status_code == 413


async def test_how_large_a_body_may_be_is_a_setting(database: Database) -> None:
    settings = Settings().model_copy(update={"max_body_bytes": 10})
    app = create_app(settings, open_deployment=lambda *_: nullcontext(database))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service") as client,
    ):
        answer = await client.post("/students/", json=JANE)
    assert "10 bytes" in problem_of(answer, 413, answer.json()["title"])["detail"]


async def test_a_body_that_does_not_become_complete_is_408(
    client: httpx2.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    never = asyncio.Event()
    monkeypatch.setattr(limits, "READ_TIMEOUT_SECONDS", 0.01)
    for path, method in (("/students/", "POST"), (f"/students/{NO_STUDENT}", "PUT")):
        answer = await client.request(method, path, content=silent(), headers=JSON)
        assert problem_of(answer, 408, "Request Timeout")["detail"] == READ_TIMEOUT
        assert answer.headers["Connection"] == "close"
    assert await database["students"].count_documents({}) == 0


async def test_a_client_that_is_slow_to_send_does_not_use_up_the_deadline(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        beyond_the_deadline = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1 + 2 * limits.MARGIN_SECONDS, beyond_the_deadline.set)
        await beyond_the_deadline.wait()
        yield json.dumps(JANE).encode()[1:]

    async def silent() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    settings = Settings().model_copy(update={"deadline_seconds": 0.1})
    app = create_app(settings, open_deployment=lambda *_: nullcontext(database))
    async with running(app) as client:
        assert (await client.post("/students/", content=slow(), headers=JSON)).status_code == 201
        monkeypatch.setattr(limits, "READ_TIMEOUT_SECONDS", 0.6)
        problem_of(await client.post("/students/", content=silent(), headers=JSON), 408, "Request Timeout")


async def test_an_answer_that_has_begun_may_take_longer_than_the_deadline(database: Database) -> None:
    over = asyncio.Event()

    async def slow_answer() -> AsyncIterator[bytes]:
        yield b"first "
        asyncio.get_running_loop().call_later(0.1 + 2 * limits.MARGIN_SECONDS, over.set)
        await over.wait()
        yield b"last"

    settings = Settings().model_copy(update={"deadline_seconds": 0.1})
    app = create_app(settings, open_deployment=lambda *_: nullcontext(database))
    app.add_api_route("/slow", lambda: StreamingResponse(slow_answer()))
    async with running(app) as client:
        answer = await client.get("/slow")
    assert (answer.status_code, answer.text) == (200, "first last")


async def test_an_answer_that_begins_in_the_last_moment_is_sent_whole(database: Database) -> None:
    async def late(scope: Scope, _receive: Receive, send: Send) -> None:
        while scope[LIMITED_REQUEST].timeout.when() is None:  # its time is not over yet
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"last"})

    settings = Settings().model_copy(update={"deadline_seconds": 0.01})
    app = create_app(settings, open_deployment=lambda *_: nullcontext(database))
    app.mount("/late", late)
    async with running(app) as client:
        answer = await client.get("/late/now")
    assert (answer.status_code, answer.text) == (200, "first last")
