"""Traces by OpenTelemetry: a span for each request, by FastAPI, and within it one for each command of MongoDB."""

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

PERSONAL_ATTRIBUTES = ("url.path", "url.query", "http.request.method_original")
"""Attributes that FastAPI copies from the request: ids, and names and addresses that were searched for."""

FLUSH_SECONDS = 2
"""How long a stop waits for the last spans to be exported."""


@contextmanager
def export_spans() -> Iterator[None]:
    """Export this process's spans by OTLP over HTTP, to where OpenTelemetry's variables say.

    Call it once in a process: a tracer provider cannot be replaced.
    """
    os.environ.setdefault("OTEL_SERVICE_NAME", "students-api")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(_RedactPersonalData())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # Before the driver's client is created. Spans have the command's name, not its values.
    PymongoInstrumentor().instrument(capture_statement=False, failed_hook=_drop_error_message)
    try:
        yield
    finally:
        last = threading.Thread(target=provider.shutdown, daemon=True)
        last.start()
        last.join(FLUSH_SECONDS)


class _RedactPersonalData(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  # the SDK names it
        for name in PERSONAL_ATTRIBUTES:
            if name in (span.attributes or {}):
                span.set_attribute(name, "REDACTED")


def _drop_error_message(span: trace.Span, event: Any) -> None:
    """Keep MongoDB's error message out of the span: it may repeat stored values."""
    span.set_status(Status(StatusCode.ERROR, event.failure.get("codeName")))
