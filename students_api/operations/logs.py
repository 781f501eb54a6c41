"""Structured logs of `students-api serve`: records of every logger in one format, with the request's id."""

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

from students_api.http.middleware import NO_REQUEST_ID, request_id
from students_api.operations.access_log import REQUEST_EVENT, request_fields

PACKAGES_THAT_QUOTE_VALUES = frozenset({"beanie", "bson", "fastapi", "pydantic_core", "pymongo"})
"""Packages whose errors repeat what was sent or is stored: the log has the error's type, not its message."""

DURATION, REQUEST_ID, TIMESTAMP = 1234567.875, "<request_id>", "<timestamp>"
"""Placeholders in the template of an access log line. None needs quotes or escapes."""

PIPE_BUF = getattr(select, "PIPE_BUF", 512)
"""How many bytes a write to a pipe is atomic for, 512 at least (POSIX, write())."""

BATCH_SECONDS = 0.01
"""How long a line of the access log waits for others, to be written with them."""

CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def logging_config(log_format: str, level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`: the loggers of uvicorn and the service at `level`, warnings of all others."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"default": {"()": "students_api.operations.logs.formatter", "log_format": log_format}},
        "handlers": {"default": {"class": "students_api.operations.logs.BatchingHandler", "formatter": "default"}},
        "loggers": {name: {"level": level} for name in ("students_api", "uvicorn")},
        # Not at `level`: at DEBUG, PyMongo's loggers log each command with its values.
        "root": {"handlers": ["default"], "level": "WARNING"},
    }


def formatter(log_format: str) -> structlog.stdlib.ProcessorFormatter:
    """The formatter for records of `logging`, structlog and `warnings`; configures structlog in this process."""
    common: list[Processor] = [
        _add_request_id,
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
    encoder = json.JSONEncoder(default=repr)  # `json.dumps` would create one for each line
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


class BatchingHandler(logging.StreamHandler[TextIO]):
    """Writes records to stderr at once, but those of the access log in batches, a moment later.

    A write releases the GIL; to get it back from the driver's threads takes longer than to format the line. A batch is
    no longer than an atomic write to a pipe, so that the lines of several workers stay apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[str] = []
        self._bytes = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, after all earlier ones; one of the access log joins the batch."""
        if request_fields(record) is None:
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
            asyncio.get_running_loop().call_later(BATCH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write the batch; `logging` also does so when the process ends."""
        self.acquire()
        try:
            lines, self._waiting, self._bytes = self._waiting, [], 0
            with suppress(OSError):  # nobody reads the log, and there is nobody else to tell
                self.stream.write("".join(lines))
                super().flush()
        finally:
            self.release()


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """structlog's formatter, which renders lines of the access log, most of all lines, from templates.

    Lines with the same method, route and status differ in three places: the line is rendered once, and then filled in.
    """

    def __init__(self, renderer: Processor, **others: Any) -> None:
        super().__init__(**others)
        self._renderer = renderer
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        self._templates: dict[tuple[Any, ...], str] = {}

    def format(self, record: logging.LogRecord) -> str:
        """Format the record; one of the access log from its template."""
        fields = request_fields(record)
        if fields is None:
            return super().format(record)
        varying = self._stamp(None, "", {"duration_ms": fields["duration_ms"], "request_id": request_id.get()})
        key = (record.levelname, record.name, fields["method"], fields["route"], fields["status"])
        if key not in self._templates:
            self._templates[key] = self._template(record, fields)
        line: str = self._templates[key] % varying
        return line

    def _template(self, record: logging.LogRecord, fields: dict[str, Any]) -> str:
        level = record.levelname.lower()
        event = {"event": REQUEST_EVENT, **fields, "duration_ms": DURATION, "request_id": REQUEST_ID}
        event |= {"level": level, "logger": record.name, "timestamp": TIMESTAMP}
        line = str(self._renderer(None, level, event)).replace("%", "%%")
        for place, name in {str(DURATION): "duration_ms", REQUEST_ID: "request_id", TIMESTAMP: "timestamp"}.items():
            line = line.replace(place, f"%({name})s")
        return line


def _add_request_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.pop("color_message", None)  # uvicorn's, the same message with colors
    event["event"] = str(event["event"]).strip()
    if (chosen := request_id.get()) != NO_REQUEST_ID:
        event["request_id"] = chosen
    return event


def traceback_text(exc_info: ExcInfo) -> str:
    """The traceback of the exception and its causes, as Python prints it, but without messages that quote values."""
    return _format_chain(exc_info[1]).rstrip()


def _format_chain(error: BaseException) -> str:
    before = ""
    if error.__cause__ is not None:
        before = _format_chain(error.__cause__) + CAUSE
    elif error.__context__ is not None and not error.__suppress_context__:
        before = _format_chain(error.__context__) + CONTEXT
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{before}Traceback (most recent call last):\n{frames}{_error_line(error)}" + "".join(
        map(_format_chain, parts)
    )


def _error_line(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__.partition(".")[0] not in PACKAGES_THAT_QUOTE_VALUES:
        return "".join(traceback.format_exception_only(error))
    code = getattr(error, "code", None)
    return f"{kind.__module__}.{kind.__qualname__}{'' if code is None else f': code {code}'}\n"
