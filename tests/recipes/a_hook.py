import asyncio

import httpx2
import pytest

from tests.conftest import JANE


async def test_it_runs_at_a_creation_and_at_an_update_and_what_it_does_is_stored(client: httpx2.AsyncClient) -> None:
    jane = await client.post("/students/", json=JANE | {"name": "Jane   Doe"})
    path = jane.headers["Location"]
    assert jane.json()["name"] == "Jane Doe"
    for method in ("PUT", "PATCH"):
        changed = await client.request(method, path, json={"name": f"Jane   {method}"})
        assert changed.json()["name"] == f"Jane {method}"
    assert (await client.get(path)).json() == jane.json() | {"name": "Jane PATCH"}
    assert (await client.get(path)).headers["ETag"] == '"3"'


@pytest.mark.mongod
async def test_nobodys_update_is_lost(real_client: httpx2.AsyncClient) -> None:
    jane = await real_client.post("/students/", json=JANE)
    path = jane.headers["Location"]
    changes = [{"name": "Jane  Roe"}, {"course": "Physics"}, {"gpa": 1}]
    answers = await asyncio.gather(*[real_client.put(path, json=change) for change in changes])
    assert sorted(answer.headers["ETag"] for answer in answers) == ['"2"', '"3"', '"4"']
    assert (await real_client.get(path)).json() == jane.json() | {"name": "Jane Roe", "course": "Physics", "gpa": 1}
