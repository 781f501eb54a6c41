"""The access log: a line for each request, and its measurement by the metrics."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from time import perf_counter
from typing import Any, Protocol

from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from students_api.http.middleware import ORIGINAL_METHOD

logger = logging.getLogger("students_api")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "other"
NO_ROUTE = "-"

PROBE_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})
"""Routes that probes poll: logged at level DEBUG, unless they fail."""

REQUEST_EVENT = "request"
"""The event of an access log line, and the attribute of its record that holds the request's fields."""


def request_fields(record: logging.LogRecord) -> dict[str, Any] | None:
    """The request's fields in a record of the access log; `None` for any other record."""
    is_request = record.name == logger.name and record.msg == REQUEST_EVENT
    return vars(record).get(REQUEST_EVENT) if is_request else None


class Meter(Protocol):
    """Counts and times requests."""

    def request_started(self) -> None:
        """Count a request in progress."""

    def request_finished(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count and time an answered request."""


class AccessLogMiddleware:
    """Logs each request and reports it to `meters`: by its route, never by its path, which has personal data.

    `meters` can change while the application runs.
    """

    def __init__(self, app: ASGIApp, meters: Sequence[Meter]) -> None:
        self.app = app
        self.meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application, then log and measure its response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)  # where the application raises

        async def send_with_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        started = perf_counter()
        for meter in self.meters:
            meter.request_started()
        try:
            await self.app(scope, receive, send_with_status)
        finally:
            seconds = perf_counter() - started
            method, route = scope.get(ORIGINAL_METHOD, scope["method"]), route_template(scope)
            method = method if method in METHODS else OTHER_METHOD
            for meter in self.meters:
                meter.request_finished(method, route, status, seconds)
            failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
            level = logging.DEBUG if route in PROBE_ROUTES and not failed else logging.INFO
            if logger.isEnabledFor(level):
                fields = {"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 2)}
                logger.handle(
                    logger.makeRecord(logger.name, level, "", 0, REQUEST_EVENT, (), None, extra={REQUEST_EVENT: fields})
                )


def route_template(scope: Scope) -> str:
    """The template of the request's route, such as `/students/{id}`; `-` where there is none.

    FastAPI puts the route into the ASGI scope; for an included router `route` lacks the prefix, and the route context
    has it. A plain Starlette route does not show: without parameters its path is its template, with them it is `-`.
    """
    root = scope.get("root_path", "")
    prefix = root.removeprefix(scope.get("app_root_path", root))  # of the mounts on the way
    context = scope.get("fastapi", {}).get("effective_route_context")
    route = getattr(context, "starlette_route", None) or context
    if route is None or isinstance(route, Mount):
        route = scope.get("route")
    if scope.get("path_params", {}).keys() - getattr(route, "param_convertors", {}).keys():
        return NO_ROUTE
    if route is not None:
        return f"{prefix}{route.path_format}"
    if "app_root_path" in scope:
        return f"{prefix}/{{path}}"
    path: str = scope["path"]
    return path.removeprefix(root) if "endpoint" in scope else NO_ROUTE
