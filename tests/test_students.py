"""What a student's own fields take, as the tutorial's clients know them, in memory and on a real MongoDB."""

import httpx2
import pytest

from tests.conftest import JANE
from tests.resources import STUDENTS


def test_the_example_is_the_tutorials_student_with_what_a_school_has_added() -> None:
    tutorials = {
        "name": "Jane Doe",
        "email": "jdoe@example.com",
        "course": "Experiments, Science, and Fashion in Nanophotonics",
        "gpa": 3.0,
    }
    assert list(JANE)[:4] == list(tutorials)
    assert tutorials.items() <= JANE.items()


async def test_the_same_address_can_be_used_again(client: httpx2.AsyncClient) -> None:
    for student in STUDENTS.alike(2):
        answer = await client.post("/students/", json=student | {"email": JANE["email"]})
        assert answer.status_code == 201


async def test_text_is_trimmed_and_an_address_normalised(client: httpx2.AsyncClient) -> None:
    untidy = {"name": "  Jane Doe\n", "email": " jdoe@EXAMPLE.com ", "course": "\tPhysics "}
    answer = await client.post("/students/", json=JANE | untidy)
    assert answer.status_code == 201
    assert (answer.json()["name"], answer.json()["course"]) == ("Jane Doe", "Physics")
    assert answer.json()["email"] == "jdoe@example.com"


async def test_a_numeric_string_is_a_gpa(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/students/", json=JANE | {"gpa": "3.0"})
    assert (answer.status_code, answer.json()["gpa"]) == (201, 3.0)


@pytest.mark.parametrize("gpa", [0, 4, 0.0, 4.0, 2.999999999])
async def test_a_gpa_may_be_anything_from_0_to_4(client: httpx2.AsyncClient, gpa: float) -> None:
    answer = await client.post("/students/", json=JANE | {"gpa": gpa})
    assert (answer.status_code, answer.json()["gpa"]) == (201, gpa)


@pytest.mark.parametrize("name", ["J", "J" * 200, "Ĵàñé Ðœ", "简·多", "🎓" * 200, "a\x00b"])
async def test_a_name_may_be_any_text_of_1_to_200_characters(client: httpx2.AsyncClient, name: str) -> None:
    created = (await client.post("/students/", json=JANE | {"name": name})).json()
    assert (await client.get(f"/students/{created['id']}")).json()["name"] == name
