"""Lists: filters, orders, cursors and what else a list's parameters ask for."""

import asyncio
import math
import operator
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import bson
import httpx2
import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

from students_api.mongodb.driver import Database
from students_api.resources.lists import cursors
from students_api.resources.lists.keyset import KeysetPosition, Order
from students_api.students.student import StudentQuery
from tests.conftest import JANE, create
from tests.resources import STUDENTS, Resource
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
    return await STUDENTS.listed(client, **query)


async def names(client: httpx2.AsyncClient, **query: Any) -> list[str]:
    return [student["name"].split()[0] for student in await students(client, **query)]


async def walk(client: httpx2.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    return await STUDENTS.walk(client, **query)


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "$in": operator.eq, "$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le
}  # fmt: skip


def matches(stored: Any, compared: str, value: Any) -> bool:
    """Whether what is stored, or an element of it, is what a filter is to find."""
    stored = stored if isinstance(stored, list) else [stored]
    return any(COMPARED[compared](each, value) for each in stored if each is not None)


def some_values(resource: Resource, field: str) -> list[Any]:
    """Values of a field, or of its elements: those that `items` have, and others."""
    values = [each for value in resource.values[field] for each in (value if isinstance(value, list) else [value])]
    return [value for value in values if value is not None][:5]


async def test_each_filter_finds_what_it_says(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    for parameter, (field, compared) in resource.query.filters.items():
        for value in some_values(resource, field):
            expected = [item for item in items if matches(item[field], compared, value)]
            answer = await client.get(resource.path, params={parameter: value, "count": "true"})
            assert answer.json()[resource.items] == expected, (parameter, value)
            assert answer.json()["total"] == len(expected), (parameter, value)


async def test_a_filter_that_is_given_several_times_finds_any_of_its_values(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    for parameter, (field, compared) in resource.query.filters.items():
        if compared == "$in":
            values = some_values(resource, field)[:2]
            expected = [item for item in items if any(matches(item[field], compared, value) for value in values)]
            assert await resource.listed(client, **{parameter: values}) == expected, parameter


async def test_without_count_there_is_no_total(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    for query in ({}, {"count": "false"}):
        assert list((await client.get(resource.path, params=query)).json()) == [resource.items, "next_cursor"]
    answer = (await client.get(f"{resource.path}?count=true&skip=5")).json()
    assert answer == {resource.items: items[5:], "next_cursor": None, "total": len(items)}


def in_order(items: list[dict[str, Any]], order: Order) -> list[dict[str, Any]]:
    """The items as an index has them: null comes first."""
    for stored_key, direction in reversed(order):
        key = "id" if stored_key == "_id" else stored_key
        places = [(item[key] is not None, item[key]) for item in items]
        turned = sorted(range(len(items)), key=places.__getitem__, reverse=direction < 0)
        items = [items[place] for place in turned]
    return items


async def test_each_order_is_total_and_goes_on_from_page_to_page(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    assert {"id", "-id"} <= resource.query.orders.keys()
    for sort, order in resource.query.orders.items():
        expected = in_order(items, order)
        for limit in (1, 2, 3, len(items)):
            assert await resource.walk(client, sort=sort, limit=limit) == expected, (sort, limit)


async def test_filters_keep_their_order_from_page_to_page(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    for sort, order in resource.query.orders.items():
        for parameter, (field, compared) in resource.query.filters.items():
            if compared in {"$in", "$gte"}:
                values = some_values(resource, field)[: 2 if compared == "$in" else 1]
                found = [item for item in items if any(matches(item[field], compared, value) for value in values)]
                walked = await resource.walk(client, sort=sort, limit=2, **{parameter: values})
                assert walked == in_order(found, order), (sort, parameter)


async def test_a_field_that_older_documents_lack_is_no_end_of_a_walk(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]], database: Database
) -> None:
    some = [field for field in resource.fields if field not in resource.unique]
    documents = resource.documents(2 * len(some) + len(items))[len(items) :]
    for number, field in enumerate(some):
        documents[2 * number][field] = None
        documents[2 * number + 1].pop(field, None)
    await resource.collection(database).insert_many(documents)
    for sort in resource.query.orders:
        whole = await resource.listed(client, sort=sort)
        assert len(whole) == len(documents) + len(items)
        for limit in (1, 3):
            assert await resource.walk(client, sort=sort, limit=limit) == whole


async def test_a_cursor_is_refused_with_other_filters_another_order_or_damaged(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    *_, before, sort = resource.query.orders
    query = {"sort": sort, "limit": "1"}
    cursor = (await client.get(resource.path, params=query)).json()["next_cursor"]
    assert cursor.replace("-", "").replace("_", "").isalnum()
    for allowed in ({"limit": "2"}, {"count": "true"}, {"fields": resource.fields[0]}):
        answer = await client.get(resource.path, params=query | allowed | {"cursor": cursor})
        assert (answer.status_code, answer.json()[resource.items][0]["id"]) == (
            200,
            in_order(items, resource.query.orders[sort])[1]["id"],
        )
    filters = [{name: some_values(resource, field)[0]} for name, (field, _) in resource.query.filters.items()]
    for other in ({"sort": before}, {"sort": "id"}, *filters):
        answer = await client.get(resource.path, params=query | other | {"cursor": cursor})
        assert is_validation_problem(answer, "query", "cursor")
    damaged = [
        *[cursor[:-1], cursor + "A", cursor + "=", cursor[1:], cursor.swapcase()],
        *["", "A", "x" * 5000, "é", "🎓", "\x00"],
    ]
    damaged += [
        cursor[:index] + ("B" if cursor[index] == "A" else "A") + cursor[index + 1 :] for index in range(len(cursor))
    ]
    for text in damaged:
        answer = await client.get(resource.path, params=query | {"cursor": text})
        assert is_validation_problem(answer, "query", "cursor")


async def test_fields_chooses_the_keys(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    first, last = resource.fields[0], resource.fields[-1]
    for fields, keys in [(last, ["id", last]), (f"{last},{first}", ["id", first, last]), ("id", ["id"])]:
        expected = [{key: item[key] for key in keys} for item in items]
        named = ",".join(resource.names.get(key, key) for key in fields.split(","))
        walked = await resource.walk(client, fields=named, limit=4)
        assert [list(each.items()) for each in walked] == [list(each.items()) for each in expected]


async def test_link_names_the_next_page_and_the_first_with_every_parameter(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    kept = {"sort": "-id", "limit": "4", "fields": f"id,{resource.fields[0]}"}
    answer = await client.get(resource.prefix, params=kept | {"skip": "1"})
    links = {relation: target for target, relation in re.findall('<(.+?)>; rel="(.+?)"', answer.headers["Link"])}
    assert list(links) == ["first", "next"]
    for relation, more in (("first", {}), ("next", {"cursor": answer.json()["next_cursor"]})):
        target = urlsplit(links[relation])
        assert (target.netloc, target.path, dict(parse_qsl(target.query))) == ("", resource.path, kept | more)
    last = await client.get(links["next"])
    assert [one["id"] for one in last.json()[resource.items]] == [items[0]["id"]]
    assert last.headers["Link"].count("rel=") == 1
    assert (await client.get(resource.path)).headers["Link"] == f'<{resource.path}>; rel="first"'


@pytest.mark.parametrize(
    ("query", "loc"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
     ("limit=1.5", "limit"), ("limit=" + "9" * 25, "limit"), ("limit=" + "9" * 5000, "limit"), ("limit=NaN", "limit"),
     ("skip=-1", "skip"), ("skip=10001", "skip"), ("skip=" + "9" * 25, "skip"), ("skip=%00", "skip"),
     ("sort=nmae", "sort"), ("sort=", "sort"), ("sort=version", "sort"), ("sort=id,id", "sort"), ("sort=--id", "sort"),
     ("fields=nmae", "fields"), ("fields=", "fields"), ("fields=id,", "fields"), ("fields=version", "fields"),
     ("version=1", "version"), ("_id=1", "_id"), ("id[$ne]=x", "id[$ne]"), ("count=maybe", "count"),
     ("limit=1&limit=2", "limit"), ("sort=id&limit=9&sort=-id", "sort"), ("count=true&count=true", "count")],
    ids=lambda value: value[:20],
)  # fmt: skip
async def test_a_parameter_out_of_range_unknown_or_given_twice_is_refused(
    client: httpx2.AsyncClient, resource: Resource, query: str, loc: str
) -> None:
    assert is_validation_problem(await client.get(f"{resource.path}?{query}"), "query", loc)


async def test_a_range_that_is_given_twice_is_refused(client: httpx2.AsyncClient, resource: Resource) -> None:
    for parameter, (field, compared) in resource.query.filters.items():
        if compared != "$in":
            answer = await client.get(resource.path, params={parameter: some_values(resource, field)[:2]})
            assert is_validation_problem(answer, "query", parameter)


async def test_skip_and_cursor_exclude_each_other(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    cursor = (await client.get(f"{resource.path}?limit=1")).json()["next_cursor"]
    assert is_validation_problem(await client.get(f"{resource.path}?limit=1&skip=1&cursor={cursor}"), "query")
    assert await resource.listed(client, limit=1, skip=0, cursor=cursor) == items[1:2]


@pytest.fixture
async def people(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    for student, person in zip(STUDENTS.alike(len(PEOPLE)), PEOPLE, strict=True):
        await create(client, "/students/", student | person)
    return client


@pytest.fixture
async def real_people(real_client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    for student, person in zip(STUDENTS.alike(len(PEOPLE)), PEOPLE, strict=True):
        await create(real_client, "/students/", student | person)
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
async def test_orders_are_what_they_say(people: httpx2.AsyncClient, sort: str, found: list[str]) -> None:
    assert await names(people, sort=sort) == found


@pytest.mark.any_driver
@pytest.mark.mongod
@pytest.mark.slow
async def test_null_and_missing_are_the_same_place_in_every_order_and_under_every_filter(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    chance = random.Random(1)
    documents = STUDENTS.documents(30)
    for document in documents:
        for name, values in (("name", "ab"), ("course", "AB"), ("gpa", [1, 2])):
            document[name] = chance.choice([None, *values])
            if chance.random() < 0.3:
                del document[name]
    await real_database["students"].insert_many(documents)
    for sort in SORTS:
        for query in ({}, {"course": ["A", "B"]}, {"gpa": [1, 2]}, {"gpa__gt": 0}, {"email": JANE["email"]}):
            whole = sorted(one["id"] for one in await students(real_client, sort=sort, **query))
            for limit in (1, 7):
                seen = [one["id"] for one in await walk(real_client, sort=sort, limit=limit, **query)]
                assert sorted(seen) == whole, (sort, query)


async def test_text_with_the_sign_of_replaced_bytes_is_a_place_like_any_other(client: httpx2.AsyncClient) -> None:
    for number, student in enumerate(STUDENTS.alike(3), start=1):
        await create(client, "/students/", student | {"name": f"A\ufffd{number}"})
    first = (await client.get("/students/?sort=name&limit=1")).json()
    await client.delete(f"/students/{first['students'][0]['id']}")
    rest = await walk(client, sort="name", limit=1, cursor=first["next_cursor"])
    assert [one["name"] for one in rest] == ["A\ufffd2", "A\ufffd3"]


@pytest.mark.mongod
@pytest.mark.parametrize("sort", ["name", "-name"])
async def test_a_walk_goes_on_past_text_that_is_no_utf_8(
    real_client: httpx2.AsyncClient, real_database: Database, sort: str
) -> None:
    await real_database["students"].drop_index(STUDENTS.text_index)  # which keeps such text out
    names = [b"\xe9x", b"\xe9a", b"\xf1b", b"A", b"z", "\ufffda".encode(), "\uffffa".encode()]
    for name, document in zip(names, STUDENTS.documents(len(names)), strict=True):
        raw = bson.encode(document | {"name": "~" * len(name)}).replace(b"~" * len(name), name)
        await real_database["students"].insert_one(RawBSONDocument(raw))
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


@pytest.mark.any_driver
@pytest.mark.slow
@pytest.mark.mongod
@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_a_walk_shows_values_of_every_type_exactly_once(
    real_client: httpx2.AsyncClient, real_database: Database, limit: int
) -> None:
    values = STRANGE + STRANGE
    random.Random(1).shuffle(values)
    await real_database["students"].insert_many(
        [
            document | {"gpa": value, "name": value}
            for document, value in zip(STUDENTS.documents(len(values)), values, strict=True)
        ]
    )
    for sort in [sort for sort, order in StudentQuery.orders.items() if {"gpa", "name"} & dict(order).keys()]:
        whole = await students(real_client, sort=sort)
        assert len(whole) == len(values)
        assert [one["id"] for one in await walk(real_client, sort=sort, limit=limit)] == [one["id"] for one in whole]


@pytest.mark.mongod
@pytest.mark.parametrize("sort", ["gpa", "-gpa", "name", "-name", "-gpa,name"])
async def test_a_walk_goes_on_past_what_cannot_be_compared_though_it_may_show_it_again(
    real_client: httpx2.AsyncClient, real_database: Database, sort: str
) -> None:
    values = [*NOT_COMPARED, 1, 2, None, "3"]
    documents = STUDENTS.documents(len(values))
    for document, value in zip(documents, values, strict=True):
        document["gpa"] = value
    await real_database["students"].insert_many(documents)
    seen = [one["id"] for one in await walk(real_client, sort=sort, limit=1)]
    assert set(seen) == {str(document["_id"]) for document in documents}


@pytest.mark.mongod
async def test_a_walk_that_skips_what_cannot_be_compared_goes_on_behind_it(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    documents = STUDENTS.documents(5, gpa=Timestamp(1, 1))
    await real_database["students"].insert_many(documents)
    ids = [document["_id"] for document in documents]
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
    for student_id, document in zip(ids, STUDENTS.documents(len(ids)), strict=True):
        await real_database["students"].insert_one(document | {"_id": student_id})
    for sort in SORTS:
        assert await walk(real_client, sort=sort, limit=1) == await students(real_client, sort=sort)


@pytest.mark.parametrize("values", [["{$ne: null}", None], ["$name", "$$ROOT"], [True, 1.5], [None, b"x"]], ids=str)
async def test_a_forged_cursor_is_a_place_and_never_a_query(people: httpx2.AsyncClient, values: list[Any]) -> None:
    query = StudentQuery.model_validate({"sort": "name"})
    cursor = cursors.encode(KeysetPosition(values), query.fingerprint())
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
    cursor = cursors.with_checksum(raw, query.fingerprint())
    answer = await people.get("/students/", params={"sort": "name", "cursor": cursor})
    assert is_validation_problem(answer, "query", "cursor")


@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ("sort=gpa,gpa", "sort"), ("sort=--gpa", "sort"),
        ("gpa=x", "gpa"), ("gpa=", "gpa"), ("gpa__gt=NaN", "gpa__gt"), ("gpa__lt=Infinity", "gpa__lt"),
        ("gpa__gte=1e999", "gpa__gte"), ("gpa__lte=", "gpa__lte"), ("gpa__ne=1", "gpa__ne"), ("name__gt=a", "name__gt"),
        ("name[$ne]=x", "name[$ne]"),
        ("q=", "q"), ("q=%20", "q"), ("q=--", "q"), ("q=_", "q"), ("q=" + "x" * 201, "q"),
        ("&".join(["name=a"] * 21), "name"),
    ],
    ids=lambda value: value[:20],
)  # fmt: skip
async def test_a_parameter_that_is_not_served_or_not_of_its_type_is_refused(
    client: httpx2.AsyncClient, query: str, loc: str
) -> None:
    assert loc in {error["loc"][1] for error in (await client.get(f"/students/?{query}")).json()["errors"]}


@pytest.mark.mongod
@pytest.mark.slow
@pytest.mark.parametrize("sort", ["id", "-id", "gpa", "-gpa,name", "course,-gpa"])
async def test_a_walk_shows_each_student_that_is_there_all_along_exactly_once_while_others_come_and_go(
    real_client: httpx2.AsyncClient, real_database: Database, sort: str
) -> None:
    chance = random.Random(1)

    def somebody() -> dict[str, Any]:
        course = chance.choice(["Physics", "Letters", "Mathematics"])
        return {"name": f"Name {chance.randrange(50)}", "course": course, "gpa": chance.choice([1, 2, 2.5, 3])}

    there = [document | somebody() for document in STUDENTS.documents(600)]
    await real_database["students"].insert_many(there)
    walking, changes = True, 0

    async def come_and_go() -> None:
        nonlocal changes
        passing: list[str] = []
        while walking:
            passing.append((await real_client.post("/students/", json=JANE | somebody())).headers["Location"])
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
