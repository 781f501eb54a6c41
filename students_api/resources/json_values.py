"""The values of BSON in JSON: as OpenAPI promises them for a field, or null."""

import math
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from beanie import Document, Link
from bson import Binary, DBRef, Decimal128, ObjectId
from bson.binary import UUID_SUBTYPE
from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, PydanticUserError, TypeAdapter
from pydantic.types import EncodedBytes, EncodedStr
from pydantic_core import CoreSchema, SchemaValidator, core_schema

from students_api.odm.declarations import members
from students_api.odm.encoding import with_decimals

WRAPPERS = {"nullable", "default", "function-before", "function-after", "function-wrap"}
"""Core schemas around that of a type."""

IN_CORE: dict[str, CoreSchema] = {
    "str": core_schema.str_schema(strict=True),
    "int": core_schema.int_schema(strict=True),
    "float": core_schema.float_schema(strict=True),
    "bool": core_schema.bool_schema(strict=True),
}
"""Types whose values JSON holds as they are. They pass in pydantic-core; a call of Python takes ten times as long."""

PLAIN = {*IN_CORE, "bytes", "date", "datetime", "decimal", "timedelta", "uuid"}
"""Core schemas that need nothing beside their type."""

MAX_INTEGER = 10**34
"""A `Decimal128` has 34 digits; its exponent can be much greater, and JSON would have to write out all the zeros."""

SERIALIZATION_ERRORS = (ValueError, TypeError, AttributeError, ArithmeticError)


def json_types(
    schema: dict[str, Any], handler: GetJsonSchemaHandler | None = None, definitions: Any = None
) -> set[str] | None:
    """The JSON types of a JSON Schema, without null; `None` where it does not say."""
    definitions = definitions or schema.get("$defs", {})
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return (
            json_types(handler.resolve_ref_schema(schema), handler)
            if handler
            else json_types(definitions[name], None, definitions)
        )
    found: set[str] = set()
    for each in schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or []:
        inner = json_types(each, handler, definitions)
        if inner is None:
            return None
        found |= inner
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    names = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}
    declared = schema.get("type", [names.get(type(value), "object") for value in values])
    found |= {declared} if isinstance(declared, str) else set(declared)
    return found - {"null"} or None


def promise(types: set[str] | None) -> dict[str, Any]:
    """The JSON Schema of a value of these types, or null: without formats, limits and enumerations."""
    if types is None:
        return {}
    schemas = {"array": {"type": "array", "items": {}}, "object": {"type": "object", "additionalProperties": True}}
    return {"anyOf": [*(schemas.get(each, {"type": each}) for each in sorted(types)), {"type": "null"}]}


def to_json_value(value: Any) -> Any:
    """A value of BSON, of no declared type, as JSON can hold it: an id as text, a time in ISO 8601, others `None`."""
    value = value.ref if isinstance(value, Link) else value
    value = value.id if isinstance(value, DBRef | Document) else value
    if isinstance(value, dict):
        return {key: to_json_value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json_value(item) for item in value]
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, ObjectId | UUID) or (isinstance(value, Decimal) and value.is_finite()):
        return str(value)
    return value if isinstance(value, str | float | int) else None


def to_text(value: Any) -> str | None:
    """A scalar of BSON as text, where nothing is lost: an id, a finite number, a boolean as JSON writes it."""
    match value:
        case bool():
            return str(value).lower()
        case float() if not math.isfinite(value):
            return None
        case Decimal() if not value.is_finite():
            return None
        case str() | int() | float() | Decimal() | ObjectId():
            return str(value)
        case Binary() if value.subtype == UUID_SUBTYPE:
            with suppress(ValueError):  # another program may have stored some other bytes
                return str(value.as_uuid())
    return None


class Leaf:
    """Takes any value of BSON for a field of this type, and makes JSON of it as the type does, or null.

    `is_serialized` tells that the class serializes the field itself: it is never given another type.
    """

    def __init__(self, declared: Any, config: ConfigDict, *, is_serialized: bool) -> None:
        self.declared, self.config, self.is_serialized = declared, config, is_serialized

    def __hash__(self) -> int:
        return id(self)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate without limits; what fits JSON already in pydantic-core alone."""
        schema = handler(source)
        adapter = self._adapter()
        self.base = base_type(schema)
        try:
            promised = adapter.json_schema(mode="serialization")
        except PydanticUserError:  # a type of which pydantic has no JSON Schema
            promised = {}
        serialization = schema.get("serialization", {})
        says_type = not serialization.get("type", "").startswith("function-") or "return_schema" in serialization
        self.types = json_types(promised) if says_type else None
        self.keeps_type = not _has_serializer(schema)
        self.is_encoded = any(
            isinstance(each, EncodedBytes | EncodedStr) for _, data in members(self.declared) for each in data
        )
        # Without limits, which some types have in themselves, such as a date in the past.
        without_limits = SchemaValidator({"type": self.base}).validate_python if schema["type"] in PLAIN else None
        self.validate, self.serialize = without_limits or adapter.validate_python, adapter.dump_python
        other = core_schema.no_info_plain_validator_function(self._read)
        if self.keeps_type and self.base in IN_CORE:
            values: Any = [IN_CORE[self.base], core_schema.none_schema(), other]
            return core_schema.union_schema(
                values, mode="left_to_right", serialization=core_schema.simple_ser_schema("any")
            )
        return core_schema.no_info_plain_validator_function(
            self._read, serialization=core_schema.plain_serializer_function_ser_schema(self._write, when_used="json")
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """The type's JSON types, or null."""
        return promise(self.types)

    def _adapter(self) -> TypeAdapter[Any]:
        config = {name: value for name, value in self.config.items() if name.startswith(("ser_", "val_", "arbitrary"))}
        try:
            return TypeAdapter(self.declared, config=ConfigDict(**config))  # type: ignore[typeddict-item]  # its own keys
        except PydanticUserError:  # a model has its own configuration
            return TypeAdapter(self.declared)

    def _read(self, value: Any) -> Any:
        value = with_decimals(value)
        if value is None or (self.is_encoded and isinstance(value, bytes | str)):
            return value
        if self.base == "any":
            return to_json_value(value)
        parsed = self._parse(value)
        if parsed is None and self.keeps_type and not self.is_serialized:
            parsed = self._convert(value)
        return parsed

    def _parse(self, value: Any) -> Any:
        """The value in the type declared, or `None`: where pydantic would take something else for it, too."""
        is_number = isinstance(value, int | float | Decimal)
        is_time = self.base in {"datetime", "date", "time"}  # of a number pydantic would count seconds from 1970
        is_boolean = isinstance(value, bool) and self.base in {"int", "float", "decimal", "timedelta"}
        if (is_number and is_time) or is_boolean:
            return None
        with suppress(ValueError, ArithmeticError):
            parsed = self.validate(value)
            is_text = isinstance(value, bytes) and isinstance(parsed, str | int | float)  # which bytes are not
            is_number = isinstance(value, int | Decimal) and isinstance(parsed, int | float)
            is_rounded = is_number and isinstance(parsed, float) and Decimal(repr(parsed)) != value
            is_long = is_number and isinstance(parsed, int) and abs(parsed) > MAX_INTEGER
            return None if is_text or is_rounded or is_long else parsed
        return None

    def _convert(self, value: Any) -> Any:
        """The value as it is, or as text, where the type is text in JSON."""
        if isinstance(value, str):
            return value if "string" in (self.types or ()) else None
        return to_text(value) if self.base == "str" else None

    def _write(self, value: Any) -> Any:
        if value is None:
            return None
        with suppress(*SERIALIZATION_ERRORS):
            return self.serialize(value, mode="json", warnings="error")
        return value if isinstance(value, str) and self.keeps_type else None


def base_type(schema: Any) -> str:
    """The type of the innermost core schema, such as `str` for an e-mail address."""
    while schema["type"] in WRAPPERS:
        schema = schema["schema"]
    return str(schema["type"])


def _has_serializer(schema: Any) -> bool:
    if isinstance(schema, dict):
        return "serialization" in schema or any(map(_has_serializer, schema.values()))
    return isinstance(schema, list) and any(map(_has_serializer, schema))
