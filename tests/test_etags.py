"""Conditional requests: entity tags, `If-Match` and `If-None-Match`."""

import asyncio
import math
from typing import Any

import httpx2
import pytest
from bson import Decimal128

from students_api.mongodb.driver import Database
from tests.conftest import JANE
from tests.resources import NO_ID, Resource
from tests.test_bad_input import is_validation_problem

WRITES = ["PUT", "PATCH", "PUT of nothing", "DELETE"]


async def send(
    client: httpx2.AsyncClient, resource: Resource, write: str, path: str, headers: dict[str, str] | None = None
) -> httpx2.Response:
    body = {"PUT of nothing": {}, "DELETE": None}.get(write, resource.changes[0])
    return await client.request(write.split(maxsplit=1)[0], path, json=body, headers=headers)


async def test_each_change_has_an_etag_of_its_own(client: httpx2.AsyncClient, resource: Resource) -> None:
    created = await client.post(resource.path, json=resource.body)
    path, change = created.headers["Location"], resource.changes[0]
    assert created.headers["ETag"] == '"1"'
    assert (await client.get(path)).headers["ETag"] == '"1"'
    assert (await client.put(path, json=change)).headers["ETag"] == '"2"'
    assert (await client.patch(path, json=change)).headers["ETag"] == '"3"'
    for nothing in (await client.put(path, json={}), await client.patch(path, json={})):
        assert nothing.headers["ETag"] == '"3"'
    assert (await client.get(path)).headers["ETag"] == '"3"'


@pytest.mark.parametrize(
    "known", ['"1"', '"0", "1"', 'W/"1"', '"x",W/"1" , "y"', ', "1",,', "*", '"a,b", "1"', '"*", "1"', '"é", "1"']
)
async def test_what_a_client_knows_is_not_sent_again(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], known: str
) -> None:
    for method in ("GET", "HEAD"):
        headers = [(b"If-None-Match", known.encode("latin-1"))]
        answer = await client.request(method, f"{resource.path}{item['id']}", headers=headers)
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", '"1"')
        assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("known", ['"2"', '"0"', '"01"', '"x"', 'W/"2"', '"*"', '"9999999999999999999"', '""'])
async def test_what_a_client_knows_no_more_is_sent(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], known: str
) -> None:
    answer = await client.get(f"{resource.path}{item['id']}", headers={"If-None-Match": known})
    assert (answer.status_code, answer.json()) == (200, item)


@pytest.mark.parametrize("matching", ['"1"', '"7", "1"', 'W/"1"', "*", ' , "1" ,'])
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_goes_through_where_the_version_matches(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], write: str, matching: str
) -> None:
    answer = await send(client, resource, write, f"{resource.path}{item['id']}", {"If-Match": matching})
    expected = {"DELETE": (204, None), "PUT of nothing": (200, '"1"')}.get(write, (200, '"2"'))
    assert (answer.status_code, answer.headers.get("ETag")) == expected


@pytest.mark.parametrize(
    "other", ['"2"', '"0"', 'W/"2"', '"x"', '"2", "3"', '"9223372036854775808"', '"01"', '"*"', '""']
)
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_is_refused_with_the_current_etag_where_the_version_moved_on(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], write: str, other: str
) -> None:
    answer = await send(client, resource, write, f"{resource.path}{item['id']}", {"If-Match": other})
    assert (answer.status_code, answer.headers["ETag"]) == (412, '"1"')
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await client.get(f"{resource.path}{item['id']}")).json() == item


@pytest.mark.parametrize("tags", ['"1"', "*"])
@pytest.mark.parametrize("write", WRITES)
async def test_what_is_gone_is_404_whatever_was_expected(
    client: httpx2.AsyncClient, resource: Resource, write: str, tags: str
) -> None:
    assert (await send(client, resource, write, f"{resource.path}{NO_ID}", {"If-Match": tags})).status_code == 404


@pytest.mark.parametrize("header", ["1", "", '"1', "'1'", 'w/"1"', '"1" "2"', '*, "1"', "**", '"1"x', '"a b"'])
async def test_a_header_that_is_no_list_of_tags_is_refused(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], header: str
) -> None:
    path = f"{resource.path}{item['id']}"
    for write in WRITES:
        answer = await send(client, resource, write, path, {"If-Match": header})
        assert is_validation_problem(answer, "header", "If-Match")
    answer = await client.get(path, headers={"If-None-Match": header})
    assert is_validation_problem(answer, "header", "If-None-Match")
    assert (await client.get(path)).json() == item


@pytest.mark.parametrize("more", ["*", "garbage", "g*rbage", '"1'])
async def test_no_line_of_a_header_escapes_the_check(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], more: str
) -> None:
    path = f"{resource.path}{item['id']}"
    for first in ('"1"', '"9"'):
        lines = httpx2.Headers([("If-Match", first), ("If-Match", more)])
        answer = await client.put(path, json=resource.changes[0], headers=lines)
        assert is_validation_problem(answer, "header", "If-Match")
        lines = httpx2.Headers([("If-None-Match", first), ("If-None-Match", more)])
        assert is_validation_problem(await client.get(path, headers=lines), "header", "If-None-Match")
    assert (await client.get(path)).json() == item


@pytest.mark.parametrize("known", ["*", '"1"', 'W/"1"'])
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_only_if_there_is_none_is_refused(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], write: str, known: str
) -> None:
    path = f"{resource.path}{item['id']}"
    assert (await send(client, resource, write, path, {"If-None-Match": known})).status_code == 412
    assert (await send(client, resource, write, path, {"If-None-Match": '"7"'})).status_code in {200, 204}


async def test_several_lines_of_a_header_are_one_list(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    lines = [("If-Match", '"8"'), ("If-Match", '"1"')]
    path = f"{resource.path}{item['id']}"
    answer = await client.put(path, json=resource.changes[0], headers=httpx2.Headers(lines))
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
    client: httpx2.AsyncClient, resource: Resource, database: Database, stored: dict[str, Any], version: int
) -> None:
    (document,) = resource.documents(1, **stored)
    await resource.collection(database).insert_one(document)
    path, tag = f"{resource.path}{document['_id']}", f'"{version}"'
    assert (await client.get(path)).headers["ETag"] == tag
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304
    other = f'"{version + 1}"'
    assert (await send(client, resource, "PUT of nothing", path, {"If-Match": other})).status_code == 412
    if not isinstance(stored.get("version", 0), int | float):  # which MongoDB does not count on from
        assert (await send(client, resource, "DELETE", path, {"If-Match": tag})).status_code == 204
        return
    changed = await send(client, resource, "PUT", path, {"If-Match": tag})
    assert (changed.status_code, changed.headers["ETag"]) == (200, other)
    assert (await send(client, resource, "PUT", path, {"If-Match": tag})).status_code == 412


@pytest.mark.mongod
@pytest.mark.parametrize(
    ("stored", "version"),
    [(math.inf, 0), (-math.inf, 0), (math.nan, 0), (1e300, 0), (-5, 0), (1.5, 1), (Decimal128("3"), 3),
     (Decimal128("NaN"), 0), (Decimal128("1e6000"), 0), (2**63 - 1, 0), (2**53, 2**53), ([], 0), ({}, 0), (True, 0)],
    ids=str,
)  # fmt: skip
async def test_a_version_that_is_none_takes_nothing_down_and_has_a_tag_that_matches(
    real_client: httpx2.AsyncClient, resource: Resource, real_database: Database, stored: object, version: int
) -> None:
    (document,) = resource.documents(1, version=stored)
    await resource.collection(real_database).insert_one(document)
    path, tag = f"{resource.path}{document['_id']}", f'"{version}"'
    assert len(await resource.listed(real_client)) == 1
    assert (await real_client.get(path)).headers["ETag"] == tag
    other = f'"{version + 1}"'
    assert (await send(real_client, resource, "PUT of nothing", path, {"If-Match": other})).status_code == 412
    assert (await send(real_client, resource, "PUT of nothing", path, {"If-Match": tag})).status_code == 200
    assert (await send(real_client, resource, "DELETE", path, {"If-Match": tag})).status_code == 204


async def test_without_a_condition_a_write_goes_through(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    path = f"{resource.path}{item['id']}"
    for _ in range(2):
        assert (await send(client, resource, "PUT", path)).status_code == 200
    assert (await send(client, resource, "DELETE", path)).status_code == 204


@pytest.mark.mongod
@pytest.mark.slow
async def test_of_writers_at_once_exactly_one_wins_each_round_and_no_update_is_lost(
    real_client: httpx2.AsyncClient,
) -> None:
    writers, rounds = 8, 100
    created = await real_client.post("/students/", json=JANE | {"name": "-"})
    path, tag = created.headers["Location"], created.headers["ETag"]
    for number in range(rounds):
        answers = await asyncio.gather(
            *[
                real_client.request(
                    "PATCH" if writer % 2 else "PUT",
                    path,
                    json={"name": f"{number} {writer}"},
                    headers={"If-Match": tag},
                )
                for writer in range(writers)
            ]
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * (writers - 1)
        (won,) = [answer for answer in answers if answer.status_code == 200]
        assert {answer.headers["ETag"] for answer in answers} == {f'"{number + 2}"'}
        tag = won.headers["ETag"]
        stored = await real_client.get(path)
        assert (stored.json(), stored.headers["ETag"]) == (won.json(), tag)
