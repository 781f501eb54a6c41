import httpx2

from tests.resources import RESOURCES

COURSE = {"title": "Nanophotonics", "credits": 6}


def test_the_contracts_tests_know_it() -> None:
    assert [str(resource) for resource in RESOURCES] == ["students", "courses"]


async def test_it_is_listed_filtered_and_changed_as_students_are(client: httpx2.AsyncClient) -> None:
    created = await client.post("/courses", json=COURSE)
    stored = {name: value for name, value in created.json().items() if value is not None}  # a link, of another recipe
    assert (created.status_code, stored) == (201, {"id": stored["id"], **COURSE})
    path = created.headers["Location"]
    page = {"courses": [created.json()], "next_cursor": None}
    assert (await client.get("/courses/?credits__gte=6&sort=-credits")).json() == page
    stale = {"If-Match": '"0"'}
    assert (await client.put(path, json={"credits": 7}, headers=stale)).status_code == 412
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).json()["detail"] == f"Course {created.json()['id']} not found"
