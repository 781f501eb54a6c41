"""What a document declares: the types of its fields, and which declarations are refused at start-up, and why."""

import dataclasses
import re
from collections import abc
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from enum import Enum
from fractions import Fraction
from inspect import get_annotations
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from beanie import Document, Link, PydanticObjectId
from bson import ObjectId
from pydantic import BaseModel, GetPydanticSchema, Json, JsonValue, NaiveDatetime, NameEmail
from pydantic.fields import FieldInfo
from pydantic.types import EncodedBytes, EncodedStr

RESERVED = {"version", "created_at", "updated_at", "deleted_at", "changed_by", "revision_id"}
"""Names of fields that a document stores beside its own."""

REFUSED_TYPES: list[tuple[Any, str]] = [
    (
        time,
        "MongoDB has no type for a time of day: give `bson_encoders = {time: str}` in `Settings`, or declare a `str`",
    ),
    (NaiveDatetime, "MongoDB returns times in UTC, which are aware: declare a `datetime`"),
    (ZoneInfo, "MongoDB has no type for a time zone: declare a `str`, its name"),
    (NameEmail, "Beanie does not store it: declare an `EmailStr`, and a `str` for the name"),
    (complex, "MongoDB has no complex numbers: declare two fields"),
    (Fraction, "MongoDB has no fractions: declare a `Decimal`, or two fields"),
    (re.Pattern, "MongoDB returns another type of pattern: declare a `str`"),
    (abc.Callable, "MongoDB stores no functions: declare a name, and look the function up by it"),
]
"""Types that Beanie does not encode, or that do not come back, each with the way out."""

Members = Iterator[tuple[Any, tuple[Any, ...]]]
Problems = Iterator[tuple[str, str]]


def members(annotation: Any, metadata: Iterable[Any] = ()) -> Members:
    """The types of a union, or the one type, each with its metadata: what is inside of `Annotated` and `| None`."""
    if annotation is not JsonValue:  # which contains itself
        annotation = getattr(annotation, "__value__", annotation)  # of a `type` statement
    origin: Any = get_origin(annotation)
    if origin is Annotated:
        yield from members(get_args(annotation)[0], (*get_args(annotation)[1:], *metadata))
    elif origin in {Union, UnionType}:
        for each in get_args(annotation):
            yield from members(each, metadata)
    else:
        yield annotation, tuple(metadata)


def refuse_declarations(document: type[Document], base: type[Document]) -> None:
    """Refuse what could not be stored, read or changed right. Raises `TypeError` with the field and the way out."""
    known = {base.__module__, Document.__module__}
    own = [each for each in document.mro() if not issubclass(base, each) and each.__module__ not in known]
    fields = {name: field for name, field in document.model_fields.items() if name not in base.model_fields}
    models = [each for each in own if issubclass(each, BaseModel) and not issubclass(each, Document)]
    encoders = getattr(getattr(document, "Settings", None), "bson_encoders", {})
    for kind in (datetime, int, ObjectId):
        if kind not in encoders and any(issubclass(kind, each) for each in encoders):
            name = kind.__name__
            raise TypeError(
                f"{document.__name__}.Settings.bson_encoders: Beanie would take one of these for each {name}, the "
                f"version and the time stamps among them: add `{name}: lambda value: value`"
            )
    for name, problem in (
        *_name_problems(own),
        *_key_problems(document, models, fields),
        *((name, problem) for name, field in fields.items() for problem in _type_problems(field, encoders)),
    ):
        raise TypeError(f"{document.__name__}.{name}: {problem}")
    if document.model_config.get("extra") == "allow":
        raise TypeError(f"{document.__name__}: Keys that no field declares have no type: declare a `dict[str, Any]`")


def _name_problems(own: Iterable[type]) -> Problems:
    for each in own:
        for name in get_annotations(each):
            if name in RESERVED:
                yield name, "Every document stores a field of this name for itself: rename yours"
            if name == "id" and not issubclass(each, Document):
                yield name, "Declare it in the document and in the request that creates one; no update changes it"


def _key_problems(
    document: type[Document], models: Iterable[type[BaseModel]], fields: Mapping[str, FieldInfo]
) -> Problems:
    if document.model_fields["id"].alias != "_id":
        yield "id", 'MongoDB calls it `_id`: declare it with `Field(alias="_id")`'
    keys = [field.alias or name for name, field in document.model_fields.items()]
    for name, field in fields.items():
        key = field.alias or name
        if any(alias != field.alias for alias in (field.validation_alias, field.serialization_alias)):
            yield name, "A field has one name in requests, responses and MongoDB: declare `alias` alone"
        if keys.count(key) > 1 or "." in key or key.startswith("$") or not key:
            yield name, f"The key `{key}` in MongoDB is taken, empty, or has `.` or `$` in it: give it another alias"
        for each in models:
            if name in each.model_fields and (each.model_fields[name].alias or name) != key:
                yield name, f"Requests call it as {each.__name__} does: the document must not change the alias"


def _type_problems(field: FieldInfo, encoders: Mapping[Any, Any]) -> Iterator[str]:
    if {date, datetime} <= {kind for kind, _ in members(field.annotation)}:
        yield "MongoDB has one type for a date and a time, and returns a time: declare one of the two"
    for each in _nested(field.annotation, field.metadata):
        kind = get_origin(each.type) or each.type
        if not (isinstance(kind, type) and any(issubclass(kind, encoder) for encoder in encoders)):
            yield from _problems_of(kind, each)


def _problems_of(kind: Any, inner: "_Inner") -> Iterator[str]:
    for refused, problem in REFUSED_TYPES:
        if kind is refused or (isinstance(kind, type) and issubclass(kind, refused)):
            yield problem
    keys: Any = get_args(inner.type)[0] if kind is dict and get_args(inner.type) else str
    if isinstance(keys, type) and issubclass(keys, Enum) and not issubclass(keys, str):
        yield f"Keys in MongoDB are text: derive {keys.__name__} from `StrEnum`"
    if kind is PydanticObjectId and not (inner.is_nullable or inner.has(GetPydanticSchema)):
        yield "Of a `null` Beanie makes a new id: declare a `DocumentId`, of `students_api.resources.fields`"
    if dataclasses.is_dataclass(kind):
        yield "Beanie does not store a dataclass: derive it from pydantic's `BaseModel`"
    if kind is Json or Json in inner.metadata or inner.has(Json):
        yield "What is stored is parsed, and `Json` would parse it again: declare the type without `Json`"
    if inner.is_inside and inner.has(EncodedBytes, EncodedStr):
        yield "What is stored is decoded, and would be decoded again: declare `bytes`, or a field of the document"


class _Inner(NamedTuple):
    """A type in an annotation: its metadata, whether it is inside of another one, and whether it may be null."""

    type: Any
    metadata: tuple[Any, ...]
    is_inside: bool
    is_nullable: bool

    def has(self, *kinds: Any) -> bool:
        """Whether one of its metadata is of these classes."""
        return any(type(data) in kinds for data in self.metadata)


def _nested(annotation: Any, metadata: Iterable[Any], seen: frozenset[Any] = frozenset()) -> Iterator[_Inner]:
    """Each type in an annotation, those inside of others too."""
    found = [*members(annotation, metadata)]
    for each, own in found:
        yield _Inner(each, own, bool(seen), any(kind is NoneType for kind, _ in found))
        inner: list[tuple[Any, Any]] = []
        if isinstance(each, type) and issubclass(each, BaseModel):
            if not issubclass(each, Document):
                inner = [(field.annotation, field.metadata) for field in each.model_fields.values()]
        elif get_origin(each) not in {Literal, Link, abc.Callable}:
            inner = [(argument, ()) for argument in get_args(each)]
        for argument, of_argument in inner if each not in seen else ():
            yield from _nested(argument, of_argument, seen | {each})
