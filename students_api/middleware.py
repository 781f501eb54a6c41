"""What every request goes through, each a pure ASGI application around the next."""

import re
import secrets
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-ID"
WELL_FORMED = re.compile(r"[\w.:=+/@-]{1,128}", re.ASCII)

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The id of the request that is being answered; `-` outside of one."""


class RequestId:
    """Gives every request an id: the client's, where it is well formed, or a new one. Every answer has it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        chosen = given if WELL_FORMED.fullmatch(given) else secrets.token_hex(16)
        # Never reset: the server's own line in the log comes after this, in a task that is the request's alone.
        request_id.set(chosen)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = chosen
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

        await self.app({**scope, "method": "GET"}, receive, send_without_body)


class OptionalSlash:
    """The same answer with and without a slash at the end of the path; Starlette would redirect, and trust `Host`."""

    def __init__(self, app: ASGIApp, collections: frozenset[str]) -> None:
        self.app = app
        self.collections = collections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] == "http":
            root, path = scope.get("root_path", ""), scope["path"]
            path = re.sub("(?<!/)/$", "", path.removeprefix(root))
            scope["path"] = root + path + ("/" if path in self.collections or not path else "")
        await self.app(scope, receive, send)
