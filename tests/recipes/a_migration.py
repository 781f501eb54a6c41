import httpx2
import pytest
from bson import ObjectId

from students_api.mongodb.driver import Database
from students_api.odm import migrations
from tests.conftest import JANE, client_of


@pytest.mark.mongod
async def test_everybody_has_the_field_after_it_and_nobody_after_it_is_taken_back(real_database: Database) -> None:
    students, jane, joan = real_database["students"], ObjectId(), ObjectId()
    old = {name: value for name, value in JANE.items() if name != "enrolled"}
    await students.insert_many([{"_id": jane, **old}, {"_id": joan, **JANE, "enrolled": False, "version": 3}])
    for _ in range(2):  # the second time there is nothing left to do
        await migrations.run(real_database, backward=False, distance=0)
    async with client_of(real_database) as client:
        assert await stored(client, jane) == (True, '"1"')
        assert await stored(client, joan) == (False, '"3"')
    await migrations.run(real_database, backward=True, distance=1)
    assert await students.count_documents({"enrolled": {"$exists": True}}) == 0
    async with client_of(real_database) as client:
        assert await stored(client, jane) == (None, '"2"')


async def stored(client: httpx2.AsyncClient, student_id: ObjectId) -> tuple[object, str]:
    answer = await client.get(f"/students/{student_id}")
    return answer.json()["enrolled"], answer.headers["ETag"]


async def test_who_is_created_without_it_is_enrolled(client: httpx2.AsyncClient) -> None:
    old = {name: value for name, value in JANE.items() if name != "enrolled"}
    assert (await client.post("/students/", json=old)).json()["enrolled"] is True
