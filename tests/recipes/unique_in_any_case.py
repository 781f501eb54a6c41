import httpx2
import pytest

from students_api.mongodb.driver import Database
from students_api.operations.check import check_database
from students_api.students.student import Student
from tests.conftest import JANE


@pytest.mark.mongod
async def test_another_case_is_the_same_value(real_client: httpx2.AsyncClient) -> None:
    jane = await real_client.post("/students/", json=JANE | {"login": "Jane@example.com"})
    assert (jane.status_code, jane.json()["login"]) == (201, "Jane@example.com")
    again = await real_client.post("/students/", json=JANE | {"login": "jane@EXAMPLE.com"})
    assert again.status_code == 409
    assert again.json()["detail"] == "Another document has the same login, which must be unique."
    joan = await real_client.post("/students/", json=JANE | {"login": "joan@example.com"})
    taken = await real_client.patch(joan.headers["Location"], json={"login": "JANE@example.com"})
    assert taken.status_code == 409


@pytest.mark.mongod
async def test_many_have_none_and_the_index_is_there(real_client: httpx2.AsyncClient, real_database: Database) -> None:
    for _ in range(2):
        assert (await real_client.post("/students/", json=JANE | {"login": None})).status_code == 201
    findings = [each.text async for each in check_database(real_database, [Student])]
    assert "indexes of students: none missing" in findings
    assert (await real_client.get("/students/?login=x@example.com")).status_code == 422
