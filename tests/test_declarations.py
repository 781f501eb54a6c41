"""What a school may declare: each row a type or a feature, stored, read, changed, filtered and checked over HTTP."""

import json
import math
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType, ModuleType, NoneType
from typing import Any, NamedTuple
from uuid import UUID

import httpx2
import jsonschema_rs
import pytest
from bson import Binary, Code, DatetimeMS, DBRef, Decimal128, MinKey, ObjectId, Regex, Timestamp
from pydantic import JsonValue
from pydantic.fields import FieldInfo

from students_api import main
from students_api.mongodb.driver import Database
from students_api.odm.declarations import members
from students_api.odm.documents import resolve_links
from students_api.operations.check import check_database
from students_api.resources.routing import Resource
from students_api.settings import Settings
from tests.conftest import running
from tests.recipes import recipes

pytestmark = pytest.mark.mongod

SAME: Any = object()


ABSENT: Any = object()
MASK = "**********"
OBJECT_IDS = ["5eb7cf5a86d9755df3a6c593", "5eb7cf5a86d9755df3a6c594"]
UUIDS = ["5eb7cf5a-86d9-455d-b3a6-c593aaaaaaaa", "5eb7cf5a-86d9-455d-b3a6-c593bbbbbbbb"]


def nested(levels: int) -> dict[str, Any]:
    """Objects in objects."""
    return {"a": nested(levels - 1)} if levels > 1 else {}


def place(*coordinates: float) -> dict[str, Any]:
    """A point in GeoJSON."""
    return {"type": "Point", "coordinates": [*coordinates]}


class Row(NamedTuple):
    """A declaration of the field `x`, and two values of it: as they are sent, stored, and answered."""

    declared: str
    sent: Any
    changed: Any
    stored: Any = SAME
    answered: Any = SAME
    answered_change: Any = SAME
    before: str = ""
    """Lines before the class of the fields."""
    in_fields: str = ""
    in_document: str = ""
    """Lines of the document's settings."""
    refused: tuple[Any, ...] = ()
    filters: tuple[str, ...] = ()
    """Query strings that find the document as it was sent."""
    sorts: bool = True
    """Whether the filter's field is an order, too."""
    key: str = "x"
    """The key of the field in JSON and in MongoDB."""
    more: str = ""
    """A key that answers have beside the fields."""
    python: Any = SAME
    """The value in Python, where it is told."""
    frozen: tuple[str, ...] = ()
    sends_back: bool = True
    """Whether a client can send back what it got."""
    keeps_null: bool = True


STR_SIZE = """
class Size(enum.StrEnum):
    S = "s"
    M = "m"
"""
INT_SIZE = """
class Size(enum.Enum):
    S = 1
    M = 2
"""
ADDRESS = """
class Address(BaseModel):
    city: str
    since: date | None = None
    fee: Decimal | None = None
"""
POSTAL = """
class Address(BaseModel):
    code: int = Field(alias="postalCode")
"""
NODE = """
class Node(BaseModel):
    name: str
    inner: list["Node"] = []
"""
PETS = """
class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str
"""
PHONE = """
class Phone(BaseModel):
    number: str

    @field_serializer("number")
    def end(self, number: str) -> str:
        return number[-2:]
"""
ROUNDED = """
@field_serializer("x")
def rounded(self, value: float) -> float:
    return round(value + 1e-9, 2)
"""
DOUBLE = """
@computed_field
@property
def double(self) -> int:
    return 2 * self.x
"""
SMALL = """
model_config = ConfigDict(validate_assignment=True)

@model_validator(mode="after")
def is_small(self) -> Self:
    assert self.x < 9
    return self
"""
HOOK = """
@before_event(Insert, Update)
def look(self) -> None:
    self.x += 0
"""
CAMEL = "model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)"
IGNORING_CASE = 'IndexModel([("x", 1)], unique=True, collation=Collation(locale="en", strength=2))'
COMMA = 'lambda value: value.replace(",", ".") if isinstance(value, str) else value'


def address(city: str, since: Any = None, fee: Any = None) -> dict[str, Any]:
    """A nested object, with all of its members."""
    return {"city": city, "since": since, "fee": fee}


def indexes(*indexes: str) -> str:
    """The line of a document's settings with these indexes."""
    return f"    indexes: ClassVar = [{', '.join(indexes)}]"


# fmt: off
ROWS: dict[str, Row] = {
    # Text
    "text": Row("x: Annotated[str, Indexed()]", "a", "b", filters=("x=a",), refused=(5, ["a"])),
    "optional text": Row("x: Annotated[str | None, Indexed()] = None", "a", "b", filters=("x=a",)),
    "text with another default": Row('x: str | None = "z"', "a", "b"),
    "text with a limit": Row("x: Annotated[str, Field(max_length=3)]", "abc", "b", refused=("abcd",)),
    "an e-mail address": Row("x: Annotated[EmailStr, Indexed()]", "a@b.org", "c@d.org", filters=("x=a@b.org",)),
    "a URL": Row("x: Annotated[HttpUrl, Indexed()]", "https://b.org/", "https://c.org/", filters=("x=https://b.org/",)),
    "an IP address": Row("x: ipaddress.IPv4Address", "127.0.0.1", "127.0.0.2", refused=("256.0.0.1",)),
    "a path": Row("x: Path", "a/b", "c"),
    # Numbers
    "an integer": Row(
        "x: Annotated[int, Indexed()]", 5, 6, filters=("x=5", "x__gt=4", "x__lte=5"), refused=(2**63, 1.5)),
    "a float": Row("x: Annotated[float, Indexed()]", 2.5, 3.5, filters=("x=2.5", "x__gte=2.5"),
                   refused=(math.inf, math.nan)),
    "a boolean": Row("x: Annotated[bool, Indexed()]", True, False, filters=("x=true",)),
    "a decimal": Row(
        "x: Annotated[Decimal, Indexed()]", "12.50", "0.1", Decimal128("12.50"), python=Decimal("12.50"),
        refused=("1." + "1" * 40, "NaN"), filters=("x=12.5", "x__lt=13")),
    "a decimal of 20 digits": Row("x: Decimal", "100000000000000000.25", "1", Decimal128("100000000000000000.25")),
    "an optional decimal": Row("x: Decimal | None = None", "1.0", "2", Decimal128("1.0")),
    "a decimal with limits": Row(
        "x: Annotated[Decimal, Field(ge=0, max_digits=5, decimal_places=2)]", "1.25", "2", Decimal128("1.25"),
        refused=("-1", "1.234")),
    "a strict integer": Row("x: Annotated[int, Strict()]", 5, 6, refused=("5",)),
    "a byte size": Row("x: ByteSize", 1024, 5),
    # Time
    "a time with its date": Row(
        "x: Annotated[datetime, Indexed()]", "2026-01-02T03:04:05.678901+01:00", "2027-01-01T00:00:00Z",
        datetime(2026, 1, 2, 2, 4, 5, 678000, UTC), "2026-01-02T02:04:05.678000Z",
        filters=("x__gt=2026-01-01T00:00:00Z",), refused=("0001-01-01T00:30:00+01:00", "9999-12-31T23:30:00-01:00")),
    "an aware time": Row(
        "x: Annotated[AwareDatetime, Indexed()]", "2026-01-02T03:04:05Z", "2027-01-01T00:00:00Z",
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), filters=("x=2026-01-02T03:04:05Z", "x__lt=2026-02-01T00:00:00Z"),
        refused=("2026-01-02T03:04:05",)),
    "a date": Row(
        "x: Annotated[date, Indexed()]", "2026-01-02", "2027-01-01", datetime(2026, 1, 2, tzinfo=UTC),
        filters=("x=2026-01-02", "x__lt=2026-01-03"), python=date(2026, 1, 2)),
    "a date in the past": Row(
        "x: Annotated[PastDate | None, Indexed()] = None", "2001-01-02", "2002-01-01", datetime(2001, 1, 2, tzinfo=UTC),
        filters=("x=2001-01-02", "x__gte=2000-01-01"), refused=("2999-01-01",)),
    "a duration": Row(
        "x: Annotated[timedelta, Indexed()]", "PT1H30M", "PT1S", 5400.0, filters=("x=PT1H30M", "x__gt=PT1H"),
        python=timedelta(minutes=90)),
    "a time of day as text": Row(
        "x: time", "13:30:00", "14:00:00", in_document="    bson_encoders: ClassVar = {time: str}"),
    "a date as text": Row(
        "x: Annotated[date, Indexed()]", "2026-01-02", "2027-01-01", filters=("x=2026-01-02",),
        in_document="    bson_encoders: ClassVar = {date: date.isoformat, datetime: lambda value: value}"),
    # A choice
    "literals of text": Row('x: Annotated[Literal["a", "b"], Indexed()]', "a", "b", filters=("x=a",), refused=("c",)),
    "literals of numbers": Row(
        "x: Annotated[Literal[1, 2, 3], Indexed()]", 2, 3, filters=("x=2", "x=1&x=2"), refused=(4,)),
    "an enumeration of text": Row(
        "x: Annotated[Size, Indexed()]", "s", "m", filters=("x=s",), refused=("l",), before=STR_SIZE),
    "an enumeration of numbers": Row(
        "x: Annotated[Size | None, Indexed()] = None", 1, 2, filters=("x=1",), refused=(3,), before=INT_SIZE),
    "values of an enumeration": Row(
        "x: Annotated[Size, Indexed()]", 1, 2, filters=("x=1",), before=INT_SIZE,
        in_fields="model_config = ConfigDict(use_enum_values=True)"),
    # Ids
    "a UUID": Row(
        "x: Annotated[UUID, Indexed()]", UUIDS[0], UUIDS[1], Binary.from_uuid(UUID(UUIDS[0])),
        filters=(f"x={UUIDS[0]}",)),
    "an ObjectId": Row(
        "x: Annotated[PydanticObjectId | None, Indexed()] = None", OBJECT_IDS[0], OBJECT_IDS[1],
        ObjectId(OBJECT_IDS[0]), filters=(f"x={OBJECT_IDS[0]}",)),
    "a document's id": Row(
        "x: Annotated[DocumentId, Indexed()]", OBJECT_IDS[0], OBJECT_IDS[1], ObjectId(OBJECT_IDS[0]),
        filters=(f"x={OBJECT_IDS[0]}",), refused=(None, "x"),
        before="from students_api.resources.fields import DocumentId"),
    # Bytes and secrets
    "bytes": Row("x: bytes", "abc", "d", b"abc"),
    "Base64": Row("x: Base64Bytes", "YWJj", "ZA==", b"abc", refused=("a",), python=b"abc"),
    "optional Base64": Row("x: Base64Bytes | None = None", "YWJj", "ZA==", b"abc", python=b"abc"),
    "Base64 of text": Row("x: Base64Str", "YWJj", "ZA==", "abc", python="abc"),
    "bytes in Base64 by configuration": Row(
        "x: bytes", "YWJj", "ZA==", b"YWJj", "WVdKag==", "WkE9PQ==", sends_back=False,
        in_fields='model_config = ConfigDict(ser_json_bytes="base64")'),
    "a secret": Row("x: Annotated[SecretStr, Indexed()]", "k1", "k2", "k1", MASK, MASK),
    "an optional secret": Row("x: SecretStr | None = None", "k1", "k2", "k1", MASK, MASK),
    "secret bytes": Row("x: SecretBytes", "k1", "k2", b"k1", MASK, MASK),
    # Arrays and objects
    "a list": Row("x: Annotated[list[str], Indexed()]", ["a", "b"], [], filters=("x=a",), sorts=False),
    "a set": Row("x: Annotated[set[str], Indexed()]", ["a"], ["b"], filters=("x=a",), sorts=False, python={"a"}),
    "a list of anything": Row("x: list", [{"a": 1}], []),
    "a bare dictionary": Row("x: dict", {"a": [1]}, {"b": 1}),
    "a sequence": Row("x: Sequence[int]", [1], [2]),
    "a mapping": Row("x: Mapping[str, date]", {"a": "2026-01-02"}, {}, {"a": datetime(2026, 1, 2, tzinfo=UTC)}),
    "a frozen set": Row("x: frozenset[int]", [1], [2], python=frozenset({1})),
    "a list of numbers": Row("x: list[float]", [1.5], [], refused=([math.nan],)),
    "a model of numbers": Row(
        "x: Spot", {"at": 1.5}, {"at": 2.5}, before="class Spot(BaseModel):\n    at: float",
        refused=({"at": math.inf},)),
    "a tuple": Row("x: tuple[int, str]", [1, "a"], [2, "b"], python=(1, "a"), refused=([1],)),
    "a tuple of any length": Row("x: tuple[Decimal, ...]", ["1.5"], [], [Decimal128("1.5")], python=(Decimal("1.5"),)),
    "a list of dates": Row("x: list[date]", ["2026-01-02"], [], [datetime(2026, 1, 2, tzinfo=UTC)]),
    "a dictionary": Row("x: dict[str, int]", {"a": 1}, {"b": 2}),
    "a dictionary of decimals": Row("x: dict[str, Decimal]", {"a": "1.50"}, {"b": "2"}, {"a": Decimal128("1.50")}),
    "a dictionary by number": Row("x: dict[int, str]", {"1": "a"}, {"2": "b"}, python={1: "a"}),
    "a dictionary by choice": Row("x: dict[Size, int]", {"s": 1}, {"s": 2}, before=STR_SIZE),
    "any object": Row(
        "x: dict[str, Any]", {"a": [{"b.c": None}]}, {"d": 1},
        refused=({"$ref": "a", "$id": "b"}, {"a": {"$set": 1}}, {"a\0b": 1}, {"a": "\ud800"}, nested(250),
                 {"a": [math.inf]}, {"a": 2**64})),
    "an object 98 levels deep": Row("x: dict[str, Any]", nested(98), {}),
    "any JSON": Row("x: JsonValue", [1, {"a": None}], "text", refused=([{"$oid": "a"}],)),
    "anything": Row("x: Any", {"a": 1}, [1], refused=({"a": {"$where": 1}}, "\ud800", ["\ud800"], 2**64)),
    "a model": Row(
        "x: Address", address("Bern", "2001-01-02", "1.50"), address("Oslo"),
        address("Bern", datetime(2001, 1, 2, tzinfo=UTC), Decimal128("1.50")),
        before=ADDRESS, refused=({"city": None}, {"fee": "x"})),
    "a model without all of its values": Row(
        "x: Address | None = None", {"city": "Bern"}, {"city": "Oslo"}, address("Bern"), address("Bern"),
        address("Oslo"), before=ADDRESS),
    "a model's field with an index": Row(
        "x: Address", address("Bern"), address("Oslo"), before=ADDRESS, in_document=indexes('[("x.city", 1)]'),
        filters=("x.city=Bern", "x.city=Oslo&x.city=Bern")),
    "a date in a model with an index": Row(
        "x: Address | None = None", address("Bern", "2001-01-02"), address("Oslo"),
        address("Bern", datetime(2001, 1, 2, tzinfo=UTC)), before=ADDRESS,
        in_document=indexes('[("x.since", -1)]'), filters=("x.since__gte=2001-01-01",)),
    "models with an index": Row(
        "x: list[Address]", [address("Bern")], [], before=ADDRESS, in_document=indexes('[("x.city", 1)]'),
        filters=("x.city=Bern",), sorts=False),
    "a model with an alias": Row(
        "x: Address", {"postalCode": 1}, {"postalCode": 2}, before=POSTAL, in_document=indexes('[("x.postalCode", 1)]'),
        filters=("x.postalCode=1", "x.postalCode__lt=2")),
    "a model that contains itself": Row(
        "x: Node", {"name": "a", "inner": [{"name": "b", "inner": []}]}, {"name": "c", "inner": []}, before=NODE),
    "a root model": Row("x: Tags", ["a"], ["b"], before="class Tags(RootModel[list[str]]): ..."),
    "a typed dictionary": Row(
        "x: Point", {"a": 1}, {"a": 2}, before="class Point(TypedDict):\n    a: int", refused=({"a": "b"},)),
    "a named tuple": Row("x: Point", [1, 2], [3, 4], before="class Point(NamedTuple):\n    a: int\n    b: int"),
    "one of several models": Row(
        "x: Annotated[Cat | Dog, Field(discriminator='kind')]", {"kind": "cat", "lives": 9},
        {"kind": "dog", "name": "Rex"},
        before=PETS, refused=({"kind": "cow"},)),
    "one of several types": Row("x: int | str", 1, "a"),
    "a place on the map": Row(
        "x: dict[str, Any]", place(7.4, 46.9), place(0, 0), in_document=indexes('[("x", "2dsphere")]'),
        refused=(place(400, 100), {"type": "Blob"})),
    "a model with a type of its own inside": Row(
        "x: Box[int]", {"v": 1}, {"v": 2}, before="T = TypeVar('T')\nclass Box(BaseModel, Generic[T]):\n    v: T"),
    "models that contain each other": Row(
        "x: P", {"q": {"p": None}}, {"q": {"p": {"q": None}}},
        before="class P(BaseModel):\n    q: 'Q | None'\nclass Q(BaseModel):\n    p: P | None\nP.model_rebuild()"),
    "a dictionary of models": Row(
        "x: dict[str, Address]", {"a": address("Bern")}, {"b": address("Oslo")}, before=ADDRESS),
    "a secret in a model": Row(
        "x: Safe", {"k": "a"}, {"k": "b"}, {"k": "a"}, {"k": MASK}, {"k": MASK}, sends_back=False,
        before="class Safe(BaseModel):\n    k: SecretStr"),
    # What a field does
    "a serializer": Row(
        "x: Annotated[str, Indexed(), PlainSerializer(lambda value: value[-2:])]", "0123", "4567", "0123", "23", "67",
        filters=("x=0123",), sends_back=False),
    "a serializer of the class": Row(
        "x: float", 2.345, 1.118, 2.345, 2.35, 1.12, in_fields=ROUNDED, sends_back=False),
    "a serializer of a model's field": Row(
        "x: Phone", {"number": "0123"}, {"number": "4567"}, {"number": "0123"}, {"number": "23"}, {"number": "67"},
        before=PHONE, sends_back=False),
    "a serializer to another type": Row(
        "x: Annotated[int, PlainSerializer(lambda value: f'#{value}', return_type=str)]", 5, 6, 5, "#5", "#6",
        sends_back=False),
    "a serializer of each item": Row(
        "x: list[Annotated[int, PlainSerializer(lambda value: value * 2, return_type=int)]]", [5], [6], [5], [10], [12],
        sends_back=False),
    "a serializer and a validation at each save": Row(
        "x: Annotated[str, PlainSerializer(lambda value: value[-2:])]", "0123", "4567", "0123", "23", "67",
        in_document="    validate_on_save = True", sends_back=False),
    "a deprecated field": Row("x: Annotated[int, Field(deprecated=True)]", 5, 6),
    "an excluded field": Row("x: Annotated[str, Field(exclude=True)]", "a", "b", "a", ABSENT, ABSENT),
    "a computed field": Row("x: int", 2, 3, in_fields=DOUBLE, more="double"),
    "an alias": Row(
        'x: Annotated[str, Indexed(), Field(alias="ownName")]', "a", "b", key="ownName", filters=("ownName=a",)),
    "an alias of every field": Row(
        "own_name: Annotated[str | None, Indexed()] = None", "a", "b", key="ownName", filters=("ownName=a",),
        in_fields=CAMEL),
    "a frozen field": Row("x: Annotated[int, Field(frozen=True)]", 1, 2, frozen=("x",)),
    "frozen fields": Row("x: int", 1, 2, in_fields="model_config = ConfigDict(frozen=True)", frozen=("x", "title")),
    "validated assignment": Row("x: Annotated[int, Field(ge=0)]", 1, 2, refused=(-1,), in_fields=SMALL),
    "validated assignment and a hook": Row(
        "x: Annotated[int, Field(ge=0)]", 1, 2, refused=(-1,), in_fields=f"{SMALL}\n{HOOK}"),
    "a frozen field and a rule": Row(
        "x: Annotated[int, Field(frozen=True)]", 1, 2, frozen=("x",),
        in_fields=SMALL.replace("validate_assignment", "validate_default")),
    "a rule that a hook breaks": Row(
        "x: Annotated[int, Field(ge=1)]", 2, 3, in_fields=f"{SMALL}\n{HOOK.replace('+= 0', '*= (self.x != 7)')}",
        refused=(7,)),
    "a validator": Row("x: Annotated[str, AfterValidator(str.title)]", "jane", "JOAN", "Jane", "Jane", "Joan"),
    "a validator before": Row(
        f"x: Annotated[float, BeforeValidator({COMMA}, json_schema_input_type=float | str)]", "2,5", "3,5",
        2.5, 2.5, 3.5),
    "limits by configuration": Row(
        "x: str", "ab", "cd", refused=("a" * 10,), sends_back=False,
        in_fields="model_config = ConfigDict(str_max_length=9, extra='forbid')"),
    # Indexes
    "an optional unique field": Row(
        "x: Annotated[str | None, Indexed(unique=True, sparse=True)] = None", "a", "b", filters=("x=a",), sorts=False,
        keeps_null=False),
    "a wildcard index": Row("x: dict[str, int]", {"a": 1}, {"b": 2}, in_document=indexes('[("x.$**", 1)]')),
    "a hashed index": Row("x: Annotated[str, Indexed(index_type='hashed')]", "a", "b"),
    "a text index": Row("x: str", "a", "b", in_document=indexes('IndexModel([("x", "text")])')),
    "a partial index": Row(
        "x: int", 5, 6, in_document=indexes('IndexModel([("x", 1)], partialFilterExpression={"x": {"$gt": 1}})')),
    "a case-insensitive unique field": Row("x: str", "a@b.org", "C@d.org", in_document=indexes(IGNORING_CASE)),
}
# fmt: on

RECIPE = recipes()["a-second-resource"].patch


def source(file: str) -> str:
    """A file of the recipe."""
    body = RECIPE.partition(f"+++ b/students_api/courses/{file}\n")[2].partition("diff --git")[0]
    return "\n".join(line[1:] for line in body.splitlines()[1:])


def load(name: str, text: str) -> ModuleType:
    """The module of this source."""
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, name, "exec"), module.__dict__)
    return module


HEAD = """
import enum, re, uuid, ipaddress
from datetime import *
from decimal import Decimal
from pathlib import Path
from typing import *
from uuid import UUID
from beanie import *
from pydantic import *
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict
from pymongo import IndexModel
from pymongo.collation import Collation
"""


def declare(number: int, row: Row, replacements: Mapping[str, str] = MappingProxyType({})) -> Resource:
    """The recipe's resource, with the field of the row in the place of the course's credits."""
    name = f"row{number}"
    texts = [source("course.py"), source("routes.py")]
    lines = texts[0].splitlines()
    (place,) = [index for index, line in enumerate(lines) if line.startswith("    credits: ")]
    lines[place : place + 1] = [f"    {line}" for line in (*row.declared.splitlines(), *row.in_fields.splitlines())]
    (place,) = [index for index, line in enumerate(lines) if line == '        name = "courses"']
    lines[place + 1 : place + 1] = [f"    {line}" for line in row.in_document.splitlines()]
    (place,) = [index for index, line in enumerate(lines) if line.startswith("class CourseFields")]
    lines[place:place] = [*HEAD.splitlines(), *row.before.splitlines(), ""]
    texts[0] = "\n".join(lines)
    for old, new in replacements.items():
        texts = [text.replace(old, new) for text in texts]
    load(f"students_api.{name}s", "")
    model, routes = (
        load(f"students_api.{name}s.{file}", text.replace("Course", name.title()).replace("course", name))
        for file, text in zip((name, "routes"), texts, strict=True)
    )
    return Resource(routes.router, [getattr(model, name.title())], description=row.declared)


@pytest.fixture(scope="module")
def resources() -> Iterator[dict[str, Resource]]:
    """A resource of each row."""
    before = set(sys.modules)
    yield {name: declare(number, row) for number, (name, row) in enumerate(ROWS.items())}
    for name in set(sys.modules) - before:
        if name.startswith("students_api.row"):
            del sys.modules[name]


@asynccontextmanager
async def serving(resources: Iterable[Resource], database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with these resources."""
    documents = [resource.documents[0] for resource in resources]
    resolve_links(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "RESOURCES", [*resources])
        patch.setattr(main, "MODELS", documents)
        app = main.create_app(Settings(), open_deployment=lambda *_: nullcontext(database))
        async with running(app) as client:
            yield client
    for document in documents:
        await database[document.get_collection_name()].drop()


@pytest.fixture(scope="module")
async def client(resources: dict[str, Resource], shared_database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application with all of them."""
    async with serving([*resources.values()], shared_database) as client:
        yield client


@pytest.fixture(scope="module")
async def openapi(client: httpx2.AsyncClient) -> dict[str, Any]:
    """The OpenAPI document of all of them."""
    document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return document


class Case:
    """A row's resource at work."""

    def __init__(self, row: Row, resource: Resource, client: httpx2.AsyncClient, database: Database) -> None:
        self.row, self.client, self.database = row, client, database
        self.path, self.document = f"{resource.router.prefix}/", resource.documents[0]
        self.collection = database[self.document.get_collection_name()]
        self.answered = row.sent if row.answered is SAME else row.answered
        self.answered_change = row.changed if row.answered_change is SAME else row.answered_change

    def body(self, value: Any) -> dict[str, Any]:
        return {"title": "Optics", self.row.key: value}

    def answer(self, document_id: str, value: Any) -> dict[str, Any]:
        shown = {} if value is ABSENT else {self.row.key: value}
        more = {self.row.more: 2 * value} if self.row.more else {}
        return {"id": document_id, "title": "Optics", **shown, **more}

    @property
    def name(self) -> str:
        """The field's own name, where its key is an alias."""
        return str(next(name for name, field in self.document.model_fields.items() if field is self.field))

    async def is_stored(self) -> bool:
        (found,) = await self.collection.find({}).to_list(None)
        return bool(found[self.row.key] == (self.row.sent if self.row.stored is SAME else self.row.stored))

    async def create(self) -> tuple[str, dict[str, Any]]:
        await self.collection.delete_many({})
        answer = await self.client.post(self.path, json=self.body(self.row.sent))
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"], answer.json()

    @property
    def number(self) -> int:
        return int(self.path.strip("/rows"))

    @property
    def field(self) -> FieldInfo:
        fields: dict[str, FieldInfo] = self.document.model_fields
        return fields[next(name for name, field in fields.items() if (field.alias or name) == self.row.key)]


@pytest.fixture(params=ROWS)
def case(
    request: pytest.FixtureRequest,
    resources: dict[str, Resource],
    client: httpx2.AsyncClient,
    shared_database: Database,
) -> Case:
    return Case(ROWS[request.param], resources[request.param], client, shared_database)


async def test_a_value_is_stored_read_and_changed(case: Case, openapi: dict[str, Any]) -> None:
    row, client = case.row, case.client
    path, created = await case.create()
    assert created == case.answer(created["id"], case.answered)
    assert await case.is_stored()
    assert (await client.get(path)).json() == created
    page = (await client.get(case.path)).json()
    assert page[next(iter(page))] == [created]
    for key in created.keys() - {"id"}:
        some = (await client.get(case.path, params={"fields": key})).json()
        assert some[next(iter(some))] == [{"id": created["id"], key: created[key]}]
    findings = [each async for each in check_database(case.database, [case.document]) if not each.ok]
    assert [each.text for each in findings if not each.text.startswith("migrations")] == []
    read: Any = await case.document.find_one({})
    assert row.python in (SAME, getattr(read, case.name))

    renamed = await client.put(path, json={"title": "Waves"})
    is_frozen = "title" in row.frozen
    assert renamed.status_code == (422 if is_frozen else 200)
    assert is_frozen or renamed.json() == created | {"title": "Waves"}
    await client.put(path, json={"title": "Optics"})
    assert await case.is_stored()
    assert conforms(created, f"{case.document.__name__}Read", openapi)
    assert conforms(case.body(row.sent), f"{case.document.__name__}Create", openapi)
    if row.sends_back:
        again = await client.put(path, json=created)
        assert (again.status_code, again.json()) == (200, created), again.text
        assert await case.is_stored()
    if row.frozen:
        return
    changed = await client.put(path, json={row.key: row.changed})
    assert (changed.status_code, changed.json().get(row.key, ABSENT)) == (200, case.answered_change), changed.text
    assert (await client.get(path)).json() == changed.json()
    assert not await case.is_stored()
    again = await client.put(path, json={row.key: row.sent})
    assert (again.status_code, again.json()) == (200, created), again.text
    assert await case.is_stored()


async def test_a_patch_changes_the_value_or_merges_it(case: Case) -> None:
    row, client = case.row, case.client
    path, created = await case.create()
    patched = await client.patch(path, json={row.key: row.changed})
    if row.frozen:
        assert patched.json()["errors"] == [
            {"loc": ["body", row.key], "msg": "Field is frozen", "type": "frozen_field"}
        ]
        return
    assert patched.status_code == 200, patched.text
    if not isinstance(row.changed, dict) or not isinstance(row.sent, dict):
        assert patched.json().get(row.key, ABSENT) == case.answered_change
    elif row.sends_back and "kind" not in row.sent:
        assert patched.json()[row.key] == created[row.key] | case.answered_change
    again = await client.patch(path, json={row.key: row.sent})
    assert again.status_code == 200, again.text
    if not isinstance(row.sent, dict):
        assert (again.json(), await case.is_stored()) == (created, True)


async def test_null_clears_what_may_be_empty(case: Case) -> None:
    path, _ = await case.create()
    cleared = await case.client.patch(path, json={case.row.key: None})
    if any(kind in (NoneType, Any, JsonValue) for kind, _ in members(case.field.annotation)):
        assert (cleared.status_code, cleared.json()[case.row.key]) == (200, None), cleared.text
        (found,) = await case.collection.find({}).to_list(None)
        assert found.get(case.row.key, ABSENT) is (None if case.row.keeps_null else ABSENT)
        assert (await case.client.get(path)).json() == cleared.json()
    else:
        assert (cleared.status_code, cleared.json()["errors"][0]["loc"][:2]) == (422, ["body", case.row.key])


@pytest.mark.parametrize("case", [name for name, row in ROWS.items() if row.key != "x"], indirect=True)
async def test_a_request_can_give_the_fields_own_name(case: Case) -> None:
    path, created = await case.create()
    own = await case.client.post(case.path, json={"title": "Optics", case.name: case.row.changed})
    assert (own.status_code, own.json()) == (201, case.answer(own.json()["id"], case.answered_change))
    for method in ("PUT", "PATCH"):
        answer = await case.client.request(method, path, json={case.name: case.row.changed})
        assert (answer.status_code, answer.json()) == (200, created | {case.row.key: case.answered_change})


@pytest.mark.parametrize("case", [name for name, row in ROWS.items() if row.refused], indirect=True)
async def test_what_cannot_be_stored_is_refused(case: Case) -> None:
    path, _ = await case.create()
    for value in case.row.refused:
        for method, target in (("POST", case.path), ("PUT", path), ("PATCH", path)):
            if (value, method) == (None, "PUT"):  # there it stands for a field that stays as it is
                continue
            content, headers = json.dumps(case.body(value)), {"Content-Type": "application/json"}
            answer = await case.client.request(method, target, content=content, headers=headers)
            assert answer.status_code == 422, (method, value)
            assert answer.json()["errors"][0]["loc"][:2] in (["body", case.row.key], ["body"]), answer.text


@pytest.mark.parametrize("case", [name for name, row in ROWS.items() if row.filters], indirect=True)
async def test_an_index_gives_a_filter_and_an_order(case: Case) -> None:
    _, created = await case.create()
    for query in case.row.filters:
        page = await case.client.get(f"{case.path}?{query}")
        assert page.status_code == 200, page.text
        assert [each["id"] for each in page.json()[case.path.strip("/")]] == [created["id"]], query
        sorted_ = await case.client.get(f"{case.path}?sort={query.partition('=')[0].partition('__')[0]}&limit=1")
        assert sorted_.status_code == (200 if case.row.sorts else 422)


ODD: list[Any] = [
    None, True, 5, 2**40, -1.5, math.nan, math.inf, Decimal128("3.25"), Decimal128("NaN"), Decimal128("1e6000"), "",
    "odd", "3", b"\xff", Binary(bytes(16), 4), Binary(b"x", 4), ObjectId(),
    datetime(2001, 2, 3, 4, tzinfo=UTC), DatetimeMS(2**60),
    Regex("^x"), Code("f()"), Timestamp(1, 1), MinKey(), [], [None, 1, "a", [], {}], {},
    {"a": {"b": [Decimal128("NaN")]}},
    {"city": 5, "since": "x", "fee": [1], "v": "y", "kind": "cat", "number": 1, "name": [],
     "inner": [{"inner": 5}]},
    DBRef("rows", ObjectId()), {"coordinates": []},
]  # fmt: skip
"""What another program may have stored."""


def takes_odd_values(row: Row) -> bool:
    """Whether no index of the row, and no code of the school's, refuses them."""
    return not (row.in_document or "unique" in row.declared or "hashed" in row.declared or "_event" in row.in_fields)


@pytest.mark.parametrize("case", [name for name, row in ROWS.items() if takes_odd_values(row)], indirect=True)
async def test_whatever_is_stored_is_served_as_openapi_says_and_can_be_changed(
    case: Case, openapi: dict[str, Any]
) -> None:
    await case.collection.delete_many({})
    await case.collection.insert_many([{"title": "Optics", case.row.key: odd} for odd in ODD])
    await case.collection.insert_one({"title": ["odd"]})
    page = await case.client.get(case.path)
    items = page.json()[case.path.strip("/")]
    assert (page.status_code, len(items)) == (200, len(ODD) + 1)
    assert conforms(page.json(), f"{case.document.__name__}Page", openapi)
    for item in items[case.number % 9 :: 9]:  # other ones for each row
        path = f"{case.path}{item['id']}"
        assert (await case.client.get(path)).json() == item
        for method, change in (("PUT", {"title": "Waves"}), ("PATCH", {case.row.key: case.row.changed})):
            changed = await case.client.request(method, path, json=change)
            assert changed.status_code in {200, 422}, (item, changed.text)


def conforms(value: Any, model: str, openapi: dict[str, Any]) -> bool:
    """Whether the value is as OpenAPI describes the model."""
    schema = {"$ref": f"#/components/schemas/{model}", "components": openapi["components"]}
    return jsonschema_rs.is_valid(schema, value)


REFUSED = {
    "a version of its own": ("version: int", "version: Every document stores"),
    "a time stamp of its own": ("created_at: datetime", "created_at: Every document stores"),
    "another time stamp": ("updated_at: str", "updated_at: Every document stores"),
    "a deletion of its own": ("deleted_at: datetime | None = None", "deleted_at: Every document stores"),
    "a user of its own": ("changed_by: str", "changed_by: Every document stores"),
    "a revision of its own": ("revision_id: int", "revision_id: Every document stores"),
    "a version by its alias": ('x: Annotated[int, Field(alias="version")]', "version"),
    "an id among the fields": ("id: str", "id: Declare it in the document"),
    "a time of day": ("x: time", "x: MongoDB has no type for a time of day"),
    "times of day": ("x: list[time | None] = []", "x: MongoDB has no type for a time of day"),
    "a time of day in a model": ("x: Hours", "x: MongoDB has no type for a time of day"),
    "a time without a zone": ("x: NaiveDatetime", "x: MongoDB returns times in UTC"),
    "a complex number": ("x: complex", "x: MongoDB has no complex numbers"),
    "a fraction": ("x: Fraction", "x: MongoDB has no fractions"),
    "a pattern": ("x: re.Pattern[str]", "x: MongoDB returns another type"),
    "a time zone": ("x: ZoneInfo", "x: MongoDB has no type for a time zone"),
    "a name with an address": ("x: NameEmail", "x: Beanie does not store it"),
    "an id for a null": ("x: PydanticObjectId", "x: Of a `null` Beanie makes a new id"),
    "ids for nulls": ("x: list[PydanticObjectId] = []", "x: Of a `null` Beanie makes a new id"),
    "a date or a time": ("x: date | datetime | None = None", "x: MongoDB has one type"),
    "a function": ("x: Callable[[int], int]", "x: MongoDB stores no functions"),
    "a dataclass": ("x: Spot | None = None", "x: Beanie does not store a dataclass"),
    "JSON as text": ("x: Json[list[int]]", "x: What is stored is parsed"),
    "any JSON as text": ("x: Json", "x: What is stored is parsed"),
    "Base64 in a list": ("x: list[Base64Bytes]", "x: What is stored is decoded"),
    "keys of numbers": ("x: dict[Size, int]", "x: Keys in MongoDB are text: derive Size from `StrEnum`"),
    "an alias for requests alone": ('x: Annotated[int, Field(validation_alias="y")]', "x: A field has one name"),
    "an alias for answers alone": ('x: Annotated[int, Field(serialization_alias="y")]', "x: A field has one name"),
    "several aliases": ('x: Annotated[int, Field(validation_alias=AliasChoices("y", "z"))]', "x: A field has one name"),
    "an alias with a dot": ('x: Annotated[int, Field(alias="a.b")]', "x: The key `a.b`"),
    "an operator": ('x: Annotated[int, Field(alias="$a")]', "x: The key `$a`"),
    "an alias that is taken": ('x: Annotated[int, Field(alias="title")]', "The key `title`"),
    "keys of any name": ("x: int\nmodel_config = ConfigDict(extra='allow')", "Keys that no field declares"),
}

THINGS = (
    INT_SIZE
    + """
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from zoneinfo import ZoneInfo

class Hours(BaseModel):
    opens: dict[str, time]

@dataclass
class Spot:
    x: int
"""
)


@pytest.mark.parametrize(("encoders", "kind"), [("date: str", "datetime"), ("object: str", "datetime")])
def test_an_encoder_that_would_take_the_time_stamps_is_refused(encoders: str, kind: str) -> None:
    row = Row("x: date", 1, 2, in_document=f"    bson_encoders: ClassVar = {{{encoders}}}")
    with pytest.raises(TypeError, match=f"add `{kind}: lambda value: value`"):
        declare(999, row)


@pytest.mark.parametrize(("declared", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_right_is_refused_at_start_up(declared: str, message: str) -> None:
    with pytest.raises(TypeError) as refused:
        declare(999, Row(declared, 1, 2, before=THINGS))
    assert str(refused.value).startswith("Row999")
    assert message in str(refused.value)
