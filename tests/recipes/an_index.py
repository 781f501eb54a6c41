import httpx2
import pytest

from students_api.mongodb.driver import Database
from students_api.odm.indexes import missing_indexes
from students_api.students.student import Student
from tests.conftest import JANE


async def test_it_is_an_order_forward_and_backward(client: httpx2.AsyncClient) -> None:
    for name, gpa in (("Joan", 1), ("Jane", 2), ("Joan", 3)):
        await client.post("/students/", json=JANE | {"name": name, "gpa": gpa})
    for sort, expected in (("name,-gpa", [2, 3, 1]), ("-name,gpa", [1, 3, 2])):
        students = (await client.get("/students/", params={"sort": sort})).json()["students"]
        assert [student["gpa"] for student in students] == expected


@pytest.mark.mongod
async def test_a_start_builds_it(real_client: httpx2.AsyncClient, real_database: Database) -> None:
    assert (await real_client.get("/readyz")).status_code == 200
    assert await missing_indexes(Student) == []
    assert "name_1_gpa_-1__id_-1" in await real_database["students"].index_information()
