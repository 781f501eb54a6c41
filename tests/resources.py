"""What the tests know of each resource: all of it is read off the code, so that a new one is in them from the start."""

import random
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, get_type_hints
from uuid import UUID

import bson
import httpx2
from beanie.odm.utils.encoder import Encoder
from bson import CodecOptions, DBRef, ObjectId
from bson.binary import UuidRepresentation
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from students_api import main
from students_api.mongodb.driver import Database
from students_api.odm.indexes import TEXT, Index, declared_indexes
from students_api.resources import routing
from students_api.resources.lists.query import ListQuery

ID_PATTERN = "^[0-9a-fA-F]{24}$"
"""The pattern of an id in JSON, by which a link is known."""

NO_ID = "5eb7cf5a86d9755df3a6c593"
"""An id that nothing has."""

IDS = [NO_ID, *(f"5eb7cf5a86d9755df3a6d{number:03x}" for number in range(8))]
DAYS = [f"2001-02-0{number}" for number in range(1, 9)]
WORDS = ["Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta"]


class Resource:
    """A resource: where it is, what it stores, and its request and response models."""

    def __init__(self, resource: routing.Resource) -> None:
        self.prefix: str = resource.router.prefix
        self.path = f"{self.prefix}/"
        self.document = resource.documents[0]
        self.tag = str(resource.router.tags[0])
        routes = {
            (method, route.path.removeprefix(self.prefix)): route
            for route in resource.router.routes
            if isinstance(route, APIRoute)
            for method in route.methods or ()
        }
        self.create = _parameter(routes["POST", "/"], BaseModel)
        self.update = _parameter(routes["PUT", "/{id}"], BaseModel)
        self.query = _parameter(routes["GET", "/"], ListQuery)
        self.read: type[BaseModel] = routes["GET", "/{id}"].response_model
        self.page: type[BaseModel] = routes["GET", "/"].response_model
        self.items = next(iter(self.page.model_fields))
        """The key of a page that holds the items."""
        self.names = {key: name for name, key in names(self.create)}
        """Of each field's key its name, which parameters of a list have."""
        self.declared = by_key(self.create)
        self.fields = list(self.declared)
        """The keys of the fields in JSON: their aliases, or else their names."""
        optional = {name for name, field in self.declared.items() if not field.is_required()}
        self.body = example(self.create, without=self.unique & optional)  # so that it can be stored again and again

    def __repr__(self) -> str:
        return self.prefix.strip("/")

    @cached_property
    def kinds(self) -> dict[str, dict[str, Any]]:
        """The schema of each field, where it is not null."""
        schema = self.create.model_json_schema()
        return {name: _kind(schema, name) for name in self.fields}

    @cached_property
    def plain(self) -> list[str]:
        """The fields of text and of numbers."""
        return [name for name, kind in self.kinds.items() if _type(kind) in {"string", "email", "integer", "number"}]

    @cached_property
    def unique_indexes(self) -> list[Index]:
        """The indexes of which no two documents have the same values."""
        return [index for index in declared_indexes(self.document) if index.options.get("unique")]

    def _leads(self, key: str) -> bool:
        """Whether a document has the key: a field, what is nested in one, or the id of a link."""
        field, *inner = key.split(".")
        kind = self.kinds.get(field, {})
        is_link = kind.get("pattern") == ID_PATTERN and inner == ["$id"]
        return not inner or is_link or inner[0] in kind.get("properties", {})

    @cached_property
    def unique_keys(self) -> list[str]:
        """The keys whose values are different in each document: one of each unique index, which may lead into a field.

        Of several the first with values enough. One that leads nowhere, such as into a text, has none.
        """
        keys = [[key for key, _ in index.keys if self._leads(key)] for index in self.unique_indexes]
        enough = len(WORDS)
        return [
            next((key for key in each if len(self._candidates(key.partition(".")[0])) >= enough), each[0])
            for each in keys
            if each
        ]

    @cached_property
    def unique(self) -> set[str]:
        """The fields that are different in each document."""
        return {key.partition(".")[0] for key in self.unique_keys}

    @cached_property
    def text_index(self) -> str:
        """The name of the index in which words are searched for."""
        indexes = [index for index in declared_indexes(self.document) if TEXT in dict(index.keys).values()]
        return str(next(index.options["name"] for index in indexes))

    @cached_property
    def values(self) -> dict[str, list[Any]]:
        """Valid values of each field, no two the same; the first is the body's."""
        return {name: self._valid(name, self._candidates(name)) for name in self.fields}

    def _candidates(self, name: str) -> list[Any]:
        return candidates(self.create, name) if name in self.declared else []

    def _valid(self, name: str, values: list[Any]) -> list[Any]:
        found = [self.body[name]]
        for value in values:
            try:
                valid = as_json(self.create.model_validate(self.body | {name: value}))[name]
            except ValidationError:
                continue
            found += [] if valid in found else [valid]
        return found

    @cached_property
    def changes(self) -> list[dict[str, Any]]:
        """Updates of the body, each of one field and each of another."""
        others = {name: [value for value in values[1:] if value is not None] for name, values in self.values.items()}
        return [{name: values[0]} for name, values in others.items() if values]

    @cached_property
    def wrong(self) -> dict[str, Any]:
        """A change that breaks a rule."""
        return {self.fields[0]: [[[]]]}

    def bodies(self, count: int) -> list[dict[str, Any]]:
        """Bodies that differ, with some values in several of them; the first is that of the examples."""
        for name in self.unique & self.values.keys():
            assert len(self.values[name]) >= count, f"Declare {count} examples of {name}, which is unique"
        chance = random.Random(1)
        chosen = [
            {
                name: values[number] if name in self.unique else chance.choice(values[:3])
                for name, values in self.values.items()
            }
            for number in range(1, count)
        ]
        return [self.body, *chosen]

    def alike(self, count: int) -> list[dict[str, Any]]:
        """Bodies that differ in nothing but the unique fields, as far as they have to be there."""
        own = [name for name in self.unique & self.values.keys() if self.body[name] is not None]
        return [self.body | {name: self.values[name][number] for name in own} for number in range(count)]

    def documents(self, count: int, **more: Any) -> list[dict[str, Any]]:
        """Documents as another program stores them: of the body, and with what is given."""
        whole = {key: value for key, value in self.stored(self.body).items() if value is not None}
        others = [self.own(number) for number in range(1, count)]
        return [{"_id": ObjectId(), **whole, **own, **more} for own in [{}, *others]]

    def stored(self, body: dict[str, Any]) -> dict[str, Any]:
        """What is stored of a body, as it is read again: a date as a time, an enumeration's member as its value."""
        values = self.create.model_validate(body)
        encoders = getattr(getattr(self.document, "Settings", None), "bson_encoders", {})
        encoded = Encoder(custom_encoders=encoders).encode(
            {key: getattr(values, name) for name, key in names(self.create)}
        )
        options = CodecOptions[dict[str, Any]](tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)
        return bson.decode(bson.encode(encoded), options)

    def own(self, number: int) -> dict[str, Any]:
        """The unique fields, with values that no other number gives and the body has not."""
        own: dict[str, Any] = {}
        for key in self.unique_keys:
            field, *inner = key.split(".")
            own[field] = _unlike_others(self.kinds.get(field, {}), inner, self.body.get(field), number)
        return own

    def collection(self, database: Database) -> Any:
        """Where the documents are."""
        return database[self.document.get_collection_name()]

    async def listed(self, client: httpx2.AsyncClient, **query: Any) -> list[dict[str, Any]]:
        """The items on a page."""
        answer = await client.get(self.path, params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()[self.items]
        return found

    async def walk(self, client: httpx2.AsyncClient, **query: Any) -> list[dict[str, Any]]:
        """Everything on every page, by cursor."""
        seen: list[dict[str, Any]] = []
        for _ in range(200):
            answer = await client.get(self.path, params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            seen += page[self.items]
            if page["next_cursor"] is None:
                return seen
            assert len(page[self.items]) == query["limit"]
            query["cursor"] = page["next_cursor"]
        raise AssertionError("no end")


def names(shape: type[BaseModel]) -> list[tuple[str, str]]:
    """The fields' names, each with its key in JSON and in MongoDB."""
    return [(name, field.alias or name) for name, field in shape.model_fields.items()]


def by_key(shape: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields by their keys in JSON."""
    return {key: shape.model_fields[name] for name, key in names(shape)}


def as_json(model: BaseModel) -> dict[str, Any]:
    """A body as JSON gives it back."""
    return model.model_dump(mode="json", by_alias=True)


def example(shape: type[BaseModel], without: Iterable[str] = ()) -> dict[str, Any]:
    """A body of the examples that the fields declare; a field without one has its default."""
    given = {
        name: next(iter(candidates(shape, name)), None)
        for name, field in by_key(shape).items()
        if (field.examples or field.is_required()) and name not in without
    }
    return as_json(shape.model_validate(given))


def candidates(shape: type[BaseModel], name: str) -> list[Any]:
    """Values in JSON that a field may take: its examples, and others that its schema suggests."""
    return _candidates(shape.model_json_schema(), name)


def _candidates(schema: dict[str, Any], name: str) -> list[Any]:
    kind = _kind(schema, name)
    return [*kind["examples"], *_suggested(kind)]


def _kind(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The schema of a field that is not null, with the field's examples."""
    definitions = schema.get("$defs", {})
    kind: dict[str, Any] = schema["properties"][name]
    examples = kind.get("examples", [])
    for _ in range(2):  # what is optional may refer to what is defined apart
        kind = next((each for each in kind.get("anyOf", []) if each != {"type": "null"}), kind)
        kind = definitions[kind["$ref"].rpartition("/")[2]] if "$ref" in kind else kind
    return kind | {"examples": examples, "$defs": definitions}


def _type(kind: dict[str, Any]) -> str:
    return "enum" if "enum" in kind else str(kind.get("format", kind.get("type", "")))


def _unlike_others(kind: dict[str, Any], inner: list[str], body: Any, number: int) -> Any:
    """A value of the field, or of what is inside of it, that only this number has."""
    if inner == ["$id"]:
        return DBRef("documents", ObjectId(f"{number:024x}"))
    if inner and inner[0] in kind.get("properties", {}):
        (name, *further), values = inner, body or {}
        return values | {name: _unlike_others(_kind(kind, name), further, values.get(name), number)}
    if _type(kind) in {"integer", "number"}:
        first = kind.get("minimum", kind.get("exclusiveMinimum", 0)) + 9  # behind those that are suggested
        value = first + number
        for example in sorted(kind.get("examples", [])):
            value += first <= example <= value
        return value
    if _type(kind) == "email":
        return f"{number}@example.com"
    return _numbered(next(iter(kind.get("examples", [])), ""), number)


def _numbered(example: Any, number: int) -> str:
    """A text like the example, with another number where that has one; or the number."""
    found = re.search(r"\d+", example) if isinstance(example, str) else None
    if found is None:
        return str(number)
    other = number if number < int(found[0]) else number + 1
    return f"{example[: found.start()]}{other:0{len(found[0])}}{example[found.end() :]}"


def _suggested(kind: dict[str, Any]) -> list[Any]:
    if "properties" in kind:
        inner = {name: _candidates(kind, name) for name in kind["properties"]}
        return [
            {name: values[turn % len(values)] for name, values in inner.items() if values} for turn in range(len(WORDS))
        ]
    low = kind.get("minimum", kind.get("exclusiveMinimum", 0))
    high = kind.get("maximum", kind.get("exclusiveMaximum", low + 8))
    suggested: dict[str, list[Any]] = {
        "boolean": [True, False],
        "integer": list(range(int(low), int(min(high, low + 8)) + 1)),
        "number": [low + (high - low) * eighth / 8 for eighth in range(9)],
        "string": [*WORDS, *IDS, *(_numbered(example, turn) for example in kind["examples"] for turn in range(1, 9))],
        "date": DAYS,
        "date-time": [f"{day}T04:05:06Z" for day in DAYS],
        "email": [f"{word.lower()}@example.com" for word in WORDS],
        "uri": [f"https://example.com/{word}" for word in WORDS],
        "uuid": [str(UUID(int=number)) for number in range(1, 9)],
    }
    return kind.get("enum") or suggested.get(_type(kind), [])


def _parameter(route: APIRoute, base: type[Any]) -> Any:
    """The class of the handler's parameter that is of this kind."""
    hints = get_type_hints(route.endpoint).values()
    return next(hint for hint in hints if isinstance(hint, type) and issubclass(hint, base))


RESOURCES = [Resource(resource) for resource in main.RESOURCES]
STUDENTS = next(resource for resource in RESOURCES if resource.prefix == "/students")
