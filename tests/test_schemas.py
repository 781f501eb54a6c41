"""A field is declared once, and every model has it."""

import enum
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from beanie import Document, Indexed, Link, init_beanie
from bson import Binary, DBRef, Decimal128, ObjectId
from pydantic import BaseModel, Field, ValidationError, field_serializer, field_validator

from students_api.odm.documents import StoredDocument
from students_api.resources.fields import LinkAsId
from students_api.resources.read_schemas import DocumentResponse, lenient_response
from students_api.resources.request_schemas import given_values, partial
from tests.conftest import in_memory
from tests.people import PersonFields


class Colour(enum.Enum):
    RED = "red"


class Address(BaseModel):
    city: Annotated[str, Field(min_length=1)]


class House(StoredDocument):
    class Settings:
        name = "houses"


class PupilFields(PersonFields):
    """What a school that extends the student would declare."""

    year: Annotated[int | None, Indexed(), Field(ge=1, description="The year of study.")] = None
    born: date | None = None
    colour: Colour = Colour.RED
    address: Annotated[Address, Field(description="Where the pupil lives.")]
    tags: Annotated[list[str], Field(default_factory=list)]
    key: UUID | None = None
    house: Annotated[Link[House] | None, LinkAsId(), Field(description="Where the pupil belongs.")] = None
    clubs: Annotated[list[Link[House]], LinkAsId(), Field(default_factory=list, max_length=2)]

    @field_validator("name")
    @classmethod
    def has_no_digit(cls, name: str) -> str:
        if any(character.isdigit() for character in name):
            raise ValueError("no digits")
        return name

    @field_serializer("course")
    def in_upper_case(self, course: str) -> str:
        return course.upper()


class Pupil(StoredDocument, PupilFields):
    class Settings:
        name = "pupils"


@partial
class PupilUpdate(PupilFields):
    """An update."""


@lenient_response
class PupilRead(PupilFields, DocumentResponse):
    """An answer."""


WHOLE: dict[str, Any] = {
    "name": "Jane",
    "email": "jdoe@example.com",
    "course": "PHYSICS",
    "gpa": 3.0,
    "year": 2,
    "born": "2001-02-03",
    "colour": "red",
    "address": {"city": "Basel"},
    "tags": ["a"],
    "key": "00000000-0000-4000-8000-000000000001",
    "house": "5eb7cf5a86d9755df3a6c594",
    "clubs": ["5eb7cf5a86d9755df3a6c595", "5eb7cf5a86d9755df3a6c596"],
}


async def test_what_is_stored_reads_back_as_it_was_sent() -> None:
    database = in_memory()
    await init_beanie(database, document_models=[House, Pupil])
    pupil = await Pupil.model_validate(WHOLE).insert()
    read = await Pupil.find_one(Pupil.id == pupil.id, projection_model=PupilRead)
    assert read is not None
    assert read.model_dump(mode="json") == {"id": str(pupil.id), **WHOLE}
    assert "year_1" in await database["pupils"].index_information()


def test_an_update_requires_nothing_and_keeps_every_rule() -> None:
    assert set(PupilUpdate.model_validate({}).model_dump(exclude={"course"}).values()) == {None}
    assert PupilUpdate.model_validate(WHOLE).model_dump(mode="json") == WHOLE
    nulls = dict.fromkeys(WHOLE)
    assert PupilUpdate.model_validate(nulls | {"gpa": 1}).model_dump(exclude={"course"}, exclude_none=True) == {
        "gpa": 1
    }
    for broken in (
        {"year": 0},
        {"name": "Jane 2"},
        {"gpa": 5},
        {"gpa": True},
        {"name": " "},
        {"address": {"city": ""}},
        {"email": "x"},
        {"house": "x"},
        {"house": 5},
        {"house": {"id": "5eb7cf5a86d9755df3a6c594", "collection": "houses"}},
        {"clubs": ["x"]},
        {"clubs": [WHOLE["house"]] * 3},
    ):
        with pytest.raises(ValidationError):
            PupilUpdate.model_validate(broken)


def test_schemas_keep_order_descriptions_and_limits() -> None:
    update, read = PupilUpdate.model_json_schema(), PupilRead.model_json_schema(mode="serialization")
    assert list(update["properties"]) == list(WHOLE)
    assert list(read["properties"]) == ["id", *WHOLE]
    assert read["required"] == ["id", *WHOLE]
    for schema in (update, read):
        assert schema["properties"]["year"]["description"] == "The year of study."
    assert update["properties"]["year"]["anyOf"] == [{"type": "integer", "minimum": 1}, {"type": "null"}]
    assert read["properties"]["year"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert (PupilUpdate.__doc__, PupilRead.__doc__) == ("An update.", "An answer.")
    assert PupilUpdate.__module__ == PupilRead.__module__ == __name__


def test_reading_trusts_what_is_stored_and_converts_or_nulls_what_is_of_another_type() -> None:
    stored = {
        "_id": ObjectId("5eb7cf5a86d9755df3a6c593"),
        "name": "Jane 2",
        "year": Decimal128("2"),
        "born": datetime(2001, 2, 3, 4, tzinfo=UTC),  # a time of day: no date
        "colour": "green",
        "address": {"city": 5, "zip": b"\xff"},
        "tags": "none",
        "key": Binary(b"abc", 4),
    }
    assert PupilRead.model_validate(stored).model_dump(mode="json") == dict.fromkeys(WHOLE) | {
        "id": "5eb7cf5a86d9755df3a6c593",
        "name": "Jane 2",
        "email": None,
        "course": None,
        "gpa": None,
        "year": 2,
        "born": None,
        "colour": "green",
        "address": {"city": "5"},
        "tags": None,
        "key": None,
        "house": None,
        "clubs": None,
    }


def test_bytes_are_no_whole_number() -> None:
    stored: Any = {"_id": ObjectId(), "year": b"3", "gpa": b"3", "name": b"3"}
    read = PupilRead.model_validate(stored).model_dump(mode="json")
    assert [read[name] for name in ("year", "gpa", "name")] == [None] * 3


async def test_a_link_is_stored_as_a_reference_and_read_as_the_id_of_the_document() -> None:
    database = in_memory()
    await init_beanie(database, document_models=[House, Pupil])
    house = await House().insert()
    given = WHOLE | {"house": str(house.id)}
    pupil = await Pupil.from_request(PupilFields.model_validate(given)).insert()
    stored: Any = await database["pupils"].find_one()
    assert PupilRead.model_validate(stored).model_dump(mode="json")["house"] == str(house.id)
    assert stored["house"] == DBRef("houses", house.id)
    assert [club.collection for club in stored["clubs"]] == ["houses", "houses"]
    changes = given_values(PupilUpdate.model_validate({"house": WHOLE["house"]}))
    changed = await Pupil.update_one(Pupil.id == pupil.id, values=changes, projection=PupilRead)
    assert changed is not None
    assert changed.model_dump(mode="json")["house"] == WHOLE["house"]
    schema = PupilRead.model_json_schema(mode="serialization")["properties"]["house"]
    assert schema["anyOf"] == [{"type": "string"}, {"type": "null"}]
    clubs = PupilFields.model_json_schema()["properties"]["clubs"]
    assert clubs["items"] == {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}


async def test_an_insert_needs_no_type_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    await init_beanie(in_memory(), document_models=[House, Pupil])

    def fail(*_: object) -> None:
        raise AssertionError("Beanie builds a TypeAdapter, which takes 0.2 ms, where an id is not of the declared type")

    monkeypatch.setattr("beanie.odm.documents.parse_object_as", fail)
    pupil = Pupil.model_validate(WHOLE)
    assert (await pupil.insert()).id == pupil.id


async def test_every_document_has_a_version_and_time_stamps() -> None:
    await init_beanie(in_memory(), document_models=[House, Pupil])
    assert issubclass(Pupil, Document)
    assert {"id", "version", "created_at", "updated_at"} <= set(Pupil.model_fields)
    pupil = Pupil.model_validate(WHOLE)
    assert (pupil.version, pupil.updated_at) == (1, pupil.created_at)
