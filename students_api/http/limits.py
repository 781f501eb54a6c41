"""Limits of a request: its size, its read timeout and deadline, and the concurrency limit (a semaphore)."""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, Request
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from students_api.http.problems import RETRY_AFTER_SECONDS, problem_response, unavailable_response

if TYPE_CHECKING:
    from re import Pattern

OVERLOADED = "The service is overloaded. Nothing was changed; try again soon."
NOT_CONNECTED_YET = "The database has not answered yet since the service started. Try again soon."

READ_TIMEOUT_SECONDS = 10
"""How long a client may take to send a request: its head and its body."""

READ_TIMEOUT = f"The request was not complete within {READ_TIMEOUT_SECONDS} seconds."
DISCONNECTED = "The client disconnected before the request was complete."
TOO_LARGE = "The body must not be larger than {} bytes."

MARGIN_SECONDS = 0.25
"""How much longer a request may take than its deadline: the driver's timeout comes first, and knows of the write."""

CHECK_SECONDS = 0.05
"""How often the timeouts of all requests are checked."""

SLOT_WAIT_SECONDS = 1
"""How long a request waits for a slot of the concurrency limit."""

CLOSE = {"Connection": "close"}

LIMITED_REQUEST = "students_api.limited"
"""The key of the ASGI scope that holds the request's `_LimitedRequest`, for `acquire_slot`."""


class RequestLimitsMiddleware:
    """Answers 413 for a body that is too large, 408 for one that stays incomplete, 503 for a missed deadline.

    Time spent waiting for the client is not part of the deadline. The body is counted as it streams in. The limits are
    settings, `app.state.settings`; how large its body may be a route can say, FastAPI's `max_body_size=`. A server can
    pass when the first byte arrived, in the event loop's time, as `request_started` in the request's state.

    One timer checks all requests: two timers a request would cost as much as all other middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._requests = set[_LimitedRequest]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._routes: list[tuple[Pattern[str], set[str], int | None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a `receive` and a `send` that keep the limits."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        max_bytes = self._max_body_bytes(scope)
        if any(name == b"content-length" and int(value) > max_bytes for name, value in scope["headers"]):
            detail = TOO_LARGE.format(max_bytes)
            response = problem_response(Request(scope), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, CLOSE)
            await response(scope, receive, send)
            return
        scope[LIMITED_REQUEST] = limited = _LimitedRequest(scope, receive, send, max_bytes)
        self._watch(limited)
        try:
            async with limited.timeout:
                await self.app(scope, limited.receive, limited.send)
        except TimeoutError:
            if not limited.timeout.expired():
                raise
            request = Request(scope)
            response = (
                problem_response(request, HTTPStatus.REQUEST_TIMEOUT, READ_TIMEOUT, CLOSE)
                if limited.is_reading
                else unavailable_response(request)
            )
            await response(scope, receive, send)
        finally:
            self._requests.discard(limited)
            limited.release_slot()

    def _max_body_bytes(self, scope: Scope) -> int:
        """The limit of the route, which is not found yet: by its path, with or without a slash at its end."""
        if self._routes is None:
            contexts: list[Any] = [
                each for each in iter_route_contexts(scope["app"].routes) if each.path and each.methods
            ]
            routes = [
                (compile_path(each.path.rstrip("/"))[0], each.methods, getattr(each, "max_body_size", None))
                for each in contexts
            ]
            self._routes = routes if any(size is not None for *_, size in routes) else []
        default: int = scope["app"].state.settings.max_body_bytes
        if not self._routes:
            return default
        path, method = scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/"), scope["method"]
        own = (size for pattern, methods, size in self._routes if method in methods and pattern.match(path))
        size = next(own, None)  # the first route is the one that answers
        return default if size is None else size

    def _watch(self, limited: "_LimitedRequest") -> None:
        self._requests.add(limited)
        if self._loop is not (loop := asyncio.get_running_loop()):
            self._loop = loop
            loop.call_later(CHECK_SECONDS, self._check_deadlines, loop)

    def _check_deadlines(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = {each for each in self._requests if each.deadline is not None and each.deadline <= now}
        for each in late:
            each.timeout.reschedule(now)
        self._requests -= late
        if self._requests:
            loop.call_later(CHECK_SECONDS, self._check_deadlines, loop)
        else:
            self._loop = None


class _LimitedRequest:
    """A request whose `receive` and `send` keep the limits, and which may hold a slot of the concurrency limit."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
        self._receive, self._send = receive, send
        self._now = asyncio.get_running_loop().time
        now = self._now()
        self._read_deadline = scope.get("state", {}).get("request_started", now) + READ_TIMEOUT_SECONDS
        settings = scope["app"].state.settings
        self._max_bytes = self._bytes_left = max_bytes
        self._deadline_seconds = settings.deadline_seconds + MARGIN_SECONDS
        self._is_complete = False
        self._slots: asyncio.Semaphore | None = None
        self.is_reading = False
        self.deadline: float | None = now + self._deadline_seconds
        """In seconds of the event loop's clock; `None` while the client takes the answer."""
        self.timeout = asyncio.timeout(None)

    async def receive(self) -> Message:
        if self._is_complete:  # the application waits for the client to disconnect
            return await self._receive()
        self.deadline, self.is_reading = self._read_deadline, True
        message = await self._receive()
        self.deadline, self.is_reading = self._now() + self._deadline_seconds, False
        if message["type"] == "http.disconnect":  # or the server has rejected the rest of the body
            raise HTTPException(HTTPStatus.BAD_REQUEST, DISCONNECTED, CLOSE)
        self._is_complete = not message.get("more_body", False)
        self._bytes_left -= len(message.get("body", b""))
        if self._bytes_left < 0:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE.format(self._max_bytes), CLOSE)
        return message

    async def send(self, message: Message) -> None:
        self.release_slot()
        self.deadline = None
        if self.timeout.when() is not None and not self.timeout.expired():  # the timer has just rescheduled it
            self.timeout.reschedule(None)
        await self._send(message)

    async def acquire_slot(self, slots: asyncio.Semaphore) -> None:
        if slots.locked():
            async with asyncio.timeout(SLOT_WAIT_SECONDS):
                await slots.acquire()
        else:
            await slots.acquire()
        self._slots = slots

    def release_slot(self) -> None:
        if self._slots is not None:
            self._slots.release()
            self._slots = None


async def acquire_slot(request: Request) -> None:
    """Wait for a slot of the concurrency limit: as many requests use the database as the pool has connections.

    The slot is released when the response begins. Raises 503 where none is free in time, or MongoDB has not answered
    since the start.
    """
    state = request.app.state
    if not state.is_ready:
        raise HTTPException(
            HTTPStatus.SERVICE_UNAVAILABLE, NOT_CONNECTED_YET, {"Retry-After": str(RETRY_AFTER_SECONDS)}
        )
    try:
        await request.scope[LIMITED_REQUEST].acquire_slot(state.database_slots)
    except TimeoutError as error:
        raise HTTPException(
            HTTPStatus.SERVICE_UNAVAILABLE, OVERLOADED, {"Retry-After": str(SLOT_WAIT_SECONDS)}
        ) from error
