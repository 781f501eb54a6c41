import httpx2

from tests.conftest import JANE


async def test_the_field_is_a_filter_and_an_order(client: httpx2.AsyncClient) -> None:
    for year in (3, 1, 2):
        await client.post("/students/", json=JANE | {"year": year})

    async def years(query: str) -> list[int]:
        return [student["year"] for student in (await client.get(f"/students/?{query}")).json()["students"]]

    assert await years("year=2") == [2]
    assert await years("year__gte=2&sort=-year") == [3, 2]
    assert await years("sort=year") == [1, 2, 3]
