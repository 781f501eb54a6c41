import httpx2
import pytest

from students_api.main import create_app
from tests.conftest import JANE


async def test_the_field_is_stored_read_changed_and_described(client: httpx2.AsyncClient) -> None:
    created = await client.post("/students/", json=JANE | {"year": 3})
    assert (created.status_code, created.json()["year"]) == (201, 3)
    changed = await client.put(created.headers["Location"], json={"year": 4})
    assert changed.json() == created.json() | {"year": 4}
    assert (await client.get("/students/?fields=year")).json()["students"][0].keys() == {"id", "year"}
    for shape in ("StudentCreate", "StudentUpdate", "StudentRead"):
        described = create_app().openapi()["components"]["schemas"][shape]["properties"]["year"]
        assert described["description"] == "The year of study."


@pytest.mark.parametrize("year", [0, 13, "third"])
async def test_its_limits_hold(client: httpx2.AsyncClient, year: object) -> None:
    answer = await client.post("/students/", json=JANE | {"year": year})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "year"])


async def test_a_student_without_it_is_as_good_as_before(client: httpx2.AsyncClient) -> None:
    without = {name: value for name, value in JANE.items() if name != "year"}
    assert (await client.post("/students/", json=without)).json()["year"] is None
