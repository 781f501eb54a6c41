"""Traces by OpenTelemetry: a span for each request, by FastAPI, and in it one for each command, by PyMongo."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.pymongo import PymongoInstrumentor
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

PERSONAL = ("url.path", "url.query", "http.request.method_original")
"""What FastAPI takes from the request as it was sent: ids, and the names and addresses that were searched for."""

LAST_SECONDS = 2
"""How long a stop waits for a collector that may not be there."""


@contextmanager
def exported() -> Iterator[None]:
    """Export the spans of this process by OTLP over HTTP, once in its life; OpenTelemetry's own variables say where."""
    os.environ.setdefault("OTEL_SERVICE_NAME", "students-api")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_WithoutPersonalData())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # Before the database's client is made. Its spans have the command's name, not its values.
    PymongoInstrumentor().instrument(capture_statement=False, failed_hook=_without_mongodbs_words)
    try:
        yield
    finally:
        last = threading.Thread(target=provider.shutdown, daemon=True)
        last.start()
        last.join(LAST_SECONDS)


class _WithoutPersonalData(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  # the SDK names it
        for name in PERSONAL:
            if name in (span.attributes or {}):
                span.set_attribute(name, "REDACTED")


def _without_mongodbs_words(span: trace.Span, event: Any) -> None:
    """MongoDB's words on a failure may repeat what is stored."""
    span.set_status(Status(StatusCode.ERROR, event.failure.get("codeName")))
