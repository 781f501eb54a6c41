"""The indexes that documents declare are those that MongoDB has, each fit for a list to go through."""

from typing import Annotated, Any, ClassVar

import bson
import pytest
from beanie import Document, Indexed, init_beanie
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel

from students_api.mongodb.driver import Database, collection_of
from students_api.odm.indexes import create_indexes, declared_indexes, missing_indexes, text_index
from tests.people import PersonFields


class Pupil(Document):
    name: Annotated[str, Indexed()]
    key: Annotated[str, Indexed(unique=True)]
    year: Annotated[int | None, Indexed(index_type=-1, name="by_year")] = None

    class Settings:
        name = "pupils"
        merge_indexes = True
        indexes: ClassVar[list[Any]] = [[("year", 1), ("name", -1)], text_index("name", "key")]


class Boarder(Pupil):
    room: Annotated[int, Indexed(sparse=True)] = 1

    class Settings:
        name = "boarders"
        merge_indexes = True
        indexes: ClassVar[list[Any]] = [IndexModel([("room", 1)], name="rooms", expireAfterSeconds=60)]


class Person(Document, PersonFields):
    class Settings:
        name = "people"
        indexes: ClassVar[list[Any]] = [
            [("course", 1), ("name", 1)],
            text_index("name", "course", "email"),
        ]


def test_an_index_without_options_ends_with_the_id_and_others_stay_as_they_are() -> None:
    assert {index.options["name"]: index.keys for index in declared_indexes(Pupil)} == {
        "name_1__id_1": (("name", 1), ("_id", 1)),
        "key_1": (("key", 1),),
        "by_year": (("year", -1), ("_id", -1)),
        "year_1_name_-1__id_-1": (("year", 1), ("name", -1), ("_id", -1)),
        "name_text_key_text": (("key", "text"), ("name", "text")),
    }


def test_indexes_are_inherited_where_the_settings_merge_them() -> None:
    own = {"room_1", "rooms"}
    inherited = {index.options["name"] for index in declared_indexes(Pupil)}
    assert {index.options["name"] for index in declared_indexes(Boarder)} == own | inherited


@pytest.mark.mongod
async def test_what_is_declared_is_built_once_and_then_nothing_is_missing(real_database: Database) -> None:
    await init_beanie(real_database, document_models=[Pupil, Boarder], skip_indexes=True)
    for document in (Pupil, Boarder):
        declared = {index.options["name"] for index in declared_indexes(document)}
        assert await missing_indexes(document) == sorted(declared)
        for _ in range(2):
            assert await create_indexes(document) == []
        assert await missing_indexes(document) == []
        assert set(await collection_of(document).index_information()) == {"_id_"} | declared
        await collection_of(document).drop()


@pytest.mark.mongod
async def test_an_index_of_another_form_counts_as_missing_and_stays_when_it_is_in_the_way(
    real_database: Database,
) -> None:
    await init_beanie(real_database, document_models=[Person], skip_indexes=True)
    people = real_database["people"]
    await people.drop()
    await people.create_index([("course", 1), ("_id", 1)], sparse=True)
    await people.create_index([("name", "text"), ("course", "text")])
    assert len(await create_indexes(Person)) == 2
    assert await missing_indexes(Person) == ["course_1__id_1", "name_text_course_text_email_text"]
    await people.drop()


@pytest.mark.mongod
async def test_no_text_and_no_field_that_is_called_language_is_refused_by_the_text_index(
    real_database: Database,
) -> None:
    await init_beanie(real_database, document_models=[Person], skip_indexes=True)
    await create_indexes(Person)
    people = real_database["people"]
    await people.insert_one({"name": "Jane", "language": "klingon"})
    assert await people.count_documents({"$text": {"$search": "jane"}}) == 1
    await people.drop()


@pytest.mark.mongod
async def test_what_another_program_stored_keeps_one_index_from_being_built_and_no_other(
    real_database: Database,
) -> None:
    await init_beanie(real_database, document_models=[Person], skip_indexes=True)
    people = real_database["people"]
    await people.drop()
    latin_1 = RawBSONDocument(bson.encode({"name": "AB"}).replace(b"AB", b"\xe9\xff"))
    await people.insert_many([latin_1, {"name": ["Jane", "Joan"], "course": ["Physics", "Maths"]}])
    assert len(await create_indexes(Person)) == 2
    assert await missing_indexes(Person) == ["course_1_name_1__id_1", "name_text_course_text_email_text"]
    await people.drop()
