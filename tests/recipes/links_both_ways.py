from typing import Any

import httpx2
import pytest
from bson import DBRef, ObjectId

from students_api.mongodb.driver import Database
from tests.conftest import JANE
from tests.resources import RESOURCES

COURSE = {"title": "Nanophotonics", "credits": 6}
DOCUMENTS: dict[str, Any] = {resource.document.__name__: resource.document for resource in RESOURCES}


async def test_documents_link_to_each_other(client: httpx2.AsyncClient, database: Database) -> None:
    course = (await client.post("/courses/", json=COURSE)).json()
    jane = (await client.post("/students/", json=JANE | {"major": course["id"]})).json()
    changed = await client.put(f"/courses/{course['id']}", json={"tutor": jane["id"]})
    assert (changed.status_code, changed.json()) == (200, course | {"tutor": jane["id"]})
    stored: Any = await database["courses"].find_one()
    assert stored["tutor"] == DBRef("students", ObjectId(jane["id"]))
    refused = await client.put(f"/courses/{course['id']}", json={"tutor": "Jane"})
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "tutor"])


@pytest.mark.mongod
async def test_each_is_fetched_with_the_other(real_client: httpx2.AsyncClient) -> None:
    course = (await real_client.post("/courses/", json=COURSE)).json()
    jane = (await real_client.post("/students/", json=JANE | {"major": course["id"]})).json()
    await real_client.put(f"/courses/{course['id']}", json={"tutor": jane["id"]})
    course_document, student_document = DOCUMENTS["Course"], DOCUMENTS["Student"]
    nanophotonics = await course_document.find_one(fetch_links=True, nesting_depth=1)
    assert (type(nanophotonics.tutor), str(nanophotonics.tutor.id)) == (student_document, jane["id"])
    student = await student_document.find_one(fetch_links=True, nesting_depth=1)
    assert (type(student.major), str(student.major.id)) == (course_document, course["id"])


async def test_openapi_has_the_id_of_the_other(client: httpx2.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    for model, link in (("CourseCreate", "tutor"), ("CourseUpdate", "tutor"), ("StudentCreate", "major")):
        kinds = schemas[model]["properties"][link]["anyOf"]
        assert {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"} in kinds
