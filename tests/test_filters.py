"""A filter or an order exists exactly where a declared index serves it: one declaration is all it takes."""

import enum
from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import httpx2
import pytest
from beanie import Indexed, PydanticObjectId, init_beanie
from bson import ObjectId
from pydantic import BaseModel, Field, HttpUrl, ValidationError
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from students_api.main import create_app
from students_api.mongodb.driver import Database, cursor_of
from students_api.odm.documents import StoredDocument
from students_api.odm.indexes import create_indexes
from students_api.odm.queries import fetch_raw
from students_api.resources.lists.filters import filters_from_indexes
from students_api.resources.lists.query import ListQuery
from students_api.settings import Settings
from tests.people import JANE_DOE, PersonFields
from tests.resources import STUDENTS
from tests.test_bad_input import is_validation_problem


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    city: str


class PupilFields(PersonFields):
    year: Annotated[int | None, Indexed(), Field(ge=1, le=9, description="The year of study.", examples=[2])] = None
    born: Annotated[datetime | None, Indexed(index_type=-1)] = None
    colour: Annotated[Colour, Indexed()] = Colour.RED
    house: Annotated[Literal["north", "south"] | None, Indexed()] = None
    boards: Annotated[bool | None, Indexed()] = None
    tags: Annotated[list[str], Indexed(), Field(default_factory=list, examples=[["chess", "choir"]])]
    key: Annotated[UUID | None, Indexed()] = None
    tutor: Annotated[PydanticObjectId | None, Indexed()] = None
    page: Annotated[HttpUrl | None, Indexed()] = None
    address: Annotated[Address | None, Indexed()] = None
    badge: Annotated[str | None, Indexed(unique=True)] = None
    locker: Annotated[int | None, Indexed(sparse=True)] = None
    fee: Annotated[Decimal | None, Indexed()] = None
    raw: Annotated[bytes | None, Indexed()] = None
    notes: str = ""
    secret: str = ""


class Pupil(StoredDocument, PupilFields):
    confidential: Annotated[str, Indexed()] = "of no client's business"

    class Settings:
        name = "pupils"
        keep_nulls = False  # for a unique field that a school adds to its students
        indexes: ClassVar[list[Any]] = [
            IndexModel([("notes", 1)], partialFilterExpression={"year": {"$gt": 2}}),
            IndexModel([("secret", "hashed")]),
            [("created_at", 1)],
            [("address.city", 1)],
            [("year", 1), ("name", 1)],
        ]


@filters_from_indexes(Pupil)
class PupilQuery(ListQuery):
    """Which pupils to list."""


class CardedFields(BaseModel):
    number: Annotated[str | None, Indexed(unique=True, sparse=True)] = None


class Carded(StoredDocument, CardedFields):
    class Settings:
        name = "carded"
        keep_nulls = False


@filters_from_indexes(Carded)
class CardedQuery(ListQuery):
    """Which to list."""


def test_every_indexed_field_is_a_filter_of_its_own_type() -> None:
    ranges = {
        f"{name}__{suffix}"
        for name in ("gpa", "year", "born", "locker", "fee")
        for suffix in ("gt", "gte", "lt", "lte")
    }
    own = {
        "year",
        "born",
        "colour",
        "house",
        "boards",
        "tags",
        "key",
        "tutor",
        "page",
        "badge",
        "locker",
        "fee",
    }
    assert set(PupilQuery.filters) == {"name", "email", "course", "gpa", "address.city"} | own | ranges
    schema = PupilQuery.model_json_schema()["properties"]
    assert set(schema) == {*ListQuery.model_fields, *PupilQuery.filters, "sort", "fields"}
    assert schema["tags"]["examples"] == [["chess"]]
    assert schema["year"] == {
        "type": "array", "maxItems": 20, "title": "Year", "examples": [[2]], "default": None,
        "items": {"type": "integer", "minimum": -(2**63), "exclusiveMaximum": 2**63},
        "description": "Only those whose `year` equals this; given several times, any of them. The year of study.",
    }  # fmt: skip
    assert schema["born__gte"]["format"] == "date-time"


def test_every_index_that_holds_all_documents_is_an_order() -> None:
    own = ("year", "born", "colour", "house", "boards", "key", "tutor", "page", "badge", "fee", "address.city")
    single = ("id", "name", "email", "course", "gpa", *own)
    orders = {*single, *(f"-{name}" for name in single), "year,name", "-year,-name"}
    assert set(PupilQuery.orders) == orders
    assert PupilQuery.orders["born"] == [("born", 1), ("_id", 1)]
    assert PupilQuery.orders["-year,-name"] == [("year", -1), ("name", -1), ("_id", -1)]
    assert PupilQuery.orders["badge"] == [("badge", 1)]


@pytest.mark.parametrize(
    "parameters",
    [
        {"year": ["x"]}, {"year": [2**63]}, {"born": ["soon"]}, {"colour": ["green"]}, {"house": ["west"]},
        {"boards": ["perhaps"]}, {"key": ["1"]}, {"tutor": ["1"]}, {"notes": ["x"]}, {"secret": ["x"]},
        {"address": ["x"]}, {"created_at": ["x"]}, {"sort": "locker"}, {"sort": "notes"}, {"sort": "created_at"},
        {"sort": "address"}, {"sort": "tags"}, {"address.town": ["x"]}, {"q": "x"}, {"name__gt": "x"},
        {"boards__gt": True}, {"year__gt": 1.5},
        {"tags__gt": "a"}, {"fee": ["x"]}, {"fee": ["NaN"]}, {"born__lt": "0001-01-01T00:00:00+14:00"},
        {"confidential": ["x"]}, {"sort": "confidential"},
        {"fields": "confidential"},
    ],
    ids=str,
)  # fmt: skip
def test_what_no_index_serves_or_is_of_another_type_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PupilQuery.model_validate(parameters)


async def test_a_value_finds_what_was_stored_of_it(database: Database) -> None:
    await init_beanie(database, document_models=[Pupil], skip_indexes=True)
    tutor, key = ObjectId(), UUID(int=7)
    whole = {
        "year": 2, "born": datetime(2001, 2, 3, tzinfo=UTC), "colour": "blue", "house": "north", "boards": True,
        "tags": ["a", "b"], "key": key, "tutor": tutor, "page": "https://example.com/jane", "badge": "B1", "locker": 3,
        "fee": "1.50",
    }  # fmt: skip
    await Pupil.model_validate(JANE_DOE | whole).insert()
    await Pupil.model_validate(JANE_DOE | dict.fromkeys(whole) | {"badge": "B2", "colour": "red", "tags": []}).insert()
    sent: dict[str, Any] = whole | {"tutor": str(tutor), "key": str(key), "tags": "b", "born": "2001-02-03T00:00:00Z"}
    for name, value in sent.items():
        found = await PupilQuery.model_validate({name: [value]}).page(Pupil, Pupil)
        assert [document["badge"] for document in found.documents] == ["B1"], name
    for parameters in ({"year__gte": 2}, {"born__lt": "2001-02-04T00:00:00Z"}, {"locker__lte": 3}):
        found = await PupilQuery.model_validate(parameters).page(Pupil, Pupil)
        assert [document["badge"] for document in found.documents] == ["B1"], parameters


@pytest.mark.mongod
async def test_a_walk_goes_through_every_order(real_database: Database) -> None:
    await init_beanie(real_database, document_models=[Pupil], skip_indexes=True)
    await create_indexes(Pupil)
    for number in range(6):
        more = {
            "badge": f"B{number}",
            "year": number % 2 + 1 or None,
            "born": datetime(2001, 1, 1 + number % 3, tzinfo=UTC),
        }
        await Pupil.model_validate(JANE_DOE | more | {"boards": number % 2 == 0, "key": UUID(int=number % 2)}).insert()
    for sort in PupilQuery.orders:
        query: dict[str, Any] = {"sort": sort}
        whole = (await PupilQuery.model_validate(query).page(Pupil, Pupil)).documents
        seen: list[dict[str, Any]] = []
        while len(seen) < 6:
            page = await PupilQuery.model_validate(query | {"limit": 1}).page(Pupil, Pupil)
            seen += page.documents
            query["cursor"] = page.next_cursor
        assert seen == whole, sort
        assert query["cursor"] is None
    await real_database["pupils"].drop()


@pytest.mark.mongod
async def test_a_unique_field_that_is_not_stored_as_null_may_be_missing_in_many_and_is_a_filter(
    real_database: Database,
) -> None:
    await init_beanie(real_database, document_models=[Carded], skip_indexes=True)
    await create_indexes(Carded)
    await Carded.insert_many([Carded() for _ in range(100)])
    await Carded(number="S1").insert()
    with pytest.raises(DuplicateKeyError):
        await Carded(number="S1").insert()
    for numbers in (["S1"], ["S1", "S2"]):
        (query,) = CardedQuery.model_validate({"number": numbers}).queries(Carded, Carded)
        plan = str((await (await cursor_of(query)).explain())["queryPlanner"]["winningPlan"])
        assert "'indexName': 'number_1'" in plan
        assert len(await fetch_raw(query)) == 1
    await real_database["carded"].drop()


def test_a_field_that_is_called_like_a_parameter_is_a_clear_error() -> None:
    class LimitedFields(BaseModel):
        limit: Annotated[int, Indexed()]

    class Limited(StoredDocument, LimitedFields):
        """A document."""

    with pytest.raises(TypeError, match="limit"):
        filters_from_indexes(Limited)(ListQuery)


@pytest.mark.mongod
async def test_a_value_that_a_unique_index_has_already_gets_409_that_names_the_field_and_a_huge_number_422(
    real_database: Database,
) -> None:
    app = create_app(Settings(), open_deployment=lambda *_: nullcontext(real_database))

    @app.post("/pupils")
    async def create_pupil(pupil: PupilFields) -> None:
        await Pupil(**pupil.model_dump()).insert()

    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service") as client,
    ):
        await init_beanie(real_database, document_models=[Pupil], skip_indexes=True)
        await create_indexes(Pupil)
        pupil = JANE_DOE | {"badge": "SECRET"}
        assert [(await client.post("/pupils", json=pupil)).status_code for _ in range(2)] == [200, 409]
        problem = (await client.post("/pupils", json=pupil)).json()
        huge = await client.post("/pupils", json=JANE_DOE | {"badge": "B1", "locker": 2**64})
        assert is_validation_problem(huge, "body", "locker")
    assert "badge" in problem["detail"]
    assert "SECRET" not in str(problem)
    await real_database["pupils"].drop()


@pytest.mark.mongod
async def test_without_the_text_index_words_are_no_filter_and_the_answer_says_so(
    real_client: httpx2.AsyncClient, real_database: Database
) -> None:
    await real_database["students"].drop_index(STUDENTS.text_index)
    answer = await real_client.get("/students/?q=jane")
    assert answer.status_code == 503
    assert "text index" in answer.json()["detail"]
