import httpx2
import pytest
from bson import DBRef, ObjectId

from students_api.mongodb.driver import Database
from tests.conftest import JANE, NO_STUDENT

COURSE = {"title": "Nanophotonics", "credits": 6}


@pytest.mark.mongod
async def test_a_student_is_linked_by_the_id_of_the_course(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    course = (await real_client.post("/courses/", json=COURSE)).json()
    jane = await real_client.post("/students/", json=JANE | {"major": course["id"]})
    path = jane.headers["Location"]
    assert (jane.status_code, jane.json()["major"]) == (201, course["id"])
    assert (await real_client.get("/students/")).json()["students"] == [jane.json()]
    stored = await real_database["students"].find_one()
    assert stored is not None
    assert stored["major"] == DBRef("courses", ObjectId(course["id"]))
    major = await real_client.get(f"{path}/major")
    assert (major.status_code, major.json(), major.headers["ETag"]) == (200, course, '"1"')


@pytest.mark.mongod
async def test_a_link_that_leads_nowhere_or_is_none_is_told(real_client: httpx2.AsyncClient) -> None:
    path = (await real_client.post("/students/", json=JANE)).headers["Location"]
    assert (await real_client.get(f"{path}/major")).status_code == 404
    assert (await real_client.put(path, json={"major": NO_STUDENT})).json()["major"] == NO_STUDENT
    assert (await real_client.get(f"{path}/major")).status_code == 404
    assert (await real_client.get(f"/students/{NO_STUDENT}/major")).status_code == 404
    refused = await real_client.put(path, json={"major": "Nanophotonics"})
    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "major"])
