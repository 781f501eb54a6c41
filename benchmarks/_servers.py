"""What the measurements of speed share: the servers, each on one core, and wrk, which loads them from the others."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo import MongoClient

from tests.service import Service, wait_for

FOLDER = Path(__file__).parent / "servers"
BEANIE2 = Path(__file__).parents[1] / ".beanie2"

SERVICE = "the service"
ON_BEANIE2 = "the service on PyMongo Async"
TUTORIAL = "the tutorial's app"
BARE = "bare ASGI"
EXPRESS = "Express + Mongoose"

BATCH = 10_000
BODY = '{"name": "Jane Doe", "email": "jane{n}@example.com", "course": "Course {n}", "gpa": 3.0}'


class Server(NamedTuple):
    """How a server is started."""

    command: Sequence[str] = ()
    arguments: Sequence[str] = ()
    settings: dict[str, str] = {}  # noqa: RUF012  # nobody changes it


def _asgi(module: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "uvicorn", f"benchmarks.servers.{module}:app", *options]


def servers() -> dict[str, Server]:
    """The servers that this machine can run."""
    found = {
        SERVICE: Server(),
        TUTORIAL: Server(_asgi("tutorial")),
        BARE: Server(_asgi("bare", "--no-access-log")),
    }
    if BEANIE2.exists():
        found[ON_BEANIE2] = Server(settings={"PYTHONPATH": str(BEANIE2)})
    if (FOLDER / "express/node_modules").exists():
        found[EXPRESS] = Server(["node", str(FOLDER / "express/server.js")])
    return found


@contextmanager
def on_cores(cores: Iterable[int]) -> Iterator[None]:
    """What is started meanwhile is held to these cores, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores() -> tuple[set[int], set[int]]:
    """The core of the servers, and those of everything else."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


def start(server: Server, folder: Path, url: str, database: str) -> Service:
    """Start it; it is ready."""
    settings = {"MONGODB_URL": url, "MONGODB_DATABASE": database, **server.settings}
    service = Service(folder, server.arguments, settings, server.command)
    wait_for(lambda: service.answers("/students/?limit=1") is not None or service.process.poll() is not None)
    assert service.answers("/students/?limit=1") == 200, service.log.read_text()
    return service


def processor_seconds(service: Service) -> float:
    """How long the processor has worked for a server, in all its threads."""
    _, _, fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """What wrk is to send."""

    requests: Sequence[str]
    connections: int = 32
    first: int = 1
    ids: int = 1000
    header: str = ""
    status: int = 200


class Cost(NamedTuple):
    """What a request takes."""

    milliseconds: float
    """Of CPU time, in the server's process."""
    a_second: float
    """How many are answered in a second."""


def wrk(url: str, load: Load, seconds: float) -> dict[str, Any]:
    """Have wrk load a server: how many requests were answered, refused and broken off, and in how many seconds."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is not there, which loads the servers: `apt-get install wrk`.")
    arguments = ["-t1", f"-c{load.connections}", f"-d{seconds:.0f}s", "--timeout=60s", f"-s{FOLDER / 'requests.lua'}"]
    numbers = [load.header, str(load.first), str(load.ids)]
    run = [program, *arguments, url, "--", *numbers, *load.requests]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    answer: dict[str, Any] = json.loads(printed.splitlines()[-1])
    expected = answer["answered"] if load.status >= 400 else 0
    assert (answer["refused"], answer["broken"]) == (expected, 0), (url, load, printed)
    return answer


def measure(service: Service, load: Load, seconds: float) -> Cost:
    """Load a server for so long."""
    before = processor_seconds(service)
    answer = wrk(service.url, load, seconds)
    worked, answered = processor_seconds(service) - before, int(answer["answered"])
    return Cost(1000 * worked / answered, answered / float(answer["seconds"]))


def fill(url: str, database: str, count: int, first: int = 1) -> None:
    """Store so many students, with the ids from `first` on."""
    with MongoClient[dict[str, Any]](url) as client:
        students = client[database]["students"]
        for start in range(first, first + count, BATCH):
            numbers = range(start, min(start + BATCH, first + count))
            students.insert_many([stored(number) for number in numbers], ordered=False)


def stored(number: int) -> dict[str, Any]:
    """A student with this number."""
    own = json.loads(BODY.replace("{n}", str(number)))
    return {"_id": ObjectId(f"{number:024x}"), **own, "version": 1}


def forget(url: str, database: str, count: int) -> None:
    """Delete all students but the first so many."""
    with MongoClient[dict[str, Any]](url) as client:
        client[database]["students"].delete_many({"_id": {"$gt": ObjectId(f"{count:024x}")}})
