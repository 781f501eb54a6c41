"""Schemas of requests: models that inheritance alone cannot derive from the fields' one declaration."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, TypeVar, cast, get_origin, is_typeddict

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    SecretBytes,
    SecretStr,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, PydanticUndefined, core_schema

from students_api.odm.changes import MergePatch
from students_api.odm.declarations import members
from students_api.odm.encoding import MASKS
from students_api.resources.read_schemas import optional

Model = TypeVar("Model", bound=BaseModel)


def omitted() -> Any:
    """A `default_factory` that gives `None`: the field is optional, but not nullable in OpenAPI."""


def given_values(request: BaseModel) -> dict[str, Any]:
    """The values that a request was given, by the names of their fields; not what its serializers make of them.

    The mask that answers show for a secret leaves it as it is.
    """
    values = {name: request.__dict__[name] for name in request.model_fields_set}  # a deprecated one, too
    return {name: value for name, value in values.items() if not _is_mask(value)}


def _is_mask(value: Any) -> bool:
    return isinstance(value, SecretStr | SecretBytes) and value.get_secret_value() in MASKS


def partial(model: type[Model]) -> type[Model]:
    """The model with every field optional and nullable; one that is null or missing is `None`, unvalidated."""
    fields = {
        name: (field, field.annotation, [*field.metadata, _Nullable()]) for name, field in model.model_fields.items()
    }
    return _derive(model, optional(fields), _NullMeansOmitted)


def merge_patch(model: type[Model]) -> type[Model]:
    """The model of a merge patch (RFC 7396): every field optional, `null` only where it may be; objects are merged."""
    fields = {
        name: (
            field,
            field.annotation,
            [
                *field.metadata,
                *([_Merged()] if _is_object(field) else []),
                *([] if _is_nullable(field) else [NOT_NULL]),
            ],
        )
        for name, field in model.model_fields.items()
    }
    return _derive(model, optional(fields, default=PydanticUndefined, default_factory=omitted), _WithoutRules)


def _derive(model: type[Model], fields: dict[str, Any], base: type[BaseModel]) -> type[Model]:
    bases: Any = (model, base)
    derived = create_model(model.__name__, __base__=bases, __module__=model.__module__, __doc__=model.__doc__, **fields)
    return cast("type[Model]", derived)


class _WithoutRules(BaseModel):
    """The base of models of changes: rules over several fields are those of the document, for all of its fields."""

    model_config = ConfigDict(validate_default=False)  # `None`, which stands for a field that is not given

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema without model validators that need the whole model."""
        validators = source.__pydantic_decorators__.model_validators
        for name in [name for name, each in validators.items() if each.info.mode == "after"]:
            del validators[name]
        return handler(source)


class _NullMeansOmitted(_WithoutRules):
    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class _Nullable:
    """Makes a type with all its metadata nullable. `| None` would need every piece of metadata to be hashable."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.nullable_schema(handler(source))


def _is_object(field: FieldInfo) -> bool:
    """Whether the field holds objects, such as a nested model or a dictionary."""
    kinds = [get_origin(kind) or kind for kind, _ in members(field.annotation, field.metadata)]
    return any(
        kind in (Any, object, JsonValue)
        or is_typeddict(kind)
        or (isinstance(kind, type) and issubclass(kind, BaseModel | Mapping))
        for kind in kinds
    )


def _is_nullable(field: FieldInfo) -> bool:
    return any(kind in (Any, object, JsonValue, NoneType) for kind, _ in members(field.annotation))


def _refuse_null(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("not_nullable", "Input should not be null: this field is never empty")
    return value


NOT_NULL = BeforeValidator(_refuse_null)


class _Merged:
    """Takes an object as it is: it is validated once it is merged with what is stored."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            lambda value, validate: MergePatch(value) if isinstance(value, dict) else validate(value), handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """That of the type, of whose objects each member is optional, and may be null."""
        return _partial_schema(handler(schema), handler)


def _partial_schema(
    schema: dict[str, Any], handler: GetJsonSchemaHandler, seen: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The JSON Schema with each member of an object optional; of a model that contains itself the outer one only."""
    if (reference := schema.get("$ref", "")) in seen:
        return schema
    resolved, seen = {**handler.resolve_ref_schema(schema)}, seen | {reference} - {""}
    choices = resolved.pop("oneOf", resolved.get("anyOf"))
    resolved.pop("discriminator", None)
    if choices:
        return resolved | {"anyOf": [_partial_schema(each, handler, seen) for each in choices]}
    if resolved.get("type") != "object":
        return schema
    resolved.pop("required", None)
    properties = resolved.get("properties", {})
    nullable = {
        name: {"anyOf": [_partial_schema(each, handler, seen), {"type": "null"}]} for name, each in properties.items()
    }
    return resolved | ({"properties": nullable} if properties else {})
