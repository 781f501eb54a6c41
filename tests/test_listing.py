"""Lists: filters, orders, cursors and what else a list's parameters ask for."""

import asyncio
import math
import random
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import bson
import httpx2
import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

from students_api import cursors
from students_api.cursors import Position
from students_api.database import Database
from students_api.students.student import StudentQuery
from tests.conftest import JANE
from tests.test_bad_input import is_validation_problem

SORTS = list(StudentQuery.orders)
PEOPLE = [
    {"name": name, "email": f"{name.split()[0].lower()}@example.com", "course": course, "gpa": gpa}
    for name, course, gpa in [
        ("Ada King", "Mathematics", 4.0),
        ("Grace Hopper", "Mathematics", 3.7),
        ("Alan Turing", "Mathematics", 3.7),
        ("Marie Curie", "Physics", 4.0),
        ("Lise Meitner", "Physics", 3.1),
        ("José Martí", "Letters", 2.5),
        ("Jane Doe", "Letters", 0.5),
    ]
]


async def students(client: httpx2.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/students/", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["students"]
    return found


async def names(client: httpx2.AsyncClient, **query: Any) -> list[str]:
    return [student["name"].split()[0] for student in await students(client, **query)]


async def walk(client: httpx2.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """Everything on every page, by cursor."""
    seen: list[dict[str, Any]] = []
    for _ in range(200):
        answer = await client.get("/students/", params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        seen += page["students"]
        if page["next_cursor"] is None:
            return seen
        assert len(page["students"]) == query["limit"]
        query["cursor"] = page["next_cursor"]
    raise AssertionError("no end")


@pytest.fixture
async def people(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    for person in PEOPLE:
        assert (await client.post("/students/", json=JANE | person)).status_code == 201
    return client


@pytest.fixture
async def real_people(real_client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    for person in PEOPLE:
        assert (await real_client.post("/students/", json=JANE | person)).status_code == 201
    return real_client


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"name": "Ada King"}, ["Ada"]),
        ({"name": "Ada"}, []),
        ({"email": "marie@example.com"}, ["Marie"]),
        ({"course": "Physics"}, ["Marie", "Lise"]),
        ({"course": ["Physics", "Letters"]}, ["Marie", "Lise", "José", "Jane"]),
        ({"course": "Physics", "gpa__lt": 4}, ["Lise"]),
        ({"gpa": 4}, ["Ada", "Marie"]),
        ({"gpa": ["4", "3.7"], "course": "Mathematics"}, ["Ada", "Grace", "Alan"]),
        ({"gpa__gt": 3.7}, ["Ada", "Marie"]),
        ({"gpa__gte": 3.7}, ["Ada", "Grace", "Alan", "Marie"]),
        ({"gpa__lt": 2.5}, ["Jane"]),
        ({"gpa__lte": 2.5}, ["José", "Jane"]),
        ({"gpa__gt": 0.5, "gpa__lt": 3.7}, ["Lise", "José"]),
        ({"gpa": 0}, []),
        ({"gpa__gte": 0, "limit": 1}, ["Ada"]),
        ({"gpa": 9}, []),
        ({"course": ""}, []),
        ({"course": "$ne"}, []),
        ({"course": '{"$ne": null}'}, []),
        ({"name": "a\x00b"}, []),
    ],
    ids=str,
)
async def test_filters_find_what_they_say(people: httpx2.AsyncClient, query: dict[str, Any], found: list[str]) -> None:
    assert await names(people, **query) == found
    answer = (await people.get("/students/", params=query | {"count": "true", "limit": 1})).json()
    assert answer["total"] == (len(found) if query.get("limit") is None else 7)


async def test_without_count_there_is_no_total(people: httpx2.AsyncClient) -> None:
    for query in ({}, {"count": "false"}):
        assert list((await people.get("/students/", params=query)).json()) == ["students", "next_cursor"]
    answer = (await people.get("/students/?count=true&skip=5")).json()
    assert (answer["total"], len(answer["students"])) == (7, 2)


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("id", ["Ada", "Grace", "Alan", "Marie", "Lise", "José", "Jane"]),
        ("-id", ["Jane", "José", "Lise", "Marie", "Alan", "Grace", "Ada"]),
        ("gpa", ["Jane", "José", "Lise", "Grace", "Alan", "Ada", "Marie"]),
        ("-gpa", ["Marie", "Ada", "Alan", "Grace", "Lise", "José", "Jane"]),
        ("-gpa,name", ["Ada", "Marie", "Alan", "Grace", "Lise", "José", "Jane"]),
        ("name", ["Ada", "Alan", "Grace", "Jane", "José", "Lise", "Marie"]),
        ("course,-gpa", ["José", "Jane", "Ada", "Alan", "Grace", "Marie", "Lise"]),
    ],
)
async def test_an_order_is_total_and_goes_on_from_page_to_page(
    people: httpx2.AsyncClient, sort: str, found: list[str]
) -> None:
    assert await names(people, sort=sort) == found
    for limit in (1, 2, 3, 7):
        assert [one["name"].split()[0] for one in await walk(people, sort=sort, limit=limit)] == found


async def test_filters_keep_their_order_from_page_to_page(people: httpx2.AsyncClient) -> None:
    for sort in SORTS:
        for query in ({"course": "Mathematics"}, {"course": ["Physics", "Letters"]}, {"gpa__gte": 2, "gpa__lt": 4}):
            whole = await students(people, sort=sort, **query)
            assert len(whole) > 2
            assert await walk(people, sort=sort, limit=1, **query) == whole


async def test_a_field_that_older_documents_lack_is_no_end_of_a_walk(
    client: httpx2.AsyncClient, database: Database
) -> None:
    stored = [{"_id": ObjectId(), **JANE, "gpa": gpa} for gpa in (None, 1, None, 2, 1)]
    stored += [
        {key: value for key, value in document.items() if key != "gpa"} | {"_id": ObjectId()} for document in stored[:3]
    ]
    await database["students"].insert_many(stored)
    for sort in SORTS:
        whole = await students(client, sort=sort)
        assert len(whole) == 8
        for limit in (1, 2, 3):
            assert await walk(client, sort=sort, limit=limit) == whole


@pytest.mark.mongod
async def test_null_and_missing_are_the_same_place_in_every_order_and_under_every_filter(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    chance = random.Random(1)
    documents = []
    for _ in range(60):
        document: dict[str, Any] = {"_id": ObjectId(), **JANE}
        for name, values in (("name", "ab"), ("course", "AB"), ("gpa", [1, 2])):
            document[name] = chance.choice([None, *values])
            if chance.random() < 0.3:
                del document[name]
        documents.append(document)
    await real_database["students"].insert_many(documents)
    for sort in SORTS:
        for query in ({}, {"course": ["A", "B"]}, {"gpa": [1, 2]}, {"gpa__gt": 0}, {"email": JANE["email"]}):
            whole = sorted(one["id"] for one in await students(real_client, sort=sort, **query))
            for limit in (1, 7):
                seen = [one["id"] for one in await walk(real_client, sort=sort, limit=limit, **query)]
                assert sorted(seen) == whole, (sort, query)


async def test_text_with_the_sign_of_replaced_bytes_is_a_place_like_any_other(client: httpx2.AsyncClient) -> None:
    for number in (1, 2, 3):
        await client.post("/students/", json=JANE | {"name": f"A\ufffd{number}"})
    first = (await client.get("/students/?sort=name&limit=1")).json()
    await client.delete(f"/students/{first['students'][0]['id']}")
    rest = await walk(client, sort="name", limit=1, cursor=first["next_cursor"])
    assert [one["name"] for one in rest] == ["A\ufffd2", "A\ufffd3"]


@pytest.mark.mongod
@pytest.mark.parametrize("sort", ["name", "-name"])
async def test_a_walk_goes_on_past_text_that_is_no_utf_8(
    real_client: httpx2.AsyncClient, real_database: Database, sort: str
) -> None:
    await real_database["students"].drop_index("name_text_course_text_email_text")  # which keeps such text out
    for text in (b"\xe9x", b"\xe9a", b"\xf1b"):
        await real_database["students"].insert_one(RawBSONDocument(bson.encode({"name": "AB"}).replace(b"AB", text)))
    await real_database["students"].insert_many([{**JANE, "name": name} for name in ("A", "z", "\ufffda", "\uffffa")])
    whole = await students(real_client, sort=sort)
    assert await walk(real_client, sort=sort, limit=1) == whole


STRANGE: list[Any] = [
    *[None, 3, 3.0, Int64(3), Decimal128("3"), math.nan, Decimal128("NaN"), math.inf, -math.inf, -1, 9.5, Int64(2**60)],
    *["", "3", "x" * 3000, "\u00e9", True, False, b"", b"\x01", Binary(bytes(16), 4)],
    *[ObjectId("5eb7cf5a86d9755df3a6c593"), datetime(1900, 1, 1, tzinfo=UTC), datetime(2001, 2, 3, tzinfo=UTC)],
]
NOT_COMPARED: list[Any] = [
    {},
    {"a": 1},
    [],
    [1, "a"],
    Timestamp(1, 1),
    Regex("^x"),
    Regex("y"),
    Code("f()"),
    Timestamp(2, 2),
]


@pytest.mark.mongod
@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_a_walk_shows_values_of_every_type_exactly_once(
    real_client: httpx2.AsyncClient, real_database: Database, limit: int
) -> None:
    values = STRANGE + STRANGE
    random.Random(1).shuffle(values)
    await real_database["students"].insert_many(
        [{"_id": ObjectId(), **JANE, "gpa": value, "name": value} for value in values]
    )
    for sort in SORTS:
        whole = await students(real_client, sort=sort)
        assert len(whole) == len(values)
        assert [one["id"] for one in await walk(real_client, sort=sort, limit=limit)] == [one["id"] for one in whole]


@pytest.mark.mongod
@pytest.mark.parametrize("sort", ["gpa", "-gpa", "name", "-name", "-gpa,name"])
async def test_a_walk_goes_on_past_what_cannot_be_compared_though_it_may_show_it_again(
    real_client: httpx2.AsyncClient, real_database: Database, sort: str
) -> None:
    documents = [{"_id": ObjectId(), **JANE, "gpa": value} for value in [*NOT_COMPARED, 1, 2, None, "3"]]
    await real_database["students"].insert_many(documents)
    seen = [one["id"] for one in await walk(real_client, sort=sort, limit=1)]
    assert set(seen) == {str(document["_id"]) for document in documents}


@pytest.mark.mongod
async def test_a_walk_that_skips_what_cannot_be_compared_goes_on_behind_it(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    ids = [ObjectId() for _ in range(5)]
    await real_database["students"].insert_many([{"_id": one, **JANE, "gpa": Timestamp(1, 1)} for one in ids])
    first = (await real_client.get("/students/?sort=gpa&skip=1&limit=2")).json()
    rest = await walk(real_client, sort="gpa", limit=2, cursor=first["next_cursor"])
    assert [one["id"] for one in [*first["students"], *rest]] == [str(one) for one in ids[1:]]


@pytest.mark.mongod
async def test_a_walk_shows_ids_of_every_type(real_client: httpx2.AsyncClient, real_database: Database) -> None:
    ids = [
        1,
        2.5,
        "s1",
        "s2",
        ObjectId(),
        ObjectId(),
        Binary(bytes(16), 4),
        {"a": 1},
        True,
        datetime(2001, 2, 3, tzinfo=UTC),
    ]
    for student_id in ids:
        await real_database["students"].insert_one({"_id": student_id, **JANE})
    for sort in SORTS:
        assert await walk(real_client, sort=sort, limit=1) == await students(real_client, sort=sort)


async def test_a_cursor_is_refused_with_other_filters_another_order_or_damaged(people: httpx2.AsyncClient) -> None:
    query = {"course": "Mathematics", "sort": "-gpa", "limit": "1"}
    cursor = (await people.get("/students/", params=query)).json()["next_cursor"]
    assert cursor.replace("-", "").replace("_", "").isalnum()
    for allowed in ({"limit": "2"}, {"count": "true"}, {"fields": "name"}):
        assert (await people.get("/students/", params=query | allowed | {"cursor": cursor})).status_code == 200
    for other in ({"course": "Physics"}, {"sort": "gpa"}, {"name": "Ada"}, {"gpa__lt": "3"}):
        answer = await people.get("/students/", params=query | other | {"cursor": cursor})
        assert is_validation_problem(answer, "query", "cursor")
    damaged = [
        cursor[:-1],
        cursor + "A",
        cursor + "=",
        cursor[1:],
        cursor.swapcase(),
        "",
        "A",
        "x" * 5000,
        "é",
        "🎓",
        "\x00",
    ]
    damaged += [
        cursor[:index] + ("B" if cursor[index] == "A" else "A") + cursor[index + 1 :] for index in range(len(cursor))
    ]
    for text in damaged:
        assert is_validation_problem(await people.get("/students/", params=query | {"cursor": text}), "query", "cursor")


@pytest.mark.parametrize("values", [["{$ne: null}", None], ["$name", "$$ROOT"], [True, 1.5], [None, b"x"]], ids=str)
async def test_a_forged_cursor_is_a_place_and_never_a_query(people: httpx2.AsyncClient, values: list[Any]) -> None:
    query = StudentQuery.model_validate({"sort": "name"})
    cursor = cursors.encode(Position(values), query.context())
    answer = await people.get("/students/", params={"sort": "name", "cursor": cursor})
    assert (answer.status_code, answer.json()["next_cursor"]) == (200, None)


@pytest.mark.parametrize(
    "data",
    [
        {}, {"values": 1, "skip": 0}, {"values": None, "skip": -1}, {"values": None, "skip": 2**40}, {"skip": 0},
        {"values": None}, {"values": None, "skip": "1"}, {"values": [Regex(".*")], "skip": 0},
        {"values": [["a"]], "skip": 0}, {"values": [Code("x")], "skip": 0}, {"values": [], "skip": 0},
        {"values": [Regex(".*"), "a"], "skip": 0}, {"values": ["a", Regex(".*")], "skip": 0},
        {"values": ["a", {"$ne": None}], "skip": 0}, {"values": [{"a": {"a": {}}}, "a"], "skip": 0},
        {"values": ["a", ["a"]], "skip": 0}, {"values": [Code("x"), None], "skip": 0},
        {"values": ["a"] * 9, "skip": 0}, {"values": ["a"], "skip": 0},
    ],
    ids=str,
)  # fmt: skip
async def test_a_forged_cursor_of_another_form_is_refused(people: httpx2.AsyncClient, data: dict[str, Any]) -> None:
    query = StudentQuery.model_validate({"sort": "name"})
    raw = bson.encode(data)
    cursor = cursors.sealed(raw, query.context())
    answer = await people.get("/students/", params={"sort": "name", "cursor": cursor})
    assert is_validation_problem(answer, "query", "cursor")


async def test_fields_chooses_the_keys(people: httpx2.AsyncClient) -> None:
    for fields, keys in [("name", ["id", "name"]), ("gpa,name", ["id", "name", "gpa"]), ("id", ["id"])]:
        for student in await walk(people, fields=fields, limit=3, sort="-gpa"):
            assert list(student) == keys


async def test_link_names_the_next_page_and_the_first_with_every_parameter(people: httpx2.AsyncClient) -> None:
    answer = await people.get(
        "/students", params={"course": "Mathematics", "limit": 1, "skip": 1, "fields": "name,gpa"}
    )
    links = {relation: target for target, relation in re.findall('<(.+?)>; rel="(.+?)"', answer.headers["Link"])}
    assert list(links) == ["first", "next"]
    kept = [("course", "Mathematics"), ("limit", "1"), ("fields", "name,gpa")]
    for relation, more in (("first", []), ("next", [("cursor", answer.json()["next_cursor"])])):
        target = urlsplit(links[relation])
        assert (target.netloc, target.path, parse_qsl(target.query)) == ("", "/students/", kept + more)
    last = await people.get(links["next"])
    assert [one["name"] for one in last.json()["students"]] == ["Alan Turing"]
    assert last.headers["Link"].count("rel=") == 1
    assert (await people.get("/students/")).headers["Link"] == '</students/>; rel="first"'


@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ("sort=nmae", "sort"), ("sort=", "sort"), ("sort=gpa,gpa", "sort"), ("sort=--gpa", "sort"),
        ("sort=version", "sort"), ("fields=nmae", "fields"), ("fields=", "fields"), ("fields=name,", "fields"),
        ("fields=version", "fields"),
        ("gpa=x", "gpa"), ("gpa=", "gpa"), ("gpa__gt=NaN", "gpa__gt"), ("gpa__lt=Infinity", "gpa__lt"),
        ("gpa__gte=1e999", "gpa__gte"), ("gpa__lte=", "gpa__lte"), ("gpa__ne=1", "gpa__ne"), ("name__gt=a", "name__gt"),
        ("version=1", "version"), ("_id=1", "_id"), ("name[$ne]=x", "name[$ne]"), ("count=maybe", "count"),
        ("q=", "q"), ("q=%20", "q"), ("q=--", "q"), ("q=_", "q"), ("q=" + "x" * 201, "q"),
        ("&".join(["name=a"] * 21), "name"),
    ],
    ids=lambda value: value[:20],
)  # fmt: skip
async def test_a_parameter_that_is_not_served_or_not_of_its_type_is_refused(
    client: httpx2.AsyncClient, query: str, loc: str
) -> None:
    assert loc in {error["loc"][1] for error in (await client.get(f"/students/?{query}")).json()["errors"]}


async def test_skip_and_cursor_exclude_each_other(people: httpx2.AsyncClient) -> None:
    cursor = (await people.get("/students/?limit=1")).json()["next_cursor"]
    assert is_validation_problem(await people.get(f"/students/?limit=1&skip=1&cursor={cursor}"), "query")
    assert await names(people, limit=1, skip=0, cursor=cursor) == ["Grace"]


@pytest.mark.mongod
@pytest.mark.slow
@pytest.mark.parametrize("sort", ["id", "-id", "gpa", "-gpa,name", "course,-gpa"])
async def test_a_walk_shows_each_student_that_is_there_all_along_exactly_once_while_others_come_and_go(
    real_client: httpx2.AsyncClient, real_database: Database, sort: str
) -> None:
    chance = random.Random(1)

    def somebody() -> dict[str, Any]:
        course = chance.choice(["Physics", "Letters", "Mathematics"])
        return JANE | {"name": f"Name {chance.randrange(50)}", "course": course, "gpa": chance.choice([1, 2, 2.5, 3])}

    there = [{"_id": ObjectId(), **somebody()} for _ in range(600)]
    await real_database["students"].insert_many(there)
    walking, changes = True, 0

    async def come_and_go() -> None:
        nonlocal changes
        passing: list[str] = []
        while walking:
            passing.append((await real_client.post("/students/", json=somebody())).headers["Location"])
            changes += 1
            if len(passing) > 5:
                assert (await real_client.delete(passing.pop(chance.randrange(len(passing))))).status_code == 204
                changes += 1

    others = [asyncio.create_task(come_and_go()) for _ in range(4)]
    pages = 0
    seen: list[str] = []
    query: dict[str, Any] = {"sort": sort, "limit": 10}
    while query.get("cursor", "") is not None:
        page = (await real_client.get("/students/", params=query)).json()
        seen += [student["id"] for student in page["students"]]
        query["cursor"] = page["next_cursor"]
        pages += 1
        while changes < pages and walking:  # at least one change to each page
            await asyncio.sleep(0)
        if len(seen) > 600 and sort == "id":
            walking = False  # or the walk would follow those that come for ever
    walking = False
    await asyncio.gather(*others)
    assert len(seen) == len(set(seen))
    assert {str(student["_id"]) for student in there} <= set(seen)


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("jane", ["Jane"]), ("JANE doe", ["Jane"]), ("jose", ["José"]), ("letters", ["José", "Jane"]),
        ("letters jane", ["Jane"]), ("ada physics", []), ("marie@example.com", ["Marie"]), ("king -ada", ["Ada"]),
        ('"ada king"', ["Ada"]), ('jane"', ["Jane"]), ("ada -", ["Ada"]),
        ("!doe_", ["Jane"]), ("math", []),
        ("ada math", ["Ada"]), ("the", []), ("$where jane", []), ("a\\", []),
    ],
)  # fmt: skip
async def test_q_finds_words_all_of_them(real_people: httpx2.AsyncClient, words: str, found: list[str]) -> None:
    assert await names(real_people, q=words) == found


@pytest.mark.mongod
async def test_q_goes_with_filters_orders_and_cursors(real_people: httpx2.AsyncClient) -> None:
    assert await names(real_people, q="example", sort="-gpa,name", course="Mathematics") == ["Ada", "Alan", "Grace"]
    whole = await students(real_people, q="mathematics", sort="name")
    assert await walk(real_people, q="mathematics", sort="name", limit=1) == whole
    assert (await real_people.get("/students/?q=mathematics&count=true&limit=1")).json()["total"] == 3
