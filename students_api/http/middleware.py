"""Middleware, each a pure ASGI application around the next: request ids, HEAD, an optional slash."""

import random
import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-ID"
REQUEST_ID_HEADER = REQUEST_ID.lower().encode()
WELL_FORMED = re.compile(r"[\w.:=+/@-]{1,128}", re.ASCII)
NO_REQUEST_ID = "-"

request_id: ContextVar[str] = ContextVar("request_id", default=NO_REQUEST_ID)
"""The id of the request that is being answered; `-` outside of one."""

ORIGINAL_METHOD = "students_api.method"
"""The key of the ASGI scope under which HEAD is, where the application sees GET."""


def new_request_id() -> str:
    """A random id: 32 hex digits. It is no secret, so it need not wait for the system's random numbers."""
    return f"{random.getrandbits(128):032x}"


class RequestIdMiddleware:
    """Gives every request an id, the client's `X-Request-ID` if it is well formed, and every response that header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with the request's id in `request_id` and in the response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == REQUEST_ID_HEADER), "")
        chosen = given if WELL_FORMED.fullmatch(given) else new_request_id()
        header = (REQUEST_ID_HEADER, chosen.encode())
        # Never reset: the access log's line comes later, in the same task, which is the request's alone.
        request_id.set(chosen)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [each for each in message["headers"] if each[0] != REQUEST_ID_HEADER]
                message["headers"] = [*others, header]
            await send(message)

        await self.app(scope, receive, send_with_id)


class HeadMiddleware:
    """Answers HEAD as GET on every route, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with GET in the place of HEAD."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app({**scope, "method": "GET", ORIGINAL_METHOD: "HEAD"}, receive, send_without_body)


class OptionalSlashMiddleware:
    """Routes a path with and without a slash at its end alike; Starlette would redirect, and trust `Host`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._ends_with_slash: Callable[[str], bool] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with the path that the routes have."""
        if scope["type"] == "http":
            if self._ends_with_slash is None:
                self._ends_with_slash = _paths_with_slash(scope["app"].routes)
            root = scope.get("root_path", "")
            path = scope["path"].removeprefix(root)
            if path.endswith("/") and not path.endswith("//"):
                path = path[:-1]
            scope["path"] = root + path + ("/" if self._ends_with_slash(path) else "")
        await self.app(scope, receive, send)


def _paths_with_slash(routes: Sequence[BaseRoute]) -> Callable[[str], bool]:
    """Whether routes have this path with a slash at its end."""
    paths = [path for route in iter_route_contexts(routes) if (path := route.path or "").endswith("/")]
    fixed = {path[:-1] for path in paths if "{" not in path} | {""}
    patterns = [compile_path(path)[0] for path in paths if "{" in path]
    return lambda path: path in fixed or any(pattern.match(path + "/") for pattern in patterns)
