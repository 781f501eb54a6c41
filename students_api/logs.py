"""The log of `students-api serve`: every line, whoever writes it, in one form and with the request's id."""

import asyncio
import json
import logging
import select
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog
from structlog.typing import ExcInfo, Processor

from students_api.middleware import NO_REQUEST, REQUEST, request_id, request_of

WITH_VALUES = frozenset({"beanie", "bson", "fastapi", "pydantic_core", "pymongo"})
"""Packages whose errors repeat what was sent or is stored. The log has their type, not their words."""

DURATION, REQUEST_ID, TIMESTAMP = 1234567.875, "<request_id>", "<timestamp>"
"""What stands in the line of a kind of request where these will be. None needs quotes or escapes."""

PIPE_BUF = getattr(select, "PIPE_BUF", 512)
"""How many bytes a pipe takes in one piece, whoever else writes to it (POSIX, write()); at least 512."""

TOGETHER_SECONDS = 0.01
"""How long the line of a request waits for others, to be written with them."""

CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def configuration(log_format: str, level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`: the lines of uvicorn and of the service, and the warnings of all others."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"default": {"()": "students_api.logs.formatter", "log_format": log_format}},
        "handlers": {"default": {"class": "students_api.logs.Handler", "formatter": "default"}},
        "loggers": {name: {"level": level} for name in ("students_api", "uvicorn")},
        # No level for all: at DEBUG, PyMongo's loggers tell each command with its values.
        "root": {"handlers": ["default"], "level": "WARNING"},
    }


def formatter(log_format: str) -> structlog.stdlib.ProcessorFormatter:
    """What makes lines of the records of `logging`, of structlog and of `warnings`, in the process that calls it."""
    common: list[Processor] = [
        _in_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    encoder = json.JSONEncoder(default=repr)  # `json.dumps` would make one a line
    renderer: Processor = (
        structlog.processors.JSONRenderer(lambda event, **_: encoder.encode(event))
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    return _Formatter(
        renderer,
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *common],
        processors=[
            structlog.processors.ExceptionRenderer(traceback_text),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            renderer,
        ],
    )


class Handler(logging.StreamHandler[TextIO]):
    """Writes a line to the standard error stream at once, but those of requests a moment later, together.

    To write gives up Python's lock, and then the driver's threads have it: with each request that would take longer
    than to make its line. What is written together is as much as a pipe takes in one piece, so that the lines of
    several workers stay apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[str] = []
        self._bytes = 0

    def emit(self, record: logging.LogRecord) -> None:
        """As `logging` has it."""
        if request_of(record) is None:
            self.flush()
            super().emit(record)
            return
        line = f"{self.format(record)}{self.terminator}"
        size = len(line.encode())
        if self._bytes + size > PIPE_BUF:
            self.flush()
        self._waiting.append(line)
        self._bytes += size
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self.flush)

    def flush(self) -> None:
        """As `logging` has it, which also does it when the process ends."""
        self.acquire()
        try:
            lines, self._waiting, self._bytes = self._waiting, [], 0
            with suppress(OSError):  # nobody reads the log, and nobody else could be told
                self.stream.write("".join(lines))
                super().flush()
        finally:
            self.release()


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """The formatter of structlog's, with a shorter way to the line of a request, which is most of the log.

    The lines of requests of one kind differ in three places. So such a line is rendered once, and then filled in.
    """

    def __init__(self, renderer: Processor, **others: Any) -> None:
        super().__init__(**others)
        self._renderer = renderer
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        self._templates: dict[tuple[Any, ...], str] = {}

    def format(self, record: logging.LogRecord) -> str:
        """As `logging` has it."""
        fields = request_of(record)
        if fields is None:
            return super().format(record)
        varying = self._stamp(None, "", {"duration_ms": fields["duration_ms"], "request_id": request_id.get()})
        kind = (record.levelname, record.name, fields["method"], fields["route"], fields["status"])
        if kind not in self._templates:
            self._templates[kind] = self._template(record, fields)
        line: str = self._templates[kind] % varying
        return line

    def _template(self, record: logging.LogRecord, fields: dict[str, Any]) -> str:
        level = record.levelname.lower()
        event = {"event": REQUEST, **fields, "duration_ms": DURATION, "request_id": REQUEST_ID}
        event |= {"level": level, "logger": record.name, "timestamp": TIMESTAMP}
        line = str(self._renderer(None, level, event)).replace("%", "%%")
        for place, name in {str(DURATION): "duration_ms", REQUEST_ID: "request_id", TIMESTAMP: "timestamp"}.items():
            line = line.replace(place, f"%({name})s")
        return line


def _in_request(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("color_message", None)  # uvicorn's, the same words with colors
    event["event"] = str(event["event"]).strip()
    if (chosen := request_id.get()) != NO_REQUEST:
        event["request_id"] = chosen
    return event


def traceback_text(exc_info: ExcInfo) -> str:
    """The exception with those that led to it, the first one first, as Python prints them but for values."""
    return _chain(exc_info[1]).rstrip()


def _chain(error: BaseException) -> str:
    before = ""
    if error.__cause__ is not None:
        before = _chain(error.__cause__) + CAUSE
    elif error.__context__ is not None and not error.__suppress_context__:
        before = _chain(error.__context__) + CONTEXT
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{before}Traceback (most recent call last):\n{frames}{_words(error)}" + "".join(map(_chain, parts))


def _words(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__.partition(".")[0] not in WITH_VALUES:
        return "".join(traceback.format_exception_only(error))
    code = getattr(error, "code", None)
    return f"{kind.__module__}.{kind.__qualname__}{'' if code is None else f': code {code}'}\n"
