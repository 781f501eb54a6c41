"""A transport with a lingering close, so that a client can read the answer to a request that it is still sending."""

import asyncio
from typing import Any, Protocol

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
