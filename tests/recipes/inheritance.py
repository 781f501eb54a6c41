import httpx2

from students_api.mongodb.driver import Database
from tests.conftest import JANE

THESIS = {"thesis": "Fashion in Nanophotonics"}


async def test_a_doctoral_student_is_a_student_with_a_thesis(client: httpx2.AsyncClient) -> None:
    jane = (await client.post("/students/", json=JANE)).json()
    created = await client.post("/students/doctoral", json=JANE | THESIS)
    path = created.headers["Location"]
    assert (created.status_code, created.json()) == (201, {"id": created.json()["id"], **JANE, **THESIS})
    assert path == f"/students/{created.json()['id']}"
    assert (await client.get("/students/doctoral")).json() == [created.json()]
    joan = {"id": created.json()["id"], **JANE}
    assert (await client.get("/students/")).json()["students"] == [jane, joan]
    assert (await client.put(path, json={"gpa": 4})).json() == joan | {"gpa": 4}
    assert (await client.get("/students/doctoral")).json() == [created.json() | {"gpa": 4}]
    assert (await client.delete(path)).status_code == 204
    assert (await client.get("/students/doctoral")).json() == []
    assert (await client.post("/students/doctoral", json=JANE)).status_code == 422


async def test_the_students_from_before_are_found_without_a_migration(
    client: httpx2.AsyncClient, database: Database
) -> None:
    await database["students"].insert_one(dict(JANE))
    assert len((await client.get("/students/?count=true")).json()["students"]) == 1
    assert (await client.get("/students/doctoral")).json() == []
