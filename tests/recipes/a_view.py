import httpx2
import pytest
from bson import Decimal128

from students_api.mongodb.driver import Database
from tests.conftest import JANE, STORED_JANE


@pytest.mark.mongod
async def test_each_course_is_summarized(real_client: httpx2.AsyncClient, real_database: Database) -> None:
    students = [("Physics", 2), ("Maths", Decimal128("3")), ("Physics", 4), ("Arts", "many"), (None, 1)]
    documents = [STORED_JANE | {"course": course, "gpa": gpa} for course, gpa in students]
    await real_database["students"].insert_many(documents)
    answer = await real_client.get("/students/courses")
    assert (answer.status_code, answer.json()) == (
        200,
        [
            {"course": "Arts", "students": 1, "mean_gpa": None},
            {"course": "Maths", "students": 1, "mean_gpa": 3.0},
            {"course": "Physics", "students": 2, "mean_gpa": 3.0},
        ],
    )
    assert (await real_client.get("/students/courses?course=Arts")).status_code == 422


@pytest.mark.mongod
async def test_the_view_is_there_for_other_programs_too(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    await real_client.post("/students/", json=JANE)
    (summary,) = [found async for found in real_database["course_summaries"].find()]
    assert summary == {"_id": JANE["course"], "students": 1, "mean_gpa": JANE["gpa"]}
