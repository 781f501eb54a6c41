"""What the measurements of a running service share: clients that load it, probes, and a mongod that can fail."""

import asyncio
import http.client
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from students_api.mongodb.local_mongod import LAUNCHER, find_mongod
from students_api.mongodb.replica_set import REPLICA_SET, admin_command
from tests.service import Service, free_port, wait_for

STUDENT = {"name": "Jane Doe", "email": "jane@example.com", "course": "0", "gpa": 3.0}
HALF_A_HEAD = b"POST /students/ HTTP/1.1\r\nHost: service\r\nContent-Ty"
HALF_A_BODY = b'POST /students/ HTTP/1.1\r\nHost: service\r\nContent-Length: 80\r\n\r\n{"name": "Jane'
NUMBERS = itertools.count()
SPAWN = multiprocessing.get_context("spawn")


class Answer(NamedTuple):
    """Status 0 where there was none."""

    status: int
    seconds: float
    headers: dict[str, str]
    body: bytes

    @property
    def is_unavailable(self) -> bool:
        """503 as the contract has it."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        return self.status == 503 and is_problem and "retry-after" in self.headers and b'"status":503' in self.body


class Client:
    """A connection, kept for as long as the service keeps it, and a student of its own."""

    def __init__(self, service: Service) -> None:
        self.port = service.port
        self.connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.answers: list[Answer] = []
        self.kinds = itertools.cycle(("GET", "PUT", "POST"))
        self.acknowledged: list[str] = []
        self.student, self.course = "", 0

    async def send(self, method: str, path: str, body: dict[str, Any] | None = None, due: float = 0) -> Answer:
        """Send a request; its time begins when it was due."""
        due = due or time.monotonic()
        try:
            async with asyncio.timeout(60):
                answer = await self._send(method, path, b"" if body is None else json.dumps(body).encode(), due)
        except (OSError, EOFError, TimeoutError):
            self.close()
            answer = Answer(0, time.monotonic() - due, {}, b"")
        self.answers.append(answer)
        return answer

    async def _send(self, method: str, path: str, body: bytes, due: float) -> Answer:
        if self.connection is None or self.connection[0].at_eof():
            self.close()
            self.connection = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.connection
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        content = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(head[0].split()[1]), time.monotonic() - due, headers, content)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self.connection is not None:
            self.connection[1].close()
            self.connection = None

    async def create(self, due: float = 0) -> Answer:
        """Create a student, and remember it if it is acknowledged."""
        name = f"Student {next(NUMBERS)}"
        answer = await self.send("POST", "/students/", STUDENT | {"name": name}, due)
        if answer.status == 201:
            self.acknowledged.append(name)
            self.student = self.student or json.loads(answer.body)["id"]
        return answer

    async def mixed(self, due: float = 0) -> Answer:
        """GET, PUT and POST in turn."""
        kind = next(self.kinds)
        if kind == "POST" or not self.student:
            return await self.create(due)
        if kind == "GET":
            return await self.send("GET", f"/students/{self.student}", None, due)
        course = self.course + 1
        answer = await self.send("PUT", f"/students/{self.student}", {"course": str(course)}, due)
        self.course = course if answer.status == 200 else self.course
        return answer

    async def get(self, due: float = 0) -> Answer:
        """GET `/livez` and the student in turn."""
        path = "/livez" if next(self.kinds) == "GET" else f"/students/{self.student}"
        return await self.send("GET", path, None, due)


Send = Callable[[Client, float], Awaitable[Answer]]


class Mongod:
    """A mongod that comes back only when it is told to: a replica set of one node, on a port that stays."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}/?replicaSet={REPLICA_SET}"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        parent = (sys.executable, "-I", "-c", LAUNCHER, str(os.getpid()))
        options = ("--dbpath", self.folder, "--port", str(self.port), "--bind_ip", "127.0.0.1", "--nounixsocket")
        replica_set = ("--replSet", REPLICA_SET, "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25")
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([*parent, find_mongod(None), *options, *replica_set], stdout=log, stderr=log)

    def takes_writes(self) -> bool:
        """Whether it is a primary; it becomes one."""
        try:
            return bool(admin_command(self.port, {"hello": 1})["isWritablePrimary"]) or self._initiate()
        except PyMongoError:
            return False

    def _initiate(self) -> bool:
        members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
        with suppress(OperationFailure):  # it has been already
            admin_command(self.port, {"replSetInitiate": {"_id": REPLICA_SET, "members": members}})
        return False

    def kill(self) -> None:
        """End it with kill -9."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Have it hang."""
        self.process.send_signal(signal.SIGSTOP)

    async def come_back(self) -> None:
        """Go on, or start again."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        else:
            self.process = self._start()
        await asyncio.to_thread(wait_for, self.takes_writes)

    def names(self, database: str) -> Counter[str]:
        """The names of all students that are stored, read past the service."""
        with MongoClient[dict[str, Any]](self.url) as client:
            return Counter(student["name"] for student in client[database]["students"].find())


def kib(pid: int | str, figure: str) -> int:
    """How much memory a process has."""
    with suppress(FileNotFoundError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith(figure)), 0)
    return 0


@asynccontextmanager
async def clients(service: Service, count: int) -> AsyncIterator[list[Client]]:
    """Clients with a student each."""
    found = [Client(service) for _ in range(count)]
    for client in found:
        await client.create()
    try:
        yield found
    finally:
        for client in found:
            client.close()


def stop_after(seconds: float) -> asyncio.Event:
    """What is set by then."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    return stop


async def paced(found: list[Client], send: Send, rate: float, stop: asyncio.Event) -> None:
    """Have the clients send so many requests a second together, however long answers take."""
    start = time.monotonic()

    async def run(number: int, client: Client) -> None:
        for due in itertools.count(start + number / rate, len(found) / rate):
            await asyncio.sleep(due - time.monotonic())
            if stop.is_set():
                return
            await send(client, due)

    await asyncio.gather(*(run(number, client) for number, client in enumerate(found)))


async def without_pause(client: Client, stop: asyncio.Event) -> None:
    """Send one request after the other."""
    while not stop.is_set():
        await client.mixed()


async def send_mixed(client: Client, count: int) -> None:
    """Send so many requests, one after the other."""
    for _ in range(count):
        await client.mixed()


async def balance(service: Service, unready: asyncio.Event) -> None:
    """Ask `/readyz` once a second, as a load balancer does, until the service is not ready."""
    client = Client(service)
    while (await client.send("GET", "/readyz")).status == 200:
        client.close()
        await asyncio.sleep(1)
    unready.set()


@contextmanager
def apart(function: Callable[..., list[Any]], *arguments: Any) -> Iterator[list[Any]]:
    """Run a function in a process of its own, which has nothing else to do; what it found is there afterwards."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_run, args=(theirs, function, arguments), daemon=True)
    process.start()
    ours.recv()
    found: list[Any] = []
    try:
        yield found
    finally:
        ours.send("stop")
        found += ours.recv()
        process.join()


def _run(pipe: Connection, function: Callable[..., list[Any]], arguments: tuple[Any, ...]) -> None:
    pipe.send("ready")
    found = function(pipe, *arguments)
    pipe.recv()
    pipe.send(found)


def probe(pipe: Connection, port: int, path: str) -> list[tuple[float, float, int]]:
    """Ask 20 times a second until told to stop: when, how long it took, and the status, 0 where there was none."""
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    while not pipe.poll(0.05):
        start, status = time.monotonic(), 0
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
        found.append((start, time.monotonic() - start, status))
    return found


def be_silent(_pipe: Connection, port: int, count: int) -> list[tuple[int, float]]:
    """Send so many half requests, 200 a second: the status each got, 0 where there was none, and when it was closed."""

    async def connect(number: int) -> tuple[int, float]:
        await asyncio.sleep(number / 200)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            start = time.monotonic()
            writer.write((HALF_A_HEAD, HALF_A_BODY)[number % 2])
            answer = await reader.read()
        except OSError:
            return 0, 0
        writer.close()
        return int(answer[9:12] or 0), time.monotonic() - start

    async def run() -> list[tuple[int, float]]:
        return await asyncio.gather(*(connect(number) for number in range(count)))

    return asyncio.run(run())
