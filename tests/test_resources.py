"""The contract of every resource, in memory and on a real MongoDB."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from bson import ObjectId

from students_api.mongodb.driver import Database
from students_api.odm.encoding import keeps_null
from tests.resources import NO_ID, RESOURCES, Resource
from tests.test_bad_input import UNPARSABLE, is_validation_problem, send
from tests.test_limits import in_parts
from tests.test_problems import problem_of


async def test_each_resource_has_a_path_and_a_collection_of_its_own(mock_client: httpx2.AsyncClient) -> None:
    assert (await mock_client.get("/readyz")).status_code == 200
    for kinds in ([each.prefix for each in RESOURCES], [each.document.get_collection_name() for each in RESOURCES]):
        assert len(set(kinds)) == len(RESOURCES)


async def test_create_answers_201_with_the_item_and_its_new_id(client: httpx2.AsyncClient, resource: Resource) -> None:
    for body in resource.bodies(3):
        answer = await client.post(resource.path, json=body)
        assert answer.status_code == 201
        assert answer.headers["Content-Type"] == "application/json"
        assert list(answer.json()) == ["id", *resource.fields]
        assert answer.json() == {"id": answer.json()["id"], **body}
        assert ObjectId.is_valid(answer.json()["id"])
        assert answer.headers["Location"] == f"{resource.path}{answer.json()['id']}"
        assert (await client.get(answer.headers["Location"])).json() == answer.json()


async def test_create_makes_the_id_itself_and_ignores_other_keys(
    client: httpx2.AsyncClient, resource: Resource
) -> None:
    more = {"id": NO_ID, "_id": NO_ID, "version": 7, "created_at": "2001-01-01T00:00:00Z", "shoe_size": 38}
    answer = await client.post(resource.path, json=resource.body | more)
    assert answer.status_code == 201
    assert answer.json() == {"id": answer.json()["id"], **resource.body}
    assert answer.json()["id"] != NO_ID


async def test_create_stores_the_fields_as_they_are_sent_and_beside_them_only_what_the_document_declares(
    resource: Resource, item: dict[str, Any], database: Database
) -> None:
    stored = await resource.collection(database).find_one()
    sent = resource.stored(resource.body)
    sent = {key: value for key, value in sent.items() if value is not None or keeps_null(resource.document, key)}
    assert stored == stored | sent | {"_id": ObjectId(item["id"]), "version": 1}
    assert stored["created_at"] == stored["updated_at"]
    declared = {field.alias or name for name, field in resource.document.model_fields.items()}
    assert set(stored) <= declared - {"id"} | {"_id", resource.document.get_settings().class_id}


async def test_list_answers_all_in_the_order_of_their_creation(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    answer = await client.get(resource.path)
    assert answer.status_code == 200
    assert answer.json() == {resource.items: items, "next_cursor": None}


async def test_the_order_is_that_of_the_ids_however_the_documents_are_stored(
    client: httpx2.AsyncClient, resource: Resource, database: Database
) -> None:
    documents = resource.documents(3)
    for number in (1, 2, 0):
        await resource.collection(database).insert_one(documents[number])
    listed = await resource.listed(client)
    assert [one["id"] for one in listed] == [str(document["_id"]) for document in documents]


async def test_an_empty_list_is_a_page_like_any_other(client: httpx2.AsyncClient, resource: Resource) -> None:
    answer = await client.get(resource.path)
    assert (answer.status_code, answer.json()) == (200, {resource.items: [], "next_cursor": None})


async def test_list_takes_a_limit_and_a_skip(
    client: httpx2.AsyncClient, resource: Resource, items: list[dict[str, Any]]
) -> None:
    assert await resource.listed(client, limit=2) == items[:2]
    assert await resource.listed(client, limit=2, skip=2) == items[2:4]
    assert await resource.listed(client, skip=4) == items[4:]
    assert await resource.listed(client, skip=10_000) == []


async def test_list_answers_at_most_1000(client: httpx2.AsyncClient, resource: Resource, database: Database) -> None:
    await resource.collection(database).insert_many(resource.documents(1001))
    assert len(await resource.listed(client)) == 1000
    assert len(await resource.listed(client, skip=1000)) == 1


async def test_get_answers_the_item(client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]) -> None:
    answer = await client.get(f"{resource.path}{item['id']}")
    assert (answer.status_code, answer.json()) == (200, item)


async def test_an_id_may_be_written_in_upper_case(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    answer = await client.get(f"{resource.path}{item['id'].upper()}")
    assert (answer.status_code, answer.json()) == (200, item)


async def test_update_changes_the_field_given_and_answers_the_item_after_it(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    path = f"{resource.path}{item['id']}"
    for change in resource.changes:
        item |= change
        answer = await client.put(path, json=change)
        assert (answer.status_code, answer.json()) == (200, item)
        assert (await client.get(path)).json() == item


async def test_update_changes_all_the_fields_given(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    changes = {name: value for change in resource.changes for name, value in change.items()}
    answer = await client.put(f"{resource.path}{item['id']}", json=changes)
    assert (answer.status_code, answer.json()) == (200, item | changes)


async def test_update_counts_the_version_and_notes_the_time(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], database: Database
) -> None:
    long_ago = datetime(2001, 2, 3, tzinfo=UTC)
    collection = resource.collection(database)
    await collection.update_one({}, {"$set": {"created_at": long_ago, "updated_at": long_ago}})
    for change in resource.changes:
        await client.put(f"{resource.path}{item['id']}", json=change)
    stored = await collection.find_one()
    assert stored["version"] == 1 + len(resource.changes)
    assert stored["created_at"] == long_ago
    assert stored["updated_at"] > long_ago


async def test_an_update_of_nothing_changes_nothing_and_answers_the_item(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], database: Database
) -> None:
    before = await resource.collection(database).find_one()
    first, *_ = resource.fields
    for nothing in ({}, {first: None}, dict.fromkeys(resource.fields), {"shoe_size": 38}):
        answer = await client.put(f"{resource.path}{item['id']}", json=nothing)
        assert (answer.status_code, answer.json()) == (200, item)
    assert await resource.collection(database).find_one() == before


async def test_an_update_ignores_null_beside_a_field_that_changes(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    for change in resource.changes:
        answer = await client.put(f"{resource.path}{item['id']}", json=dict.fromkeys(resource.fields) | change)
        item |= change
        assert (answer.status_code, answer.json()) == (200, item)


async def test_an_update_keeps_what_it_does_not_know(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], database: Database
) -> None:
    await resource.collection(database).update_one({}, {"$set": {"locker": 12}})
    await client.put(f"{resource.path}{item['id']}", json=resource.changes[0])
    stored = await resource.collection(database).find_one()
    assert (stored["locker"], stored["version"]) == (12, 2)


async def test_updates_of_different_fields_at_once_are_all_kept(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    path = f"{resource.path}{item['id']}"
    await asyncio.gather(*[client.put(path, json=change) for change in resource.changes])
    changes = {name: value for change in resource.changes for name, value in change.items()}
    assert (await client.get(path)).json() == item | changes


async def test_patch_changes_what_it_is_given_and_takes_a_merge_patch(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    path = f"{resource.path}{item['id']}"
    (first, *_), (*_, last) = resource.changes, resource.changes
    assert (await client.patch(path, json=first)).json() == item | first
    patch = {"Content-Type": "application/merge-patch+json; charset=utf-8"}
    answer = await client.patch(path, content=json.dumps(last), headers=patch)
    assert (answer.status_code, answer.json()) == (200, item | first | last)
    assert (await client.patch(path, content="{}", headers=patch)).json() == answer.json()
    assert (await client.patch(path, content=json.dumps(resource.wrong), headers=patch)).status_code == 422
    assert (await client.get(path)).json() == answer.json()


async def test_a_change_that_breaks_a_rule_is_refused_as_a_whole(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    ((field, _),) = resource.wrong.items()
    path = f"{resource.path}{item['id']}"
    for method, target in (("POST", resource.path), ("PUT", path), ("PATCH", path)):
        answer = await client.request(method, target, json=resource.changes[-1] | resource.body | resource.wrong)
        assert is_validation_problem(answer, "body", field)
    assert (await client.get(resource.path)).json() == {resource.items: [item], "next_cursor": None}


async def test_create_needs_every_field_that_has_no_default(
    client: httpx2.AsyncClient, resource: Resource, database: Database
) -> None:
    for name in [name for name, field in resource.declared.items() if field.is_required()]:
        body = {key: value for key, value in resource.body.items() if key != name}
        assert is_validation_problem(await client.post(resource.path, json=body), "body", name)
    assert await resource.collection(database).count_documents({}) == 0


@pytest.mark.parametrize("body", UNPARSABLE.values(), ids=UNPARSABLE)
async def test_a_body_that_is_none_at_all_is_refused(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], body: bytes
) -> None:
    for method, path in (("POST", resource.path), ("PUT", f"{resource.path}{item['id']}")):
        answer = await send(client, method, path, body)
        is_validation_problem(answer)
        assert answer.json()["errors"][0]["loc"][0] == "body"
    assert await resource.listed(client) == [item]


async def test_head_answers_as_get_does_without_the_body(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    path = f"{resource.path}{item['id']}"
    for each in (resource.path, f"{resource.prefix}?limit=x", path, f"{resource.path}{NO_ID}"):
        await is_the_same_for_head(client, each)


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/docs", "/redoc", "/openapi.json", "/nothing", "/docs-assets/favicon.png"]
)
async def test_head_answers_on_every_other_route_as_well(client: httpx2.AsyncClient, path: str) -> None:
    await is_the_same_for_head(client, path)


async def is_the_same_for_head(client: httpx2.AsyncClient, path: str) -> None:
    of_get, of_head = await client.get(path), await client.head(path)
    assert (of_head.status_code, of_head.content) == (of_get.status_code, b"")
    for answer in (of_get, of_head):
        del answer.headers["X-Request-ID"]
    assert of_head.headers == of_get.headers


async def test_delete_answers_204_without_a_body_and_the_item_is_gone(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    path = f"{resource.path}{item['id']}"
    answer = await client.delete(path)
    assert (answer.status_code, answer.content, answer.headers.get("Content-Type")) == (204, b"", None)
    assert (await client.get(path)).status_code == 404
    assert await resource.listed(client) == []
    assert (await client.delete(path)).status_code == 404


async def test_one_of_ten_deletions_at_once_answers_204(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    answers = await asyncio.gather(*[client.delete(f"{resource.path}{item['id']}") for _ in range(10)])
    assert sorted(answer.status_code for answer in answers) == [204] + 9 * [404]


async def test_what_is_not_there_gets_404(client: httpx2.AsyncClient, resource: Resource) -> None:
    path = f"{resource.path}{NO_ID}"
    change = resource.changes[0]
    for method, body in (("GET", None), ("PUT", change), ("PUT", {}), ("PATCH", change), ("DELETE", None)):
        problem = problem_of(await client.request(method, path, json=body), 404, "Not Found")
        assert problem["detail"] == f"{resource.document.__name__} {NO_ID} not found"
        assert problem["instance"] == path


@pytest.mark.parametrize(
    "id_",
    ["1", "x" * 24, "5eb7cf5a86d9755df3a6c59", "5eb7cf5a86d9755df3a6c5933", "null", "%00", "%F0%9F%8E%93", "a" * 4000,
     "5eb7cf5a86d9755df3a6c59%0A", "5eb7cf5a86d9755df3a6c593%0A", "{$ne:null}", "\uff15eb7cf5a86d9755df3a6c593"],
    ids=lambda value: value[:25],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_an_id_that_is_not_24_hex_digits_is_refused(
    client: httpx2.AsyncClient, resource: Resource, method: str, id_: str
) -> None:
    answer = await client.request(method, f"{resource.path}{id_}", json={} if method in {"PUT", "PATCH"} else None)
    assert is_validation_problem(answer, "path", "id")


async def test_an_unknown_query_parameter_is_refused_on_every_route(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    path, change = f"{resource.path}{item['id']}", resource.changes[0]
    for method, target, body in [
        ("GET", f"{resource.path}?nmae=Jane", None), ("GET", f"{resource.path}?limit=1&nmae=Jane", None),
        ("POST", f"{resource.path}?nmae=Jane", resource.body), ("GET", f"{path}?nmae=Jane", None),
        ("PUT", f"{path}?nmae=Jane", change), ("PATCH", f"{path}?nmae=Jane", change),
        ("DELETE", f"{path}?nmae=Jane", None),
    ]:  # fmt: skip
        assert is_validation_problem(await client.request(method, target, json=body), "query", "nmae")
    assert await resource.listed(client) == [item]


async def test_405_names_all_methods_of_the_path(client: httpx2.AsyncClient, resource: Resource) -> None:
    of_all, of_one = "GET, HEAD, POST", "GET, HEAD, PUT, PATCH, DELETE"
    for method, path, allowed in [
        ("PUT", resource.path, of_all), ("OPTIONS", resource.prefix, of_all),
        ("POST", f"{resource.path}{NO_ID}", of_one), ("FETCH", f"{resource.path}{NO_ID}/", of_one),
    ]:  # fmt: skip
        answer = await client.request(method, path)
        assert allowed in problem_of(answer, 405, "Method Not Allowed")["detail"]
        assert answer.headers["Allow"] == allowed


async def test_paths_are_the_same_with_and_without_a_slash_at_the_end(
    client: httpx2.AsyncClient, resource: Resource
) -> None:
    created = await client.post(resource.prefix, json=resource.body)
    assert created.status_code == 201
    for path in (resource.prefix, resource.path):
        assert (await client.get(path)).json() == {resource.items: [created.json()], "next_cursor": None}
    for path in (f"{resource.path}{created.json()['id']}", f"{resource.path}{created.json()['id']}/"):
        assert (await client.get(path)).json() == created.json()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_413_and_nothing_is_written(
    client: httpx2.AsyncClient, resource: Resource, database: Database, *, chunked: bool
) -> None:
    body = json.dumps(resource.body).encode().ljust(2**16 + 1)
    for method, path in (("POST", resource.path), ("PUT", f"{resource.path}{NO_ID}")):
        answer = await send(client, method, path, in_parts(body) if chunked else body)
        assert "65536" in problem_of(answer, 413, answer.json()["title"])["detail"]
        assert answer.headers["Connection"] == "close"
    assert await resource.collection(database).count_documents({}) == 0
    answer = await send(client, "POST", resource.path, in_parts(body[:-1]) if chunked else body[:-1])
    assert answer.status_code == 201
