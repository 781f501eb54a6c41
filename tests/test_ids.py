"""Documents whose ids are no ObjectIds: any type that Beanie takes, in paths, bodies, links, lists and OpenAPI."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote
from uuid import UUID

import httpx2
import jsonschema_rs
import pytest
from bson import Binary, DBRef
from fastapi import APIRouter, Path
from pydantic import TypeAdapter, ValidationError

from students_api.mongodb.driver import Database
from students_api.operations.check import check_database
from students_api.resources.fields import TextId
from students_api.resources.routing import Resource, ResourceRoute
from tests.test_declarations import Row, conforms, declare, serving

pytestmark = pytest.mark.mongod


class Ids(NamedTuple):
    """A type of ids that clients give."""

    declared: str
    ids: list[Any]
    """As JSON has them, in MongoDB's order."""
    stored: Any
    refused: list[Any]
    read: str = ""
    """The id in the read schema, where it is no text."""


UUIDS = [f"5eb7cf5a-86d9-455d-b3a6-c593aaaaaa{number:02x}" for number in range(5)]

IDS = {
    "text": Ids(
        "TextId", ["A-1", "B 2?", "Ä#%", "ü&=+", "батч"], "A-1",
        ["", " ", ".", "..", "a/b", "a\0", "a\u202eb", "x" * 201, "batch", "export", "changes", "stats", 5, None],
    ),
    "a UUID": Ids("UUID", UUIDS, Binary.from_uuid(UUID(UUIDS[0])), ["", "x", 5, None]),
    "a number": Ids(
        "Annotated[int, Field(ge=1, lt=2**63)]", [1, 2, 3, 40, 500], 1, [0, "x", 2**63, None], "    id: int\n"
    ),
}  # fmt: skip


def replacements(declared: str, read: str) -> dict[str, str]:
    """What a school changes in the recipe for an id of this type."""
    return {
        "class Course(StoredDocument, CourseFields):\n": "class Course(CourseFields, StoredDocument):\n",
        '    class Settings:\n        name = "courses"': f'    id: {declared} = Field(alias="_id")\n\n'
        '    class Settings:\n        name = "courses"',
        '    """A course to create. Other keys are ignored."""': f"    id: {declared}",
        "from students_api.resources.fields import NotBoolean, Text": "from students_api.resources.fields import *",
        'that is of another type there, is `null`."""\n': f'that is of another type there, is `null`."""\n\n{read}',
        "PathId, ResourceRoute": "ResourceRoute\nfrom fastapi import Path\nfrom pydantic import Field\n"
        "from uuid import UUID\nfrom students_api.resources.fields import TextId",
        "router = APIRouter": f'CourseId = Annotated[{declared}, Path(alias="id")]\nrouter = APIRouter',
        ": PathId": ": CourseId",
    }


LINK = Row(
    'x: Annotated[Link["Row{}"] | None, LinkAsId()] = None',
    None,
    None,
    before="from students_api.resources.fields import LinkAsId",
)


@pytest.fixture(scope="module")
def resources() -> dict[str, tuple[Resource, Resource]]:
    """Of each type a resource with such ids, and one that links to it."""
    made = {}
    for number, (name, ids) in enumerate(IDS.items(), 900):
        own = declare(number, Row("x: str", "a", "b"), replacements(ids.declared, ids.read))
        made[name] = own, declare(number + 50, LINK._replace(declared=LINK.declared.format(number)))
    return made


async def test_an_id_that_the_server_makes_can_be_of_another_type(shared_database: Database) -> None:
    changes = {
        **replacements("UUID", ""),
        '    """A course to create. Other keys are ignored."""': '    """What a client gives."""',
        'id: UUID = Field(alias="_id")': 'id: UUID = Field(default_factory=uuid4, alias="_id")',
        "router = APIRouter": 'CourseId = Annotated[UUID, Path(alias="id")]\nrouter = APIRouter',
        "from typing import *": "from typing import *\nfrom uuid import uuid4",
    }
    resource = declare(899, Row("x: str", "a", "b"), changes)
    async with serving([resource], shared_database) as client:
        created = await client.post("/row899s/", json={"id": UUIDS[0], "title": "Optics", "x": "a"})
        assert (created.status_code, created.json()["id"] in UUIDS) == (201, False)
        path = f"/row899s/{UUID(created.json()['id'])}"
        assert created.headers["Location"] == path
        assert (await client.get(path)).json() == created.json()
        assert (await client.get("/row899s/")).json()["row899s"] == [created.json()]
        assert (await client.patch(path, json={"x": "b"})).json() == created.json() | {"x": "b"}
        assert (await client.get("/row899s/x")).status_code == 422
        assert (await client.delete(path)).status_code == 204


@pytest.fixture(scope="module")
async def client(
    resources: dict[str, tuple[Resource, Resource]], shared_database: Database
) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving([each for pair in resources.values() for each in pair], shared_database) as client:
        yield client


@pytest.fixture(params=IDS)
async def name(request: pytest.FixtureRequest, resources: Any, shared_database: Database) -> str:
    for resource in resources[request.param]:
        await shared_database[resource.documents[0].get_collection_name()].delete_many({})
    return str(request.param)


async def test_an_id_that_a_client_gives_is_in_paths_lists_and_bodies(
    client: httpx2.AsyncClient, resources: Any, shared_database: Database, name: str
) -> None:
    resource, ids = resources[name][0], IDS[name]
    prefix, document = resource.router.prefix, resource.documents[0]
    openapi = (await client.get("/openapi.json")).json()
    operations = openapi["paths"][f"{prefix}/{{id}}"]
    (parameter,) = [each for each in operations["get"]["parameters"] if each["name"] == "id"]
    for given in reversed(ids.ids):
        body = {"id": given, "title": "Optics", "x": "a"}
        created = await client.post(f"{prefix}/", json=body)
        assert (created.status_code, created.json()) == (201, body), created.text
        path = f"{prefix}/{quote(str(given), safe='')}"
        assert created.headers["Location"] == path
        read = await client.get(path)
        assert (read.status_code, read.json()) == (200, body)
        assert read.headers["ETag"] == created.headers["ETag"]
        assert jsonschema_rs.is_valid(parameter["schema"], given)
        assert conforms(body, f"{document.__name__}Read", openapi)
        assert conforms(body, f"{document.__name__}Create", openapi)
        taken = await client.post(f"{prefix}/", json=body)
        assert (taken.status_code, "id" in taken.json()["detail"]) == (409, True)
        for method in ("put", "patch"):
            changed = await getattr(client, method)(path, json={"id": given, "x": method})
            assert (changed.status_code, changed.json()) == (200, body | {"x": method})
    assert "409" in openapi["paths"][f"{prefix}/"]["post"]["responses"]
    stored = await shared_database[document.get_collection_name()].find({}).sort("_id", 1).to_list(None)
    assert stored[0]["_id"] == ids.stored
    assert await document.find_one(document.id == ids.stored) is not None
    findings = [each async for each in check_database(shared_database, [document]) if not each.ok]
    assert [each.text for each in findings if not each.text.startswith("migrations")] == []

    for sort, expected in (("id", ids.ids), ("-id", [*reversed(ids.ids)])):
        seen, link = [], f"{prefix}/?limit=2&sort={sort}"
        while link:
            page = await client.get(link)
            seen += [each["id"] for each in page.json()[prefix.strip("/")]]
            link = page.links.get("next", {}).get("url", "")
        assert seen == expected
    gone = await client.delete(f"{prefix}/{quote(str(ids.ids[0]), safe='')}")
    assert gone.status_code == 204
    assert (await client.get(f"{prefix}/{quote(str(ids.ids[0]), safe='')}")).status_code == 404


async def test_an_id_that_cannot_stand_in_a_path_is_refused(
    client: httpx2.AsyncClient, resources: Any, name: str
) -> None:
    prefix = resources[name][0].router.prefix
    for refused in IDS[name].refused:
        answer = await client.post(f"{prefix}/", json={"id": refused, "title": "Optics", "x": "a"})
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "id"]), refused
    missing = await client.post(f"{prefix}/", json={"title": "Optics", "x": "a"})
    assert (missing.status_code, missing.json()["errors"][0]["loc"]) == (422, ["body", "id"])


async def test_an_id_that_is_a_path_of_the_resources_own_is_refused() -> None:
    router = APIRouter(prefix="/rooms", route_class=ResourceRoute)

    @router.get("/ranking")
    async def ranking() -> None: ...

    @router.get("/{id}/members")
    async def members(room: Annotated[str, Path(alias="id")]) -> None: ...

    with pytest.raises(ValidationError):
        TypeAdapter(TextId).validate_python("ranking")
    assert TypeAdapter(TextId).validate_python("members") == "members"


async def test_a_link_has_the_id_of_the_document_that_it_leads_to(
    client: httpx2.AsyncClient, resources: Any, shared_database: Database, name: str
) -> None:
    (target, source), ids = resources[name], IDS[name]
    prefix = source.router.prefix
    await client.post(f"{target.router.prefix}/", json={"id": ids.ids[0], "title": "Optics", "x": "a"})
    body = {"title": "Waves", "x": ids.ids[0]}
    created = await client.post(f"{prefix}/", json=body)
    assert (created.status_code, created.json()) == (201, {"id": created.json()["id"], **body}), created.text
    assert (await client.get(created.headers["Location"])).json() == created.json()
    (stored,) = await shared_database[source.documents[0].get_collection_name()].find({}).to_list(None)
    assert stored["x"] == DBRef(target.documents[0].get_collection_name(), ids.stored)
    unfit: list[Any] = [["x"], {}, ids.refused[1]]
    for wrong in unfit:
        answer = await client.put(created.headers["Location"], json={"x": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["loc"][:2]) == (422, ["body", "x"])
    openapi = (await client.get("/openapi.json")).json()["components"]["schemas"]
    own, linked = (openapi[f"{each.documents[0].__name__}Create"]["properties"] for each in (target, source))
    assert {key: linked["x"]["anyOf"][0].get(key) for key in ("type", "format")} == {
        key: own["id"].get(key) for key in ("type", "format")
    }
    fetched: Any = await source.documents[0].find_one({}, fetch_links=True)
    assert fetched.x.title == "Optics"
