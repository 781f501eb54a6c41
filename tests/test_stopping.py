"""The service as it stops: who has sent a request gets its answer, and nobody can hold it up."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from students_api.mongodb.local_mongod import LocalMongod
from tests.conftest import JANE
from tests.hostile import BODY, CLOSED, HEAD
from tests.service import Service, mongods, wait_for
from tests.test_hostile import Connection

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

LATER = "600"
WORKERS = pytest.mark.parametrize("arguments", [(), ("--workers", "2")], ids=["one worker", "two workers"])


class Mongod:
    """A MongoDB that can hang."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid

    @contextmanager
    def hanging(self) -> Iterator[None]:
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def mongod(mongod_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    folder = tmp_path_factory.mktemp("hanging")
    with LocalMongod(folder, mongod_program) as url:
        (pid,) = mongods(folder)
        yield Mongod(url, pid)


def begin(service: Service) -> Connection:
    """A connection on which the application has begun to read a request, and waits for its body."""
    connection = Connection(service.port)
    connection.send(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
    assert connection.file.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert connection.file.readline() == b"\r\n"
    return connection


def is_closed(service: Service) -> bool:
    """Whether it takes connections no more."""
    return service.answers("/livez") is None


@pytest.mark.any_driver
@WORKERS
def test_after_sigterm_it_is_not_ready_and_goes_on_answering_and_closes_each_connection(
    start_service: Callable[..., Service], mongod: Mongod, arguments: tuple[str, ...]
) -> None:
    service = start_service(*arguments, MONGODB_URL=mongod.url, STUDENTS_API_STOP_DELAY_SECONDS=LATER)
    with httpx2.Client(base_url=service.url) as kept:
        assert "Connection" not in kept.get("/livez").headers
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: {service.answers("/readyz") for _ in range(20)} == {503})
        answer = kept.post("/students/", json=JANE)
        assert (answer.status_code, answer.headers["Connection"]) == (201, "close")
        answer = kept.get(answer.headers["Location"])
        assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
    assert service.process.poll() is None


@WORKERS
def test_a_request_in_flight_is_answered(
    start_service: Callable[..., Service], mongod: Mongod, arguments: tuple[str, ...]
) -> None:
    service = start_service(*arguments, MONGODB_URL=mongod.url)
    with begin(service) as connection:
        with mongod.hanging():
            connection.send(BODY)
            service.process.send_signal(signal.SIGTERM)
            wait_for(lambda: is_closed(service))
        answer = connection.answer("POST")
    assert (answer.status, answer.closes) == (201, True)
    assert service.process.wait(30) == 0


@WORKERS
def test_a_database_that_hangs_does_not_keep_it_from_answering_and_stopping(
    start_service: Callable[..., Service], mongod: Mongod, arguments: tuple[str, ...]
) -> None:
    service = start_service(*arguments, MONGODB_URL=mongod.url, STUDENTS_API_DEADLINE_SECONDS="1")
    with begin(service) as connection:
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: is_closed(service))
        with mongod.hanging():
            connection.send(BODY)
            answer = connection.answer("POST")
            assert service.process.wait(30) == 0
    assert (answer.status, answer.closes, answer.json()["outcome"]) == (503, True, "unknown")


@pytest.mark.any_driver
def test_half_sent_requests_do_not_keep_it_from_stopping_and_get_no_500(
    start_service: Callable[..., Service], mongod: Mongod
) -> None:
    service = start_service(MONGODB_URL=mongod.url)
    with begin(service) as in_body, Connection(service.port) as in_head, Connection(service.port) as silent:
        in_body.send(BODY[:9])
        in_head.send(HEAD[:9])
        assert service.stop() == 0
        assert in_body.answer("POST").status == 408
        assert {each.answer("POST").status for each in (in_head, silent)} <= {408, CLOSED}
    assert "Traceback" not in service.log.read_text()


def test_without_a_delay_sigterm_stops_it_at_once(start_service: Callable[..., Service], mongod: Mongod) -> None:
    service = start_service(MONGODB_URL=mongod.url, STUDENTS_API_STOP_DELAY_SECONDS="0")
    with Connection(service.port) as idle:
        assert service.stop() == 0
        assert idle.answer("GET").status == CLOSED


@pytest.mark.any_driver
@WORKERS
def test_ctrl_c_stops_it_at_once(
    start_service: Callable[..., Service], mongod: Mongod, arguments: tuple[str, ...]
) -> None:
    service = start_service(*arguments, MONGODB_URL=mongod.url, STUDENTS_API_STOP_DELAY_SECONDS=LATER)
    os.killpg(service.process.pid, signal.SIGINT)  # a terminal sends it to all of them
    assert service.process.wait(30) == 0


@pytest.mark.any_driver
def test_ctrl_c_stops_it_at_once_after_sigterm_too(start_service: Callable[..., Service], mongod: Mongod) -> None:
    service = start_service(MONGODB_URL=mongod.url, STUDENTS_API_STOP_DELAY_SECONDS=LATER)
    service.process.send_signal(signal.SIGTERM)
    wait_for(lambda: service.answers("/readyz") == 503)
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(30) == 0
