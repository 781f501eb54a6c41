"""The HTTP protocol of `students-api serve`: uvicorn's, with timeouts, limits, and problems for what it rejects."""

import asyncio
import gc
import json
import re
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from students_api.http.limits import READ_TIMEOUT, READ_TIMEOUT_SECONDS
from students_api.http.middleware import REQUEST_ID, new_request_id
from students_api.http.problems import MEDIA_TYPE, problem_body
from students_api.http.transport import LingeringTransport, has_websocket, switch_to_websocket

Header = tuple[bytes, bytes]

MAX_HEAD_BYTES = 2**16
"""How large a request's line and headers may be together."""

WRITE_TIMEOUT_SECONDS = 30
"""How long a client may read nothing of an answer before the connection is aborted."""

HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)
"""The `Host` header: a host, in whose name much is allowed (RFC 3986, section 3.2.2), and a port."""

MALFORMED = "This is not a valid HTTP request."
HEAD_TOO_LARGE = f"The request line and headers must not be larger than {MAX_HEAD_BYTES} bytes together."
TOO_LARGE = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HEAD_TOO_LARGE)


@cache
def freeze_gc() -> None:
    """Move all objects of the start-up out of garbage collection (`gc.freeze`), once, at the first connection.

    A full collection over them takes 70 ms, and blocks all requests.
    """
    gc.collect()
    gc.freeze()


def is_valid_head(headers: Iterable[Header], version: str) -> bool:
    """Whether `Host`, `Transfer-Encoding` and the HTTP version are valid, which httptools does not check.

    RFC 9112, sections 2.3, 3.2 and 6.1. The names of `headers` are lower-case.
    """
    hosts = []
    for name, value in headers:
        if name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            return False
    named_once = len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None
    return (named_once and version == "1.1") or (version == "1.0" and (named_once or not hosts))


def head_without_upgrade(method: bytes, url: bytes, version: str, headers: Iterable[Header]) -> bytes:
    """The request line and the headers, without `Upgrade`. Raises `ValueError` for CONNECT, which needs the upgrade."""
    if method == b"CONNECT":
        raise ValueError(MALFORMED)
    lines = [b"%s %s HTTP/%s" % (method, url, version.encode())]
    lines += [b"%s: %s" % header for header in headers if header[0] != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])


def rejection_response(status: HTTPStatus, detail: str, path: str, default_headers: Iterable[Header]) -> bytes:
    """The response with a problem to a request that no application sees; it closes the connection."""
    request_id = new_request_id()
    body = json.dumps(problem_body(status, detail, path, request_id)).encode()
    headers = [
        *default_headers,
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (REQUEST_ID.lower().encode(), request_id.encode()),
        (b"connection", b"close"),
    ]
    return b"".join([STATUS_LINE[status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n", body])


class HttpProtocol(HttpToolsProtocol):
    """A connection with timeouts and limits.

    - A request that is not complete within `READ_TIMEOUT_SECONDS` gets 408. A connection on which nothing comes, or
      whose client does not take its answer, is closed.
    - A head beyond `MAX_HEAD_BYTES` gets 431. What is no HTTP gets 400, after the responses to the requests before it.
    - A client that is rejected while it sends can read the response: a lingering close.
    - `Upgrade` is ignored, as RFC 9110 (section 7.8) allows, but for a WebSocket that has a route. uvicorn would lose
      the request's body, and answer nothing that follows; Java's client asks for h2c by default.
    - A service that is draining closes each connection with its next response.
    """

    transport: LingeringTransport  # type: ignore[assignment]  # it has all that uvicorn uses of a transport

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_complete = True  # no part of a request has come
        self.in_head = False
        self.head_bytes = self.unparsed_head_bytes = 0
        self.began_in_this_data = False
        self.replayed_head = b""
        self.is_websocket = False
        self.parser_error = (HTTPStatus.BAD_REQUEST, MALFORMED)
        self.rejection = b""
        self.read_timeout: asyncio.TimerHandle | None = None
        self.write_timeout: asyncio.TimerHandle | None = None

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Linger at the close, and start the read timeout."""
        freeze_gc()
        super().connection_made(LingeringTransport(transport, self))  # type: ignore[arg-type]  # as above
        self._start_read_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop both timeouts."""
        self._stop_read_timeout()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data within the limit of a head, reject what is malformed, and restart the read timeout."""
        if self.rejection or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.began_in_this_data = False
        try:
            self._feed(memoryview(data))
        except httptools.HttpParserError:
            self._reject(*self.parser_error)
            return
        if self.is_websocket:
            return
        if self.in_head and not self.began_in_this_data:  # the parser reports a header only when it is complete
            self.unparsed_head_bytes += len(data)
            if self.unparsed_head_bytes > MAX_HEAD_BYTES:
                self._reject(*TOO_LARGE)
        if not self.is_complete or self.cycle is None or self.cycle.response_complete:
            self._start_read_timeout()

    def pause_writing(self) -> None:
        """Start the write timeout: the client takes its answer more slowly than the application makes it."""
        super().pause_writing()
        self._start_write_timeout(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Stop the write timeout."""
        super().resume_writing()
        if self.write_timeout is not None:
            self.write_timeout.cancel()
            self.write_timeout = None

    # Called by httptools

    def on_message_begin(self) -> None:
        """Note when the request began, for its read timeout."""
        super().on_message_begin()
        self._stop_read_timeout()  # the one of the idle connection; the request has its own
        self.scope["state"]["request_started"] = self.loop.time()
        self.is_complete, self.in_head, self.began_in_this_data = False, True, True
        self.head_bytes = self.unparsed_head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the bytes of the head."""
        super().on_url(url)
        self.head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the bytes of the head; a trailer field, after the body, is dropped."""
        if self.in_head:
            super().on_header(name, value)
            self.head_bytes += len(name) + len(value) + len(": \r\n")

    def on_headers_complete(self) -> None:
        """Validate the head, and ignore `Upgrade`; while draining, this request is the connection's last."""
        if self.head_bytes > MAX_HEAD_BYTES:
            self.parser_error = TOO_LARGE
            raise ValueError(HEAD_TOO_LARGE)
        version = self.parser.get_http_version()
        if not is_valid_head(self.headers, version):
            raise ValueError(MALFORMED)
        if self.parser.should_upgrade():
            method = self.parser.get_method()
            self.is_websocket = method == b"GET" and has_websocket(self)
            self.replayed_head = head_without_upgrade(method, self.url, version, self.headers)
            return
        super().on_headers_complete()
        self.in_head = False
        if (stopping := self.app_state.get("stopping")) and stopping.is_set():
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Stop the read timeout: the request is complete."""
        if not self.parser.should_upgrade():
            self.is_complete = True
            self._stop_read_timeout()
            super().on_message_complete()

    # Called by uvicorn

    def on_response_complete(self) -> None:
        """Send a rejection that waited for this response, or restart the read timeout for a partial next request."""
        was_last = not self.pipeline
        if self.pipeline:  # it could not come while the connection was not read
            self.pipeline[-1][0].scope["state"]["request_started"] = self.loop.time()
        super().on_response_complete()
        if self.rejection and was_last:
            self._send_rejection()
        elif not self.is_complete:  # the connection is not idle: a part of the next request is there
            self._unset_keepalive_if_required()
            self._start_read_timeout()

    def _feed(self, data: memoryview) -> None:
        """Parse the data. The head of a request that asks for another protocol is parsed again without `Upgrade`."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self.is_websocket:
                    self.is_complete, self.in_head = True, False
                    switch_to_websocket(self, bytes(data))
                    return
                self.parser = httptools.HttpRequestParser(self)
                self.parser.feed_data(self.replayed_head)
            else:
                return

    def _start_read_timeout(self) -> None:
        if self.read_timeout is None:
            self.read_timeout = self.loop.call_later(READ_TIMEOUT_SECONDS, self._on_read_timeout)

    def _stop_read_timeout(self) -> None:
        if self.read_timeout is not None:
            self.read_timeout.cancel()
            self.read_timeout = None

    def _start_write_timeout(self, left: int) -> None:
        self.write_timeout = self.loop.call_later(WRITE_TIMEOUT_SECONDS, self._on_write_timeout, left)

    def _on_write_timeout(self, left: int) -> None:
        now = self.transport.get_write_buffer_size()
        if now < left:
            self._start_write_timeout(now)
        else:
            self.transport.abort()

    def _on_read_timeout(self) -> None:
        self.read_timeout = None
        if self.transport.is_closing():
            return
        answered = self.cycle is None or self.cycle.response_complete
        if self.is_complete or (answered and not self.in_head):  # no request waits for a response
            self.transport.close()
        elif self.in_head and not self.pipeline:
            self._reject(HTTPStatus.REQUEST_TIMEOUT, READ_TIMEOUT)
        else:  # the application waits for the body, and answers
            self._start_read_timeout()

    def _reject(self, status: HTTPStatus, detail: str) -> None:
        """Respond with a problem after the responses to the requests before, and close the connection."""
        path = (self.scope or {}).get("path", "/")
        self.rejection = rejection_response(status, detail, path, self.server_state.default_headers)
        if not self.is_complete and not self.in_head:  # the body of the last request is malformed
            if self.pipeline:
                self.pipeline.popleft()
            else:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
                self._send_rejection()
        elif self.cycle is None or (self.cycle.response_complete and not self.pipeline):
            self._send_rejection()

    def _send_rejection(self) -> None:
        if self.transport.is_closing():  # the response before it closed the connection
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(self.rejection)
        self.transport.close()
