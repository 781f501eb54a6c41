"""Encoding to BSON: values and filters as Beanie's `Encoder` makes them, each encoded once; field aliases."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, TypeVar, cast

import bson
from beanie import Document, Link, PydanticObjectId
from beanie.odm.fields import LinkTypes
from beanie.odm.utils.encoder import Encoder
from bson import DBRef, Decimal128, ObjectId
from bson.codec_options import CodecOptions
from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.types import EncodedBytes, EncodedStr

from students_api.odm.declarations import members
from students_api.odm.indexes import declared_indexes

Function = TypeVar("Function", bound=Callable[..., Any])


def cached(function: Function) -> Function:
    """`functools.cache`, typed so that mypy keeps the function's signature."""
    return cast("Function", cache(function))


class BsonFilter(dict[str, Any]):
    """A filter whose values are of BSON types already, so that a query sends it as it is."""


def to_bson_filter(document: type[Document], conditions: Mapping[str, Any]) -> BsonFilter:
    """The filter with each value encoded as it is stored: an enumeration's value, a date's midnight."""
    return BsonFilter(Encoder(custom_encoders=document.get_bson_encoders()).encode(conditions))


BSON_NATIVE_TYPES = {NoneType, bool, datetime, float, int, str, ObjectId, PydanticObjectId}
"""Types that need no encoding. Beanie's encoder would compare each value with twenty other types first."""


CODEC_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, datetime_conversion=bson.DatetimeConversion.DATETIME_AUTO
)
"""How values of BSON are read, as the driver reads them."""

BACK_LINKS = {
    LinkTypes.BACK_DIRECT,
    LinkTypes.BACK_LIST,
    LinkTypes.OPTIONAL_BACK_DIRECT,
    LinkTypes.OPTIONAL_BACK_LIST,
}
"""Links that are not stored."""

MASKS = ("**********", b"**********")
"""What pydantic shows for a secret."""

MAX_DEPTH = 99
"""How deep a field's value may be nested: MongoDB takes 100 levels, and the document is the first."""

NOT_STORABLE: dict[type[Exception], str] = {
    bson.errors.InvalidDocument: "Input should have no key with a NUL character",
    UnicodeError: "Input should be text that UTF-8 can hold",
    ArithmeticError: "Input should be within the range and the precision that MongoDB stores",
    ValueError: "Input should be of a type that MongoDB has",  # Beanie's "Cannot encode"
    RecursionError: f"Input should be nested in at most {MAX_DEPTH} levels",
}
"""What encoding to BSON raises for a value of a declared type, and what to tell the client."""


class InvalidDocument(Exception):  # noqa: N818  # as Beanie's own DocumentNotFound
    """Values that are valid one by one, but that the document's validators or BSON refuse. `errors` are pydantic's."""

    def __init__(self, errors: Iterable[Mapping[str, Any]]) -> None:
        super().__init__("The document is invalid")
        self.errors = [*errors]


@cached
def bson_encoder(document: type[Document]) -> Callable[[Any], Any]:
    """The function that encodes a field's value to what MongoDB stores."""
    settings = document.get_settings()
    encoders = {SecretStr: _secret, SecretBytes: _secret, Link: _reference, DBRef: _reference} | settings.bson_encoders
    encode = Encoder(custom_encoders=encoders, to_db=True, keep_nulls=settings.keep_nulls).encode
    if settings.bson_encoders:
        return encode
    return lambda value: value if type(value) in BSON_NATIVE_TYPES else encode(value)


def _reference(value: Any) -> DBRef:
    """The reference with its id encoded: Beanie leaves a UUID as it is, which the driver refuses."""
    reference: DBRef = value.to_ref() if isinstance(value, Link) else value
    return DBRef(reference.collection, Encoder().encode(reference.id))


def _secret(value: Any) -> Any:
    if (secret := value.get_secret_value()) in MASKS:
        raise NotStorableError("Input should be the secret itself, not the mask that stands for it")
    return secret


def encode_values(document: type[Document], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by their keys in MongoDB, each encoded to BSON. Raises `InvalidDocument` if one cannot be stored."""
    encode, encoded, errors = bson_encoder(document), dict[str, Any](), list[dict[str, Any]]()
    for key, value in values.items():
        try:
            encoded[key] = encode(value)
            if type(encoded[key]) not in {float, bool, NoneType, ObjectId, PydanticObjectId}:
                _check_keys(encoded[key])
                bson.encode({key: encoded[key]})
        except tuple(NOT_STORABLE) as error:
            if type(error) is ValueError and not str(error).startswith("Cannot encode"):
                raise  # of a `bson_encoders` of the document's
            message = next(text for kind, text in NOT_STORABLE.items() if isinstance(error, kind))
            errors.append({"type": "not_storable", "loc": (key,), "msg": message})
        except NotStorableError as error:
            errors.append({"type": "not_storable", "loc": (key,), "msg": str(error)})
    if errors:
        raise InvalidDocument(errors)
    return encoded


def require_finite(document: type[Document], values: Mapping[str, Any]) -> None:
    """Refuse what JSON's parser took for infinity or NaN, by the names of fields. Raises `InvalidDocument`."""
    keys = field_aliases(document)
    message = "Input should be a finite number"
    errors = [
        {"type": "finite_number", "loc": (keys.get(name, name),), "msg": message}
        for name, value in values.items()
        if not _is_finite(value)
    ]
    if errors:
        raise InvalidDocument(errors)


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, BaseModel):
        return all(map(_is_finite, value.__dict__.values()))
    inner = value.values() if isinstance(value, Mapping) else value
    return not isinstance(inner, Collection) or isinstance(inner, str | bytes) or all(map(_is_finite, inner))


class NotStorableError(Exception):
    """A value that MongoDB would take, but for something else."""


def _check_keys(value: Any, depth: int = 1) -> None:
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise RecursionError
        if isinstance(value, dict) and any(key.startswith("$") for key in value):
            # MongoDB takes such keys for operators, and the driver reads `$ref` and `$id` as a reference.
            raise NotStorableError("Input should have no key that begins with $")
        for item in value.values() if isinstance(value, dict) else value:
            _check_keys(item, depth + 1)


def encode_document(document: Document) -> dict[str, Any]:
    """The document as it is stored, encoded to BSON. Raises `InvalidDocument` where a value cannot be stored."""
    model = type(document)
    settings, keys, links = model.get_settings(), field_aliases(model), model.get_link_fields() or {}
    omitted = {name for name, link in links.items() if link.link_type in BACK_LINKS}
    if not settings.use_revision:
        omitted.add("revision_id")
    values = {
        keys.get(name, name): _references(value) if name in links else value
        for name, value in document
        if name not in omitted
    }
    class_id = document._class_id or (settings.union_doc and (settings.union_doc_alias or model.__name__))  # noqa: SLF001  # Beanie's
    if class_id:
        values[settings.class_id] = class_id
    return encode_values(
        model, {key: value for key, value in values.items() if value is not None or keeps_null(model, key)}
    )


def _references(value: Any) -> Any:
    """The references (`DBRef`) of a link, a linked document or a list of them."""
    if isinstance(value, list):
        return [each.to_ref() for each in value]
    return None if value is None else value.to_ref()


@cached
def keeps_null(document: type[Document], key: str) -> bool:
    """Whether null is stored: as `keep_nulls` says, but not in a unique sparse index, where it would count."""
    unique = (index for index in declared_indexes(document) if index.options.get("unique"))
    sparse = {key for index in unique if index.options.get("sparse") for key, _ in index.keys}
    return bool(document.get_settings().keep_nulls) and key not in sparse


def as_stored(document: Document) -> dict[str, Any]:
    """The document as it is read after it was stored: a time in UTC and milliseconds, a decimal as `Decimal128`."""
    return bson.decode(bson.encode(encode_document(document)), CODEC_OPTIONS)


@cached
def field_aliases(document: type[Document]) -> dict[str, str]:
    """The key in MongoDB of each field: its alias, or else its name."""
    return {name: field.alias or name for name, field in document.model_fields.items()}


@cached
def _base64_fields(document: type[Document]) -> dict[str, Any]:
    """The encoder of each field whose validator decodes Base64, by the field's name: `Base64Bytes`, `Base64Str`."""
    return {
        name: metadata.encoder
        for name, field in document.model_fields.items()
        for _, all_metadata in members(field.annotation, field.metadata)
        for metadata in all_metadata
        if isinstance(metadata, EncodedBytes | EncodedStr)
    }


def to_validate(document: type[Document], values: Mapping[str, Any]) -> dict[str, Any]:
    """Validated values, by their fields' names or keys, as the document's validators take them again.

    They take everything but what is decoded from Base64, which they would decode a second time.
    """
    again, keys = dict(values), field_aliases(document)
    for name, encoder in _base64_fields(document).items():
        for key in {name, keys[name]}:
            match again.get(key):
                case bytes() as value:
                    again[key] = encoder.encode(value)
                case str() as value:
                    again[key] = encoder.encode(value.encode()).decode()
    return again


def with_decimals(value: Any) -> Any:
    """A value of BSON, in which each `Decimal128` is a `Decimal`, as pydantic expects it."""
    match value:
        case Decimal128():
            return value.to_decimal()
        case dict():
            return {key: with_decimals(item) for key, item in value.items()}
        case list():
            return [with_decimals(item) for item in value]
        case _:
            return value
