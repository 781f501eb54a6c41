"""Limits: how large a request may be, how long it may take, and how many use the database at once."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from fastapi import Depends, HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from students_api.problems import RETRY_AFTER_SECONDS, problem, unavailable

BUSY = "The database has too much to do. Nothing was changed; try again soon."
NOT_YET = "The database has not answered yet since the service started. Try again soon."

INCOMPLETE_SECONDS = 10
"""How long a client may take to send a request."""

INCOMPLETE = f"The request was not complete within {INCOMPLETE_SECONDS} seconds."

TOO_LARGE = "The body has to be {} bytes at most."

MARGIN_SECONDS = 0.25
"""How much longer than its deadline a request may take: the driver's own limit comes first, and says more."""

WAIT_SECONDS = 1
"""How long a request waits for its turn at the database."""

CLOSE = {"Connection": "close"}


class RequestLimits:
    """Bounds a request's size and time: 413, 408 where it does not become complete, 503 where the answer does not.

    The deadline is the service's: the time in which it waits for the client's next bytes does not count.
    The body is counted while it streams in. The limits are the application's settings, `app.state.settings`. A server
    can say when the first byte came: `began`, in seconds of the event loop's clock, in the request's state.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        settings, request = scope["app"].state.settings, Request(scope)
        time, seconds = asyncio.get_running_loop().time, settings.deadline_seconds + MARGIN_SECONDS
        end = scope.get("state", {}).get("began", time()) + INCOMPLETE_SECONDS
        left = settings.max_body_bytes
        too_large = TOO_LARGE.format(left)
        answering = False

        async def limited_receive() -> Message:
            nonlocal left
            deadline.reschedule(None)
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, INCOMPLETE, CLOSE) from error
            finally:
                deadline.reschedule(time() + seconds)
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large, CLOSE)
            return message

        async def noted_send(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        if int(request.headers.get("content-length", "0")) > left:
            await problem(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, too_large, CLOSE)(scope, receive, send)
            return
        try:
            async with asyncio.timeout(seconds) as deadline:
                await self.app(scope, limited_receive, noted_send)
        except TimeoutError:
            if answering or not deadline.expired():
                raise
            await unavailable(request)(scope, receive, send)


async def _take_turn(request: Request) -> AsyncIterator[None]:
    state = request.app.state
    if not state.is_ready:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, NOT_YET, {"Retry-After": str(RETRY_AFTER_SECONDS)})
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await state.turns.acquire()
    except TimeoutError as error:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, BUSY, {"Retry-After": str(WAIT_SECONDS)}) from error
    try:
        yield
    finally:
        state.turns.release()


UsesDatabase = Depends(_take_turn, scope="function")
"""For the `dependencies=` of a router: as many requests at once as there are connections; the others wait, then 503."""
