"""Schemas of requests and responses: models that inheritance alone cannot derive from the fields' one declaration."""

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

from students_api.odm.versions import VERSION_END, version_of
from students_api.resources.etags import etag
from students_api.resources.fields import links_as_ids

Model = TypeVar("Model", bound=BaseModel)

JSON_SCALARS = (str, float, int, NoneType)
"""The types of JSON's scalars; a boolean is an `int`."""


def _to_json_value(value: Any) -> Any:
    """The value as JSON can hold it; a link or linked document becomes its id, any other type of BSON `None`."""
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
            return {key: _to_json_value(item) for key, item in value.items()}
        case list():
            return [_to_json_value(item) for item in value]
        case _:
            return None


def _id_text(value: Any) -> Any:
    return str(value) if isinstance(value, ObjectId) else _to_json_value(value)


class _StoredVersion:
    """The version from its stored value. An integer, the usual case, is validated in pydantic-core alone."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        number = core_schema.int_schema(strict=True, ge=0, lt=VERSION_END)
        other = core_schema.no_info_before_validator_function(version_of, handler(source))
        return core_schema.union_schema([number, other], mode="left_to_right")


class DocumentResponse(BaseModel):
    """The base of responses with a document: its id, and its version, which shows as the ETag."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True, validate_by_name=True)

    id: Annotated[
        Any,
        PlainValidator(_id_text),
        WithJsonSchema({"type": "string"}),
        Field(
            alias="_id",
            serialization_alias="id",
            description="The document's id, made by the server.",
            examples=["5eb7cf5a86d9755df3a6c593"],
        ),
    ]
    version: SkipJsonSchema[Annotated[int, _StoredVersion(), Field(exclude=True)]] = 0

    @property
    def etag(self) -> str:
        """The document's strong ETag."""
        return etag(self.version)


def omitted() -> Any:
    """A `default_factory` that gives `None`: the field is optional, but not nullable in OpenAPI."""


def partial(model: type[Model]) -> type[Model]:
    """The model with every field optional and nullable; a field that is null or missing is `None`, and not validated.

    A `model_validator` of the model must expect that any field is `None`.
    """
    fields = _optional(
        {name: (field, field.annotation, [*field.metadata, _Nullable()]) for name, field in model.model_fields.items()}
    )
    bases: Any = (model, _NullMeansOmitted)
    optional = create_model(
        model.__name__, __base__=bases, __module__=model.__module__, __doc__=model.__doc__, **fields
    )
    return cast("type[Model]", optional)


def lenient_response(model: type[Model]) -> type[Model]:
    """The model for responses: stored values are served unvalidated, a missing one is `None`; every field is nullable.

    No validator of the model is inherited, so reading never fails. It takes a ninth of the time of validation.
    """
    own = {name: field for name, field in model.model_fields.items() if name not in DocumentResponse.model_fields}
    fields = _optional({name: (field, links_as_ids(field.annotation), [_Lenient()]) for name, field in own.items()})
    read = create_model(
        model.__name__, __base__=DocumentResponse, __module__=model.__module__, __doc__=model.__doc__, **fields
    )
    return cast("type[Model]", read)


def _optional(declared: dict[str, tuple[FieldInfo, Any, list[Any]]]) -> dict[str, Any]:
    """Definitions for `create_model`: the fields with these annotations and metadata, and `None` as their default."""
    return {
        name: Annotated[
            annotation,
            *metadata,
            Field(**field.asdict()["attributes"] | {"default": None, "default_factory": None}),
        ]
        for name, (field, annotation, metadata) in declared.items()
    }


class _NullMeansOmitted(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class _Nullable:
    """Makes a type with all its metadata nullable. `| None` would need every piece of metadata to be hashable."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.nullable_schema(handler(source))


class _Lenient:
    """Takes any BSON value. The declared type is in OpenAPI, and parses what JSON has no type for."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        other = core_schema.no_info_wrap_validator_function(
            _read_leniently, core_schema.nullable_schema(handler(source))
        )
        # JSON's scalars pass in pydantic-core; calls of Python would take most of the time of a list.
        return core_schema.union_schema(
            [core_schema.is_instance_schema(JSON_SCALARS), other],
            mode="left_to_right",
            serialization=core_schema.simple_ser_schema("any"),
        )


def _read_leniently(value: Any, validate: Callable[[Any], Any]) -> Any:
    if isinstance(value, ObjectId | DBRef | Link | Document):
        return _to_json_value(value)
    try:
        parsed = validate(value)  # a date, an enumeration, a nested document
    except ValidationError:
        return _to_json_value(value)
    # pydantic parses bytes as text or a number, which they are not; they may be a UUID.
    return (
        _to_json_value(value) if isinstance(value, bytes) and isinstance(parsed, str | int | float | bytes) else parsed
    )
