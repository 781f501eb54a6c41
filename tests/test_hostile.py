"""Against hostile requests the service keeps its word: an answer in time, in form, and no harm done."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from select import select
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection

from tests.hostile import (
    BODY,
    BYSTANDER,
    CASES,
    CLOSED,
    HEAD,
    IN_PIECES,
    INCOMPLETE,
    LIMIT,
    MARK,
    STUDENT,
    VICTIM,
    Case,
    get,
    post,
    put,
    request,
)
from tests.resources import STUDENTS
from tests.service import MAX_KIB, Service

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

T = TypeVar("T")
Students: TypeAlias = Collection[dict[str, Any]]
Documents: TypeAlias = dict[Any, dict[str, Any]]

SECONDS = 20
"""After so long without an answer a request hangs."""

OF_MONGODB = {200, 201, 204, 304, 404, 412}
"""The statuses for which the service has asked MongoDB; with any other it has refused before."""

KEYS = ["id", *STUDENTS.fields]
FILLED = [name for name, value in STUDENTS.body.items() if value is not None]
DECLARED = {"_id", "_class_id", *STUDENTS.document.model_fields} - {"id"}
"""What may be stored. Beanie has the class there where a school's documents inherit."""
PROBLEM_KEYS = ["type", "title", "status", "detail", "instance", "request_id"]
INSTANCE = re.compile(r"[\w/%.~!$&'()*+,;=:@-]*", re.ASCII)
INNER_WORDS = re.compile(
    r"traceback|pymongo|motor|beanie|mongo|pydantic|starlette|uvicorn|httptools|site-packages|\.py\b|0x[0-9a-f]{6}"
    r"|/(?:home|usr|tmp|etc|opt|root)/",
    re.IGNORECASE,
)

KNOWN: dict[str, Any] = {
    **STUDENTS.body,
    **STUDENTS.own(1),
    "id": BYSTANDER,
    "name": "By Stander",
    "email": "by@example.com",
    "course": "Watching",
    "gpa": 2.0,
}
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
VIC: dict[str, Any] = {
    **STUDENTS.body,
    **STUDENTS.own(2),
    "id": VICTIM,
    "name": "Vic Tim",
    "email": "vic@example.com",
    "course": "Suffering",
    "gpa": 3.0,
}
STORED = [
    {"_id": ObjectId(student["id"])}
    | {name: student[name] for name in KEYS[1:]}
    | {"version": 1, "created_at": BEGUN, "updated_at": BEGUN}
    for student in (VIC, KNOWN)
]
AT_FIRST: Documents = {document["_id"]: document for document in STORED}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"

    def json(self) -> Any:
        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is no JSON")

        return json.loads(self.body, parse_constant=refuse)


NO_ANSWER = Answer(CLOSED, {"connection": "close"}, b"")


class Connection:
    """A client that sends any bytes, and takes answers only as RFC 9112 has them."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes, size: int = 1 << 30) -> None:
        """Send the data in pieces of this size. Who is refused may have the rest of it unread."""
        with suppress(BrokenPipeError, ConnectionResetError):
            for start in range(0, len(data), size):
                self.socket.sendall(data[start : start + size])

    def answer(self, method: str) -> Answer:
        """The next answer that is final."""
        try:
            answer = self._answer(method)
            while answer.status == HTTPStatus.CONTINUE:
                answer = self._answer(method)
        except ConnectionResetError:
            return NO_ANSWER
        return answer

    def _answer(self, method: str) -> Answer:
        start = self.file.readline()
        if not start:
            return NO_ANSWER
        assert re.fullmatch(rb"HTTP/1\.1 \d{3} [A-Za-z -]+\r\n", start), start
        status = int(start[9:12])
        headers: dict[str, str] = {}
        while (line := self.file.readline()) != b"\r\n":
            assert re.fullmatch(rb"[A-Za-z-]+: [\x20-\x7e]*\r\n", line), line
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            assert name.lower() not in headers, f"{name} comes twice"
            headers[name.lower()] = value
        if method == "HEAD" or status in {100, 204, 304}:
            return Answer(status, headers, b"")
        if "content-length" in headers:
            body = self.file.read(int(headers["content-length"]))
            assert len(body) == int(headers["content-length"])
            return Answer(status, headers, body)
        assert headers["transfer-encoding"] == "chunked"
        parts = []
        while size := int(self.file.readline(), 16):
            parts.append(self.file.read(size))
            assert self.file.read(2) == b"\r\n"
        assert self.file.read(2) == b"\r\n"
        return Answer(status, headers, b"".join(parts))

    def rest(self) -> bytes:
        """What still comes before the server closes the connection."""
        with suppress(ConnectionResetError):
            return self.file.read()
        return b""


class Target:
    """The service and what it has stored, read past it."""

    def __init__(self, service: Service, students: Students) -> None:
        self.service = service
        self.students = students
        self._log_read = 0

    def connect(self) -> Connection:
        return Connection(self.service.port)

    def ask(self, sent: bytes) -> Answer:
        with self.connect() as connection:
            connection.send(sent)
            return connection.answer(sent.partition(b" ")[0].decode())

    def documents(self) -> Documents:
        """All but those that are marked as deleted, where a school keeps them."""
        return {document["_id"]: document for document in self.students.find({"deleted_at": None})}

    def begin_anew(self) -> None:
        self.students.delete_many({})
        self.students.insert_many(STORED)

    def log(self) -> str:
        """The lines that it has got since the last time; the service may be writing another one."""
        with self.service.log.open("rb") as log:
            log.seek(self._log_read)
            lines, end, _ = log.read().rpartition(b"\n")
        self._log_read += len(lines + end)
        return (lines + end).decode("utf-8", "backslashreplace")


@pytest.fixture(scope="module")
def running(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One service for all."""
    folder = tmp_path_factory.mktemp("hostile")
    settings = {"MONGODB_URL": mongodb_url, "MONGODB_DATABASE": "hostile", "STUDENTS_API_LOG_FORMAT": "json"}
    client: MongoClient[dict[str, Any]] = MongoClient(mongodb_url, tz_aware=True)
    with client, Service(folder, (), settings) as service:
        service.wait_until_ready()
        yield Target(service, client["hostile"]["students"])


@pytest.fixture
def target(running: Target) -> Iterator[Target]:
    """The service with the two students, and afterwards none the worse."""
    if running.documents() != AT_FIRST:
        running.begin_anew()
    yield running
    log = running.log()
    assert running.service.process.poll() is None, log
    assert "Traceback" not in log, log
    assert all(line.isprintable() and "event" in json.loads(line) for line in log.split("\n")[:-1]), log
    assert running.service.peak_kib() < MAX_KIB


def check_form(answer: Answer, method: str) -> None:
    """That the answer has the form that the contract gives to every one."""
    assert answer.status < 500, answer
    assert re.fullmatch(r"[\w.:=+/@-]{1,128}", answer.headers["x-request-id"], re.ASCII), answer
    assert {405: "allow", 415: "accept", 412: "etag", 201: "location"}.get(answer.status, "date") in answer.headers, (
        answer
    )
    if method == "HEAD":
        return
    kind = answer.headers.get("content-type")
    if kind == "application/json":
        body = answer.json()
        students = body.get("students", []) if "next_cursor" in body else [body] if "id" in body else []
        assert all(list(student) == [key for key in KEYS if key in student] for student in students), answer
    if answer.status < 400:
        return
    assert kind == "application/problem+json", answer
    problem = answer.json()
    assert list(problem) == PROBLEM_KEYS + ["errors"] * (answer.status == 422), answer
    assert (problem["type"], problem["status"]) == ("about:blank", answer.status)
    assert problem["title"] == HTTPStatus(answer.status).phrase
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"], answer
    assert INSTANCE.fullmatch(problem.pop("instance")), answer
    assert all(list(error) == ["loc", "msg", "type"] for error in problem.get("errors", [])), answer
    words = json.dumps([problem, {**answer.headers, "server": ""}], ensure_ascii=False)
    assert MARK not in words, answer
    assert not INNER_WORDS.search(words), answer


def check_stored(target: Target, before: Documents, case: Case, method: str, answers: list[Answer]) -> None:
    """That exactly what was answered is stored, and reads back the same."""
    after = target.documents()
    written = {}
    for answer in answers:
        student = answer.json() if answer.status in {200, 201} and answer.body[:6] == b'{"id":' else {}
        if answer.status == 201 or (student and method in {"PUT", "PATCH"}):
            assert student == student | dict(case.holds)
            written[ObjectId(student["id"])] = student
        if answer.status == 204:
            written.pop(ObjectId(VICTIM), None)
            assert after.pop(ObjectId(VICTIM), None) is None
            before = {key: document for key, document in before.items() if key != ObjectId(VICTIM)}
    assert after == before | {key: after.get(key) for key in written}
    if not written:
        return
    listed = {student["id"]: student for student in target.ask(get("/students/")).json()["students"]}
    for key, student in written.items():
        document = after[key]
        assert student == {"id": str(key)} | {name: document.get(name) for name in KEYS[1:]}
        assert {"_id", *FILLED, "version", "created_at", "updated_at"} <= set(document) <= DECLARED
        assert type(document["gpa"]) is float
        assert document["version"] in {1, 2, 3}
        assert isinstance(document["created_at"], datetime)
        assert document["created_at"] <= document["updated_at"]
        assert target.ask(get(f"/students/{key}")).json() == student
        assert listed[str(key)] == student


def attack(target: Target, case: Case, size: int = 1 << 30) -> list[Answer]:
    """Send the case, and check what comes of it."""
    method = case.sent.lstrip().partition(b" ")[0].decode("latin-1")
    answers: list[Answer] = []
    with target.connect() as connection:
        connection.send(case.sent, size)
        for statuses in case.answers:
            answers.append(connection.answer(method))
            assert answers[-1].status in statuses, (case.sent[:300], answers[-1])
        if answers[-1].closes:
            assert connection.rest() == b"", (case.sent[:300], answers[-1])
        else:
            connection.send(get(f"/students/{BYSTANDER}", "Connection: close"))
            assert connection.answer("GET").json() == KNOWN
            assert connection.rest() == b""
    for answer in answers:
        if answer != NO_ANSWER:
            check_form(answer, method)
    check_stored(target, AT_FIRST, case, method, answers)
    assert target.ask(get(f"/students/{BYSTANDER}")).json() == KNOWN
    return answers


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case, id=case.name, marks=[] if set().union(*case.answers) & OF_MONGODB else pytest.mark.any_driver
        )
        for case in CASES
    ],
)
def test_a_hostile_request_is_answered_in_form_and_does_no_harm(target: Target, case: Case) -> None:
    attack(target, case)


@pytest.mark.any_driver
@pytest.mark.parametrize("case", IN_PIECES, ids=lambda case: case.name)
def test_the_answer_is_the_same_however_the_bytes_arrive(target: Target, case: Case) -> None:
    attack(target, case, size=1)


def test_no_case_is_there_twice() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.sent for case in CASES}) == len(CASES)


@pytest.mark.any_driver
def test_what_stays_incomplete_is_closed_with_408_and_nothing_is_written(target: Target) -> None:
    before = target.documents()
    pieces = {"drop by drop": get("/students/", *["X-A: b"] * 50), "a body drop by drop": post(BODY + b" " * 500)}
    behind = {f"{name}, behind a request": get(f"/students/{VICTIM}") + sent for name, sent in INCOMPLETE.items()}
    found: dict[str, Answer] = {}

    def send(name: str, sent: bytes, size: int) -> None:
        with target.connect() as connection:
            for start in range(0, len(sent), size):
                connection.send(sent[start : start + size])
                if size == 1 and select([connection.socket], [], [], 0.1)[0]:  # which is the attack: to be slow
                    break
            if name in behind:
                assert connection.answer("GET").status == 200
            found[name] = connection.answer("POST")
            assert connection.rest() == b""

    whole = [(name, sent, LIMIT) for name, sent in (INCOMPLETE | behind).items()]
    slow = [(name, sent, 1) for name, sent in pieces.items()]
    with ThreadPoolExecutor(len(whole) + len(slow)) as pool:
        waiting = [pool.submit(send, *each) for each in whole + slow]
        assert target.ask(get(f"/students/{BYSTANDER}")).json() == KNOWN  # meanwhile
        for each in waiting:
            each.result(3 * SECONDS)
    assert {name: answer.status for name, answer in found.items()} == dict.fromkeys(
        [*INCOMPLETE, *behind, *pieces], 408
    )
    for answer in found.values():
        assert answer.closes
        check_form(answer, "POST")
    assert target.documents() == before


@pytest.mark.any_driver
def test_who_sends_nothing_does_not_hold_a_connection_for_ever(target: Target) -> None:
    with target.connect() as connection:
        assert connection.answer("GET").status in {CLOSED, 408}


@pytest.mark.any_driver
def test_a_client_that_waits_for_100_is_told_to_go_on(target: Target) -> None:
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    with target.connect() as connection:
        connection.send(head)
        assert connection.file.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert connection.file.readline() == b"\r\n"
        connection.send(BODY)
        answer = connection.answer("POST")
    assert (answer.status, answer.json()["name"]) == (201, STUDENT["name"])


@pytest.mark.any_driver
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEAD + b"Content-Length: 9000000\r\nExpect: 100-continue\r\n\r\n", 413),
        (HEAD.replace(b"/students/", b"/nowhere") + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", 404),
        (HEAD.replace(b"POST", b"PUT") + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n", 405),
    ],
    ids=["too much", "nowhere", "another method"],
)
def test_a_client_that_waits_for_100_in_vain_is_told_so_without_its_body(
    target: Target, sent: bytes, status: int
) -> None:
    with target.connect() as connection:
        connection.send(sent)
        answer = connection.answer("POST")
    assert answer.status == status
    check_form(answer, "POST")


@pytest.mark.any_driver
def test_a_body_without_end_is_refused_before_it_ends(target: Target) -> None:
    with target.connect() as connection:
        connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            connection.send(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        answer = connection.answer("POST")
        assert connection.rest() == b""
    assert answer.status == 413
    check_form(answer, "POST")


@pytest.mark.any_driver
def test_who_reads_no_answer_does_not_make_the_service_keep_them_all(target: Target) -> None:
    with target.connect() as connection:
        connection.socket.settimeout(1)
        with suppress(TimeoutError):  # the service reads no more until it can write
            for _ in range(2000):
                connection.send(get("/openapi.json") * 10)
    assert target.ask(get(f"/students/{BYSTANDER}")).json() == KNOWN


def at_once(count: int, act: Callable[[int], T]) -> list[T]:
    """What the act gives, done so many times at the same moment."""
    barrier = threading.Barrier(count)

    def wait_and_act(number: int) -> T:
        barrier.wait(SECONDS)
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_act, range(count)))


def test_of_ten_deletes_of_one_student_exactly_one_succeeds(target: Target) -> None:
    for _ in range(5):
        target.begin_anew()
        answers = at_once(10, lambda _: target.ask(request("DELETE", f"/students/{VICTIM}")))
        assert sorted(answer.status for answer in answers) == [204] + [404] * 9


def test_of_ten_changes_of_one_version_exactly_one_succeeds(target: Target) -> None:
    for _ in range(5):
        target.begin_anew()
        answers = at_once(10, lambda number: target.ask(put({"name": f"Writer {number}"}, 'If-Match: "1"')))
        assert sorted(answer.status for answer in answers) == [200] + [412] * 9
        (won,) = [answer.json() for answer in answers if answer.status == 200]
        assert target.documents()[ObjectId(VICTIM)]["name"] == won["name"]


def test_a_change_brings_back_no_student_that_is_deleted_meanwhile(target: Target) -> None:
    delete, change = request("DELETE", f"/students/{VICTIM}"), put({"gpa": 1})
    for _ in range(5):
        target.begin_anew()
        deleted, *changed = at_once(6, lambda number: target.ask(change if number else delete))
        assert deleted.status == 204
        assert {answer.status for answer in changed} <= {200, 404}
        assert ObjectId(VICTIM) not in target.documents()


def test_a_change_and_a_delete_of_one_version_exclude_each_other(target: Target) -> None:
    delete = request("DELETE", f"/students/{VICTIM}", 'If-Match: "1"')
    change = put({"gpa": 1}, 'If-Match: "1"')
    for _ in range(5):
        target.begin_anew()
        deleted, changed = at_once(2, lambda number: target.ask(change if number else delete))
        assert (deleted.status, changed.status) in {(204, 404), (412, 200)}
