"""Documents of the tutorial's first app have text as `_id`: they get an ObjectId, and have the text again backward."""

import asyncio
import importlib.util
from typing import Any

import pytest
from beanie import init_beanie
from bson import DBRef, ObjectId

from students_api.mongodb.driver import ON_MOTOR, Database
from students_api.odm import migrations
from tests.conftest import STORED_JANE, client_of
from tests.service import run

pytestmark = pytest.mark.mongod

NAME = "20261127090000_give_ids_of_text_an_object_id.py"
MANY = 105


def load(path: Any) -> Any:
    spec = importlib.util.spec_from_file_location("text_ids", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MIGRATION = load(migrations.PATH / NAME)


class KilledError(Exception):
    """In the place of `kill -9`: nothing runs after it."""


class Killing:
    """A collection that is killed at one of its writes, before MongoDB has it, or after."""

    WRITES = ("insert_one", "insert_many", "delete_one", "delete_many", "replace_one", "update_one")

    def __init__(self, collection: Any, moments: list[bool]) -> None:
        self.collection, self.moments = collection, moments

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.collection, name)
        if name not in self.WRITES:
            return method

        async def write(*args: Any, **kwargs: Any) -> Any:
            if self.moments.pop(0):
                raise KilledError
            return await method(*args, **kwargs)

        return write


@pytest.fixture
async def students(real_database: Database) -> Any:
    """A unique index, as a school has it, on the collection of the first app's documents."""
    await init_beanie(real_database, document_models=[MIGRATION.Student], skip_indexes=True)
    students = real_database["students"]
    await students.create_index("email", unique=True, name="unique_email")
    yield students
    await students.drop_index("unique_email")


def documents(count: int = 3) -> list[dict[str, Any]]:
    return [
        {"_id": str(ObjectId()), **STORED_JANE, "email": f"{number}@example.com", "gpa": 0, "version": number % 2}
        for number in range(count)
    ]


async def migrate(database: Database, *, backward: bool = False, transactions: bool = True, dies: int = -1) -> None:
    client: Any = database.client
    async with await client.start_session() if ON_MOTOR else client.start_session() as session:
        mover = MIGRATION.Mover(session)
        moments = [moment == dies for moment in range(10_000)]
        mover.students, mover.pairs = Killing(mover.students, moments), Killing(mover.pairs, moments)
        start = mover.start

        async def begin() -> None:
            await start()
            mover.has_transactions = transactions

        mover.start = begin
        work = MIGRATION.restore_text if backward else MIGRATION.give_object_ids
        await work(mover)


async def stored(students: Any) -> dict[str, Any]:
    return {document["email"]: document async for document in students.find({})}


def with_object_ids(before: list[dict[str, Any]]) -> dict[str, Any]:
    ids = {document["email"]: ObjectId(document["_id"]) for document in before}
    made = {email: {"created_at": new.generation_time, "updated_at": new.generation_time} for email, new in ids.items()}
    return {each["email"]: {**each, "_id": ids[each["email"]], **made[each["email"]]} for each in before}


@pytest.mark.parametrize(
    "transactions",
    [pytest.param(True, id="replica set"), pytest.param(False, id="standalone", marks=pytest.mark.any_driver)],
)
async def test_each_has_its_object_id_and_backward_its_text(
    real_database: Database, students: Any, *, transactions: bool
) -> None:
    before = documents(MANY)
    other = {"_id": ObjectId(), **STORED_JANE, "email": "other@example.com"}
    odd = {"_id": "no id of the first app", **STORED_JANE, "email": "odd@example.com"}
    await students.insert_many([*before, other, odd])
    untouched = {each["email"]: each for each in (other, odd)}
    await migrate(real_database, transactions=transactions)
    assert await stored(students) == with_object_ids(before) | untouched
    await migrate(real_database, transactions=transactions)
    await students.update_one({"email": "0@example.com"}, {"$set": {"gpa": 1}, "$inc": {"version": 1}})
    await students.delete_one({"email": "2@example.com"})
    await migrate(real_database, backward=True, transactions=transactions)
    after = await stored(students)
    changed = after.pop("0@example.com")
    assert (changed["_id"], changed["gpa"], changed["version"]) == (before[0]["_id"], 1, 1)
    kept = [each for each in before if each["email"] not in {"0@example.com", "2@example.com"}]
    # One with a version has been changed, perhaps since: it keeps its time stamps.
    expected = with_object_ids([each for each in kept if each["version"]])
    assert after == {each["email"]: expected.get(each["email"], {}) | each for each in kept} | untouched


@pytest.mark.any_driver
async def test_links_to_it_are_changed_wherever_they_are(real_database: Database, students: Any) -> None:
    one, two, _ = before = documents()
    await students.insert_many(before)
    elsewhere = DBRef("courses", one["_id"])
    enrollment = {
        "_id": 1,
        "student": DBRef("students", one["_id"]),
        "course": elsewhere,
        "deep": [{"of": [DBRef("students", two["_id"]), DBRef("students", "nobody")]}],
        "version": 4,
    }
    await real_database["enrollments"].insert_one(enrollment)
    await migrate(real_database)
    found = await real_database["enrollments"].find_one({})
    assert found == enrollment | {
        "student": DBRef("students", ObjectId(one["_id"])),
        "deep": [{"of": [DBRef("students", ObjectId(two["_id"])), DBRef("students", "nobody")]}],
    }
    await migrate(real_database, backward=True)
    assert await real_database["enrollments"].find_one({}) == enrollment


@pytest.mark.any_driver
async def test_where_the_object_id_is_taken_it_gets_another_and_the_pair_is_printed(
    real_database: Database, students: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = "6a1f8e2b9c3d4e5f6071829a"
    texts = [digits, digits.upper()]
    taken = {"_id": ObjectId(digits), **STORED_JANE, "email": "taken@example.com"}
    before = [each | {"_id": text} for each, text in zip(documents(2), texts, strict=True)]
    await students.insert_many([taken, *before])
    await migrate(real_database)
    after = await stored(students)
    assert after.pop("taken@example.com") == taken
    new = {each["_id"]: after[each["email"]]["_id"] for each in before}
    assert len({ObjectId(digits), *new.values()}) == 3
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(
        f"{old} has the new id {new[old]}" for old in texts
    )
    await migrate(real_database, backward=True)
    assert {each["_id"] for each in (await stored(students)).values()} == {ObjectId(digits), *texts}


@pytest.mark.any_driver
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("transactions", [True, False], ids=["replica set", "standalone"])
async def test_it_goes_on_after_it_was_killed_at_any_moment(
    real_database: Database, students: Any, *, transactions: bool, backward: bool
) -> None:
    for moment in range(10):
        await students.delete_many({})
        await real_database[MIGRATION.PAIRS].delete_many({})
        before = [each | {"version": 0} for each in documents(4)]
        await students.insert_many(before)
        if backward:
            await migrate(real_database, transactions=transactions)
        try:
            await migrate(real_database, backward=backward, transactions=transactions, dies=moment)
        except KilledError:
            kept = await stored(students)
            async for pair in real_database[MIGRATION.PAIRS].find({"document": {"$exists": True}}):
                kept.setdefault(pair["document"]["email"], pair["document"])
            assert len(kept) == len(before)
        else:
            assert transactions
        await migrate(real_database, backward=backward, transactions=transactions)
        expected = {each["email"]: each for each in before} if backward else with_object_ids(before)
        assert await stored(students) == expected


@pytest.mark.any_driver
@pytest.mark.parametrize("transactions", [True, False], ids=["replica set", "standalone"])
async def test_no_write_of_another_program_is_lost_beside_it(
    real_database: Database, students: Any, *, transactions: bool
) -> None:
    before = documents(MANY)
    await students.insert_many(before)
    acknowledged = dict.fromkeys([each["email"] for each in before], 0)
    done = asyncio.Event()

    async def write(part: int) -> None:
        while not done.is_set():
            for each in before[part::2]:
                ids = {"_id": {"$in": [each["_id"], ObjectId(each["_id"])]}}
                result = await students.update_one(ids, {"$inc": {"gpa": 1, "version": 1}})
                acknowledged[each["email"]] += result.modified_count

    writers = [asyncio.create_task(write(part)) for part in range(2)]
    await migrate(real_database, transactions=transactions)
    done.set()
    await asyncio.gather(*writers)
    after = await stored(students)
    assert {email: each["gpa"] for email, each in after.items()} == acknowledged
    assert all(isinstance(each["_id"], ObjectId) for each in after.values())


@pytest.mark.any_driver
async def test_a_student_with_an_id_of_text_is_found_after_the_command(
    real_database: Database, mongodb_url: str, tmp_path: Any
) -> None:
    one, *_ = before = documents()
    await real_database["students"].insert_many(before)
    path = f"/students/{one['_id']}"
    async with client_of(real_database) as client:
        assert (await client.get(path)).status_code == 404
        checked = run("check", cwd=tmp_path, MONGODB_URL=mongodb_url)
        assert f"students {one['_id']}: _id: Stored as text, not as an ObjectId" in checked.stdout
        for arguments, status in ((), 200), (("--backward",), 404), ((), 200):
            done = run("migrate", *arguments, cwd=tmp_path, MONGODB_URL=mongodb_url)
            assert done.returncode == 0, done.stderr
            assert (await client.get(path)).status_code == status
        listed = (await client.get("/students/")).json()["students"]
        assert {each["id"] for each in listed} == {each["_id"] for each in before}
        assert (await client.put(path, json={"gpa": 4})).status_code == 200
        assert (await client.delete(path)).status_code == 204
