"""What the rules refuse gets 422 in problem form, and nothing is written."""

import json
from typing import Any

import httpx2
import pytest

from students_api.mongodb.driver import Database
from tests.conftest import JANE

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


async def send(client: httpx2.AsyncClient, method: str, path: str, body: Any) -> httpx2.Response:
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
