"""What `/metrics` shows: every request and every command of the database, over all the workers."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from students_api.main import create_app
from students_api.settings import Settings
from tests.conftest import JANE, NO_STUDENT, in_memory, running
from tests.service import Service, environment, wait_for

Samples = dict[tuple[str, ...], float]


def samples(text: str) -> Samples:
    """Each number by its name and the values of its labels, in the labels' order."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def read(client: httpx2.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return samples(answer.text)


def more(before: Samples, after: Samples) -> Samples:
    """What has grown, and by how much; not of the process itself."""
    grown = {key: value - before.get(key, 0) for key, value in after.items() if key[0].startswith(("http", "mongodb"))}
    return {key: value for key, value in grown.items() if value and not key[0].endswith(("_sum", "_bucket"))}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The application with metrics, in memory."""
    monkeypatch.setenv("STUDENTS_API_METRICS", "true")
    return create_app(Settings(), open_deployment=lambda *_: nullcontext(in_memory()))


async def test_requests_are_counted_by_method_route_and_status(app: FastAPI) -> None:
    async with running(app) as client:
        before = await read(client)
        for path in ("/students/", "/students/?name=Jane", f"/students/{NO_STUDENT}", "/students/Jane", "/metrics/"):
            await client.get(path)
        await client.head("/students")
        await client.post("/students/", json=JANE)
        assert more(before, await read(client)) == {
            ("http_requests_total", "GET", "/students/", "200"): 2,
            ("http_requests_total", "HEAD", "/students/", "200"): 1,
            ("http_requests_total", "POST", "/students/", "201"): 1,
            ("http_requests_total", "GET", "/students/{id}", "404"): 1,
            ("http_requests_total", "GET", "/students/{id}", "422"): 1,
            ("http_request_duration_seconds_count", "GET", "/students/"): 2,
            ("http_request_duration_seconds_count", "HEAD", "/students/"): 1,
            ("http_request_duration_seconds_count", "POST", "/students/"): 1,
            ("http_request_duration_seconds_count", "GET", "/students/{id}"): 2,
        }


async def test_no_client_can_make_a_label(app: FastAPI) -> None:
    async with running(app) as client:
        before = await read(client)
        for number in range(5):
            await client.request(f"FETCH{number}", f"/nothing/{number}")
            await client.request(f"FETCH{number}", f"/students/{number}")
        assert {key[1:]: value for key, value in more(before, await read(client)).items() if "total" in key[0]} == {
            ("other", "-", "404"): 5,
            ("other", "/students/{id}", "405"): 5,
        }


async def test_a_request_is_in_progress_until_it_is_answered(app: FastAPI) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    @app.get("/waits")
    async def waits() -> None:
        begun.set()
        await end.wait()
        raise RuntimeError

    async with running(app) as client, asyncio.TaskGroup() as group:
        request = group.create_task(client.get("/waits"))
        await begun.wait()
        assert (await read(client))[("http_requests_in_progress",)] == 1
        end.set()
        assert (await request).status_code == 500
        after = await read(client)
    assert after[("http_requests_in_progress",)] == 0
    assert after[("http_requests_total", "GET", "/waits", "500")] == 1


@pytest.mark.mongod
async def test_commands_and_connections_of_the_database_are_counted(
    monkeypatch: pytest.MonkeyPatch, mongodb_url: str
) -> None:
    monkeypatch.setenv("STUDENTS_API_METRICS", "true")
    monkeypatch.setenv("MONGODB_URL", mongodb_url)
    app = create_app()
    async with running(app) as client:
        before = await read(client)
        await client.post("/students/", json=JANE)
        await client.get(f"/students/{NO_STUDENT}")
        with pytest.raises(Exception, match="no such command"):
            await app.state.database.command("nonsense")
        after = await read(client)
        assert {key[1:]: value for key, value in more(before, after).items() if key[0].startswith("mongodb_c")} == {
            ("insert", "ok"): 1,
            ("find", "ok"): 1,
            ("nonsense", "error"): 1,
        }
        assert after[("mongodb_pool_connections",)] >= 1
        assert after[("mongodb_pool_connections_in_use",)] == 0


async def test_metrics_are_no_part_of_the_described_api(app: FastAPI) -> None:
    async with running(app) as client:
        assert "/metrics" not in (await client.get("/openapi.json")).json()["paths"]


def test_what_is_off_is_not_there_and_not_imported() -> None:
    program = """
import asyncio, sys
from contextlib import nullcontext
import httpx2
from students_api.main import create_app
from students_api.settings import Settings
from tests.conftest import in_memory

async def main():
    app = create_app(Settings(), open_deployment=lambda *_: nullcontext(in_memory()))
    async with app.router.lifespan_context(app):
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service") as client:
            assert (await client.get("/metrics")).status_code == 404
            assert (await client.get("/students/")).status_code == 200

asyncio.run(main())
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment({}), capture_output=True, text=True, check=True
    )
    names = ("prometheus_client", "opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.instrumentation")
    assert not {name for name in done.stdout.split() if name.startswith((*names, "students_api.operations.metrics"))}
    assert "students_api.operations.tracing" not in done.stdout.split()


def test_a_dead_worker_keeps_its_counts_and_loses_what_it_held(tmp_path: Path) -> None:
    """A worker that ends in the middle of a request, and another that is asked afterwards."""
    works = "metrics.request_finished('GET', '/', 200, 1); metrics.request_started(); metrics.connections.inc"
    shows = "metrics.request_started(); print(metrics.get_metrics().body.decode())"
    for program in (f"{works}(3)", f"{works}(2); {shows}"):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"from students_api.operations import metrics; metrics.request_started(); {program}",
            ],
            env=environment({"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}),
            capture_output=True,
            text=True,
            check=True,
        )
    shown = samples(done.stdout)
    assert shown[("http_requests_total", "GET", "/", "200")] == 2
    assert shown[("http_requests_in_progress",)] == 1
    assert shown[("mongodb_pool_connections",)] == 2


@pytest.mark.any_driver
@pytest.mark.mongod
@pytest.mark.slow
def test_each_worker_shows_the_sum_of_all_also_of_one_that_was_killed(
    start_service: Callable[..., Service], mongodb_url: str, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    settings = {"MONGODB_URL": mongodb_url, "STUDENTS_API_METRICS": "true", "TMPDIR": str(tmp_path / "tmp")}
    service = start_service("--workers", "2", **settings)

    def counted() -> float:
        # A connection of its own each: any worker may take it.
        return samples(httpx2.get(f"{service.url}/metrics", verify=False).text).get(
            ("http_requests_total", "GET", "/students/", "200"), 0
        )

    def live() -> set[int]:
        return {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livesum_*.db")}

    for _ in range(20):
        assert service.answers("/students/") == 200
    assert {counted() for _ in range(10)} == {20}
    (folder,) = (tmp_path / "tmp").iterdir()
    wait_for(lambda: len(live()) == 2)  # one of them may have answered before the other was there
    dead = min(live())
    os.kill(dead, signal.SIGKILL)
    # Asking removes what the dead one held; another takes its place.
    wait_for(lambda: counted() == 20 and len(live() - {dead}) == 2)
    assert dead not in live()
    assert {counted() for _ in range(10)} == {20}
    assert service.stop() == 0
    assert [*(tmp_path / "tmp").iterdir()] == []
