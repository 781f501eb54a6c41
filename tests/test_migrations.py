"""Adopting the tutorial's collection, forward and backward, through the command and through Beanie's own."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, ObjectId

from students_api.mongodb.driver import Database
from students_api.odm import migrations
from students_api.settings import StartUpError
from tests.conftest import JANE, STORED_JANE, client_of
from tests.service import environment, run
from tests.test_stored_documents import ODD_IDS

pytestmark = pytest.mark.mongod

PROJECT = Path(__file__).parents[1]
ADOPTION = "20261122120000_adopt_the_tutorials_collection.py"
MADE = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _adoption_alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In this process there is no other migration, whatever a school has added."""
    folder = tmp_path_factory.mktemp("migrations")
    shutil.copy(migrations.PATH / ADOPTION, folder)
    monkeypatch.setattr(migrations, "PATH", folder)


def report(*applied: str) -> str:
    """What the command prints of all the migrations that there are."""
    names = sorted(path.name for path in (PROJECT / "migrations").glob("[!_]*.py"))
    return "".join(f"{'applied' if name in applied else 'pending'}  {name}\n" for name in names)


async def fill(database: Database, count: int = 3) -> list[dict[str, Any]]:
    """Store what the tutorial's app stores, and some that only look like it."""
    made = [ObjectId.from_datetime(MADE), *[ObjectId() for _ in range(count - 1)]]
    documents: list[dict[str, Any]] = [{"_id": one, **STORED_JANE, "locker": {"n": Decimal128("1.5")}} for one in made]
    documents += [
        {"_id": "an id of another type", **STORED_JANE},
        {"_id": 7, "name": "only a name"},
        {"_id": ObjectId(), **STORED_JANE, "created_at": MADE},
    ]
    await database["students"].insert_many(documents)
    return await stored(database)


async def stored(database: Database) -> list[dict[str, Any]]:
    return await database["students"].find(sort=[("_id", 1)]).to_list(None)


async def test_forward_gives_version_0_and_the_time_of_the_object_id(real_database: Database) -> None:
    before = await fill(real_database)
    await migrations.run(real_database, backward=False, distance=0)
    after = await stored(real_database)
    for old, new in zip(before, after, strict=True):
        expected: dict[str, Any] = {"version": 0}
        if isinstance(old["_id"], ObjectId):
            expected |= {"created_at": old["_id"].generation_time, "updated_at": old["_id"].generation_time}
        assert new == expected | old
    assert MADE in [document.get("created_at") for document in after]


async def test_forward_is_idempotent_and_leaves_what_the_service_wrote(real_database: Database) -> None:
    await fill(real_database)
    async with client_of(real_database) as client:
        (jane, *_) = (await client.get("/students/")).json()["students"][2:]
        await client.put(f"/students/{jane['id']}", json={"gpa": 1})
        await client.post("/students/", json=JANE)
    written = {document["_id"]: document for document in await stored(real_database) if document.get("version") == 1}
    assert len(written) == 2
    await migrations.run(real_database, backward=False, distance=0)
    once = await stored(real_database)
    await migrations.run(real_database, backward=True, distance=0)
    await migrations.run(real_database, backward=False, distance=0)
    assert await stored(real_database) == once
    for document in once:
        if document["_id"] in written:
            assert document | written[document["_id"]] == document


@pytest.mark.parametrize("odd", ODD_IDS, ids=repr)
async def test_an_id_of_any_type_is_adopted_and_given_back(real_database: Database, odd: object) -> None:
    await real_database["students"].insert_one({"_id": odd, **STORED_JANE})
    (before,) = await stored(real_database)
    await migrations.run(real_database, backward=False, distance=0)
    assert [repr(document) for document in await stored(real_database)] == [repr(before | {"version": 0})]
    await migrations.run(real_database, backward=True, distance=0)
    assert [repr(document) for document in await stored(real_database)] == [repr(before)]


async def test_backward_takes_away_what_forward_gave_and_nothing_else(real_database: Database) -> None:
    before = await fill(real_database)
    await migrations.run(real_database, backward=False, distance=0)
    async with client_of(real_database) as client:
        created = (await client.post("/students/", json=JANE)).json()
    await migrations.run(real_database, backward=True, distance=0)
    after = await stored(real_database)
    assert after[:-1] == before
    assert after[-1]["_id"] == ObjectId(created["id"])
    assert after[-1]["version"] == 1


async def test_it_works_in_batches(real_database: Database) -> None:
    before = await fill(real_database, count=2500)
    await real_database.command({"profile": 2})
    await migrations.run(real_database, backward=False, distance=0)
    await real_database.command({"profile": 0})
    updates = await real_database["system.profile"].find({"op": "update", "ns": "college.students"}).to_list(None)
    await real_database.drop_collection("system.profile")
    assert [update["nMatched"] for update in updates] == [1000, 1000, 503]
    assert await real_database["students"].count_documents({"version": 0}) == 2503
    await migrations.run(real_database, backward=True, distance=0)
    assert await stored(real_database) == before


async def test_it_goes_on_after_an_interruption(real_database: Database) -> None:
    await fill(real_database, count=10)
    ids = [document["_id"] for document in await stored(real_database)]
    await migrations.run(real_database, backward=False, distance=0)
    whole = await stored(real_database)
    unset = {"$unset": {"version": "", "created_at": "", "updated_at": ""}}
    await real_database["students"].update_many({"_id": {"$in": ids[5:-1]}}, unset)
    await real_database["students"].update_one({"_id": ids[4]}, {"$unset": {"updated_at": ""}})
    await real_database["migrations_log"].delete_many({})
    await migrations.run(real_database, backward=False, distance=0)
    assert await stored(real_database) == whole


async def test_the_first_change_of_an_adopted_document_makes_it_version_1(real_database: Database) -> None:
    """As that of one that was not adopted does: it counts as version 0."""
    await fill(real_database)
    await migrations.run(real_database, backward=False, distance=0)
    async with client_of(real_database) as client:
        student_id = str((await stored(real_database))[2]["_id"])
        await client.put(f"/students/{student_id}", json={"gpa": 1})
    document = await real_database["students"].find_one({"_id": ObjectId(student_id)})
    assert document is not None
    assert document["version"] == 1


async def said_at_start(database: Database, caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    async with client_of(database):
        pass
    return [record.getMessage() for record in caplog.records if "ending migrations" in record.getMessage()]


async def test_what_is_pending_is_said_at_start_in_one_line_but_not_of_an_empty_database(
    real_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert await said_at_start(real_database, caplog) == []
    await fill(real_database)
    (line,) = await said_at_start(real_database, caplog)
    assert line == f"Pending migrations: {ADOPTION}. Run `students-api migrate`."
    await migrations.run(real_database, backward=False, distance=0)
    assert await said_at_start(real_database, caplog) == []


async def test_the_service_works_on_a_collection_that_was_not_migrated(real_database: Database) -> None:
    await fill(real_database)
    async with client_of(real_database) as client:
        students = (await client.get("/students/")).json()["students"]
        assert len(students) == 6
        path = f"/students/{students[2]['id']}"
        assert (await client.get(path)).json() == students[2]
        assert (await client.put(path, json={"gpa": 4})).json() == students[2] | {"gpa": 4}
        assert (await client.delete(path)).status_code == 204


async def test_what_a_newer_version_has_migrated_is_left_alone(real_database: Database) -> None:
    await fill(real_database)
    await migrations.run(real_database, backward=False, distance=0)
    await real_database["migrations_log"].update_one({}, {"$set": {"name": "20990101000000_later.py"}})
    assert await migrations.pending(real_database) == []
    for backward in (False, True):
        with pytest.raises(StartUpError, match="20990101000000_later"):
            await migrations.run(real_database, backward=backward, distance=0)


async def test_they_leave_indexes_alone(real_database: Database) -> None:
    await real_database["students"].create_index("locker")
    await migrations.run(real_database, backward=False, distance=0)
    await migrations.run(real_database, backward=True, distance=0)
    assert "locker_1" in await real_database["students"].index_information()
    await real_database["students"].drop_index("locker_1")


@pytest.mark.slow
async def test_the_command_runs_them_with_the_services_own_settings(
    real_database: Database, mongodb_url: str, tmp_path: Path
) -> None:
    before = await fill(real_database)

    def command(*arguments: str) -> str:
        done = run("migrate", *arguments, cwd=tmp_path, MONGODB_URL=mongodb_url)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert command("--status") == report()
    assert command("--distance", "1") == report(ADOPTION)
    assert command("--status") == report(ADOPTION)
    assert await real_database["students"].count_documents({"version": 0}) == 6
    assert command("--backward", "--distance", "1") == report()
    assert await stored(real_database) == before


@pytest.mark.slow
async def test_beanies_own_command_runs_them_too(real_database: Database, mongodb_url: str) -> None:
    before = await fill(real_database)

    def beanie(*arguments: str) -> None:
        subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "beanie.executors.migrate",
                "migrate",
                "-uri",
                mongodb_url,
                *arguments,
            ],
            cwd=PROJECT,
            env=environment({}),
            check=True,
            capture_output=True,
        )

    beanie("--distance", "1")
    assert await real_database["students"].count_documents({"version": 0}) == 6
    assert await migrations.pending(real_database) == []
    beanie("--backward", "--no-use-transaction")
    assert await stored(real_database) == before


@pytest.mark.slow
async def test_they_travel_in_the_wheel(real_database: Database, mongodb_url: str, tmp_path: Path) -> None:
    await fill(real_database)
    dist, installed = tmp_path / "dist", tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", dist],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    (wheel,) = dist.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, installed], check=True)
    done = run("migrate", "--distance", "1", cwd=tmp_path, MONGODB_URL=mongodb_url, PYTHONPATH=str(installed))
    assert (done.returncode, done.stdout) == (0, report(ADOPTION)), done.stderr
    where = [sys.executable, "-c", "from students_api.odm import migrations; print(migrations.PATH)"]
    path = subprocess.run(
        where, cwd=tmp_path, env=environment({"PYTHONPATH": str(installed)}), capture_output=True, text=True, check=True
    )
    assert path.stdout.strip() == str(installed / "students_api" / "migrations")
