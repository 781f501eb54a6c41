import httpx2
import pytest

from students_api.students.student import Student
from tests.conftest import JANE, NO_STUDENT


async def test_a_change_that_is_saved_counts_the_version_and_sets_no_other_field(client: httpx2.AsyncClient) -> None:
    jane = await client.post("/students/", json=JANE | {"gpa": 3})
    path = jane.headers["Location"]
    bonus = await client.post(f"{path}/bonus")
    assert (bonus.status_code, bonus.json()) == (200, jane.json() | {"gpa": 3.1})
    stored = await client.get(path)
    assert (stored.json(), stored.headers["ETag"]) == (bonus.json(), '"2"')
    assert (await client.post(f"/students/{NO_STUDENT}/bonus")).status_code == 404


async def test_what_somebody_else_has_changed_meanwhile_is_409_and_not_undone(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = (await client.post("/students/", json=JANE | {"gpa": 3})).headers["Location"]
    save_changes = Student.save_changes

    async def meanwhile(student: Student) -> None:
        await client.put(path, json={"gpa": 1})
        await save_changes(student)

    monkeypatch.setattr(Student, "save_changes", meanwhile)
    answer = await client.post(f"{path}/bonus")
    assert (answer.status_code, answer.json()["title"]) == (409, "Conflict")
    assert (await client.get(path)).json()["gpa"] == 1
