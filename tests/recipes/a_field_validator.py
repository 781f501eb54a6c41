import httpx2
import pytest

from tests.conftest import JANE


@pytest.mark.parametrize("name", ["jane@example.com", "@jane"])
async def test_what_breaks_it_is_refused_on_create_and_on_update(client: httpx2.AsyncClient, name: str) -> None:
    jane = await client.post("/students/", json=JANE)
    for answer in (
        await client.post("/students/", json=JANE | {"name": name}),
        await client.put(jane.headers["Location"], json={"name": name}),
    ):
        assert answer.status_code == 422
        assert answer.json()["detail"] == "body name: Value error, a name is no e-mail address"
    assert (await client.get("/students/")).json()["students"] == [jane.json()]
