"""HTTP as `students-api serve` speaks it: uvicorn's protocol, within bounds, and with problems for what it refuses."""

import asyncio
import gc
import json
import re
from functools import cache
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from students_api.limits import INCOMPLETE, INCOMPLETE_SECONDS
from students_api.middleware import REQUEST_ID, new_request_id
from students_api.problems import MEDIA_TYPE, members

MAX_HEAD_BYTES = 2**16
"""How large a request's line and headers may be together."""

LINGER_SECONDS = 2
"""How long a client that was refused while it sent has to take the answer."""

STALLED_SECONDS = 30
"""How long a client may take nothing of a long answer."""

HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)
"""A host and a port; in names of hosts much is allowed (RFC 3986, section 3.2.2)."""

NO_HTTP = "This is no HTTP request that can be understood, or a part of it is damaged."
HEAD_TOO_LARGE = f"The request's line and headers have to be {MAX_HEAD_BYTES} bytes at most, together."
TOO_LARGE = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, HEAD_TOO_LARGE)


@cache
def keep_what_is_loaded() -> None:
    """Have the garbage collector look no more at what is there when the first client comes; it stays for good.

    Otherwise every request waits now and then until all of it has been looked at, which takes 70 ms.
    """
    gc.collect()
    gc.freeze()


class HttpProtocol(HttpToolsProtocol):
    """A connection, within bounds.

    - A request that is not complete within `INCOMPLETE_SECONDS` gets 408. A connection on which nothing comes, or whose
      client does not take its answer, is closed.
    - A head beyond `MAX_HEAD_BYTES` gets 431. What is no HTTP gets 400, after the answers to what came before it.
    - A client that is refused while it sends can read the answer: the connection is closed only for writing, at first.
    - `Upgrade` is ignored, as RFC 9110 (section 7.8) allows. uvicorn would lose the request's body, and answer nothing
      that follows; Java's client asks for h2c by default.
    - A service that is about to stop closes each connection with its next answer.
    """

    transport: "_Lingering"  # type: ignore[assignment]  # it has all that uvicorn uses of a transport

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_complete = True  # no request has come in part
        self.in_head = False
        self.head_bytes = self.later_head_bytes = 0
        self.began_now = False
        self.without_upgrade = b""
        self.reason = (HTTPStatus.BAD_REQUEST, NO_HTTP)
        self.refusal = b""
        self.incomplete: asyncio.TimerHandle | None = None
        self.stalled: asyncio.TimerHandle | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio has it."""
        keep_what_is_loaded()
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]  # as above
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        self._expect_no_more()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """As asyncio has it."""
        if self.refusal or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.began_now = False
        try:
            self._feed(memoryview(data))
        except httptools.HttpParserError:
            self._refuse(*self.reason)
            return
        if self.in_head and not self.began_now:  # the parser tells of a header only when it is complete
            self.later_head_bytes += len(data)
            if self.later_head_bytes > MAX_HEAD_BYTES:
                self._refuse(*TOO_LARGE)
        if not self.is_complete or self.cycle is None or self.cycle.response_complete:
            self._expect()

    def pause_writing(self) -> None:
        """As asyncio has it."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """As asyncio has it."""
        super().resume_writing()
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None

    # What the parser calls

    def on_message_begin(self) -> None:
        """As httptools has it."""
        super().on_message_begin()
        self._expect_no_more()  # the connection may have been idle; the request has its own time
        self.scope["state"]["began"] = self.loop.time()
        self.is_complete, self.in_head, self.began_now = False, True, True
        self.head_bytes = self.later_head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """As httptools has it."""
        super().on_url(url)
        self.head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """As httptools has it, and for trailers too: fields behind the body, which are no headers."""
        if self.in_head:
            super().on_header(name, value)
            self.head_bytes += len(name) + len(value) + len(": \r\n")

    def on_headers_complete(self) -> None:
        """As httptools has it."""
        if self.head_bytes > MAX_HEAD_BYTES:
            self.reason = TOO_LARGE
            raise ValueError(HEAD_TOO_LARGE)
        if not self._is_understood():
            raise ValueError(NO_HTTP)
        if self.parser.should_upgrade():
            self.without_upgrade = self._head_without_upgrade()
            return
        super().on_headers_complete()
        self.in_head = False
        if (stopping := self.app_state.get("stopping")) and stopping.is_set():
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """As httptools has it."""
        if not self.parser.should_upgrade():
            self.is_complete = True
            self._expect_no_more()
            super().on_message_complete()

    # What uvicorn calls

    def on_response_complete(self) -> None:
        """As uvicorn has it."""
        was_last = not self.pipeline
        if self.pipeline:  # the next one's bytes were not read while it waited
            self.pipeline[-1][0].scope["state"]["began"] = self.loop.time()
        super().on_response_complete()
        if self.refusal and was_last:
            self._send_refusal()
        elif not self.is_complete:  # the connection is not idle: a part of the next request is there
            self._unset_keepalive_if_required()
            self._expect()

    def _feed(self, data: memoryview) -> None:
        """Have the parser take the data; a request that asks for another protocol a second time, without that."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.feed_data(self.without_upgrade)
            else:
                return

    def _is_understood(self) -> bool:
        """Whether the head is as RFC 9112 (sections 2.3, 3.2 and 6.1) demands it, which the parser does not look at."""
        hosts, version = [], self.parser.get_http_version()
        for name, value in self.headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                return False
        named_once = len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None
        return (named_once and version == "1.1") or (version == "1.0" and (named_once or not hosts))

    def _head_without_upgrade(self) -> bytes:
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise ValueError(NO_HTTP)
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _expect(self) -> None:
        if self.incomplete is None:
            self.incomplete = self.loop.call_later(INCOMPLETE_SECONDS, self._give_up)

    def _expect_no_more(self) -> None:
        if self.incomplete is not None:
            self.incomplete.cancel()
            self.incomplete = None

    def _watch(self, left: int) -> None:
        self.stalled = self.loop.call_later(STALLED_SECONDS, self._end_if_stalled, left)

    def _end_if_stalled(self, left: int) -> None:
        now = self.transport.get_write_buffer_size()
        if now < left:
            self._watch(now)
        else:
            self.transport.abort()

    def _give_up(self) -> None:
        self.incomplete = None
        if self.transport.is_closing():
            return
        answered = self.cycle is None or self.cycle.response_complete
        if self.is_complete or (answered and not self.in_head):  # there is nothing to answer
            self.transport.close()
        elif self.in_head and not self.pipeline:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, INCOMPLETE)
        else:  # the application waits for the body, and will answer
            self._expect()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem, after the answers to the requests before, and close the connection."""
        request_id, path = new_request_id(), (self.scope or {}).get("path", "/")
        body = json.dumps(members(status, detail, path, request_id)).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (REQUEST_ID.lower().encode(), request_id.encode()),
            (b"connection", b"close"),
        ]
        self.refusal = b"".join([STATUS_LINE[status], *(b"%s: %s\r\n" % header for header in headers), b"\r\n", body])
        if not self.is_complete and not self.in_head:  # it is the body of the last request that is damaged
            if self.pipeline:
                self.pipeline.popleft()
            else:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
                self._send_refusal()
        elif self.cycle is None or (self.cycle.response_complete and not self.pipeline):
            self._send_refusal()

    def _send_refusal(self) -> None:
        if self.transport.is_closing():  # the answer before it was the last
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(self.refusal)
        self.transport.close()


class _Lingering:
    """A transport that stays open for reading while a request comes in that has been answered already.

    To close it would make the system discard the answer where the client has not taken it yet (RFC 9112, section 9.6).
    """

    def __init__(self, transport: Any, protocol: HttpProtocol) -> None:
        self._transport, self._protocol = transport, protocol
        self._closing = False
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if self._protocol.is_complete or self._transport.is_closing() or not self._transport.can_write_eof():
            self._transport.close()
        elif not self._closing:
            self._closing = True
            self._transport.write_eof()
            self._protocol.flow.resume_reading()
            self._end_soon(None)

    def _end_soon(self, left: int | None) -> None:
        """Close for good, but not while the client takes an answer."""
        now = self._transport.get_write_buffer_size()
        if left is not None and not now < left:
            self._transport.abort()
        else:
            self._protocol.loop.call_later(LINGER_SECONDS, self._end_soon, now)
