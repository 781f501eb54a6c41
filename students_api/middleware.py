"""What every request goes through, each a pure ASGI application around the next."""

import logging
import random
import re
from collections.abc import Sequence
from contextvars import ContextVar
from http import HTTPStatus
from time import perf_counter
from typing import Any, Protocol

from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("students_api")

REQUEST_ID = "X-Request-ID"
REQUEST_ID_HEADER = REQUEST_ID.lower().encode()
WELL_FORMED = re.compile(r"[\w.:=+/@-]{1,128}", re.ASCII)

NO_REQUEST = "-"
request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST)
"""The id of the request that is being answered; `-` outside of one."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "other"
NO_ROUTE = "-"
QUIET = frozenset({"/livez", "/readyz", "/metrics"})
"""Routes that machines ask all the time: the log has them at level DEBUG, unless they fail."""

ASKED_METHOD = "students_api.method"

REQUEST = "request"
"""What the line of a request says, and the attribute of its record that has the request's fields."""


def request_of(record: logging.LogRecord) -> dict[str, Any] | None:
    """The fields of the request that a record of the log is about; `None` for another record."""
    is_request = record.name == logger.name and record.msg == REQUEST
    return vars(record).get(REQUEST) if is_request else None


def new_request_id() -> str:
    """A random one. It is no secret, so it need not come from the system, for which all of Python would wait."""
    return f"{random.getrandbits(128):032x}"  # as above


class RequestId:
    """Gives every request an id: the client's, where it is well formed, or a new one. Every answer has it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == REQUEST_ID_HEADER), "")
        chosen = given if WELL_FORMED.fullmatch(given) else new_request_id()
        header = (REQUEST_ID_HEADER, chosen.encode())
        # Never reset: the server's own line in the log comes after this, in a task that is the request's alone.
        request_id.set(chosen)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [each for each in message["headers"] if each[0] != REQUEST_ID_HEADER]
                message["headers"] = [*others, header]
            await send(message)

        await self.app(scope, receive, send_with_id)


class Head:
    """Answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app({**scope, "method": "GET", ASKED_METHOD: "HEAD"}, receive, send_without_body)


class OptionalSlash:
    """The same answer with and without a slash at the end of the path; Starlette would redirect, and trust `Host`."""

    def __init__(self, app: ASGIApp, collections: frozenset[str]) -> None:
        self.app = app
        self.collections = collections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] == "http":
            root = scope.get("root_path", "")
            path = scope["path"].removeprefix(root)
            if path.endswith("/") and not path.endswith("//"):
                path = path[:-1]
            scope["path"] = root + path + ("/" if path in self.collections or not path else "")
        await self.app(scope, receive, send)


class Meter(Protocol):
    """What counts requests."""

    def request_started(self) -> None:
        """A request has come."""

    def request_finished(self, method: str, route: str, status: int, seconds: float) -> None:
        """It is answered."""


class AccessLog:
    """A line in the log for each request, and what `meters` count: its route, never its path, which has personal data.

    `meters` can change while the application runs.
    """

    def __init__(self, app: ASGIApp, meters: Sequence[Meter]) -> None:
        self.app = app
        self.meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)  # of an exception, which is answered outside of all middleware

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        started = perf_counter()
        for meter in self.meters:
            meter.request_started()
        try:
            await self.app(scope, receive, send_noted)
        finally:
            seconds = perf_counter() - started
            method, route = scope.get(ASKED_METHOD, scope["method"]), route_template(scope)
            method = method if method in METHODS else OTHER_METHOD
            for meter in self.meters:
                meter.request_finished(method, route, status, seconds)
            failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
            level = logging.DEBUG if route in QUIET and not failed else logging.INFO
            if logger.isEnabledFor(level):
                fields = {"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 2)}
                logger.handle(logger.makeRecord(logger.name, level, "", 0, REQUEST, (), None, extra={REQUEST: fields}))


def route_template(scope: Scope) -> str:
    """The template of the route that answers, such as `/students/{id}`; `-` where there is none.

    FastAPI says which it is in the scope: of an included router `route` lacks the prefix, and the context has it. A
    plain route of Starlette's does not say. Without parameters its path is its template, and with them it is `-`.
    """
    root = scope.get("root_path", "")
    prefix = root.removeprefix(scope.get("app_root_path", root))  # of the mounts on the way
    context = scope.get("fastapi", {}).get("effective_route_context")
    route = getattr(context, "starlette_route", None) or context
    if route is None or isinstance(route, Mount):
        route = scope.get("route")
    if scope.get("path_params", {}).keys() - getattr(route, "param_convertors", {}).keys():
        return NO_ROUTE
    if route is not None:
        return f"{prefix}{route.path_format}"
    if "app_root_path" in scope:
        return f"{prefix}/{{path}}"
    path: str = scope["path"]
    return path.removeprefix(root) if "endpoint" in scope else NO_ROUTE
