"""The shapes of a document that inheritance alone cannot derive from the one declaration of its fields."""

from collections.abc import Callable
from types import NoneType
from typing import Annotated, Any, TypeVar, cast

from beanie import Document, Link
from bson import DBRef, Decimal128, ObjectId
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import CoreSchema, core_schema

from students_api.conditional import END, etag, version_of
from students_api.fields import ids_of

Shape = TypeVar("Shape", bound=BaseModel)


PLAIN = (str, float, int, NoneType)
"""What JSON has types for, lists and objects aside."""


def _json_value(value: Any) -> Any:
    """The value itself where JSON has it, the id of what is linked, else `None`."""
    value = value.ref if isinstance(value, Link) else value
    value = value.id if isinstance(value, DBRef | Document) else value
    match value:
        case str() | float() | int() | None:
            return value
        case ObjectId():
            return str(value)
        case Decimal128():
            number = value.to_decimal()
            return None if number.is_nan() else float(number)
        case dict():
            return {key: _json_value(item) for key, item in value.items()}
        case list():
            return [_json_value(item) for item in value]
        case _:
            return None


def _id_text(value: Any) -> Any:
    return str(value) if isinstance(value, ObjectId) else _json_value(value)


class _Version:
    """What the stored version counts as. Most are whole numbers, which take no help of Python."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        counted = core_schema.int_schema(strict=True, ge=0, lt=END)
        other = core_schema.no_info_before_validator_function(version_of, handler(source))
        return core_schema.union_schema([counted, other], mode="left_to_right")


class Identified(BaseModel):
    """What every response about a document holds beside the document's own fields; the version shows as its ETag."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True, validate_by_name=True)

    id: Annotated[
        Any,
        PlainValidator(_id_text),
        WithJsonSchema({"type": "string"}),
        Field(
            alias="_id",
            serialization_alias="id",
            description="Made by the server.",
            examples=["5eb7cf5a86d9755df3a6c593"],
        ),
    ]
    version: SkipJsonSchema[Annotated[int, _Version(), Field(exclude=True)]] = 0

    @property
    def etag(self) -> str:
        """The document's entity tag."""
        return etag(self.version)


def left_out() -> Any:
    """For the `default_factory` of a field that has no value where it is left out, but no null in OpenAPI."""


def all_optional(shape: type[Shape]) -> type[Shape]:
    """The same fields under the same rules, none of them required: what is null or missing is `None`, unseen by rules.

    A rule over several fields (a `model_validator`) must take it that any of them can be `None`.
    """
    fields = _optional(
        {name: (field, field.annotation, [*field.metadata, _OrNone()]) for name, field in shape.model_fields.items()}
    )
    bases: Any = (shape, _NullIsMissing)
    optional = create_model(
        shape.__name__, __base__=bases, __module__=shape.__module__, __doc__=shape.__doc__, **fields
    )
    return cast("type[Shape]", optional)


def as_stored(shape: type[Shape]) -> type[Shape]:
    """The same fields for reading: what is stored is trusted and served as it is, what is missing is `None`.

    Reading never fails, because none of the shape's rules comes along, not even a validator that it inherits. And it
    takes a ninth of the time in which the rules are checked again.
    """
    own = {name: field for name, field in shape.model_fields.items() if name not in Identified.model_fields}
    fields = _optional({name: (field, ids_of(field.annotation), [_AsStored()]) for name, field in own.items()})
    read = create_model(
        shape.__name__, __base__=Identified, __module__=shape.__module__, __doc__=shape.__doc__, **fields
    )
    return cast("type[Shape]", read)


def _optional(declared: dict[str, tuple[FieldInfo, Any, list[Any]]]) -> dict[str, Any]:
    """Definitions of the fields with new types and metadata, optional, and with all else as it was declared."""
    return {
        name: Annotated[
            annotation,
            *metadata,
            Field(**field.asdict()["attributes"] | {"default": None, "default_factory": None}),
        ]
        for name, (field, annotation, metadata) in declared.items()
    }


class _NullIsMissing(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class _OrNone:
    """`| None` around a type with all its metadata; the operator would need every piece of it to be hashable."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.nullable_schema(handler(source))


class _AsStored:
    """Takes any value that BSON holds; the declared type describes it in OpenAPI, and reads what is no JSON."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        other = core_schema.no_info_wrap_validator_function(_stored_value, core_schema.nullable_schema(handler(source)))
        # What JSON has too stays as it is without Python's help, which would take most of the time of a list.
        return core_schema.union_schema(
            [core_schema.is_instance_schema(PLAIN), other],
            mode="left_to_right",
            serialization=core_schema.simple_ser_schema("any"),
        )


def _stored_value(value: Any, read: Callable[[Any], Any]) -> Any:
    if isinstance(value, ObjectId | DBRef | Link | Document):
        return _json_value(value)
    try:
        declared = read(value)  # a date, an enumeration, a nested document: as its field declares it
    except ValidationError:
        return _json_value(value)
    # Bytes are no text and no number, though pydantic takes them for either. They may be a UUID.
    return (
        _json_value(value) if isinstance(value, bytes) and isinstance(declared, str | int | float | bytes) else declared
    )
