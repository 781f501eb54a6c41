"""A client that creates students at a steady rate whatever happens, and the ledger of what it was answered."""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

import httpx2
from pymongo import MongoClient

from tests.conftest import JANE
from tests.service import wait_for

PATIENCE_SECONDS = 60
"""How long the client waits for an answer: longer than the service takes, whose own answer is what counts."""


@dataclass(frozen=True)
class Answer:
    """What became of one student's creation. Times are those of `time.monotonic`."""

    name: str
    sent: float
    received: float
    status: int | None
    """None where the connection broke before there was an answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.received - self.sent

    @property
    def is_acknowledgement(self) -> bool:
        """Whether the student is stored, by the service's word."""
        return self.status == HTTPStatus.CREATED

    @property
    def says_to_retry(self) -> bool:
        """Whether it is the one failure that a client has to expect: a problem of status 503, with `Retry-After`."""
        return (
            self.status == self.body.get("status") == HTTPStatus.SERVICE_UNAVAILABLE
            and self.headers.get("Content-Type") == "application/problem+json"
            and self.headers.get("Retry-After", "").isdecimal()
        )

    @property
    def leaves_it_open(self) -> bool:
        """Whether the student may be stored or not, as far as the client is told."""
        return self.status is None or (self.says_to_retry and self.body.get("outcome") == "unknown")


class Load:
    """Creates `rate` students a second, for as long as the context lasts, each with a name of its own.

    It waits for no answer before it sends the next one, and sends none a second time.
    """

    def __init__(self, url: str, rate: float) -> None:
        self.answers: list[Answer] = []
        self._url = url
        self._rate = rate
        self._waiting: dict[str, float] = {}
        self._idle: list[httpx2.AsyncClient] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._create_students()), name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send no more, and wait for the answers that are still to come."""
        self._stop.set()
        self._thread.join()

    def wait_until_steady(self, seconds: float = 60) -> None:
        """Wait until all that a second sends is acknowledged soon, with nothing from before left to be answered."""
        called = time.monotonic()
        wait_for(lambda: self._is_steady(called), seconds)

    def wait_until_waiting(self, count: int) -> None:
        """Wait until that many students wait for an answer."""
        wait_for(lambda: len(self._waiting) >= count)

    def _is_steady(self, since: float) -> bool:
        last = self.answers[-round(self._rate) :]
        if len(last) < round(self._rate) or not all(answer.is_acknowledgement for answer in last):
            return False
        first_sent = min(answer.sent for answer in last)
        soon = first_sent > time.monotonic() - 2
        return first_sent > since and soon and all(sent > first_sent for sent in self._waiting.copy().values())

    async def _create_students(self) -> None:
        started, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as tasks:
            while not self._stop.is_set():
                await asyncio.sleep(started + number / self._rate - time.monotonic())
                tasks.create_task(self._create(f"Student {number}"))
                number += 1
        for client in self._idle:
            await client.aclose()

    async def _create(self, name: str) -> None:
        # A client with one connection each: thousands in one pool would be slow to find one.
        client = self._idle.pop() if self._idle else self._new_client()
        self._waiting[name] = sent = time.monotonic()
        try:
            answer = await client.post("/students/", json=JANE | {"name": name})
            received = time.monotonic()
            self.answers.append(Answer(name, sent, received, answer.status_code, answer.headers, answer.json()))
        except httpx2.TransportError as error:
            self.answers.append(Answer(name, sent, time.monotonic(), None, {}, {"detail": repr(error)}))
        del self._waiting[name]
        self._idle.append(client)

    def _new_client(self) -> httpx2.AsyncClient:
        # It closes a connection before the service does, after 5 s, or that could happen while it sends.
        limits = httpx2.Limits(max_connections=1, keepalive_expiry=2)
        return httpx2.AsyncClient(base_url=self._url, timeout=PATIENCE_SECONDS, limits=limits, verify=False)


@dataclass
class Ledger:
    """What was answered against what is stored. Each list is of the names of students."""

    lost: list[str]
    """Acknowledged, and not stored under the id that the answer gave."""
    twice: list[str]
    """Stored more than once."""
    hidden: list[str]
    """Stored, although the answer was an error that does not say that it may be."""


def stored_ids(url: str, database: str) -> dict[str, list[str]]:
    """The ids of all students by their names, as a majority of the nodes has them."""
    found = defaultdict[str, list[str]](list)
    with MongoClient[dict[str, Any]](url, readConcernLevel="majority", timeoutMS=60_000) as client:
        for student in client[database]["students"].find({}, ["name"]):
            found[student["name"]].append(str(student["_id"]))
    return dict(found)


def compare(answers: Iterable[Answer], stored: Mapping[str, list[str]]) -> Ledger:
    """The ledger of these answers."""
    ledger = Ledger([], [], [])
    for answer in answers:
        ids = stored.get(answer.name, [])
        if answer.is_acknowledgement and answer.body["id"] not in ids:
            ledger.lost.append(answer.name)
        if len(ids) > 1:
            ledger.twice.append(answer.name)
        if ids and not answer.is_acknowledgement and not answer.leaves_it_open:
            ledger.hidden.append(answer.name)
    return ledger
