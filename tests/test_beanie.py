"""A document does what someone who knows Beanie expects of it; `make beanie-suite` runs all of Beanie's own tests."""

from typing import Any

import pytest
from beanie import Link, UnionDoc, after_event, before_event, init_beanie
from beanie.exceptions import CollectionWasNotInitialized, DocumentNotFound, DocumentWasNotSaved, ReplaceError
from beanie.odm.actions import EventTypes
from beanie.operators import In

from students_api.mongodb.driver import ON_MOTOR, Database, transaction
from students_api.odm.documents import StoredDocument
from students_api.odm.encoding import InvalidDocument


class Group(StoredDocument):
    name: str


class Member(StoredDocument):
    group: Link[Group]
    seat: int = 0

    class Settings:
        indexes = ("group.$id",)


class Tallied(StoredDocument):
    points: int = 0

    @before_event(EventTypes.VALIDATE_ON_SAVE)
    def double(self) -> None:
        self.points *= 2

    @after_event(EventTypes.VALIDATE_ON_SAVE)
    def one_more(self) -> None:
        self.points += 1

    class Settings:
        validate_on_save = True


class Pets(UnionDoc):
    class Settings:
        name = "pets"


class Cat(StoredDocument):
    lives: int = 9

    class Settings:
        union_doc = Pets


class Dog(StoredDocument):
    friend: Link[Cat] | None = None

    class Settings:
        union_doc = Pets


@pytest.fixture(autouse=True)
async def initialised(database: Database) -> None:
    await init_beanie(database, document_models=[Group, Member, Tallied, Pets, Cat, Dog])


async def test_a_document_has_no_id_until_it_is_stored() -> None:
    group = Group(name="A")
    assert group.id is None
    assert Group.model_validate(group.model_dump()) == Group.model_validate_json(group.model_dump_json()) == group
    with pytest.raises(DocumentWasNotSaved):
        await Member(group=group).insert()
    with pytest.raises(ValueError, match="must have an id"):
        await group.replace()
    await group.insert()
    await Member(group=group).insert()
    assert await Member.count() == 1
    saved = await Group(name="B").save()
    assert await Group.get(saved.id) is not None


async def test_there_is_no_instance_before_beanie_is_initialised() -> None:
    class Later(StoredDocument):
        name: str

    with pytest.raises(CollectionWasNotInitialized):
        Later(name="Jane")


async def test_ignore_revision_replaces_what_another_has_changed() -> None:
    group = await Group(name="A").insert()
    await Group.find_one(Group.id == group.id).set({"name": "B"})
    group.name = "C"
    before = group.model_copy()
    for _ in range(2):  # a refused one leaves the version that was read, or the next would be written
        with pytest.raises(DocumentNotFound):
            await group.replace()
        assert group == before
    await group.replace(ignore_revision=True)
    assert group.version == 3
    await group.replace()
    assert await Group.get(group.id) == group
    await group.delete()
    with pytest.raises(DocumentNotFound):
        await group.replace(ignore_revision=True)


async def test_replace_many_replaces_each_under_its_version() -> None:
    groups = [await Group(name=name).insert() for name in "ABC"]
    for group in groups:
        group.name += "'"
    with pytest.raises(ReplaceError):
        await Group.replace_many([*groups, Group(name="D")])
    await Group.replace_many(groups[:2])
    assert {(group.name, group.version) for group in await Group.find_all().to_list()} == {
        ("A'", 2),
        ("B'", 2),
        ("C", 1),
    }
    await Group.find_one(Group.id == groups[2].id).set({"name": "D"})
    with pytest.raises(DocumentNotFound):
        await Group.replace_many(groups)


async def test_hooks_of_the_validation_run_around_it_in_every_way_to_write() -> None:
    tallied = await Tallied(points=1).insert()
    assert tallied.points == 3
    await tallied.replace()
    assert tallied.points == 7
    updated = await Tallied.update_one(Tallied.id == tallied.id, values={"points": 2}, projection=Tallied)
    assert updated is not None
    assert updated.points == 5
    assert (await Tallied(points=1).insert(skip_actions=["double"])).points == 2
    tallied.points = "many"  # type: ignore[assignment]  # what is to be refused
    with pytest.raises(InvalidDocument):
        await tallied.replace()


async def test_each_class_of_a_union_finds_its_own() -> None:
    cat = await Cat().insert()
    dog = await Dog().insert()
    assert await Dog.find_all().to_list() == [dog]
    assert await Dog.get(cat.id) is None
    assert await Pets.find_all().count() == 2


@pytest.mark.mongod
async def test_ignore_revision_sees_what_its_own_transaction_has_written(real_database: Database) -> None:
    await init_beanie(real_database, document_models=[Group])
    group = await Group(name="A").insert()
    client: Any = real_database.client
    async with await client.start_session() if ON_MOTOR else client.start_session() as session, transaction(session):
        await Group.find_one({"_id": group.id}, session=session).update({"$set": {"name": "B"}})
        await group.replace(ignore_revision=True, session=session)
    stored = await Group.get(group.id)
    assert stored is not None
    assert (stored.name, stored.version) == ("A", 3)


@pytest.mark.mongod
async def test_a_link_within_a_union_is_fetched(real_database: Database) -> None:
    await init_beanie(real_database, document_models=[Pets, Cat, Dog])
    cat = await Cat().insert()
    await Dog(friend=cat).insert()
    (dog,) = await Dog.find(fetch_links=True).to_list()
    assert dog.friend == cat


@pytest.mark.mongod
@pytest.mark.parametrize("condition", ["equal", "one of", "by name", "both", "another", "not"])
async def test_linked_documents_are_found_by_their_index_before_links_are_looked_up(
    real_database: Database, condition: str
) -> None:
    await init_beanie(real_database, document_models=[Group, Member])
    groups = [await Group(name=name).insert() for name in "ABC"]
    await Member.insert_many([Member(group=groups[seat % 3], seat=seat) for seat in range(90)])
    conditions: dict[str, Any] = {
        "equal": {"group._id": groups[0].id},
        "one of": In("group._id", [groups[0].id]),
        "by name": {"group.name": "A"},
        "both": {"group._id": groups[0].id, "group.name": "A", "seat": {"$gte": 0}},
        "another": {"group._id": groups[0].id, "group.name": "B"},
        "not": {"group._id": {"$nin": [each.id for each in groups[1:]]}},
    }
    by_id: Any = Member.group
    assert Member.find(by_id.id == 1).get_filter_query() == {"group.$id": 1}
    assert Member.find(by_id.id == 1, fetch_links=True).get_filter_query() == {"group._id": 1}
    query = Member.find(conditions[condition], fetch_links=True)
    found = await query.to_list()
    assert [each.seat for each in found] == ([] if condition == "another" else list(range(0, 90, 3)))
    assert all(each.group == groups[0] for each in found)
    plan = await real_database.command(
        {"explain": {"aggregate": "Member", "pipeline": query.build_aggregation_pipeline(), "cursor": {}}}
    )
    assert ("IXSCAN" in str(plan)) == (condition in {"equal", "one of", "both", "another"})
