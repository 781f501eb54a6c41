"""The forms in which bodies come, and in which they are wanted."""

import json
from typing import Any

import httpx2
import pytest

from tests.resources import Resource
from tests.test_bad_input import is_validation_problem


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
     "nonsense", "application/merge-patch+json", "application/problem+json", "text/json", "", None],
)  # fmt: skip
async def test_a_body_of_another_type_is_refused_and_nothing_is_written(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], media_type: str | None
) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    for method, path in (("POST", resource.path), ("PUT", f"{resource.path}{item['id']}")):
        answer = await client.request(method, path, content=json.dumps(resource.body).encode(), headers=headers)
        assert answer.status_code == 415
        assert answer.json()["title"] == "Unsupported Media Type"
        assert answer.headers["Accept"] == "application/json"
        assert "application/json" in answer.json()["detail"]
    assert await resource.listed(client) == [item]


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON;charset=UTF-8", "application/json ; v=1"])
async def test_a_body_of_json_is_taken_with_any_parameters(
    client: httpx2.AsyncClient, resource: Resource, media_type: str
) -> None:
    answer = await client.post(resource.path, content=json.dumps(resource.body), headers={"Content-Type": media_type})
    assert answer.status_code == 201


async def test_a_patch_is_of_either_type_and_of_no_other(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    answer = await client.patch(f"{resource.path}{item['id']}", content="{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
    assert answer.headers["Accept"] == "application/json, application/merge-patch+json"


async def test_no_body_at_all_is_invalid_rather_than_of_another_type(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    for method, path in (("POST", resource.path), ("PUT", f"{resource.path}{item['id']}")):
        assert is_validation_problem(await client.request(method, path), "body")


async def test_a_body_in_pieces_has_a_type_as_well(client: httpx2.AsyncClient, resource: Resource) -> None:
    async def pieces() -> Any:
        yield json.dumps(resource.body).encode()

    assert (await client.post(resource.path, content=pieces())).status_code == 415
    headers = {"Content-Type": "application/json"}
    assert (await client.post(resource.path, content=pieces(), headers=headers)).status_code == 201


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "application/*", "APPLICATION/JSON", "text/html, */*;q=0.1",
     "application/json;q=0.001", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/json;indent=2",
     "text/*, application/json;q=x", "application/problem+json, application/json"],
)  # fmt: skip
async def test_who_takes_json_gets_it(client: httpx2.AsyncClient, resource: Resource, accept: str) -> None:
    assert (await client.get(resource.path, headers={"Accept": accept})).status_code == 200


@pytest.mark.parametrize(
    "accept",
    ["text/html", "text/*", "application/xml, text/csv;q=0.5", "application/json;q=0", "application/json;q=0, */*",
     "application/*;q=0.0", "application/problem+json", "json", "*/json", ",", ";"],
)  # fmt: skip
async def test_who_does_not_gets_406_and_nothing_is_written(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any], accept: str
) -> None:
    path, change = f"{resource.path}{item['id']}", resource.changes[0]
    for method, target, body in [
        ("GET", resource.path, None), ("GET", path, None), ("POST", resource.path, resource.body),
        ("PUT", path, change), ("PATCH", path, change),
    ]:  # fmt: skip
        answer = await client.request(method, target, json=body, headers={"Accept": accept})
        assert answer.status_code == 406
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert await resource.listed(client) == [item]


async def test_an_answer_without_a_body_is_acceptable_to_all(
    client: httpx2.AsyncClient, resource: Resource, item: dict[str, Any]
) -> None:
    answer = await client.delete(f"{resource.path}{item['id']}", headers={"Accept": "text/html"})
    assert answer.status_code == 204
