from typing import Any

import httpx2
from bson import ObjectId

from students_api.mongodb.driver import Database
from tests.conftest import JANE


def is_refused(answer: httpx2.Response) -> bool:
    (error,) = answer.json()["errors"]
    assert error["msg"] == "Value error, Medicine takes a GPA of at least 3.5"
    return (answer.status_code, error["loc"]) == (422, ["body"])


async def test_it_holds_for_what_a_request_makes_of_the_whole_student(client: httpx2.AsyncClient) -> None:
    assert is_refused(await client.post("/students/", json=JANE | {"course": "Medicine", "gpa": 3}))
    jane = await client.post("/students/", json=JANE | {"course": "Physics", "gpa": 3})
    path = jane.headers["Location"]
    assert is_refused(await client.put(path, json={"course": "Medicine"}))
    assert (await client.put(path, json={"course": "Medicine", "gpa": 4})).status_code == 200
    assert is_refused(await client.patch(path, json={"gpa": 1}))
    assert (await client.get(path)).json() == jane.json() | {"course": "Medicine", "gpa": 4}


async def test_one_that_breaks_another_rule_can_be_changed(client: httpx2.AsyncClient, database: Database) -> None:
    stored: dict[str, Any] = {"_id": ObjectId(), **JANE, "gpa": 9}
    await database["students"].insert_one(stored)
    answer = await client.put(f"/students/{stored['_id']}", json={"course": "Medicine"})
    assert (answer.status_code, answer.json()["gpa"]) == (200, 9)
