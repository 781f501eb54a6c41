"""Traces: a span for each request and in it one for each command of MongoDB, without anything personal."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from students_api.mongodb.driver import Database
from students_api.settings import Settings, StartUpError
from tests.conftest import JANE
from tests.service import Service

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENTS_SPAN = "b7ad6b7169203331"


@pytest.fixture
def collector() -> Iterator[Any]:
    """What takes the spans: its `url`, and the `bodies` that it was sent."""

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the server calls it so
            server.bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]  # our own
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        server.bodies = []  # type: ignore[attr-defined]  # our own
        server.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]  # our own
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def groups_of(collector: Any) -> list[Any]:
    """What was exported, by the process that did it."""
    return [
        group for _, body in collector.bodies for group in ExportTraceServiceRequest.FromString(body).resource_spans
    ]


def spans_of(collector: Any) -> list[Any]:
    return [span for group in groups_of(collector) for scope in group.scope_spans for span in scope.spans]


def the_request(name: str, spans: list[Any]) -> tuple[Any, list[Any]]:
    """The span of the one request of this name that came with the client's own, and those of the commands in it."""
    (request,) = [span for span in spans if span.name == name and span.trace_id.hex() == TRACE]
    return request, [span for span in spans if span.parent_span_id == request.span_id]


def attributes(of: Any) -> dict[str, Any]:
    return {each.key: each.value.string_value or each.value.int_value for each in of.attributes}


@pytest.mark.mongod
@pytest.mark.slow
def test_a_request_is_a_span_and_each_command_of_mongodb_one_in_it(
    start_service: Callable[..., Service], mongodb_url: str, collector: Any
) -> None:
    service = start_service(
        MONGODB_URL=mongodb_url, STUDENTS_API_TELEMETRY="true", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
    )
    with httpx2.Client(base_url=service.url) as client:
        jane = client.post("/students/", json=JANE).json()
        context = {"traceparent": f"00-{TRACE}-{CLIENTS_SPAN}-01"}
        path = f"/students/{jane['id']}"
        assert client.put(path, json={"name": jane["name"], "gpa": 1}, headers=context).status_code == 200
        assert client.get(path, headers=context).status_code == 200
        client.get("/students/", params={"name": jane["name"], "email": jane["email"]})
        client.get(f"/students/{jane['email']}/{jane['name']}")
        client.request("JANE", "/students/")
        assert client.put(path, json={"name": jane["name"], "email": "Jane"}).status_code == 422
    assert service.stop() == 0
    assert {path for path, _ in collector.bodies} == {"/v1/traces"}
    assert {attributes(group.resource)["service.name"] for group in groups_of(collector)} == {"students-api"}
    spans = spans_of(collector)
    update, changing = the_request("PUT /students/{id}", spans)
    reading, (find,) = the_request("GET /students/{id}", spans)
    for request, command, name in ((update, changing[-1], "findAndModify"), (reading, find, "find")):
        assert request.parent_span_id.hex() == CLIENTS_SPAN
        assert attributes(request)["http.response.status_code"] == 200
        assert (command.name, command.trace_id) == (f"college.{name}", request.trace_id)
        assert attributes(command)["db.statement"] == name
    # Where the document has a hook or a rule over several fields, an update reads it first.
    assert [command.name for command in changing[:-1]] in ([], ["college.find"])
    names = [span.name for span in spans]
    assert {"POST /students/", "GET /students/", "GET", "PUT /students/{id}"} <= set(names)
    sent = b"".join(body for _, body in collector.bodies)
    for value in (jane["id"], jane["name"], jane["name"].split()[0], jane["email"], jane["course"]):
        assert value.encode() not in sent
    assert jane["name"].split()[0].upper().encode() not in sent


@pytest.mark.mongod
@pytest.mark.slow
async def test_what_mongodb_says_of_a_failure_is_in_no_span(
    start_service: Callable[..., Service], mongodb_url: str, real_database: Database, collector: Any
) -> None:
    """It names the value that is there already."""
    await real_database["students"].drop()  # another test may have left an index of this name
    await real_database["students"].create_index("email", unique=True)
    service = start_service(
        MONGODB_URL=mongodb_url, STUDENTS_API_TELEMETRY="true", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
    )
    try:
        with httpx2.Client(base_url=service.url) as client:
            one = client.post("/students/", json=JANE).json()
            other = client.post("/students/", json=JANE | {"email": "other@example.com"}).json()
            assert client.put(f"/students/{other['id']}", json={"email": one["email"]}).status_code == 409
    finally:
        await real_database["students"].drop()
    assert service.stop() == 0
    failed = [span for span in spans_of(collector) if span.status.code == Status.STATUS_CODE_ERROR]
    assert [(span.name, span.status.message) for span in failed] == [("college.findAndModify", "DuplicateKey")]
    assert one["email"].encode() not in b"".join(body for _, body in collector.bodies)


async def test_without_the_extra_a_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDENTS_API_TELEMETRY", "true")
    assert Settings.read().telemetry
    monkeypatch.setattr("students_api.settings.find_spec", lambda _: None)
    with pytest.raises(StartUpError, match=r"^STUDENTS_API_TELEMETRY: .* pip install 'students-api\[telemetry\]'$"):
        Settings.read()
    monkeypatch.setenv("STUDENTS_API_TELEMETRY", "false")
    assert not Settings.read().telemetry
