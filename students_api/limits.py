"""Limits: how large a request may be, how long it may take, and how many use the database at once."""

import asyncio
from http import HTTPStatus

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from students_api.problems import RETRY_AFTER_SECONDS, problem, unavailable

BUSY = "The database has too much to do. Nothing was changed; try again soon."
NOT_YET = "The database has not answered yet since the service started. Try again soon."

INCOMPLETE_SECONDS = 10
"""How long a client may take to send a request."""

INCOMPLETE = f"The request was not complete within {INCOMPLETE_SECONDS} seconds."

GONE = "The request has broken off."
TOO_LARGE = "The body has to be {} bytes at most."

MARGIN_SECONDS = 0.25
"""How much longer than its deadline a request may take: the driver's own limit comes first, and says more."""

LOOK_SECONDS = 0.05
"""How often the requests are looked at whose time may have come."""

WAIT_SECONDS = 1
"""How long a request waits for its turn at the database."""

CLOSE = {"Connection": "close"}

LIMITED = "students_api.limited"
"""The key of a request's scope that has its limits."""


class RequestLimits:
    """Bounds a request's size and time: 413, 408 where it does not become complete, 503 where no answer begins in time.

    The deadline is the service's: the time in which it waits for the client, to send or to take an answer, does not
    count. The body is counted while it streams in. The limits are the application's settings, `app.state.settings`. A
    server can say when the first byte came: `began`, in seconds of the event loop's clock, in the request's state.

    One timer watches all requests. Two for each would take as long as all other middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._requests = set[_Limited]()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        settings = scope["app"].state.settings
        if any(name == b"content-length" and int(value) > settings.max_body_bytes for name, value in scope["headers"]):
            words = TOO_LARGE.format(settings.max_body_bytes)
            await problem(Request(scope), HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words, CLOSE)(scope, receive, send)
            return
        scope[LIMITED] = limited = _Limited(scope, receive, send)
        self._watch(limited)
        try:
            async with limited.timeout:
                await self.app(scope, limited.receive, limited.send)
        except TimeoutError:
            if not limited.timeout.expired():
                raise
            request = Request(scope)
            answer = (
                problem(request, HTTPStatus.REQUEST_TIMEOUT, INCOMPLETE, CLOSE)
                if limited.is_receiving
                else unavailable(request)
            )
            await answer(scope, receive, send)
        finally:
            self._requests.discard(limited)
            limited.end_turn()

    def _watch(self, limited: "_Limited") -> None:
        self._requests.add(limited)
        if self._loop is not (loop := asyncio.get_running_loop()):
            self._loop = loop
            loop.call_later(LOOK_SECONDS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = {each for each in self._requests if each.end is not None and each.end <= now}
        for each in late:
            each.timeout.reschedule(now)
        self._requests -= late
        if self._requests:
            loop.call_later(LOOK_SECONDS, self._look, loop)
        else:
            self._loop = None


class _Limited:
    """A request's way in and its answer's way out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._time = asyncio.get_running_loop().time
        now = self._time()
        self._incomplete_end = scope.get("state", {}).get("began", now) + INCOMPLETE_SECONDS
        settings = scope["app"].state.settings
        self._max_bytes = self._left = settings.max_body_bytes
        self._seconds = settings.deadline_seconds + MARGIN_SECONDS
        self._is_complete = False
        self._turns: asyncio.Semaphore | None = None
        self.is_receiving = False
        self.end: float | None = now + self._seconds
        """When its time is over, in seconds of the event loop's clock; `None` while the client takes the answer."""
        self.timeout = asyncio.timeout(None)

    async def receive(self) -> Message:
        if self._is_complete:  # the application waits for the client to go away
            return await self._receive()
        self.end, self.is_receiving = self._incomplete_end, True
        message = await self._receive()
        self.end, self.is_receiving = self._time() + self._seconds, False
        if message["type"] == "http.disconnect":  # or the server has refused the rest of it
            raise HTTPException(HTTPStatus.BAD_REQUEST, GONE, CLOSE)
        self._is_complete = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE.format(self._max_bytes), CLOSE)
        return message

    async def send(self, message: Message) -> None:
        self.end_turn()
        self.end = None
        if self.timeout.when() is not None and not self.timeout.expired():  # it would come a moment from now
            self.timeout.reschedule(None)
        await self._send(message)

    async def take_turn(self, turns: asyncio.Semaphore) -> None:
        if turns.locked():
            async with asyncio.timeout(WAIT_SECONDS):
                await turns.acquire()
        else:
            await turns.acquire()
        self._turns = turns

    def end_turn(self) -> None:
        if self._turns is not None:
            self._turns.release()
            self._turns = None


async def take_turn(request: Request) -> None:
    """Wait for one of the connections to the database, as many as there are; it is given back when an answer begins.

    Raises 503 where there is none in time, or the database has not answered yet.
    """
    state = request.app.state
    if not state.is_ready:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, NOT_YET, {"Retry-After": str(RETRY_AFTER_SECONDS)})
    try:
        await request.scope[LIMITED].take_turn(state.turns)
    except TimeoutError as error:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, BUSY, {"Retry-After": str(WAIT_SECONDS)}) from error
