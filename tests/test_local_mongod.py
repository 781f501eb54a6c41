"""The local MongoDB: one a data folder, whatever happens to it and to those who use it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer
from typing import Any

import pytest
from pymongo import MongoClient

from students_api.mongodb.local_mongod import LocalMongod, find_mongod
from students_api.settings import StartUpError
from tests.service import environment, free_port, mongods, wait_for

pytestmark = [pytest.mark.any_driver, pytest.mark.mongod, pytest.mark.slow]

HOLDER = """
import sys
from pathlib import Path
from students_api.mongodb.local_mongod import LocalMongod
with LocalMongod(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that uses a data folder, until it is told to leave or is killed."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)],
            env=environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def url(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        self.process.communicate(timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[], Holder]]:
    started: list[Holder] = []

    def start() -> Holder:
        started.append(Holder(tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def write(url: str, number: int) -> None:
    with MongoClient[dict[str, int]](url, timeoutMS=20_000) as client:
        client["test"]["numbers"].insert_one({"_id": number})


def read(url: str) -> list[int]:
    with MongoClient[dict[str, int]](url, timeoutMS=20_000) as client:
        return [document["_id"] for document in client["test"]["numbers"].find(sort={"_id": 1})]


def test_it_is_a_primary_on_loopback_only_with_transactions_and_change_streams(tmp_path: Path) -> None:
    with LocalMongod(tmp_path / "data") as url, MongoClient[dict[str, Any]](url) as client:
        assert client.admin.command("hello")["isWritablePrimary"]
        options = client.admin.command("getCmdLineOpts")["parsed"]
        assert options["net"]["bindIp"] == "127.0.0.1"
        assert options["net"]["unixDomainSocket"] == {"enabled": False}
        assert options["net"]["compression"] == {"compressors": "disabled"}
        assert options["replication"] == {"oplogSizeMB": 64, "replSet": "rs0"}
        assert options["storage"]["wiredTiger"]["engineConfig"]["cacheSizeGB"] == 0.25
        assert options["setParameter"] == {"diagnosticDataCollectionEnabled": "false"}
        client["test"].create_collection("numbers")
        with client["test"]["numbers"].watch() as changes:
            with client.start_session() as session, session.start_transaction():
                client["test"]["numbers"].insert_one({"_id": 1}, session=session)
            assert next(changes)["documentKey"] == {"_id": 1}


def test_it_keeps_its_data_and_its_port_from_run_to_run_and_ends_with_the_context(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with LocalMongod(tmp_path) as first:
        assert tmp_path.stat().st_mode & 0o777 == 0o700
        write(first, 1)
    assert mongods(tmp_path) == []
    with LocalMongod(tmp_path) as second:
        assert read(second) == [1]
    assert second == first


def test_two_processes_share_one_and_the_second_keeps_it_when_the_first_leaves(
    tmp_path: Path, holder: Callable[[], Holder]
) -> None:
    first, second = holder(), holder()
    url = first.url
    assert second.url == url
    assert len(mongods(tmp_path)) == 1
    write(url, 1)
    first.leave()
    write(url, 2)
    assert read(url) == [1, 2]
    assert len(mongods(tmp_path)) == 1
    second.leave()
    assert mongods(tmp_path) == []


def test_four_processes_that_start_at_once_share_one(tmp_path: Path, holder: Callable[[], Holder]) -> None:
    holders = [holder() for _ in range(4)]
    assert len({one.url for one in holders}) == 1
    assert len(mongods(tmp_path)) == 1


def test_when_its_process_is_killed_it_ends_and_the_next_process_takes_over(
    tmp_path: Path, holder: Callable[[], Holder]
) -> None:
    first = holder()
    url = first.url
    write(url, 1)
    second = holder()
    assert second.url == url
    first.kill()
    write(url, 2)
    assert read(url) == [1, 2]
    assert len(mongods(tmp_path)) == 1
    second.kill()
    wait_for(lambda: not mongods(tmp_path))


def test_when_it_is_killed_it_is_started_again_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    with LocalMongod(tmp_path) as url:
        for number in range(3):
            write(url, number)
            (pid,) = wait_for(lambda: mongods(tmp_path))
            os.kill(pid, signal.SIGKILL)
            assert read(url) == list(range(number + 1))


def test_it_starts_right_after_its_process_was_killed(tmp_path: Path, holder: Callable[[], Holder]) -> None:
    for number in range(2):
        one = holder()
        write(one.url, number)
        one.kill()
    with LocalMongod(tmp_path) as url:
        assert read(url) == [0, 1]
        assert len(mongods(tmp_path)) == 1


def test_a_port_that_is_taken_and_the_replica_sets_old_address_heal_themselves(tmp_path: Path) -> None:
    with LocalMongod(tmp_path) as first:
        write(first, 1)
    with TCPServer(("127.0.0.1", int((tmp_path / "port").read_text())), BaseRequestHandler) as taker:
        threading.Thread(target=taker.serve_forever).start()
        with LocalMongod(tmp_path) as second:
            assert second != first
            assert read(second) == [1]
            write(second, 2)
        taker.shutdown()
    with LocalMongod(tmp_path) as third:
        assert (third, read(third)) == (second, [1, 2])


@pytest.mark.parametrize("leftover", ["x", "70000"])
def test_a_port_file_that_makes_no_sense_heals_itself(tmp_path: Path, leftover: str) -> None:
    (tmp_path / "port").write_text(leftover)
    with LocalMongod(tmp_path) as url:
        write(url, 1)


def test_a_port_file_that_was_removed_comes_back(tmp_path: Path, holder: Callable[[], Holder]) -> None:
    with LocalMongod(tmp_path) as url:
        (tmp_path / "port").unlink()
        assert holder().url == url


@pytest.mark.parametrize("name", ["lock", "db"])
def test_a_file_of_its_own_that_is_of_another_kind_is_a_clear_error(tmp_path: Path, name: str) -> None:
    if name == "lock":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("")
    with pytest.raises(StartUpError, match="STUDENTS_API_DATA_DIR"), LocalMongod(tmp_path):
        pass


def test_another_mongod_on_the_port_is_not_taken_for_its_own(tmp_path: Path) -> None:
    with LocalMongod(tmp_path / "other") as other:
        write(other, 1)
        mine = tmp_path / "mine"
        mine.mkdir()
        (mine / "port").write_text((tmp_path / "other" / "port").read_text())
        with LocalMongod(mine) as url:
            assert url != other
            assert read(url) == []


def test_a_mongod_that_nobody_watches_any_more_is_replaced(tmp_path: Path, mongod_program: Path) -> None:
    with LocalMongod(tmp_path) as url:
        write(url, 1)
    port = free_port()
    orphan = subprocess.Popen(
        [mongod_program, "--dbpath", tmp_path / "db", "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket",
         "--replSet", "rs0"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with MongoClient[dict[str, Any]]("127.0.0.1", port, directConnection=True) as client:
            client.admin.command("ping")
        with LocalMongod(tmp_path) as url:
            assert read(url) == [1]
        assert orphan.wait(30) is not None
    finally:
        orphan.kill()
        orphan.wait()


def test_a_program_that_does_not_come_up_is_a_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho the library libfoo is missing\nexit 127\n")
    broken.chmod(0o755)
    with pytest.raises(StartUpError, match=r"code 127: the library libfoo is missing"), LocalMongod(tmp_path, broken):
        pass


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartUpError, match="STUDENTS_API_DATA_DIR"), LocalMongod(tmp_path / "file" / "data"):
        pass


def test_where_there_is_no_mongod_the_error_says_the_three_ways_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("students_api.mongodb.local_mongod.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StartUpError) as error:
        find_mongod(None)
    for way in ("MONGODB_URL", "embedded", "PATH"):
        assert way in str(error.value)


def test_the_setting_comes_first_then_the_package_then_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mongod_program: Path
) -> None:
    own = tmp_path / "mongod"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_mongod(mongod_program) == mongod_program
    assert find_mongod(None) != own
    monkeypatch.setattr("students_api.mongodb.local_mongod.find_spec", lambda _: None)
    assert find_mongod(None) == own
    own.chmod(0o644)
    with pytest.raises(StartUpError, match="STUDENTS_API_MONGOD"):
        find_mongod(own)


def test_it_waits_for_the_port_of_a_mongod_that_is_just_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mongod = LocalMongod(tmp_path)
    with socket.socket() as ending:
        ending.bind(("127.0.0.1", 0))
        ending.listen()
        port = ending.getsockname()[1]
        (tmp_path / "port").write_text(str(port))
        monkeypatch.setattr(mongod._stopping, "wait", lambda _: ending.close())  # noqa: SLF001  # it waits there
        assert mongod._choose_port() == port  # noqa: SLF001  # the race itself cannot be made to happen
