"""The service as a process, with a MongoDB of its own: what is acknowledged stays, whatever is killed."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import JANE
from tests.service import Service, is_free, mongods, wait_for

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

DATA = ".students-api"


def names(service: Service) -> list[str]:
    """The names of all the students, page by page."""
    found: list[str] = []
    with httpx2.Client(base_url=service.url) as client:
        while page := client.get("/students/", params={"skip": len(found)}).json()["students"]:
            found += [student["name"] for student in page]
    return found


class Writer:
    """A client that creates one student after another and remembers those that were acknowledged."""

    def __init__(self, service: Service) -> None:
        self.acknowledged: list[str] = []
        self.sent = 0
        self._url = service.url
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        with httpx2.Client(base_url=self._url, timeout=5) as client:
            while not self.stop.is_set():
                name = f"Student {self.sent}"
                self.sent += 1
                try:
                    if client.post("/students/", json=JANE | {"name": name}).status_code == 201:
                        self.acknowledged.append(name)
                except httpx2.TransportError:
                    self.stop.wait(0.01)  # for the service to come back

    def wait_for_more(self, count: int = 50) -> None:
        """Wait until that many more students are acknowledged."""
        goal = len(self.acknowledged) + count
        wait_for(lambda: len(self.acknowledged) >= goal)


@contextmanager
def writing_to(service: Service) -> Iterator[Writer]:
    writer = Writer(service)
    writer.thread.start()
    try:
        yield writer
    finally:
        writer.stop.set()
        writer.thread.join()


@pytest.mark.any_driver
def test_its_data_is_there_after_a_stop_and_a_start_and_its_mongod_ends_with_it(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    first = start_service()
    httpx2.post(f"{first.url}/students/", json=JANE)
    assert len(mongods(tmp_path / DATA)) == 1
    assert first.stop() == 0
    assert mongods(tmp_path / DATA) == []
    second = start_service()
    assert names(second) == ["Jane Doe"]
    assert (tmp_path / DATA).stat().st_mode & 0o777 == 0o700


def test_kill_9_of_the_service_while_a_client_writes_loses_nothing_acknowledged(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    for _ in range(2):
        service = start_service()
        with writing_to(service) as writer:
            writer.wait_for_more()
            service.kill()
        acknowledged += writer.acknowledged
    wait_for(lambda: not mongods(tmp_path / DATA))
    stored = names(start_service())
    for name in set(acknowledged):
        assert stored.count(name) >= acknowledged.count(name)


def test_kill_9_of_mongod_while_a_client_writes_loses_nothing_acknowledged(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = start_service()
    with writing_to(service) as writer:
        for _ in range(2):
            writer.wait_for_more()
            (pid,) = mongods(tmp_path / DATA)
            os.kill(pid, signal.SIGKILL)
    stored = names(service)
    assert set(writer.acknowledged) <= set(stored)
    assert len(stored) == len(set(stored)) <= writer.sent


@pytest.mark.any_driver
def test_two_services_on_one_data_folder_share_a_mongod_and_the_second_takes_it_over(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    first, second = start_service(), start_service()
    assert len(mongods(tmp_path / DATA)) == 1
    httpx2.post(f"{first.url}/students/", json=JANE)
    assert names(second) == ["Jane Doe"]
    with writing_to(second) as writer:
        writer.wait_for_more()
        first.kill()
        writer.wait_for_more()
    assert set(writer.acknowledged) <= set(names(second))
    assert second.stop() == 0
    assert mongods(tmp_path / DATA) == []


@pytest.mark.any_driver
def test_several_workers_share_a_mongod_and_stop_together(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = start_service("--workers", "2")
    assert len(mongods(tmp_path / DATA)) == 1
    for _ in range(20):
        # A connection of its own each: any worker may take it.
        assert httpx2.post(f"{service.url}/students/", json=JANE, verify=False).status_code == 201
    assert len(names(service)) == 20
    assert service.stop() == 0
    assert mongods(tmp_path / DATA) == []


def workers(service: Service) -> list[int]:
    """The ids of the processes that answer; multiprocessing has one more, which counts what they share."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def cores(worker: int) -> frozenset[frozenset[int]]:
    """Those to which its threads are held."""
    return frozenset(frozenset(os.sched_getaffinity(int(task.name))) for task in Path(f"/proc/{worker}/task").iterdir())


@pytest.mark.any_driver
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or (os.cpu_count() or 1) < 2, reason="needs Linux and 2 cores")
def test_as_many_workers_as_cores_have_one_each_and_the_successor_of_one_has_it_too(
    start_service: Callable[..., Service], mongodb_url: str
) -> None:
    usable = os.sched_getaffinity(0)
    both = frozenset(sorted(usable)[:2])
    os.sched_setaffinity(0, both)  # which the services inherit
    try:
        service = start_service("--workers", "2", MONGODB_URL=mongodb_url)
        others = [
            start_service(*more, MONGODB_URL=mongodb_url)
            for more in (("--workers", "2", "--no-pin"), ("--workers", "3"))
        ]
    finally:
        os.sched_setaffinity(0, usable)
    one_each = {frozenset({frozenset({core})}) for core in both}
    wait_for(lambda: {cores(worker) for worker in workers(service)} == one_each)
    killed = workers(service)[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in workers(service) and len(workers(service)) == 2)
    wait_for(lambda: {cores(worker) for worker in workers(service)} == one_each)
    for free in others:
        assert {cores(worker) for worker in workers(free)} == {frozenset({both})}
        assert {os.sched_getscheduler(worker) for worker in workers(free)} == {os.SCHED_BATCH}


@pytest.mark.any_driver
@pytest.mark.parametrize("arguments", [("--workers", "2"), ("--reload",)], ids=str)
def test_nothing_is_left_of_it_when_the_parent_of_its_workers_is_killed(
    start_service: Callable[..., Service], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    service = start_service(*arguments)
    service.process.kill()
    service.process.wait()
    wait_for(lambda: not mongods(tmp_path / DATA) and is_free(service.port))


@pytest.mark.any_driver
def test_it_starts_again_when_a_source_file_changes_and_keeps_its_mongod(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = start_service("--reload")
    before = mongods(tmp_path / DATA)
    (tmp_path / "changed.py").write_text("")
    wait_for(lambda: "Reloading" in service.log.read_text())
    wait_for(lambda: service.log.read_text().count("Application startup complete") == 2)
    service.wait_until_ready()
    assert mongods(tmp_path / DATA) == before
    assert service.stop() == 0


@pytest.mark.any_driver
def test_uvicorn_starts_it_as_the_tutorials_users_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "students_api.main:app", "--reload"]
    with Service(tmp_path, [], {}, command) as service:
        service.wait_until_ready()
        assert httpx2.post(f"{service.url}/students", json=JANE).status_code == 201
        assert names(service) == ["Jane Doe"]
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)
        wait_for(lambda: not mongods(tmp_path / DATA))


@pytest.mark.any_driver
def test_a_url_starts_no_mongod(start_service: Callable[..., Service], tmp_path: Path, mongodb_url: str) -> None:
    service = start_service(MONGODB_URL=mongodb_url)
    assert service.is_ready()
    assert not (tmp_path / DATA).exists()
    assert service.stop() == 0


@pytest.mark.any_driver
def test_a_mistyped_setting_is_pointed_out(start_service: Callable[..., Service], mongodb_url: str) -> None:
    service = start_service(MONGODB_URL=mongodb_url, STUDENTS_API_POOLSIZE="7")
    assert "STUDENTS_API_POOLSIZE is not a setting; is it mistyped?" in service.log.read_text()


def test_it_answers_503_while_its_database_is_gone_and_is_ready_again_by_itself(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = start_service()
    (pid,) = mongods(tmp_path / DATA)
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = httpx2.get(f"{service.url}/readyz", timeout=5)
        assert answer.status_code == 503
        assert httpx2.get(f"{service.url}/livez", timeout=5).status_code == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(service.is_ready)
