"""The contract of `/students/`, as the tutorial's clients know it, in memory and on a real MongoDB."""

import asyncio
from datetime import datetime
from typing import Any

import httpx2
import pytest
from bson import ObjectId

from students_api.database import Database
from tests.conftest import JANE, NO_STUDENT


async def test_create_answers_201_with_the_student_and_its_new_id(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/students/", json=JANE)
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json()) == ["id", *JANE]
    assert list(JANE)[:4] == ["name", "email", "course", "gpa"]
    assert answer.json() == {"id": answer.json()["id"], **JANE}
    assert ObjectId.is_valid(answer.json()["id"])
    assert answer.headers["Location"] == f"/students/{answer.json()['id']}"
    assert (await client.get(answer.headers["Location"])).json() == answer.json()


async def test_create_makes_the_id_itself_and_ignores_other_keys(client: httpx2.AsyncClient) -> None:
    more = {"id": NO_STUDENT, "_id": NO_STUDENT, "version": 7, "created_at": "2001-01-01T00:00:00Z", "shoe_size": 38}
    answer = await client.post("/students/", json=JANE | more)
    assert answer.status_code == 201
    assert answer.json() == {"id": answer.json()["id"], **JANE}
    assert answer.json()["id"] != NO_STUDENT


async def test_create_stores_the_student_as_the_tutorial_does_with_a_version_and_time_stamps(
    client: httpx2.AsyncClient, database: Database
) -> None:
    created = (await client.post("/students/", json=JANE)).json()
    stored = await database["students"].find_one()
    assert stored is not None
    assert stored.pop("_id") == ObjectId(created["id"])
    assert stored.pop("version") == 1
    assert stored.pop("created_at") == stored.pop("updated_at")
    assert stored == JANE


async def test_the_same_address_can_be_used_again(client: httpx2.AsyncClient) -> None:
    assert [(await client.post("/students/", json=JANE)).status_code for _ in range(2)] == [201, 201]


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


async def test_list_answers_all_students_in_the_order_of_their_creation(client: httpx2.AsyncClient) -> None:
    names = [f"Student {number}" for number in range(5)]
    created = [(await client.post("/students/", json=JANE | {"name": name})).json() for name in names]
    answer = await client.get("/students/")
    assert answer.status_code == 200
    assert answer.json() == {"students": created, "next_cursor": None}


async def test_the_order_is_that_of_the_ids_however_the_students_are_stored(
    client: httpx2.AsyncClient, database: Database
) -> None:
    ids = [ObjectId() for _ in range(3)]
    for number in (1, 2, 0):
        await database["students"].insert_one({"_id": ids[number], **JANE})
    students = (await client.get("/students/")).json()["students"]
    assert [student["id"] for student in students] == [str(one) for one in ids]


async def test_list_of_no_students_is_empty(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/students/")
    assert (answer.status_code, answer.json()) == (200, {"students": [], "next_cursor": None})


async def test_list_takes_a_limit_and_a_skip(client: httpx2.AsyncClient) -> None:
    for number in range(5):
        await client.post("/students/", json=JANE | {"name": str(number)})

    async def names(query: str) -> list[str]:
        return [student["name"] for student in (await client.get(f"/students/?{query}")).json()["students"]]

    assert await names("limit=2") == ["0", "1"]
    assert await names("limit=2&skip=2") == ["2", "3"]
    assert await names("skip=4") == ["4"]
    assert await names("skip=10000") == []


async def test_list_answers_at_most_1000_students(client: httpx2.AsyncClient, database: Database) -> None:
    await database["students"].insert_many([{"_id": ObjectId(), **JANE} for _ in range(1001)])
    assert len((await client.get("/students/")).json()["students"]) == 1000
    assert len((await client.get("/students/?skip=1000")).json()["students"]) == 1


async def test_get_answers_the_student(client: httpx2.AsyncClient, jane: dict[str, Any]) -> None:
    answer = await client.get(f"/students/{jane['id']}")
    assert (answer.status_code, answer.json()) == (200, jane)


async def test_an_id_may_be_written_in_upper_case(client: httpx2.AsyncClient, jane: dict[str, Any]) -> None:
    answer = await client.get(f"/students/{jane['id'].upper()}")
    assert (answer.status_code, answer.json()) == (200, jane)


async def test_update_changes_the_fields_given_and_answers_the_student_after_it(
    client: httpx2.AsyncClient, jane: dict[str, Any]
) -> None:
    answer = await client.put(f"/students/{jane['id']}", json={"name": "Jane Roe", "gpa": "3.5"})
    assert (answer.status_code, answer.json()) == (200, jane | {"name": "Jane Roe", "gpa": 3.5})
    assert (await client.get(f"/students/{jane['id']}")).json() == answer.json()


async def test_update_counts_the_version_and_notes_the_time(
    client: httpx2.AsyncClient, jane: dict[str, Any], database: Database
) -> None:
    long_ago = datetime(2001, 2, 3)  # noqa: DTZ001  # as mongomock reads it, too
    await database["students"].update_one({}, {"$set": {"created_at": long_ago, "updated_at": long_ago}})
    for gpa in (1, 2):
        await client.put(f"/students/{jane['id']}", json={"gpa": gpa})
    stored = await database["students"].find_one()
    assert stored is not None
    assert stored["version"] == 3
    assert stored["created_at"].year == 2001
    assert stored["updated_at"].year > 2001


@pytest.mark.parametrize(
    "nothing", [{}, {"name": None}, {"name": None, "email": None, "course": None, "gpa": None}, {"shoe_size": 38}]
)
async def test_an_update_of_nothing_changes_nothing_and_answers_the_student(
    client: httpx2.AsyncClient, jane: dict[str, Any], database: Database, nothing: dict[str, Any]
) -> None:
    before = await database["students"].find_one()
    answer = await client.put(f"/students/{jane['id']}", json=nothing)
    assert (answer.status_code, answer.json()) == (200, jane)
    assert await database["students"].find_one() == before


async def test_an_update_ignores_null_beside_fields_that_change(
    client: httpx2.AsyncClient, jane: dict[str, Any]
) -> None:
    answer = await client.put(f"/students/{jane['id']}", json={"name": None, "gpa": 4})
    assert (answer.status_code, answer.json()) == (200, jane | {"gpa": 4})


async def test_an_update_keeps_what_it_does_not_know(
    client: httpx2.AsyncClient, jane: dict[str, Any], database: Database
) -> None:
    await database["students"].update_one({}, {"$set": {"locker": 12}})
    await client.put(f"/students/{jane['id']}", json={"gpa": 1})
    stored = await database["students"].find_one()
    assert stored is not None
    assert (stored["locker"], stored["gpa"]) == (12, 1)


async def test_updates_of_different_fields_at_once_are_both_kept(
    client: httpx2.AsyncClient, jane: dict[str, Any]
) -> None:
    await asyncio.gather(
        client.put(f"/students/{jane['id']}", json={"name": "Jane Roe"}),
        client.put(f"/students/{jane['id']}", json={"course": "Physics"}),
    )
    assert (await client.get(f"/students/{jane['id']}")).json() == jane | {"name": "Jane Roe", "course": "Physics"}


async def test_patch_does_what_put_does_and_takes_a_merge_patch(
    client: httpx2.AsyncClient, jane: dict[str, Any]
) -> None:
    path = f"/students/{jane['id']}"
    assert (await client.patch(path, json={"gpa": 3.5})).json() == jane | {"gpa": 3.5}
    patch = {"Content-Type": "application/merge-patch+json; charset=utf-8"}
    answer = await client.patch(path, content='{"name": "Jane Roe", "course": null}', headers=patch)
    assert (answer.status_code, answer.json()) == (200, jane | {"gpa": 3.5, "name": "Jane Roe"})
    assert (await client.patch(path, content="{}", headers=patch)).json() == answer.json()
    assert (await client.patch(path, content='{"gpa": 5}', headers=patch)).status_code == 422
    assert (await client.get(path)).json() == answer.json()


async def test_head_answers_as_get_does_without_the_body(client: httpx2.AsyncClient, jane: dict[str, Any]) -> None:
    student = f"/students/{jane['id']}"
    for path in ("/students/", "/students?limit=x", student, f"/students/{NO_STUDENT}", "/livez", "/readyz", "/docs",
                 "/redoc", "/openapi.json", "/nothing", "/docs-assets/favicon.png"):  # fmt: skip
        of_get, of_head = await client.get(path), await client.head(path)
        assert (of_head.status_code, of_head.content) == (of_get.status_code, b"")
        for answer in (of_get, of_head):
            del answer.headers["X-Request-ID"]
        assert of_head.headers == of_get.headers


async def test_delete_answers_204_without_a_body_and_the_student_is_gone(
    client: httpx2.AsyncClient, jane: dict[str, Any]
) -> None:
    answer = await client.delete(f"/students/{jane['id']}")
    assert (answer.status_code, answer.content, answer.headers.get("Content-Type")) == (204, b"", None)
    assert (await client.get(f"/students/{jane['id']}")).status_code == 404


async def test_one_of_ten_deletions_at_once_answers_204(client: httpx2.AsyncClient, jane: dict[str, Any]) -> None:
    answers = await asyncio.gather(*[client.delete(f"/students/{jane['id']}") for _ in range(10)])
    assert sorted(answer.status_code for answer in answers) == [204] + 9 * [404]


@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", None), ("PUT", {"gpa": 1}), ("PUT", {}), ("PATCH", {"gpa": 1}), ("DELETE", None)],
    ids=str,
)
async def test_a_student_that_is_not_there_gets_404(client: httpx2.AsyncClient, method: str, body: Any) -> None:
    answer = await client.request(method, f"/students/{NO_STUDENT}", json=body)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": f"Student {NO_STUDENT} not found",
        "instance": f"/students/{NO_STUDENT}",
        "request_id": answer.headers["X-Request-ID"],
    }


async def test_paths_are_the_same_with_and_without_a_slash_at_the_end(client: httpx2.AsyncClient) -> None:
    created = await client.post("/students", json=JANE)
    assert created.status_code == 201
    for path in ("/students", "/students/"):
        assert (await client.get(path)).json() == {"students": [created.json()], "next_cursor": None}
    for path in (f"/students/{created.json()['id']}", f"/students/{created.json()['id']}/"):
        assert (await client.get(path)).json() == created.json()
