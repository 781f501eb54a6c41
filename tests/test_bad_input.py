"""What the rules refuse gets 422 in problem form, and nothing is written."""

import json
from typing import Any

import httpx2
import pytest

from students_api.database import Database
from tests.conftest import JANE
from tests.test_problems import problem_of

BAD_FIELDS = {
    "name": ["", " ", "\n\t", "J" * 201, 1, True, ["Jane"], {"first": "Jane"}],
    "course": ["", "   ", "C" * 201, 1.5, False, []],
    "email": [
        "", "jdoe", "jdoe@", "@example.com", "jdoe@example", "jdoe@exa mple.com", "jdoe@@example.com", "a@b@x.org",
        "Jane Doe <jdoe@example.com>", "<jdoe@example.com>", "jdoe@example.com\n.org", "x" * 300 + "@example.com",
        "jdoe@[127.0.0.1]", 1, True, None, ["jdoe@example.com"],
    ],
    "gpa": [
        -0.1, 4.1, 5, 9, -1, True, False, "", "three", "nan", "NaN", "inf", "-Infinity", "1e999", [], {}, "true",
        10**25, 10**400,
    ],
}  # fmt: skip
CASES = [(field, value) for field, values in BAD_FIELDS.items() for value in values]
UNPARSABLE = {
    "empty": b"",
    "no JSON": b"{",
    "text": b"Jane Doe",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "a string": b'"Jane"',
    "two values": b"{}{}",
    "no UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16 that is none": b"\xff\xfe{",
    "deep": b"[" * 65_000,
    "deep and closed": b"[" * 32_000 + b"]" * 32_000,
    "a number without end": b'{"gpa": ' + b"1" * 5_000 + b"}",
}


def is_validation_problem(answer: httpx2.Response, *loc: str) -> bool:
    """Whether the answer is a problem with exactly the contract's keys that names the place."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert list(problem) == ["type", "title", "status", "detail", "instance", "request_id", "errors"]
    assert problem["status"] == 422
    assert all(list(error) == ["loc", "msg", "type"] for error in problem["errors"])
    return list(loc) in [error["loc"] for error in problem["errors"]]


async def send(client: httpx2.AsyncClient, method: str, path: str, body: bytes) -> httpx2.Response:
    return await client.request(method, path, content=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(("field", "value"), CASES, ids=lambda value: repr(value)[:30])
async def test_a_field_that_breaks_its_rule_is_refused_on_create_and_on_update(
    client: httpx2.AsyncClient, jane: dict[str, Any], field: str, value: object
) -> None:
    body = json.dumps(JANE | {field: value}).encode()
    assert is_validation_problem(await send(client, "POST", "/students/", body), "body", field)
    if value is not None:  # which an update passes over
        body = json.dumps({"name": "Jane Roe", field: value}).encode()
        assert is_validation_problem(await send(client, "PUT", f"/students/{jane['id']}", body), "body", field)
    assert (await client.get("/students/")).json() == {"students": [jane], "next_cursor": None}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"NaN"', '"1e999"', '" nan "'])
async def test_a_gpa_that_is_not_finite_is_refused_however_it_is_written(
    client: httpx2.AsyncClient, jane: dict[str, Any], number: str
) -> None:
    body = json.dumps(JANE | {"gpa": "HERE"}).replace('"HERE"', number).encode()
    for method, path in (("POST", "/students/"), ("PUT", f"/students/{jane['id']}")):
        assert is_validation_problem(await send(client, method, path, body), "body", "gpa")
    assert (await client.get("/students/")).json() == {"students": [jane], "next_cursor": None}


@pytest.mark.parametrize("field", ["name", "email", "course", "gpa"])
@pytest.mark.parametrize("text", [r"\ud800", r"\udfff", r"Jane \ud83d Doe", r"jdoe\udc80@example.com"])
async def test_a_string_that_utf_8_cannot_hold_is_refused(
    client: httpx2.AsyncClient, jane: dict[str, Any], field: str, text: str
) -> None:
    body = (json.dumps(JANE)[:-1] + f', "{field}": "{text}"}}').encode()
    for method, path in (("POST", "/students/"), ("PUT", f"/students/{jane['id']}")):
        assert is_validation_problem(await send(client, method, path, body), "body", field)


@pytest.mark.parametrize("field", ["name", "email", "course", "gpa"])
async def test_create_needs_every_field(client: httpx2.AsyncClient, field: str, database: Database) -> None:
    for student in ({key: value for key, value in JANE.items() if key != field}, JANE | {field: None}):
        assert is_validation_problem(await client.post("/students/", json=student), "body", field)
    assert await database["students"].count_documents({}) == 0


@pytest.mark.parametrize("body", UNPARSABLE.values(), ids=UNPARSABLE)
async def test_a_body_that_is_no_student_at_all_is_refused(
    client: httpx2.AsyncClient, jane: dict[str, Any], body: bytes
) -> None:
    for method, path in (("POST", "/students/"), ("PUT", f"/students/{jane['id']}")):
        answer = await send(client, method, path, body)
        is_validation_problem(answer)
        assert answer.json()["errors"][0]["loc"][0] == "body"
    assert (await client.get("/students/")).json() == {"students": [jane], "next_cursor": None}


@pytest.mark.parametrize(
    "student_id",
    ["1", "x" * 24, "5eb7cf5a86d9755df3a6c59", "5eb7cf5a86d9755df3a6c5933", "null", "%00", "%F0%9F%8E%93", "a" * 4000,
     "5eb7cf5a86d9755df3a6c59%0A", "5eb7cf5a86d9755df3a6c593%0A", "{$ne:null}", "\uff15eb7cf5a86d9755df3a6c593"],
    ids=lambda value: value[:25],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_an_id_that_is_not_24_hex_digits_is_refused(
    client: httpx2.AsyncClient, method: str, student_id: str
) -> None:
    answer = await client.request(method, f"/students/{student_id}", json={} if method in {"PUT", "PATCH"} else None)
    assert is_validation_problem(answer, "path", "id")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
     ("limit=1.5", "limit"), ("limit=" + "9" * 25, "limit"), ("limit=" + "9" * 5000, "limit"), ("limit=NaN", "limit"),
     ("skip=-1", "skip"), ("skip=10001", "skip"), ("skip=" + "9" * 25, "skip"), ("skip=%00", "skip")],
    ids=lambda value: value[:20],
)  # fmt: skip
async def test_a_limit_or_skip_out_of_range_is_refused(client: httpx2.AsyncClient, query: str, parameter: str) -> None:
    assert is_validation_problem(await client.get(f"/students/?{query}"), "query", parameter)


async def test_an_unknown_query_parameter_is_refused_on_every_route(
    client: httpx2.AsyncClient, jane: dict[str, Any]
) -> None:
    path = f"/students/{jane['id']}"
    for answer in (
        await client.get("/students/?nmae=Jane"),
        await client.get("/students/?limit=1&nmae=Jane"),
        await client.post("/students/?nmae=Jane", json=JANE),
        await client.get(f"{path}?nmae=Jane"),
        await client.put(f"{path}?nmae=Jane", json={"gpa": 1}),
        await client.patch(f"{path}?nmae=Jane", json={"gpa": 1}),
        await client.delete(f"{path}?nmae=Jane"),
    ):
        assert is_validation_problem(answer, "query", "nmae")
    assert (await client.get("/students/")).json() == {"students": [jane], "next_cursor": None}


async def test_no_error_repeats_the_input(client: httpx2.AsyncClient) -> None:
    marker = "SECRET-INPUT"
    for student in (
        JANE | {"gpa": marker},
        JANE | {"email": marker},
        JANE | {"email": f"{marker} <jdoe@example.com>"},
        JANE | {"email": f"{marker}@exa mple.com"},
        JANE | {"name": marker * 50},
        JANE | {"name": [marker]},
        {marker: marker},
    ):
        answer = await client.post("/students/", json=student)
        is_validation_problem(answer)
        assert marker not in answer.text
    answer = await send(client, "POST", "/students/", b'{"name": ' + marker.encode())
    is_validation_problem(answer)
    assert marker not in answer.text


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("limit=1&limit=2", "limit"), ("gpa__lte=1&gpa=2&gpa__lte=3", "gpa__lte"), ("sort=name&sort=-gpa", "sort")],
)
async def test_a_parameter_that_takes_one_value_is_refused_where_it_has_several(
    client: httpx2.AsyncClient, query: str, parameter: str
) -> None:
    problem = problem_of(await client.get(f"/students/?{query}"), 422, "Unprocessable Entity", "errors")
    assert [error["loc"] for error in problem["errors"]] == [["query", parameter]]
