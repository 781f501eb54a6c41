"""What is below HTTP and beside it: a transport with a lingering close, and WebSockets, to which a connection switches.

By the lingering close a client can read the answer to a request that it is still sending.
"""

import asyncio
import logging
from typing import Any, Protocol
from urllib.parse import unquote

import httptools
from fastapi.routing import iter_route_contexts
from starlette.routing import WebSocketRoute, compile_path
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGER_SECONDS = 2
"""How long a client may read nothing of its last answer before the connection is aborted."""


class Connection(Protocol):
    """What the transport uses of its protocol: whether the request is complete, its flow control and its event loop."""

    is_complete: bool
    flow: Any
    loop: asyncio.AbstractEventLoop


class LingeringTransport:
    """A transport with a lingering close: while the request still comes in, it closes for writing only.

    A full close would make the system reset the connection, and the client lose the answer (RFC 9112, section 9.6).
    """

    def __init__(self, transport: Any, protocol: Connection) -> None:
        self._transport, self._protocol = transport, protocol
        self._closing = False
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether it is closed, at least for writing."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Close it; while a request comes in, only for writing until the client has taken the response."""
        if self._protocol.is_complete or self._transport.is_closing() or not self._transport.can_write_eof():
            self._transport.close()
        elif not self._closing:
            self._closing = True
            self._transport.write_eof()
            self._protocol.flow.resume_reading()
            self._linger(None)

    def _linger(self, left: int | None) -> None:
        """Abort the connection unless the client has taken a part of the `left` bytes since the last call."""
        now = self._transport.get_write_buffer_size()
        if left is not None and not now < left:
            self._transport.abort()
        else:
            self._protocol.loop.call_later(LINGER_SECONDS, self._linger, now)


def has_websocket(connection: HttpToolsProtocol) -> bool:
    """Whether the request, whose head is complete, asks for a WebSocket, and one of the routes is that."""
    is_busy = connection.cycle is not None and not connection.cycle.response_complete
    if is_busy or connection._get_upgrade() != b"websocket":  # noqa: SLF001  # uvicorn's own question
        return False
    path = unquote(httptools.parse_url(connection.url).path.decode())
    routes = iter_route_contexts(connection.app_state.get("routes", ()))
    websockets = [each for each in routes if isinstance(each.original_route, WebSocketRoute)]
    return any(compile_path(each.path or "")[0].match(path) for each in websockets)


def switch_to_websocket(connection: HttpToolsProtocol, data: bytes) -> None:
    """Give the connection, with what has come behind the handshake, to uvicorn's protocol of WebSockets.

    It logs none of them: that has the client's address and the query.
    """

    def protocol(**options: Any) -> asyncio.Protocol:
        from uvicorn.protocols.websockets.websockets_sansio_impl import (  # noqa: PLC0415  # few need it
            WebSocketsSansIOProtocol,
        )

        websocket = WebSocketsSansIOProtocol(**options)
        websocket.logger = logging.getLogger("students_api.websocket")
        websocket.logger.setLevel(logging.WARNING)
        return websocket

    connection.scope["method"] = "GET"
    connection.ws_protocol_class = protocol  # type: ignore[assignment]  # uvicorn only calls it
    connection.handle_websocket_upgrade()
    if data:
        connection.transport.get_protocol().data_received(data)  # type: ignore[attr-defined]  # the one of just now
