"""Prometheus metrics at `/metrics`: of this process, or of all workers together."""

import os
from contextlib import suppress
from pathlib import Path

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from students_api.mongodb.monitoring import CommandListener, PoolListener

PATH = "/metrics"

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds: from the time of a GET by id to the deadline of a database operation."""


disable_created_metrics()  # prometheus-client's multiprocess mode has none either


requests = Counter("http_requests", "Requests answered.", ["method", "route", "status"])

request_seconds = Histogram(
    "http_request_duration_seconds", "How long requests took.", ["method", "route"], buckets=BUCKETS
)

in_progress = Gauge("http_requests_in_progress", "Requests not answered yet.", multiprocess_mode="livesum")

command_seconds = Histogram(
    "mongodb_command_duration_seconds", "How long MongoDB's commands took.", ["command", "outcome"], buckets=BUCKETS
)

connections = Gauge("mongodb_pool_connections", "Connections to MongoDB.", multiprocess_mode="livesum")

connections_in_use = Gauge(
    "mongodb_pool_connections_in_use", "Connections to MongoDB that an operation uses.", multiprocess_mode="livesum"
)

LISTENERS = [
    CommandListener(lambda command, outcome, seconds: command_seconds.labels(command, outcome).observe(seconds)),
    PoolListener(connections.inc, connections_in_use.inc),
]
"""The driver's event listeners, for its client."""

router = APIRouter(include_in_schema=False)


def request_started() -> None:
    """Count a request in progress."""
    in_progress.inc()


def request_finished(method: str, route: str, status: int, seconds: float) -> None:
    """Count and time an answered request, but not one for the metrics themselves."""
    in_progress.dec()
    if route != PATH:
        requests.labels(method, route, status).inc()
        request_seconds.labels(method, route).observe(seconds)


@router.get(PATH)
def get_metrics() -> Response:
    """The metrics in Prometheus' text format."""
    in_progress.dec()  # this request, which is not counted
    try:
        return Response(generate_latest(_registry()), media_type=CONTENT_TYPE_LATEST)
    finally:
        in_progress.inc()


def _registry() -> CollectorRegistry:
    """The registry of this process, or of all workers, whose values are in files; those of dead workers are removed."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # which `students-api serve` sets
    if folder is None:
        return REGISTRY
    for pid in {int(file.stem.rpartition("_")[2]) for file in Path(folder).glob("gauge_live*_*.db")}:
        if not _runs(pid):
            with suppress(FileNotFoundError):  # another worker was faster
                mark_process_dead(pid, folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)
    return registry


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
