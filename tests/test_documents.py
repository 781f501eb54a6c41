"""A document is changed and deleted in one operation; with its hooks and rules, where it declares them."""

import asyncio
import inspect
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeAlias

import httpx2
import pytest
from beanie import (
    Delete,
    Document,
    Indexed,
    Insert,
    Link,
    Replace,
    Save,
    SaveChanges,
    Update,
    after_event,
    before_event,
    init_beanie,
)
from beanie.exceptions import DocumentNotFound, NotSupported, RevisionIdWasChanged
from beanie.operators import Inc, Set
from bson import ObjectId
from fastapi import FastAPI
from pydantic import BaseModel, Field, field_validator, model_validator

from students_api.http.exception_handlers import register_exception_handlers
from students_api.http.problems import Problem, duplicate_value
from students_api.mongodb.driver import ON_MOTOR, Database
from students_api.odm.documents import SoftDeletedDocument, StoredDocument
from students_api.odm.encoding import BsonFilter, InvalidDocument
from students_api.odm.queries import fetch_raw
from students_api.resources.fields import LinkAsId
from students_api.resources.openapi import extend_openapi
from students_api.resources.read_schemas import DocumentResponse, lenient_response

Collection: TypeAlias = Any  # the driver's, whichever it is


class PupilFields(BaseModel):
    name: str
    points: int = Field(0, ge=0)
    motto: str = Field("", alias="words")


@lenient_response
class PupilRead(PupilFields, DocumentResponse):
    """An answer."""


class Pupil(StoredDocument, PupilFields):
    class Settings:
        name = "pupils"


class Listening(StoredDocument, PupilFields):
    """A pupil with hooks, which note what they see."""

    seen: ClassVar[list[str]] = []

    class Settings:
        name = "pupils"

    @before_event(Insert, Update, Save, Replace, SaveChanges)
    def in_title_case(self) -> None:
        self.seen.append(f"before {self.name} {self.version}")
        self.name = self.name.title() if isinstance(self.name, str) else self.name

    @after_event(Update)
    async def note_the_change(self) -> None:
        await asyncio.sleep(0)
        self.seen.append(f"after {self.name} {self.version}")

    @before_event(Delete)
    def refuse(self) -> None:
        if self.points:
            raise PermissionError

    @after_event(Delete)
    def note_the_end(self) -> None:
        self.seen.append(f"deleted {self.name}")


class Ruled(StoredDocument, PupilFields):
    class Settings:
        name = "pupils"

    @model_validator(mode="after")
    def earns_the_motto(self) -> Self:
        if self.motto and not self.points:
            raise ValueError("a motto takes points")
        return self


class Kept(SoftDeletedDocument, PupilFields):
    class Settings:
        name = "pupils"


class Housed(StoredDocument, PupilFields):
    class Settings:
        name = "pupils"
        is_root = True


class Boarder(Housed):
    room: str = ""

    @before_event(Update)
    def choose_a_room(self) -> None:
        self.room = f"room {self.points}"


class Place(BaseModel):
    city: str


class Somewhere(StoredDocument):
    place: Place
    number: Annotated[str | None, Indexed(unique=True, sparse=True)] = None
    friend: Annotated[Link[Pupil] | None, LinkAsId()] = None

    class Settings:
        name = "places"
        keep_nulls = False

    @before_event(Update)
    def choose(self) -> None:
        self.place.city = self.place.city.title()
        self.number = None


class Level(StrEnum):
    FIRST = "first"


class Everything(StoredDocument, PupilFields):
    """What BSON has no types for, and what MongoDB is not to see."""

    level: Level = Level.FIRST
    born: date = date(2001, 2, 3)
    place: Place = Place(city="Bern")
    tags: set[str] = {"a"}
    nothing: str | None = None

    class Settings:
        name = "pupils"
        keep_nulls = False
        bson_encoders: ClassVar = {date: date.isoformat, datetime: lambda time: time}


class Strict(StoredDocument, PupilFields):
    """Two rules more than a request has."""

    name: Annotated[str, Field(max_length=4)]

    class Settings:
        name = "pupils"

    @field_validator("points")
    @classmethod
    def is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("odd")
        return value


class EvenFields(PupilFields):
    @field_validator("points")
    @classmethod
    def is_right(cls, value: int) -> int:
        return value


class Even(StoredDocument, EvenFields):
    """It has a rule of the request's by the same name, and another one by it."""

    class Settings:
        name = "pupils"

    @field_validator("points")
    @classmethod
    def is_right(cls, value: int) -> int:
        if value % 2:
            raise ValueError("odd")
        return value


class Revised(StoredDocument, PupilFields):
    class Settings:
        name = "pupils"
        use_state_management = True
        use_revision = True


LONG_AGO = datetime(2001, 2, 3, tzinfo=UTC)
DOCUMENTS = [Pupil, Listening, Ruled, Kept, Housed, Boarder, Somewhere, Everything, Strict, Even, Revised]


@pytest.fixture
async def pupils(database: Database) -> Collection:
    """The collection of all of them, empty: in memory first, then on a real mongod."""
    await init_beanie(database, document_models=[*DOCUMENTS], skip_indexes=True)
    Listening.seen.clear()
    return database["pupils"]


@pytest.fixture
async def real_pupils(real_database: Database) -> Collection:
    """The collection of all of them, empty, on a real mongod."""
    await init_beanie(real_database, document_models=[*DOCUMENTS], skip_indexes=True)
    Listening.seen.clear()
    return real_database["pupils"]


async def stored(pupils: Collection) -> dict[str, Any]:
    found: dict[str, Any] | None = await pupils.find_one()
    assert found is not None
    return found


async def test_a_change_sets_the_stored_key_of_a_field_and_counts_once(pupils: Collection) -> None:
    pupil = await Pupil(name="Jane", words="-", created_at=LONG_AGO).insert()
    changed = await Pupil.update_one(Pupil.id == pupil.id, values={"motto": "Go", "points": 1}, projection=PupilRead)
    assert changed is not None
    assert (changed.motto, changed.etag) == ("Go", '"2"')
    found = await stored(pupils)
    assert (found["words"], found["points"], "motto" in found) == ("Go", 1, False)
    assert found["updated_at"] > found["created_at"]


async def test_a_change_runs_each_hook_once_and_stores_what_the_hook_changes(pupils: Collection) -> None:
    pupil = await Listening(name="jane", words="-", created_at=LONG_AGO).insert()
    assert (await stored(pupils))["name"] == "Jane"
    Listening.seen.clear()
    changed = await Listening.update_one(Listening.id == pupil.id, values={"name": "joan"}, projection=PupilRead)
    assert changed is not None
    assert (changed.name, changed.version) == ("Joan", 2)
    assert Listening.seen == ["before joan 1", "after Joan 2"]
    found = await stored(pupils)
    assert (found["name"], found["words"], found["version"]) == ("Joan", "-", 2)
    assert found["updated_at"] > found["created_at"]
    assert set(found) == {"_id", "name", "points", "words", "version", "created_at", "updated_at"}


async def test_a_hook_can_undo_a_change(pupils: Collection) -> None:
    pupil = await Listening(name="Jane", words="-").insert()
    changed = await Listening.update_one(Listening.id == pupil.id, values={"name": "JANE"}, projection=PupilRead)
    assert changed is not None
    assert (changed.name, (await stored(pupils))["name"]) == ("Jane", "Jane")


async def test_a_document_that_inherits_has_its_own_hooks_run_and_their_changes_stored(pupils: Collection) -> None:
    boarder = await Boarder(name="Jane", words="-").insert()
    changed = await Housed.update_one(Housed.id == boarder.id, values={"points": 3}, projection=PupilRead)
    assert changed is not None
    found = await stored(pupils)
    assert (changed.points, found["points"], found["room"], found["_class_id"]) == (3, 3, "room 3", "Housed.Boarder")
    assert await Housed.find_all().count() == await Boarder.find_all().count() == 1


async def test_a_change_of_nothing_runs_no_hook(pupils: Collection) -> None:
    pupil = await Listening(name="Jane", words="").insert()
    before = await stored(pupils)
    Listening.seen.clear()
    assert await Listening.update_one(Listening.id == pupil.id, values={}, projection=PupilRead) is not None
    assert (Listening.seen, await stored(pupils)) == ([], before)


async def test_a_change_of_what_is_not_there_runs_no_hook(pupils: Collection) -> None:
    assert await Listening.update_one(Listening.id == ObjectId(), values={"name": "x"}, projection=PupilRead) is None
    assert not await Listening.delete_one(Listening.id == ObjectId())
    assert (Listening.seen, await pupils.count_documents({})) == ([], 0)


@pytest.mark.mongod
async def test_changes_at_once_are_all_kept_where_there_are_hooks(real_pupils: Collection) -> None:
    pupil = await Listening(name="Jane", words="").insert()
    changes: list[dict[str, Any]] = [{"name": "joan"}, {"points": 7}, {"motto": "Go"}, {"points": 7}]
    await asyncio.gather(
        *[Listening.update_one(Listening.id == pupil.id, values=each, projection=PupilRead) for each in changes]
    )
    found = await stored(real_pupils)
    assert (found["name"], found["points"], found["words"], found["version"]) == ("Joan", 7, "Go", 5)


async def test_a_hook_sees_a_document_that_breaks_the_rules_as_it_is_stored(pupils: Collection) -> None:
    await pupils.insert_one({"_id": ObjectId(), "name": 5, "points": "many", "version": "three"})
    changed = await Listening.update_one({}, values={"motto": "Go"}, projection=PupilRead)
    assert changed is not None
    assert changed.model_dump(exclude={"id"}) == {"name": "5", "points": None, "motto": "Go"}
    found = await stored(pupils)
    assert set(found) == {"_id", "name", "points", "words", "version", "updated_at"}


async def test_hooks_of_a_deletion_see_the_document_and_can_refuse(pupils: Collection) -> None:
    pupil = await Listening(name="Jane", words="", points=1).insert()
    with pytest.raises(PermissionError):
        await Listening.delete_one(Listening.id == pupil.id)
    await pupils.update_one({}, {"$set": {"points": 0}})
    assert await Listening.delete_one(Listening.id == pupil.id)
    assert not await Listening.delete_one(Listening.id == pupil.id)
    assert Listening.seen[-1] == "deleted Jane"
    assert await pupils.count_documents({}) == 0


@pytest.mark.mongod
async def test_of_deletions_at_once_with_hooks_one_finds_the_document(real_pupils: Collection) -> None:
    pupil = await Listening(name="Jane", words="").insert()
    found = await asyncio.gather(*[Listening.delete_one(Listening.id == pupil.id) for _ in range(10)])
    assert sorted(found) == [False] * 9 + [True]
    assert Listening.seen.count("deleted Jane") == 1
    assert await real_pupils.count_documents({}) == 0


def errors(refused: pytest.ExceptionInfo[InvalidDocument]) -> list[tuple[tuple[str, ...], str]]:
    return [(each["loc"], each["msg"]) for each in refused.value.errors]


@pytest.mark.parametrize("kind", [Pupil, Listening, Ruled, Kept, Housed, Boarder, Everything, Strict, Revised])
async def test_a_new_document_is_stored_as_beanie_stores_it(pupils: Collection, kind: type[StoredDocument]) -> None:
    one, other = (kind(name="Jane", words="", created_at=LONG_AGO) for _ in range(2))
    assert await one.insert() is one
    await Document.insert(other)
    first, second = [each async for each in pupils.find({}, {"_id": 0})]
    for each in (first, second):
        each.pop("revision_id", None)  # a random one
    assert first == second
    assert first.keys() >= {"name", "points", "words", "version", "created_at", "updated_at"}


@pytest.mark.parametrize("kind", [Pupil, Listening, Ruled, Kept, Housed, Boarder, Everything, Strict, Revised])
async def test_what_is_read_is_equal_to_what_was_stored(pupils: Collection, kind: type[StoredDocument]) -> None:
    pupil = await kind(name="Jane", words="").insert()
    assert await kind.get(pupil.id) == pupil
    assert await pupils.count_documents({}) == 1
    assert "revision_id" not in kind.model_json_schema()["properties"]


async def test_a_hook_sees_a_new_document(pupils: Collection) -> None:
    await Listening(name="jane", words="").insert()
    assert (await stored(pupils))["name"] == "Jane"


@pytest.mark.usefixtures("pupils")
@pytest.mark.parametrize(("fields", "place"), [({"name": "Janet"}, "name"), ({"name": "Jane", "points": 1}, "points")])
async def test_a_rule_of_the_document_alone_holds_for_a_request(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        Strict.from_request(PupilFields(**fields))
    assert [loc for loc, _ in errors(refused)] == [(place,)]


@pytest.mark.usefixtures("pupils")
async def test_a_rule_that_the_document_has_in_the_place_of_the_requests_holds() -> None:
    with pytest.raises(InvalidDocument):
        Even.from_request(EvenFields(name="Jane", points=1))
    assert Even.from_request(EvenFields(name="Jane", points=2)).points == 2


@pytest.mark.usefixtures("pupils")
async def test_a_field_of_a_request_that_has_an_alias_is_in_the_new_document() -> None:
    assert Pupil.from_request(PupilFields(name="Jane", words="Go")).motto == "Go"


async def test_a_rule_over_several_fields_holds_for_what_a_change_makes_of_the_document(pupils: Collection) -> None:
    broken = [((), "Value error, a motto takes points")]
    with pytest.raises(InvalidDocument) as refused:
        Ruled.from_request(PupilFields(name="Jane", words="Go"))
    assert errors(refused) == broken
    pupil = await Ruled.from_request(PupilFields(name="Jane", words="Go", points=1)).insert()
    with pytest.raises(InvalidDocument) as refused:
        await Ruled.update_one(Ruled.id == pupil.id, values={"points": 0}, projection=PupilRead)
    assert errors(refused) == broken
    assert (await stored(pupils))["version"] == 1
    changed = await Ruled.update_one(Ruled.id == pupil.id, values={"points": 0, "motto": ""}, projection=PupilRead)
    assert changed is not None
    assert (changed.points, changed.motto, changed.version) == (0, "", 2)


async def test_a_rule_that_a_stored_document_breaks_elsewhere_does_not_keep_it_from_a_change(
    pupils: Collection,
) -> None:
    await pupils.insert_one({"_id": ObjectId(), "name": None, "points": -1})
    changed = await Ruled.update_one({}, values={"motto": "Go"}, projection=PupilRead)
    assert changed is not None
    assert changed.model_dump(exclude={"id"}) == {"name": None, "points": -1, "motto": "Go"}
    with pytest.raises(InvalidDocument) as refused:
        await Ruled.update_one({}, values={"points": -2}, projection=PupilRead)
    assert [loc for loc, _ in errors(refused)] == [("points",)]


async def test_a_rule_over_several_fields_holds_for_a_document_without_time_stamps(pupils: Collection) -> None:
    await pupils.insert_one({"_id": ObjectId(), "name": "Jane", "words": "Go", "points": 1})
    with pytest.raises(InvalidDocument) as refused:
        await Ruled.update_one({}, values={"points": 0}, projection=PupilRead)
    assert errors(refused) == [((), "Value error, a motto takes points")]


async def test_a_hook_sees_nested_models_and_what_it_clears_is_not_stored_as_null(database: Database) -> None:
    await init_beanie(database, document_models=[*DOCUMENTS], skip_indexes=True)
    places = database["places"]
    await places.insert_one({"_id": ObjectId(), "place": {"city": "Bern"}, "number": "1"})
    assert await Somewhere.update_one({}, values={"place": Place(city="oslo")}, projection=DocumentResponse) is not None
    found = await places.find_one()
    assert found is not None
    assert (found["place"], "number" in found) == ({"city": "Oslo"}, False)


@pytest.mark.mongod
async def test_a_link_can_be_fetched_into_the_document(real_database: Database) -> None:
    await init_beanie(real_database, document_models=[*DOCUMENTS], skip_indexes=True)
    pupil = await Pupil(name="Jane", words="").insert()
    link: Any = pupil
    await Somewhere(place=Place(city="Bern"), friend=link).insert()
    fetched = await Somewhere.find_one({}, fetch_links=True)
    assert fetched is not None
    assert isinstance(fetched.friend, Pupil)
    assert fetched.friend.id == pupil.id


async def test_what_is_softly_deleted_stays_stored_and_is_found_no_more(pupils: Collection) -> None:
    pupil = await Kept(name="Jane", words="").insert()
    assert await Kept.delete_one(Kept.id == pupil.id)
    assert not await Kept.delete_one(Kept.id == pupil.id)
    assert await Kept.find_one(Kept.id == pupil.id) is None
    assert await Kept.find_all().count() == 0
    assert await Kept.update_one(Kept.id == pupil.id, values={"points": 1}, projection=PupilRead) is None
    found = await stored(pupils)
    assert (found["version"], found["points"]) == (2, 0)
    assert found["deleted_at"] is not None
    (deleted,) = await Kept.find_many_in_all().to_list()
    assert deleted.is_deleted()
    await deleted.hard_delete()
    assert await pupils.count_documents({}) == 0


async def test_what_every_query_leaves_out_is_left_out_of_each_alternative(pupils: Collection) -> None:
    """Beside alternatives MongoDB would scan an index from its start."""
    await pupils.insert_many([{"points": 1, "deleted_at": LONG_AGO}, {"points": 1}, {"points": 2}, {"points": 3}])
    query = Kept.find(BsonFilter({"$or": [{"points": 1}, {"points": 2}]}))
    assert query.get_filter_query() == {
        "$or": [{"$and": [{"deleted_at": None}, {"points": points}]} for points in (1, 2)]
    }
    assert [document["points"] for document in await fetch_raw(query)] == [1, 2]


async def test_whatever_way_a_change_takes_it_counts_the_version_and_notes_the_time(pupils: Collection) -> None:
    pupil = await Pupil(name="Jane", words="", created_at=LONG_AGO).insert()

    async def version() -> int:
        found = await stored(pupils)
        assert found["updated_at"] > found["created_at"]
        await pupils.update_one({}, {"$set": {"updated_at": found["created_at"]}})
        return int(found["version"])

    await pupil.set({"points": 1})
    assert (pupil.version, await version()) == (2, 2)
    await pupil.inc({"points": 1})
    assert (pupil.version, await version()) == (3, 3)
    pupil.name = "Joan"
    await pupil.save()
    assert (pupil.version, await version()) == (4, 4)
    await pupil.replace()
    assert (pupil.version, await version()) == (5, 5)
    await Pupil.find(Pupil.name == "Joan").update(Set({"points": 9}))
    assert await version() == 6
    await Pupil.find_all().update(Inc({"points": 1}))
    assert await version() == 7
    await Pupil.find_one(Pupil.name == "Joan").update(Set({"points": 0}))
    assert await version() == 8
    pupil.name = "Jean"
    for _ in range(2):
        with pytest.raises(DocumentNotFound):  # of version 5, which it is no more
            await pupil.replace()
    with pytest.raises(DocumentNotFound):
        await Pupil.replace_many([pupil])
    with pytest.raises(NotSupported):
        async with Pupil.bulk_writer() as bulk_writer:
            await pupil.replace(bulk_writer=bulk_writer)
    assert (await stored(pupils))["name"] == "Joan"
    await Pupil.find_all().update({"$max": {"points": 7}, "$unset": {"version": ""}})
    assert await version() == 9
    await Pupil.find_all().update()
    assert await version() == 10


@pytest.mark.parametrize("version", [{}, {"version": None}, {"version": "three"}], ids=str)
async def test_a_document_without_a_version_reads_as_version_0(pupils: Collection, version: dict[str, Any]) -> None:
    await pupils.insert_one({"_id": ObjectId(), "name": "Jane", "words": "", **version})
    pupil = await Pupil.find_one({})
    assert pupil is not None
    assert pupil.version == 0
    pupil.name = "Joan"
    await pupil.replace()
    found = await stored(pupils)
    assert (found["name"], found["version"]) == ("Joan", 1)


@pytest.mark.mongod
async def test_an_update_by_a_pipeline_counts_the_version_too(real_pupils: Collection) -> None:
    await Pupil(name="Jane", words="", created_at=LONG_AGO).insert()
    pipeline: Any = [{"$set": {"points": {"$add": ["$points", 2]}}}]
    await Pupil.find_all().update(pipeline)
    found = await stored(real_pupils)
    assert (found["points"], found["version"]) == (2, 2)
    assert found["updated_at"] > found["created_at"]
    await real_pupils.update_one({}, {"$set": {"version": "three"}})
    revised = await Revised.find_one({})
    await Revised.find_all().update(pipeline)
    assert (await stored(real_pupils))["version"] == 1
    assert revised is not None
    revised.points = 9
    with pytest.raises(RevisionIdWasChanged):
        await revised.save_changes()


async def test_a_document_that_is_saved_for_the_first_time_has_version_1(pupils: Collection) -> None:
    await Pupil(name="Jane", words="").save()
    assert (await stored(pupils))["version"] == 1


async def test_a_change_through_the_service_is_a_new_revision_and_saving_changes_a_new_version(
    pupils: Collection,
) -> None:
    await Revised(name="Jane", words="").insert()
    mine, theirs = await Revised.find_one({}), await Revised.find_one({})
    assert mine is not None
    assert theirs is not None
    mine.points = 1
    await mine.save_changes()
    assert (await stored(pupils))["version"] == 2
    theirs.points = 2
    with pytest.raises(RevisionIdWasChanged):
        await theirs.save_changes()
    await Revised.update_one({}, values={"points": 3}, projection=PupilRead)
    mine.name = "Joan"
    with pytest.raises(RevisionIdWasChanged):
        await mine.save_changes()
    found = await stored(pupils)
    assert (found["name"], found["points"], found["version"]) == ("Jane", 3, 3)


@pytest.mark.parametrize("stale", [RevisionIdWasChanged, DocumentNotFound])
async def test_who_saves_what_somebody_else_has_changed_gets_409(stale: type[Exception]) -> None:
    app = FastAPI()
    register_exception_handlers(app)

    @app.post("/")
    async def save() -> None:
        raise stale

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service") as client:
        answer = await client.post("/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (409, "application/problem+json")
    assert answer.json()["detail"].startswith("Somebody else has changed or deleted it")


@pytest.mark.mongod
@pytest.mark.parametrize("kind", [Pupil, Listening, Kept])
async def test_an_update_and_a_deletion_can_be_one_transaction(
    real_database: Database, real_pupils: Collection, kind: type[StoredDocument]
) -> None:
    await real_pupils.insert_many([{"name": "Jane", "words": "", "points": 0}, {"name": "Joan", "words": ""}])
    before = await real_pupils.find({}).to_list(None)
    client: Any = real_database.client
    for ends in ("abort", "commit"):
        async with await client.start_session() if ON_MOTOR else client.start_session() as session:
            begun = session.start_transaction()
            await begun if inspect.isawaitable(begun) else begun
            changed = await kind.update_one(
                {"name": "Jane"}, values={"points": 0, "motto": "Go"}, projection=PupilRead, session=session
            )
            assert changed is not None
            assert await kind.delete_one({"name": "Joan"}, session=session)
            assert await real_pupils.find({}).to_list(None) == before
            await getattr(session, f"{ends}_transaction")()
        after = await kind.find_all().to_list()
        assert [each.model_dump()["motto"] for each in after] == (["", ""] if ends == "abort" else ["Go"])


class NumberedFields(BaseModel):
    number: Annotated[str, Indexed(unique=True)]


class Numbered(StoredDocument, NumberedFields):
    """A document with a unique field."""


def test_409_is_described_where_an_index_is_unique_and_a_request_has_a_body() -> None:
    app = FastAPI()

    @app.post("/", tags=["numbered"])
    @app.put("/", tags=["numbered"])
    async def store(numbered: NumberedFields) -> None:
        pass

    @app.get("/", tags=["numbered"])
    async def show() -> None:
        pass

    extend_openapi(app, {"numbered": Numbered})
    path = app.openapi()["paths"]["/"]
    assert "409" not in path["get"]["responses"]
    for method in ("post", "put"):
        example = path[method]["responses"]["409"]["content"]["application/problem+json"]["example"]
        problem = Problem.model_validate(example, extra="forbid", strict=True)
        assert (problem.title, problem.detail) == (
            "Conflict",
            "Another document has the same number, which must be unique.",
        )


@pytest.mark.parametrize(
    ("keys", "named"),
    [(["number"], "number"), (["student.$id", "course.$id"], "student and course"), (["_id"], "id"), ([], "a field")],
)
def test_409_names_the_fields_as_json_has_them(keys: list[str], named: str) -> None:
    assert duplicate_value(keys) == f"Another document has the same {named}, which must be unique."
