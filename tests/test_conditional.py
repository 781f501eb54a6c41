"""Conditional requests: entity tags, `If-Match` and `If-None-Match`."""

import asyncio
import math
from typing import Any

import httpx2
import pytest
from bson import Decimal128, ObjectId

from students_api.database import Database
from tests.conftest import JANE, NO_STUDENT
from tests.test_bad_input import is_validation_problem

WRITES: list[tuple[str, Any]] = [("PUT", {"gpa": 1}), ("PATCH", {"gpa": 1}), ("PUT", {}), ("DELETE", None)]


async def send(client: httpx2.AsyncClient, method: str, path: str, body: Any, if_match: str) -> httpx2.Response:
    return await client.request(method, path, json=body, headers={"If-Match": if_match})


async def test_each_change_has_an_etag_of_its_own(client: httpx2.AsyncClient) -> None:
    created = await client.post("/students/", json=JANE)
    path = created.headers["Location"]
    assert created.headers["ETag"] == '"1"'
    assert (await client.get(path)).headers["ETag"] == '"1"'
    assert (await client.put(path, json={"gpa": 1})).headers["ETag"] == '"2"'
    assert (await client.patch(path, json={"gpa": 2})).headers["ETag"] == '"3"'
    for nothing in (await client.put(path, json={}), await client.patch(path, json={"name": None})):
        assert nothing.headers["ETag"] == '"3"'
    assert (await client.get(path)).headers["ETag"] == '"3"'


@pytest.mark.parametrize(
    "known", ['"1"', '"0", "1"', 'W/"1"', '"x",W/"1" , "y"', ', "1",,', "*", '"a,b", "1"', '"*", "1"', '"é", "1"']
)
async def test_what_a_client_knows_is_not_sent_again(
    client: httpx2.AsyncClient, jane: dict[str, Any], known: str
) -> None:
    for method in ("GET", "HEAD"):
        headers = [(b"If-None-Match", known.encode("latin-1"))]
        answer = await client.request(method, f"/students/{jane['id']}", headers=headers)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", '"1"')
        assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("known", ['"2"', '"0"', '"01"', '"x"', 'W/"2"', '"*"', '"9999999999999999999"', '""'])
async def test_what_a_client_knows_no_more_is_sent(
    client: httpx2.AsyncClient, jane: dict[str, Any], known: str
) -> None:
    answer = await client.get(f"/students/{jane['id']}", headers={"If-None-Match": known})
    assert (answer.status_code, answer.json()) == (200, jane)


@pytest.mark.parametrize("matching", ['"1"', '"7", "1"', 'W/"1"', "*", ' , "1" ,'])
@pytest.mark.parametrize(("method", "body"), WRITES, ids=str)
async def test_a_write_goes_through_where_the_version_matches(
    client: httpx2.AsyncClient, jane: dict[str, Any], method: str, body: Any, matching: str
) -> None:
    answer = await send(client, method, f"/students/{jane['id']}", body, matching)
    assert answer.status_code == (204 if method == "DELETE" else 200)
    assert answer.headers.get("ETag") == (None if method == "DELETE" else '"2"' if body else '"1"')


@pytest.mark.parametrize(
    "other", ['"2"', '"0"', 'W/"2"', '"x"', '"2", "3"', '"9223372036854775808"', '"01"', '"*"', '""']
)
@pytest.mark.parametrize(("method", "body"), WRITES, ids=str)
async def test_a_write_is_refused_with_the_current_etag_where_the_version_moved_on(
    client: httpx2.AsyncClient, jane: dict[str, Any], method: str, body: Any, other: str
) -> None:
    answer = await send(client, method, f"/students/{jane['id']}", body, other)
    assert (answer.status_code, answer.headers["ETag"]) == (412, '"1"')
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await client.get(f"/students/{jane['id']}")).json() == jane


@pytest.mark.parametrize("tags", ['"1"', "*"])
@pytest.mark.parametrize(("method", "body"), WRITES, ids=str)
async def test_a_student_that_is_gone_is_404_whatever_was_expected(
    client: httpx2.AsyncClient, method: str, body: Any, tags: str
) -> None:
    assert (await send(client, method, f"/students/{NO_STUDENT}", body, tags)).status_code == 404


@pytest.mark.parametrize("header", ["1", "", '"1', "'1'", 'w/"1"', '"1" "2"', '*, "1"', "**", '"1"x', '"a b"'])
async def test_a_header_that_is_no_list_of_tags_is_refused(
    client: httpx2.AsyncClient, jane: dict[str, Any], header: str
) -> None:
    path = f"/students/{jane['id']}"
    for method, body in WRITES:
        assert is_validation_problem(await send(client, method, path, body, header), "header", "If-Match")
    answer = await client.get(path, headers={"If-None-Match": header})
    assert is_validation_problem(answer, "header", "If-None-Match")
    assert (await client.get(path)).json() == jane


@pytest.mark.parametrize("more", ["*", "garbage", "g*rbage", '"1'])
async def test_no_line_of_a_header_escapes_the_check(
    client: httpx2.AsyncClient, jane: dict[str, Any], more: str
) -> None:
    path = f"/students/{jane['id']}"
    for first in ('"1"', '"9"'):
        lines = httpx2.Headers([("If-Match", first), ("If-Match", more)])
        answer = await client.put(path, json={"gpa": 1}, headers=lines)
        assert is_validation_problem(answer, "header", "If-Match")
        lines = httpx2.Headers([("If-None-Match", first), ("If-None-Match", more)])
        assert is_validation_problem(await client.get(path, headers=lines), "header", "If-None-Match")
    assert (await client.get(path)).json() == jane


@pytest.mark.parametrize("known", ["*", '"1"', 'W/"1"'])
@pytest.mark.parametrize(("method", "body"), WRITES, ids=str)
async def test_a_write_only_if_there_is_none_is_refused(
    client: httpx2.AsyncClient, jane: dict[str, Any], method: str, body: Any, known: str
) -> None:
    path = f"/students/{jane['id']}"
    answer = await client.request(method, path, json=body, headers={"If-None-Match": known})
    assert answer.status_code == 412
    answer = await client.request(method, path, json=body, headers={"If-None-Match": '"7"'})
    assert answer.status_code in {200, 204}


async def test_several_lines_of_a_header_are_one_list(client: httpx2.AsyncClient, jane: dict[str, Any]) -> None:
    lines = [("If-Match", '"8"'), ("If-Match", '"1"')]
    answer = await client.put(f"/students/{jane['id']}", json={"gpa": 1}, headers=httpx2.Headers(lines))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("stored", "version"),
    [
        ({}, 0),
        ({"version": None}, 0),
        ({"version": 0}, 0),
        ({"version": 7}, 7),
        ({"version": 7.0}, 7),
        ({"version": "7"}, 0),
    ],
    ids=str,
)
async def test_a_document_without_a_version_counts_as_version_0(
    client: httpx2.AsyncClient, database: Database, stored: dict[str, Any], version: int
) -> None:
    student_id = ObjectId()
    await database["students"].insert_one({"_id": student_id, **JANE, **stored})
    path = f"/students/{student_id}"
    assert (await client.get(path)).headers["ETag"] == f'"{version}"'
    assert (await client.get(path, headers={"If-None-Match": f'"{version}"'})).status_code == 304
    assert (await send(client, "PUT", path, {}, f'"{version + 1}"')).status_code == 412
    if not isinstance(stored.get("version", 0), int | float):  # which MongoDB does not count on from
        assert (await send(client, "DELETE", path, None, f'"{version}"')).status_code == 204
        return
    changed = await send(client, "PUT", path, {"gpa": 1}, f'"{version}"')
    assert (changed.status_code, changed.headers["ETag"]) == (200, f'"{version + 1}"')
    assert (await send(client, "PUT", path, {"gpa": 2}, f'"{version}"')).status_code == 412


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("stored", "version"),
    [(math.inf, 0), (-math.inf, 0), (math.nan, 0), (1e300, 0), (-5, 0), (1.5, 1), (Decimal128("3"), 3),
     (Decimal128("NaN"), 0), (Decimal128("1e6000"), 0), (2**63 - 1, 0), (2**53, 2**53), ([], 0), ({}, 0), (True, 0)],
    ids=str,
)  # fmt: skip
async def test_a_version_that_is_none_takes_nothing_down_and_has_a_tag_that_matches(
    real_client: httpx2.AsyncClient, real_database: Database, stored: object, version: int
) -> None:
    student_id = ObjectId()
    await real_database["students"].insert_one({"_id": student_id, **JANE, "version": stored})
    path = f"/students/{student_id}"
    assert len((await real_client.get("/students/")).json()["students"]) == 1
    tag = (await real_client.get(path)).headers["ETag"]
    assert tag == f'"{version}"'
    assert (await send(real_client, "PUT", path, {}, f'"{version + 1}"')).status_code == 412
    assert (await send(real_client, "PUT", path, {}, tag)).status_code == 200
    assert (await send(real_client, "DELETE", path, None, tag)).status_code == 204


async def test_without_a_condition_a_write_goes_through(client: httpx2.AsyncClient, jane: dict[str, Any]) -> None:
    for gpa in (1, 2):
        assert (await client.put(f"/students/{jane['id']}", json={"gpa": gpa})).status_code == 200
    assert (await client.delete(f"/students/{jane['id']}")).status_code == 204


@pytest.mark.mongod
@pytest.mark.slow
async def test_of_writers_at_once_exactly_one_wins_each_round_and_no_update_is_lost(
    real_client: httpx2.AsyncClient,
) -> None:
    writers, rounds = 8, 500
    created = await real_client.post("/students/", json=JANE | {"name": "-"})
    path, tag = created.headers["Location"], created.headers["ETag"]
    for number in range(rounds):
        answers = await asyncio.gather(
            *[
                send(real_client, "PATCH" if writer % 2 else "PUT", path, {"name": f"{number} {writer}"}, tag)
                for writer in range(writers)
            ]
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * (writers - 1)
        (won,) = [answer for answer in answers if answer.status_code == 200]
        assert {answer.headers["ETag"] for answer in answers} == {f'"{number + 2}"'}
        tag = won.headers["ETag"]
        stored = await real_client.get(path)
        assert (stored.json(), stored.headers["ETag"]) == (won.json(), tag)
