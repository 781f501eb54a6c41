"""A database that fails, made to by MongoDB's own fail points: what each failure is to a client."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx2
import pytest
from beanie import DocumentWithSoftDelete
from bson import ObjectId
from pymongo import MongoClient

from students_api.http.limits import NOT_CONNECTED_YET, OVERLOADED
from students_api.http.problems import RETRY_AFTER_SECONDS, UNAVAILABLE, UNKNOWN_OUTCOME
from students_api.main import create_app
from students_api.mongodb.client import open_database
from students_api.mongodb.local_mongod import LocalMongod
from students_api.settings import Settings
from students_api.students.student import Student
from tests.conftest import JANE, NO_STUDENT, STORED_JANE, running
from tests.test_problems import problem_of

pytestmark = pytest.mark.mongod

COMMANDS = {
    "insert": ("POST", "/students/", JANE),
    "find": ("GET", f"/students/{NO_STUDENT}", None),
    "aggregate": ("GET", "/students/?count=true&gpa=1", None),
    "findAndModify": ("PUT", f"/students/{NO_STUDENT}", {"gpa": 1}),
    "delete": ("DELETE", f"/students/{NO_STUDENT}", None),
}
if issubclass(Student, DocumentWithSoftDelete):
    del COMMANDS["delete"]  # its deletion is a findAndModify
WRITES = {"insert", "findAndModify", "delete"}
PASSING = {
    6: "HostUnreachable", 7: "HostNotFound", 13: "Unauthorized", 18: "AuthenticationFailed", 24: "LockTimeout",
    43: "CursorNotFound", 46: "LockBusy", 50: "MaxTimeMSExpired", 64: "WriteConcernFailed",
    79: "UnknownReplWriteConcern", 89: "NetworkTimeout", 91: "ShutdownInProgress", 100: "UnsatisfiableWriteConcern",
    112: "WriteConflict",
    133: "FailedToSatisfyReadPreference", 134: "ReadConcernMajorityNotAvailableYet", 146: "ExceededMemoryLimit",
    175: "QueryPlanKilled", 189: "PrimarySteppedDown", 202: "NetworkInterfaceExceededTimeLimit", 237: "CursorKilled",
    262: "ExceededTimeLimit", 292: "QueryExceededMemoryLimitNoDiskUseAllowed", 365: "TemporarilyUnavailable",
    391: "ReauthenticationRequired", 9001: "SocketException", 10058: "LegacyNotPrimary", 10107: "NotWritablePrimary",
    11600: "InterruptedAtShutdown", 11601: "Interrupted", 11602: "InterruptedDueToReplStateChange",
    13435: "NotPrimaryNoSecondaryOk", 13436: "NotPrimaryOrSecondary", 14031: "OutOfDiskSpace",
}  # fmt: skip


class FailPoints:
    """MongoDB's `failCommand`, for the service's connections only."""

    def __init__(self, url: str) -> None:
        self.client: MongoClient[dict[str, Any]] = MongoClient(url)

    def set(self, command: str, mode: Any = "alwaysOn", **data: Any) -> None:
        data |= {"failCommands": [command], "appName": "students-api"}
        self.client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)

    def clear(self) -> None:
        self.client.admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.fixture(scope="module")
def url(mongod_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mongod that takes fail points."""
    folder = tmp_path_factory.mktemp("failing")
    program = folder / "mongod"
    program.write_text(f'#!/bin/sh\nexec {mongod_program} --setParameter enableTestCommands=1 "$@"\n')
    program.chmod(0o700)
    with LocalMongod(folder, program) as url:
        yield url


@pytest.fixture
def fail_points(url: str) -> Iterator[FailPoints]:
    points = FailPoints(url)
    students = points.client["college"]["students"]
    students.delete_many({})
    students.insert_one({"_id": ObjectId(NO_STUDENT), **STORED_JANE})  # or a hook would have nothing to change
    try:
        yield points
    finally:
        points.clear()
        points.client.close()


@asynccontextmanager
async def service(url: str, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the application on its own connections, with a deadline that tests can wait for."""
    chosen = Settings().model_copy(update={"deadline_seconds": 0.2, **settings})
    async with open_database(url, chosen) as database:
        app = create_app(chosen, open_deployment=lambda *_: nullcontext(database))
        async with running(app) as client:
            yield client


@pytest.fixture(scope="module")
async def impatient(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """One service for all tests of errors that pass: its start takes longer than most of them."""
    async with service(url) as client:
        yield client


async def send(client: httpx2.AsyncClient, command: str) -> httpx2.Response:
    method, path, body = COMMANDS[command]
    return await client.request(method, path, json=body)


def is_unavailable(answer: httpx2.Response, *, unknown: bool) -> bool:
    problem = problem_of(answer, 503, "Service Unavailable", *(["outcome"] if unknown else []))
    assert answer.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)
    assert problem.get("outcome", "unknown") == "unknown"
    return bool(problem["detail"] == (UNKNOWN_OUTCOME if unknown else UNAVAILABLE))


@pytest.mark.parametrize("code", PASSING, ids=PASSING.get)
async def test_an_error_that_passes_is_503_and_a_write_says_that_its_outcome_is_unknown(
    impatient: httpx2.AsyncClient, fail_points: FailPoints, code: int
) -> None:
    for command in COMMANDS:
        while (await impatient.get("/readyz")).status_code != 200:
            pass  # the driver has not found its primary again, after the error before
        fail_points.set(command, errorCode=code)
        assert is_unavailable(await send(impatient, command), unknown=command in WRITES)


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_connection_that_breaks_is_503(url: str, fail_points: FailPoints, command: str) -> None:
    async with service(url) as client:
        fail_points.set(command, closeConnection=True)
        assert is_unavailable(await send(client, command), unknown=command in WRITES)


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_database_that_hangs_is_503_at_the_deadline(url: str, fail_points: FailPoints, command: str) -> None:
    async with service(url) as client:
        fail_points.set(command, blockConnection=True, blockTimeMS=1_000)
        assert is_unavailable(await send(client, command), unknown=command in WRITES)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("failure", [{"errorCode": 6}, {"closeConnection": True}], ids=str)
async def test_what_fails_once_is_repeated_by_the_driver_and_done_once(
    url: str, fail_points: FailPoints, command: str, failure: dict[str, Any]
) -> None:
    async with service(url, deadline_seconds=10) as client:
        fail_points.set(command, mode={"times": 1}, **failure)
        answer = await send(client, command)
    assert answer.status_code == {"insert": 201, "delete": 204}.get(command, 200)
    stored = fail_points.client["college"]["students"].count_documents({})
    assert stored == {"insert": 2, "delete": 0}.get(command, 1)


async def test_a_write_that_too_few_nodes_have_is_503_with_an_unknown_outcome(
    url: str, fail_points: FailPoints
) -> None:
    async with service(url) as client:
        fail_points.set("insert", writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"})
        assert is_unavailable(await send(client, "insert"), unknown=True)
    assert fail_points.client["college"]["students"].count_documents({}) == 2


@pytest.mark.parametrize("code", [10334, 17419, 17420])
async def test_a_document_that_is_too_large_for_mongodb_is_422(url: str, fail_points: FailPoints, code: int) -> None:
    async with service(url) as client:
        fail_points.set("findAndModify", errorCode=code)
        problem = problem_of(await send(client, "findAndModify"), 422, "Unprocessable Entity", "errors")
    assert problem["errors"][0]["loc"] == ["body"]


async def test_what_breaks_a_rule_that_the_databases_operator_has_set_is_422(url: str, fail_points: FailPoints) -> None:
    college = fail_points.client["college"]
    async with service(url, deadline_seconds=10) as client:
        jane = (await client.post("/students/", json=JANE | {"gpa": 1})).json()
        college.command("collMod", "students", validator={"gpa": {"$lt": 2}})
        try:
            for answer in (
                await client.post("/students/", json=JANE | {"gpa": 3}),
                await client.put(f"/students/{jane['id']}", json={"gpa": 3}),
            ):
                problem = problem_of(answer, 422, "Unprocessable Entity", "errors")
                assert problem["errors"][0]["loc"] == ["body"]
        finally:
            college.command("collMod", "students", validator={})
        assert (await client.get("/students/")).json()["students"][1:] == [jane]


async def test_what_nobody_foresaw_is_500(url: str, fail_points: FailPoints) -> None:
    async with service(url) as client:
        fail_points.set("find", errorCode=66)  # ImmutableField
        problem_of(await send(client, "find"), 500, "Internal Server Error")


@pytest.mark.slow
async def test_a_request_that_waits_for_a_connection_is_503_after_a_second_and_has_done_nothing(
    url: str, fail_points: FailPoints
) -> None:
    async with service(url, pool_size=1, deadline_seconds=10) as client:
        fail_points.set("find", mode={"times": 1}, blockConnection=True, blockTimeMS=3_000)
        slow = asyncio.create_task(send(client, "find"))
        await asyncio.sleep(0)  # for it to be the first
        answer = await send(client, "insert")
        problem = problem_of(answer, 503, "Service Unavailable")
        assert (problem["detail"], answer.headers["Retry-After"]) == (OVERLOADED, "1")
        assert "outcome" not in problem
        assert (await slow).status_code == 200
        assert (await send(client, "insert")).status_code == 201


async def test_it_starts_without_its_database_and_is_ready_when_that_answers(url: str, fail_points: FailPoints) -> None:
    fail_points.set("ping", errorCode=6)
    async with service(url) as client:
        assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        answer = await send(client, "insert")
        assert problem_of(answer, 503, "Service Unavailable")["detail"] == NOT_CONNECTED_YET
        assert answer.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)
        fail_points.clear()
        async with asyncio.timeout(30):  # a bound on hanging
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0)
        assert (await send(client, "insert")).status_code == 201
