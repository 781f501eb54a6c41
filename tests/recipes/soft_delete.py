from datetime import datetime

import httpx2

from students_api.mongodb.driver import Database
from tests.conftest import JANE


async def test_a_deleted_student_is_kept_and_no_route_finds_it(client: httpx2.AsyncClient, database: Database) -> None:
    jane = await client.post("/students/", json=JANE)
    path = jane.headers["Location"]
    assert (await client.delete(path, headers={"If-Match": '"9"'})).status_code == 412
    assert (await client.delete(path)).status_code == 204
    for answer in (await client.get(path), await client.put(path, json={"gpa": 1}), await client.delete(path)):
        assert answer.status_code == 404
    listed = (await client.get("/students/?count=true&sort=-gpa")).json()
    assert listed == {"students": [], "next_cursor": None, "total": 0}
    stored = await database["students"].find_one()
    assert stored is not None
    assert (isinstance(stored["deleted_at"], datetime), stored["version"], stored["gpa"]) == (True, 2, JANE["gpa"])


async def test_a_walk_passes_over_the_deleted(client: httpx2.AsyncClient) -> None:
    paths = [(await client.post("/students/", json=JANE)).headers["Location"] for _ in range(5)]
    page = (await client.get("/students/?limit=2")).json()
    await client.delete(paths[2])
    rest = (await client.get("/students/", params={"limit": 5, "cursor": page["next_cursor"]})).json()["students"]
    assert [f"/students/{student['id']}" for student in rest] == paths[3:]


async def test_no_body_shows_when_a_student_was_deleted(client: httpx2.AsyncClient) -> None:
    created = await client.post("/students/", json=JANE | {"deleted_at": "2001-02-03T00:00:00Z"})
    assert created.json().keys() == {"id", *JANE}
    assert (await client.get(created.headers["Location"])).status_code == 200
    assert (await client.get("/students/?fields=deleted_at")).status_code == 422
