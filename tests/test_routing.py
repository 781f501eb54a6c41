"""Routers of resources in an application."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from http import HTTPStatus
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Form, Response, UploadFile
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.sse import EventSourceResponse

from students_api.http.limits import acquire_slot
from students_api.main import create_app
from students_api.mongodb.driver import Database
from students_api.resources.routing import ResourceRoute, include_resource
from students_api.settings import Settings


def owner() -> str:
    return "Jane"


def answer(name: str = Depends(owner)) -> str:
    return name


@pytest.mark.parametrize("is_nested", [False, True])
async def test_a_router_is_included_as_fastapi_includes_one(*, is_nested: bool) -> None:
    closed: dict[int | str, dict[str, Any]] = {503: {"description": "closed"}}
    router, inner = APIRouter(prefix="/pets", tags=["pets"], responses={418: {"description": "short"}}), APIRouter()
    router.add_api_route("/{id}", answer, description="Whose it is.", status_code=202, deprecated=True)
    if is_nested:
        inner.add_api_route("/inner", answer)
        router.include_router(inner)
    included, expected = FastAPI(), FastAPI()
    include_resource(included, router, closed)
    expected.include_router(router, responses=closed)
    assert included.openapi() == expected.openapi()
    are_its_own = "/pets/{id}" in {getattr(route, "path", None) for route in included.routes}
    assert are_its_own is not is_nested
    included.dependency_overrides[owner] = lambda: "Joe"
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(included), base_url="http://service") as client:
        answered = await client.get("/pets/1")
        assert (answered.status_code, answered.json()) == (202, "Joe")
        refused = await client.post("/pets/1")
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")


def files() -> APIRouter:
    """A router whose routes say what they take and give, and how much."""
    router = APIRouter(prefix="/files", route_class=ResourceRoute)

    @router.post("/", max_body_size=200_000)
    async def upload(file: UploadFile) -> int:
        return len(await file.read())

    @router.post("/form")
    async def form(name: Annotated[str, Form()]) -> str:
        return name

    @router.post("/text", max_body_size=10)
    async def text(body: Annotated[bytes, Body(media_type="text/csv")]) -> int:
        return len(body)

    @router.get("/csv", response_class=PlainTextResponse, responses={200: {"content": {"text/csv": {}}}})
    async def csv() -> Response:
        return Response("a,b", media_type="text/csv")

    @router.get("/any", response_class=StreamingResponse)
    async def anything() -> Response:
        return Response(b"\x89", media_type="image/png")

    @router.get("/events", response_class=EventSourceResponse)
    async def events() -> AsyncIterator[dict[str, int]]:
        yield {"a": 1}

    @router.post("/json")
    async def json(body: dict[str, int]) -> dict[str, int]:
        return body

    @router.delete("/{id}", max_body_size=10)
    @router.post("/{id}", max_body_size=10)
    async def any_id(id: str) -> str:  # noqa: A002  # the path's parameter
        return id

    return router


@pytest.fixture(params=["its own", "a resource's", "included"])
async def service(request: pytest.FixtureRequest, mock_database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the service with these routes, added in each of three ways."""
    app = create_app(Settings(), open_deployment=lambda *_: nullcontext(mock_database))
    if request.param == "a resource's":
        include_resource(app, files(), {})
    elif request.param == "included":
        outer = APIRouter()
        outer.include_router(files())
        app.include_router(outer)
    else:
        app.include_router(files())
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client


MULTIPART = {"content-type": "multipart/form-data; boundary=b"}


def part(size: int) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return head + b"x" * size + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (("POST", "/files/", part(150_000), MULTIPART), 200),
        (("POST", "/files/", part(200_000), MULTIPART), 413),
        (("POST", "/files/", part(300_000), MULTIPART), 413),
        (("POST", "/files/", b"{}", {"content-type": "application/json"}), 415),
        (("POST", "/files/", b"no part at all", MULTIPART), 400),
        (("POST", "/files/", b"no part at all", {"content-type": "multipart/form-data"}), 400),
        (("POST", "/files/form", b"name=Jane", {"content-type": "application/x-www-form-urlencoded"}), 200),
        (("POST", "/files/form", b"", {"content-type": "application/x-www-form-urlencoded"}), 422),
        (("POST", "/files/form", b"name=Jane", {"content-type": "text/plain"}), 415),
        (("POST", "/files/text", b"a,b", {"content-type": "text/csv"}), 200),
        (("POST", "/files/text", b"a,b" * 4, {"content-type": "text/csv"}), 413),
        (("POST", "/files/text", b"a,b", {"content-type": "application/json"}), 415),
        (("POST", "/files/json", b"{}" + b" " * 70_000, {"content-type": "application/json"}), 413),
        (("POST", "/files/json", b'{"a": 1234567890}', {"content-type": "application/json"}), 200),
        (("DELETE", "/files/1", b" " * 11, {}), 413),
        (("DELETE", "/files/1/", b" " * 10, {}), 200),
        (("POST", "/files", part(150_000), MULTIPART), 200),
        (("POST", "/nowhere", b" " * 300_000, {}), 413),
        (("GET", "/files/csv", b"", {"accept": "text/csv"}), 200),
        (("GET", "/files/csv", b"", {"accept": "text/plain"}), 200),
        (("GET", "/files/csv", b"", {"accept": "application/json"}), 406),
        (("GET", "/files/any", b"", {"accept": "image/png"}), 200),
        (("GET", "/files/events", b"", {"accept": "text/event-stream"}), 200),
        (("GET", "/files/events", b"", {"accept": "application/json"}), 406),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_route_takes_and_gives_what_it_says_as_much_as_it_says(
    service: httpx2.AsyncClient, sent: tuple[str, str, bytes, dict[str, str]], status: int, *, is_chunked: bool
) -> None:
    method, path, body, headers = sent

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    content = pieces() if is_chunked and body else body  # a body that no route reads is measured by its length alone
    answer = await service.request(method, path, content=content, headers=headers)
    if is_chunked and path in {"/nowhere", "/files/1"}:
        status = {"/nowhere": 404, "/files/1": 200}[path]
    assert answer.status_code == status
    if answer.is_error:
        assert answer.headers["content-type"] == "application/problem+json"
        assert status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE or "larger than" in answer.json()["detail"]


async def test_a_plain_router_takes_a_slot_where_it_says_so(mock_database: Database) -> None:
    app = create_app(Settings(), open_deployment=lambda *_: nullcontext(mock_database))
    free = []

    async def count() -> None:
        free.append(app.state.database_slots._value)  # noqa: SLF001  # a semaphore does not tell otherwise

    router = APIRouter()
    router.add_api_route("/plain", count)
    router.add_api_route("/slot", count, dependencies=[Depends(acquire_slot)])
    app.include_router(router)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        for path in ("/plain", "/slot", "/plain"):
            assert (await client.get(path)).status_code == HTTPStatus.OK
    assert [free[0] - each for each in free] == [0, 1, 0]
