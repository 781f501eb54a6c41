import httpx2
import pytest

from students_api.main import create_app
from tests.conftest import JANE


@pytest.mark.mongod
async def test_a_second_one_gets_409_that_names_the_field(real_client: httpx2.AsyncClient) -> None:
    jane = await real_client.post("/students/", json=JANE | {"number": "S-1"})
    assert (jane.status_code, jane.json()["number"]) == (201, "S-1")
    again = await real_client.post("/students/", json=JANE | {"number": "S-1"})
    assert again.status_code == 409
    assert again.json()["detail"] == "Another document has the same number, which must be unique."
    joan = await real_client.post("/students/", json=JANE | {"number": "S-2"})
    taken = await real_client.put(joan.headers["Location"], json={"number": "S-1"})
    assert (taken.status_code, "S-1" in taken.text) == (409, False)
    (found,) = (await real_client.get("/students/?number=S-2")).json()["students"]
    assert found == joan.json()


@pytest.mark.mongod
async def test_many_have_none(real_client: httpx2.AsyncClient) -> None:
    without = {name: value for name, value in JANE.items() if name != "number"}
    for body in (without, without, JANE | {"number": None}, JANE | {"number": None}):
        assert (await real_client.post("/students/", json=body)).json()["number"] is None


def test_the_documentation_has_the_409() -> None:
    student = create_app().openapi()["paths"]["/students/{id}"]
    assert [method for method, operation in student.items() if "409" in operation["responses"]] == ["put", "patch"]
