"""What a change makes of a document: values are moved, not serialized; a merge patch merges (RFC 7396)."""

import asyncio
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

import pytest
from beanie import Insert, Update, before_event, init_beanie
from bson import Decimal128, ObjectId
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    computed_field,
    field_validator,
    model_validator,
)

from students_api.mongodb.driver import Database
from students_api.odm import documents
from students_api.odm.documents import StoredDocument
from students_api.odm.encoding import InvalidDocument
from students_api.resources.read_schemas import DocumentResponse, lenient_response, to_json
from students_api.resources.request_schemas import given_values, merge_patch, partial


class Contact(BaseModel):
    city: str
    phone: str | None = "none"
    rooms: dict[str, int | None] = {}


class PupilFields(BaseModel):
    model_config = ConfigDict(validate_by_name=True)

    name: Annotated[str, Field(alias="fullName")]
    fee: Decimal | None = Decimal("1.50")
    contact: Contact = Contact(city="Bern")
    home: Contact | None = None
    notes: Annotated[dict[str, Any], Field(default_factory=dict)]
    tags: list[str] = []
    phone: Annotated[str, PlainSerializer(lambda phone: phone[-2:])] = "0123"
    key: SecretStr | None = None

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def initial(self) -> str:
        """The first letter, of a name that is stored."""
        return self.name[0]


@partial
class PupilUpdate(PupilFields):
    """An update."""


@merge_patch
class PupilPatch(PupilFields):
    """A patch."""


@lenient_response
class PupilRead(PupilFields, DocumentResponse):
    """An answer."""


class Pupil(StoredDocument, PupilFields):
    class Settings:
        name = "pupils"


class Sparing(StoredDocument, PupilFields):
    class Settings:
        name = "pupils"
        keep_nulls = False


class Watching(StoredDocument, PupilFields):
    """It has hooks and a rule, which note what they see."""

    seen: ClassVar[list[Any]] = []

    class Settings:
        name = "pupils"

    @before_event(Insert, Update)
    def note(self) -> None:
        self.seen.append(("hook", self.fee, self.contact.phone))

    @model_validator(mode="after")
    def is_consistent(self) -> Self:
        self.seen.append(("rule", self.fee, self.contact.phone))
        if self.fee is None and self.contact.city == "Oslo":
            raise ValueError("Oslo takes a fee")
        return self


class Ruled(StoredDocument, PupilFields):
    """A required field, another default, and a validator that requests do not have."""

    room: str
    fee: Decimal | None = Decimal(9)

    class Settings:
        name = "pupils"


class Titled(StoredDocument, PupilFields):
    tags: list[str] = ["new"]

    class Settings:
        name = "pupils"

    @field_validator("name")
    @classmethod
    def in_title_case(cls, name: str) -> str:
        if name == "x":
            raise ValueError("no name")
        return name.title()


class Derived(StoredDocument, PupilFields):
    long_name: str = ""

    class Settings:
        name = "pupils"

    @model_validator(mode="after")
    def derive(self) -> Self:
        self.long_name = f"{self.name} of {self.contact.city}"
        return self


KINDS: list[Any] = [Pupil, Sparing, Watching, Ruled, Titled, Derived]


@pytest.fixture
async def pupils(database: Database) -> Any:
    """The collection of all of them, empty."""
    await init_beanie(database, document_models=[*KINDS], skip_indexes=True)
    Watching.seen.clear()
    return database["pupils"]


async def patch(kind: type[StoredDocument], change: dict[str, Any]) -> PupilRead:
    values = given_values(PupilPatch.model_validate(change))
    changed = await kind.update_one({}, values=values, projection=PupilRead)
    assert changed is not None
    return changed


BEFORE: dict[str, Any] = {
    "fullName": "jane", "fee": Decimal128("2.50"), "notes": {"a": {"b": 1, "c": 2}, "d": [1, 2]}, "tags": ["a", "b"],
    "contact": {"city": "Bern", "phone": "1", "rooms": {"x": 1, "y": 2}}, "home": {"city": "Bern", "phone": None},
    "phone": "0123", "version": 1,
}  # fmt: skip

PATCHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"fullName": "joan"}, {"fullName": "joan"}),
    ({"name": "joan"}, {"fullName": "joan"}),
    ({"fee": None}, {"fee": None}),
    ({"tags": ["c"]}, {"tags": ["c"]}),
    ({"contact": {"city": "Oslo"}}, {"contact": {"city": "Oslo", "phone": "1", "rooms": {"x": 1, "y": 2}}}),
    ({"contact": {"phone": None}}, {"contact": {"city": "Bern", "phone": None, "rooms": {"x": 1, "y": 2}}}),
    (
        {"contact": {"rooms": {"x": None, "z": 3}}},
        {"contact": {"city": "Bern", "phone": "1", "rooms": {"y": 2, "z": 3}}},
    ),
    ({"home": None}, {"home": None}),
    ({"home": {"phone": "2"}}, {"home": {"city": "Bern", "phone": "2", "rooms": {}}}),
    ({"notes": {"a": {"b": None, "e": {"f": None, "g": 1}}}}, {"notes": {"a": {"c": 2, "e": {"g": 1}}, "d": [1, 2]}}),
    ({"notes": {"d": {"h": 1}, "i": None}}, {"notes": {"a": {"b": 1, "c": 2}, "d": {"h": 1}}}),
    ({"notes": {}}, {}),
    ({"contact": {}, "fee": "3.50"}, {"fee": Decimal128("3.50")}),
    ({"phone": "4567"}, {"phone": "4567"}),
]


@pytest.mark.parametrize(("change", "expected"), PATCHES, ids=str)
@pytest.mark.parametrize("kind", [Pupil, Watching, Titled])
async def test_a_patch_merges_objects_replaces_lists_and_clears_what_may_be_empty(
    pupils: Any, kind: type[StoredDocument], change: dict[str, Any], expected: dict[str, Any]
) -> None:
    await pupils.insert_one({"_id": ObjectId(), **BEFORE})
    changed = await patch(kind, change)
    stored = await pupils.find_one({}, {"_id": 0, "updated_at": 0})
    if kind is Titled and "fullName" in expected:
        expected = {"fullName": "Joan"}
    expected = BEFORE | expected | {"version": 2}
    for nested in ("contact", "home"):
        if nested in change and expected[nested]:
            expected[nested] = {"rooms": {}, **expected[nested]}
    assert {key: value for key, value in stored.items() if key in expected} == expected
    assert changed.version == 2


REFUSED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"contact": {"city": None}}, ("contact", "city")),
    ({"contact": {"rooms": {"x": "many"}}}, ("contact", "rooms", "x")),
    ({"contact": {"city": ["Oslo"]}, "fee": None}, ("contact", "city")),
    ({"home": {"city": 5}}, ("home", "city")),
    ({"notes": {"$set": 1}}, ("notes",)),
]


@pytest.mark.parametrize(("change", "place"), REFUSED, ids=str)
async def test_a_patch_that_makes_an_object_invalid_changes_nothing(
    pupils: Any, change: dict[str, Any], place: tuple[str, ...]
) -> None:
    await pupils.insert_one({"_id": ObjectId(), **BEFORE})
    with pytest.raises(InvalidDocument) as refused:
        await patch(Pupil, change)
    assert [each["loc"][: len(place)] for each in refused.value.errors] == [place]
    assert await pupils.find_one({}, {"_id": 0}) == BEFORE


async def test_what_is_missing_is_merged_into_nothing(pupils: Any) -> None:
    await pupils.insert_one({"_id": ObjectId(), "fullName": "jane"})
    await patch(Pupil, {"home": {"city": "Oslo"}, "notes": {"a": {"b": None}}})
    stored = await pupils.find_one()
    assert (stored["home"], stored["notes"]) == ({"city": "Oslo", "phone": "none", "rooms": {}}, {"a": {}})
    with pytest.raises(InvalidDocument):
        await patch(Pupil, {"contact": {"phone": "1"}})


async def test_where_nulls_are_not_kept_a_patch_unsets_the_key(pupils: Any) -> None:
    await pupils.insert_one({"_id": ObjectId(), **BEFORE})
    changed = await patch(Sparing, {"fee": None})
    assert ("fee" in await pupils.find_one(), changed.fee) == (False, None)


async def test_hooks_and_rules_see_the_none_and_not_the_default(pupils: Any) -> None:
    await pupils.insert_one({"_id": ObjectId(), **BEFORE})
    await patch(Watching, {"fee": None, "contact": {"phone": None}})
    assert [each for each in Watching.seen if each[0] == "hook"] == [("hook", None, None)]
    assert Watching.seen[-1] == ("rule", None, None)
    with pytest.raises(InvalidDocument) as refused:
        await patch(Watching, {"contact": {"city": "Oslo"}})
    assert [each["loc"] for each in refused.value.errors] == [()]
    await patch(Watching, {"contact": {"city": "Oslo"}, "fee": "0.10"})
    assert Watching.seen[-1] == ("rule", Decimal("0.10"), None)


@pytest.mark.mongod
async def test_patches_at_once_are_all_merged(real_database: Database) -> None:
    await init_beanie(real_database, document_models=[*KINDS], skip_indexes=True)
    await real_database["pupils"].insert_one({"_id": ObjectId(), **BEFORE})
    changes = [{"notes": {f"key{number}": number}} for number in range(8)]
    await asyncio.gather(*[patch(Pupil, change) for change in changes])
    stored = await real_database["pupils"].find_one()
    assert stored is not None
    assert stored["notes"] == BEFORE["notes"] | {f"key{number}": number for number in range(8)}
    assert stored["version"] == 9


async def test_a_change_of_plain_fields_reads_nothing_first(pupils: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await pupils.insert_one({"_id": ObjectId(), **BEFORE})

    async def fail(*_: object) -> None:
        raise AssertionError("it is one operation")

    monkeypatch.setattr(documents, "fetch_raw", fail)
    await patch(Pupil, {"fee": None, "fullName": "Joan", "tags": []})
    with pytest.raises(AssertionError):
        await patch(Pupil, {"notes": {}})


async def test_values_go_from_a_request_to_mongodb_as_they_are(pupils: Any) -> None:
    given = {"name": "jane", "contact": {"city": "Bern", "phone": None}, "phone": "4567", "key": "k1", "fee": "0.10"}
    for kind in (Pupil, Watching, Titled, Derived):
        await pupils.delete_many({})
        await kind.from_request(PupilFields.model_validate(given)).insert()
        created = await pupils.find_one()
        update = given_values(PupilUpdate.model_validate(given | {"phone": "890", "key": "**********", "fee": None}))
        await kind.update_one({}, values=update, projection=PupilRead)
        updated = await pupils.find_one()
        for stored, phone in ((created, "4567"), (updated, "890")):
            assert (stored["contact"], stored["phone"], stored["key"], stored["fee"]) == (
                {"city": "Bern", "phone": None, "rooms": {}}, phone, "k1", Decimal128("0.10"),
            )  # fmt: skip
        read = await kind.find_one({})
        assert isinstance(read, PupilFields)
        assert (read.fee, read.key) == (Decimal("0.10"), SecretStr("k1"))


async def test_what_the_document_declares_beside_its_request_holds(pupils: Any) -> None:
    request = PupilFields.model_validate({"name": "jane"})
    with pytest.raises(InvalidDocument) as refused:
        Ruled.from_request(request)
    assert [(each["loc"], each["type"]) for each in refused.value.errors] == [(("room",), "missing")]
    await Titled.from_request(request).insert()
    stored = await pupils.find_one()
    assert (stored["fullName"], stored["tags"]) == ("Jane", ["new"])
    await Titled.update_one({}, values={"name": "joan"}, projection=PupilRead)
    assert (await pupils.find_one())["fullName"] == "Joan"
    with pytest.raises(InvalidDocument):
        await Titled.update_one({}, values={"name": "x"}, projection=PupilRead)


async def test_what_a_rule_derives_is_stored_by_a_change_as_by_the_creation(pupils: Any) -> None:
    await Derived.from_request(PupilFields.model_validate({"name": "Jane"})).insert()
    assert (await pupils.find_one())["long_name"] == "Jane of Bern"
    await Derived.update_one({}, values={"name": "Joan"}, projection=PupilRead)
    assert (await pupils.find_one())["long_name"] == "Joan of Bern"


@pytest.mark.parametrize("kind", [Pupil, Watching, Titled])
async def test_the_mask_of_a_secret_is_not_stored(pupils: Any, kind: type[StoredDocument]) -> None:
    with pytest.raises(InvalidDocument) as refused:
        await kind.from_request(PupilFields.model_validate({"name": "jane", "key": "**********"})).insert()
    assert [each["loc"] for each in refused.value.errors] == [("key",)]
    assert await pupils.count_documents({}) == 0


def test_a_serializer_or_a_computed_field_that_fails_is_null_and_logged_without_a_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read = PupilRead.model_validate({"_id": ObjectId(OWN_ID), "fullName": "", "fee": Decimal128("1.0"), "phone": 5})
    assert to_json(read, include={"id", "name", "fee", "initial", "phone"}) == (
        f'{{"id": "{OWN_ID}", "fullName": "", "fee": "1.0", "phone": null, "initial": null}}'
    )
    assert [record.getMessage() for record in caplog.records] == [
        "PupilRead.initial is shown as null: the code that makes it fails"
    ]


OWN_ID = "5eb7cf5a86d9755df3a6c593"

STORED_AND_READ: list[tuple[str, Any, Any]] = [
    ("fee", 3.5, "3.5"), ("fee", "2.50", "2.50"), ("fee", "dear", "dear"), ("fee", True, None), ("fee", [1], None),
    ("tags", "a", None), ("tags", ["a", 5, None, {"b": 1}], ["a", "5", None, None]), ("tags", [], []),
    ("home", "Bern", None), ("home", {}, {"city": None, "phone": None, "rooms": None}),
    ("home", {"city": 5, "rooms": {"x": "7", "y": 1.5}, "zip": 1},
     {"city": "5", "phone": None, "rooms": {"x": 7, "y": None}}),
    ("notes", {"at": ObjectId(OWN_ID), "fee": Decimal128("1.50"), "raw": b"\xff"},
     {"at": OWN_ID, "fee": "1.50", "raw": None}),
    ("key", 5, None), ("key", "k1", "**********"), ("phone", None, None), ("phone", "0123", "23"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "stored", "answered"), STORED_AND_READ, ids=str)
def test_what_is_stored_in_another_type_is_converted_or_null(name: str, stored: Any, answered: Any) -> None:
    read = PupilRead.model_validate({"_id": ObjectId(OWN_ID), "fullName": "Jane", name: stored})
    assert read.model_dump(mode="json")[name] == answered


def test_read_schemas_promise_types_and_no_limits() -> None:
    schema = PupilRead.model_json_schema(mode="serialization")
    properties = schema["properties"]
    assert properties["fee"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert properties["key"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert properties["initial"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert "anyOf" not in properties["phone"]  # its serializer does not say what it makes
    assert properties["contact"]["anyOf"] == [{"$ref": "#/$defs/ContactRead"}, {"type": "null"}]
    assert schema["$defs"]["ContactRead"]["properties"]["city"]["anyOf"] == [{"type": "string"}, {"type": "null"}]


def test_a_patchs_schema_has_no_required_member_of_an_object() -> None:
    schema = PupilPatch.model_json_schema()
    assert "required" not in schema
    contact = schema["properties"]["contact"]
    assert ("required" in contact, contact["properties"]["city"]) == (
        False,
        {"anyOf": [{"title": "City", "type": "string"}, {"type": "null"}]},
    )


def test_null_is_no_value_of_what_every_document_has() -> None:
    with pytest.raises(ValueError, match="should not be null"):
        PupilPatch.model_validate({"fullName": None})
    assert given_values(PupilPatch.model_validate({"fee": None})) == {"fee": None}
    assert given_values(PupilUpdate.model_validate({"fee": None, "name": None})) == {}
