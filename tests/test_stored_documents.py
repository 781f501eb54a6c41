"""Documents that another program stored, whatever they hold, are served as they are and can be mended."""

import asyncio
import math
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID

import bson
import httpx2
import pytest
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

from students_api.mongodb.driver import Database
from students_api.operations.check import check_database
from students_api.students.student import Student
from tests.conftest import JANE, STORED_JANE, client_of
from tests.resources import STUDENTS, Resource

STORED_AND_SERVED: dict[str, tuple[Any, Any, Any]] = {
    "an integer": (9, "9", 9),
    "an Int64": (Int64(2**60), str(2**60), 2**60),
    "a number out of range": (9.5, "9.5", 9.5),
    "NaN": (math.nan, None, None),
    "infinity": (math.inf, None, None),
    "a decimal": (Decimal128("3.25"), "3.25", 3.25),
    "a decimal that is no float": (Decimal128("0.1000000000000000000001"), "0.1000000000000000000001", None),
    "a decimal NaN": (Decimal128("NaN"), None, None),
    "a signalling decimal NaN": (Decimal128("sNaN"), None, None),
    "a decimal beyond any float": (Decimal128("1e6000"), "1E+6000", None),
    "text": ("three", "three", None),
    "a number as text": ("3.5", "3.5", 3.5),
    "infinity as text": ("inf", "inf", None),
    "no text": ("", "", None),
    "long text": ("x" * 5000, "x" * 5000, None),
    "a boolean": (True, "true", None),
    "null": (None, None, None),
    "a date": (datetime(2001, 2, 3, tzinfo=UTC), None, None),
    "bytes": (b"\x00\xff", None, None),
    "binary": (Binary(b"\x00", 128), None, None),
    "text in binary": (Binary(b"3", 0), None, None),
    "a UUID": (Binary(bytes(16), 4), str(UUID(int=0)), None),
    "a UUID that is none": (Binary(b"abc", 4), None, None),
    "a pattern": (Regex("^x"), None, None),
    "code": (Code("f()"), "f()", None),
    "a timestamp": (Timestamp(1, 1), None, None),
    "the largest key": (MaxKey(), None, None),
    "an ObjectId": (ObjectId("5eb7cf5a86d9755df3a6c593"), "5eb7cf5a86d9755df3a6c593", None),
    "a list": ([1, "a"], None, None),
    "a document": ({"a": {"b": math.inf}}, None, None),
}


@pytest.mark.mongod
@pytest.mark.parametrize("case", STORED_AND_SERVED.values(), ids=STORED_AND_SERVED)
async def test_what_breaks_the_rules_is_served_in_the_json_type_of_its_field_or_as_null(
    real_client: httpx2.AsyncClient,
    resource: Resource,
    real_database: Database,
    case: tuple[Any, Any, Any],
) -> None:
    stored, as_text, as_number = case
    collection = resource.collection(real_database)
    for field in resource.plain:
        kind = resource.kinds[field]["type"]
        served = {"string": as_text, "number": as_number}.get(kind)
        if kind == "integer":
            served = None if isinstance(as_number, float) and not as_number.is_integer() else as_number
        (document,) = resource.documents(1, **{field: stored})
        await collection.insert_one(document)
        path = f"{resource.path}{document['_id']}"
        expected = {"id": str(document["_id"]), **resource.body, field: served}
        one = await real_client.get(path)
        assert (one.status_code, one.json()) == (200, expected)
        assert await resource.listed(real_client) == [expected]
        value = next(value for value in resource.values[field] if value is not None)
        mended = await real_client.put(path, json={field: value})
        assert (mended.status_code, mended.json()) == (200, expected | {field: value})
        await collection.delete_many({})


async def test_a_missing_field_is_null(client: httpx2.AsyncClient, resource: Resource, database: Database) -> None:
    for field in resource.fields:
        (document,) = resource.documents(1)
        document.pop(field, None)
        await resource.collection(database).insert_one(document)
        expected = {"id": str(document["_id"]), **resource.body, field: None}
        assert (await client.get(f"{resource.path}{document['_id']}")).json() == expected
        assert await resource.listed(client) == [expected]
        await resource.collection(database).delete_many({})


async def test_an_update_of_a_document_that_breaks_a_rule_elsewhere_answers_it(
    client: httpx2.AsyncClient, resource: Resource, database: Database
) -> None:
    for change in resource.changes:
        unique = resource.unique  # whose values mongomock wants to hash
        broken = {field: {"a": 9} for field in resource.plain if field not in {*change, *unique}}
        id_ = ObjectId()
        await resource.collection(database).insert_one({"_id": id_, **broken})
        answer = await client.put(f"{resource.path}{id_}", json=change)
        expected = {"id": str(id_), **dict.fromkeys(resource.fields), **change}
        assert (answer.status_code, answer.json()) == (200, expected)
        await resource.collection(database).delete_many({})


@pytest.mark.mongod
async def test_ids_that_are_no_object_ids_are_listed_as_their_text(
    real_client: httpx2.AsyncClient, resource: Resource, real_database: Database
) -> None:
    key = ObjectId()
    texts: dict[Any, str] = {
        MinKey(): "MinKey()", None: "null", 1.5: "1.5", 2: "2", "s1": "s1", Binary(bytes(16), 4): str(UUID(int=0)),
        key: str(key), True: "true", datetime(2001, 2, 3, tzinfo=UTC): "2001-02-03T00:00:00+00:00",
    }  # fmt: skip
    for id_, document in zip(texts, resource.documents(len(texts)), strict=True):
        await resource.collection(real_database).insert_one(document | {"_id": id_})
    assert [one["id"] for one in await resource.listed(real_client)] == [*texts.values()]


@pytest.mark.mongod
async def test_text_that_is_no_utf_8_and_a_date_beyond_the_year_9999_do_not_break_the_list(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    await real_database["students"].drop_index(STUDENTS.text_index)  # which keeps such text out
    one, two = STUDENTS.documents(2)
    del one["email"]
    two["email"] = DatetimeMS(2**60)
    latin_1 = RawBSONDocument(bson.encode(one | {"name": "~~"}).replace(b"~~", b"\xe9\xff"))
    await real_database["students"].insert_many([latin_1, two])
    students = (await real_client.get("/students/")).json()["students"]
    assert [(student["name"], student["email"]) for student in students] == [
        ("\ufffd\ufffd", None),
        ("Jane Doe", None),
    ]


@pytest.mark.mongod
async def test_a_document_of_the_tutorials_app_counts_as_version_0(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    student_id = ObjectId()
    await real_database["students"].insert_one({"_id": student_id, **STORED_JANE})
    await real_client.put(f"/students/{student_id}", json={"gpa": 1})
    stored = await real_database["students"].find_one()
    assert stored is not None
    assert stored["version"] == 1


@pytest.mark.mongod
async def test_an_index_that_somebody_made_over_the_same_field_does_not_keep_the_service_from_starting(
    real_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    students = real_database["students"]
    await students.drop()
    await students.create_index([("course", 1), ("_id", 1)], name="mine")
    async with client_of(real_database) as client:
        assert (await client.post("/students/", json=JANE)).status_code == 201
    assert "An index that the documents declare cannot be built" in caplog.text
    indexes = set(await students.index_information())
    assert {"mine", "gpa_1__id_1"} <= indexes
    assert "course_1__id_1" not in indexes
    await students.drop()


ODD_IDS = [
    1, Int64(2**60), 1.5, math.nan, True, "s1", "", None, datetime(2001, 2, 3, tzinfo=UTC), DatetimeMS(2**60),
    Binary(b"a", 128), Timestamp(1, 1), MinKey(), MaxKey(), Code("f()"), {"a": {"b": [1]}}, Decimal128("2.5"),
]  # fmt: skip


@pytest.mark.mongod
async def test_a_collection_of_nothing_but_such_documents_is_listed_counted_checked_and_mended(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    students = real_database["students"]
    fields = ["name", "email", "course", "gpa"]
    stored_janes = iter(STUDENTS.documents(len(fields) * (1 + len(STORED_AND_SERVED)) + len(ODD_IDS)))
    broken = {
        ObjectId(): {name: value for name, value in next(stored_janes).items() if name != field} for field in fields
    }
    wrong = dict(zip(broken, fields, strict=True))
    for field, (kind, (stored, *_)) in product(fields, STORED_AND_SERVED.items()):
        if not (field in {"name", "course"} and kind in {"text", "a number as text", "infinity as text"}):
            broken[key := ObjectId()] = next(stored_janes) | {field: stored}
            wrong[key] = field
    await students.insert_many([document | {"_id": key} for key, document in broken.items()])
    await students.insert_many([next(stored_janes) | {"_id": odd} for odd in ODD_IDS])
    everyone = len(broken) + len(ODD_IDS)

    for sort in ("id", "-id", "gpa", "-gpa,name", "course,name", "email"):
        found = await walk(real_client, everyone, sort=sort, limit=10, count=True)
        assert len(found) >= everyone  # those whose key has no order may come twice
        assert {str(key) for key in broken} <= set(found)

    findings = await rules_broken(real_database)
    for key, field in wrong.items():
        assert any(text.startswith(f"students {key}: {field}: ") for text in findings), broken[key]
    for odd in ODD_IDS:
        assert any(text.startswith(f"students {odd}: _id: ") for text in findings), odd
    assert f"documents of students: {everyone} of {everyone} are invalid" in findings

    for key, field in wrong.items():
        mended = await real_client.put(f"/students/{key}", json={field: JANE[field]})
        expected = {"id": str(key), **JANE}
        alike = expected.keys() - STUDENTS.unique
        assert mended.json().keys() == expected.keys()
        assert (mended.status_code, {name: mended.json()[name] for name in alike}) == (
            200,
            {name: expected[name] for name in alike},
        )
    findings = await rules_broken(real_database)
    assert f"documents of students: {len(ODD_IDS)} of {everyone} are invalid" in findings


async def walk(client: httpx2.AsyncClient, total: int, **query: Any) -> list[str]:
    """The ids on all pages."""
    found: list[str] = []
    while True:
        page = (await client.get("/students/", params=query)).json()
        assert page["total"] == total
        found += [str(student["id"]) for student in page["students"]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


async def rules_broken(database: Database) -> list[str]:
    return [finding.text async for finding in check_database(database, [Student]) if not finding.ok]


ODD_VERSIONS = {
    "text": "three",
    "null": None,
    "a boolean": True,
    "negative": -5,
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "the last integer": 2**63 - 1,
    "beyond the last integer": 2.0**63,
    "a decimal NaN": Decimal128("NaN"),
    "a large decimal": Decimal128("1e30"),
    "a list": [1, 2],
    "a list of lists": [[1]],
    "an empty list": [],
    "a document": {"0": 1},
    "a date": datetime(2001, 2, 3, tzinfo=UTC),
}


@pytest.mark.mongod
@pytest.mark.parametrize("version", ODD_VERSIONS.values(), ids=ODD_VERSIONS)
@pytest.mark.parametrize("conditional", [False, True])
async def test_a_version_that_is_none_is_mended_by_an_update_and_keeps_writers_apart(
    real_client: httpx2.AsyncClient,
    resource: Resource,
    real_database: Database,
    version: object,
    *,
    conditional: bool,
) -> None:
    (document,) = resource.documents(1, version=version)
    await resource.collection(real_database).insert_one(document)
    path, change, known = f"{resource.path}{document['_id']}", resource.changes[0], {"If-Match": '"0"'}
    expected = {"id": str(document["_id"]), **resource.body, **change}
    assert (await real_client.get(path)).headers["ETag"] == '"0"'
    changed = await real_client.put(path, json=change, headers=known if conditional else {})
    assert (changed.status_code, changed.headers["ETag"], changed.json()) == (200, '"1"', expected)
    assert (await real_client.put(path, json=change, headers=known)).status_code == 412
    again = await real_client.put(path, json=change, headers={"If-Match": '"1"'})
    assert (again.status_code, again.headers["ETag"]) == (200, '"2"')
    assert (await real_client.delete(path, headers=known)).status_code == 412
    assert (await real_client.delete(path, headers={"If-Match": '"2"'})).status_code == 204


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("stored", "counted"),
    [({}, (0, 1)), ({"version": 0}, (0, 1)), ({"version": Int64(7)}, (7, 8)), ({"version": 1.5}, (1, 2)),
     ({"version": Decimal128("4")}, (4, 5)), ({"version": 2**63 - 2}, (2**63 - 2, 0))],
    ids=str,
)  # fmt: skip
async def test_a_version_is_counted_on_whatever_number_it_is(
    real_client: httpx2.AsyncClient,
    resource: Resource,
    real_database: Database,
    stored: dict[str, Any],
    counted: tuple[int, int],
) -> None:
    before, after = (f'"{version}"' for version in counted)
    (document,) = resource.documents(1, **stored)
    await resource.collection(real_database).insert_one(document)
    path = f"{resource.path}{document['_id']}"
    assert (await real_client.get(path)).headers["ETag"] == before
    changed = await real_client.put(path, json=resource.changes[0], headers={"If-Match": before})
    assert (changed.status_code, changed.headers["ETag"]) == (200, after)


@pytest.mark.mongod
async def test_several_who_mend_one_version_at_once_all_go_through(
    real_client: httpx2.AsyncClient, resource: Resource, real_database: Database
) -> None:
    for _ in range(20):
        (document,) = resource.documents(1, version="three")
        await resource.collection(real_database).insert_one(document)
        path = f"{resource.path}{document['_id']}"
        answers = await asyncio.gather(*[real_client.put(path, json=resource.changes[0]) for _ in range(4)])
        assert [answer.status_code for answer in answers] == [200] * 4
        assert sorted(answer.headers["ETag"] for answer in answers) == ['"1"', '"2"', '"3"', '"4"']
        await resource.collection(real_database).delete_many({})
