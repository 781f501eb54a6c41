"""Read schemas: models of answers, which take whatever is stored and keep what OpenAPI promises."""

import json
import logging
from collections import abc, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import Signature, get_annotations, signature
from types import GenericAlias, NoneType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from annotated_types import BaseMetadata, GroupedMetadata
from beanie import Document, Link
from beanie.odm.fields import IndexedAnnotation
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    PlainValidator,
    RootModel,
    ValidationError,
    WithJsonSchema,
    WrapValidator,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import CoreSchema, core_schema

from students_api.odm.declarations import members
from students_api.odm.encoding import cached
from students_api.odm.versions import VERSION_END, version_of
from students_api.resources.etags import etag
from students_api.resources.fields import LinkAsId, LinkedId, id_as_text
from students_api.resources.json_values import Leaf, json_types, promise

ARRAYS = {list, tuple, set, frozenset, deque, abc.Sequence, abc.MutableSequence, abc.Set, abc.MutableSet}
OBJECTS = {dict, abc.Mapping, abc.MutableMapping}
"""Types of which MongoDB stores an array or an object, whatever their items are."""

ANNOTATIONS = {"title", "description", "examples", "deprecated"}
"""What JSON Schema says of a value beside its type."""

logger = logging.getLogger("students_api")

Model = TypeVar("Model", bound=BaseModel)

RULES = (
    BaseMetadata, GroupedMetadata, FieldInfo, BeforeValidator, AfterValidator, WrapValidator, LinkAsId,
    IndexedAnnotation,
)  # fmt: skip
"""Metadata that restricts what a request may give; what is stored is served whatever it says."""


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
        PlainValidator(id_as_text),
        WithJsonSchema({"type": "string"}),
        Field(
            alias="_id",
            serialization_alias="id",
            description="The document's id, made by the server.",
            examples=["5eb7cf5a86d9755df3a6c593"],
        ),
    ]
    version: SkipJsonSchema[Annotated[int, _StoredVersion(), Field(alias="version", exclude=True)]] = 0

    @property
    def etag(self) -> str:
        """The document's strong ETag."""
        return etag(self.version)


class _Lenient(BaseModel):
    """The base of models that validate nothing: with the serializers of the model that they read, and no validator."""

    model_config = ConfigDict(
        extra="ignore", strict=False, frozen=False, validate_assignment=False, validate_default=False,
        validate_by_name=True, str_strip_whitespace=False, str_to_lower=False, str_to_upper=False, str_min_length=0,
        str_max_length=None, allow_inf_nan=True,
    )  # fmt: skip

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema without validators, which pydantic collects from every base of a class."""
        decorators = source.__pydantic_decorators__
        for validators in (decorators.validators, decorators.field_validators, decorators.root_validators):
            validators.clear()
        decorators.model_validators.clear()
        for name, each in decorators.field_serializers.items():
            if not any(_may_be_none(source, field) for field in each.info.fields):  # it expects no `None`
                when: Any = {"always": "unless-none", "json": "json-unless-none"}.get(each.info.when_used)
                info = replace(each.info, when_used=when or each.info.when_used)
                decorators.field_serializers[name] = replace(each, info=info)
        return handler(source)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Without fields that no answer shows; what code computes or serializes may be null."""
        shown = handler(schema)
        content = handler.resolve_ref_schema(shown)
        properties: dict[str, Any] = content.get("properties", {})
        keys = keys_in_json(cls)
        for name in (*cls.model_computed_fields, *(set(_serializers(cls)) & set(keys))):
            known = properties.get(keys[name], {})
            says_type = (
                name in cls.model_computed_fields
                or signature(_serializers(cls)[name]).return_annotation != Signature.empty
            )
            kept = {word: value for word, value in known.items() if word in ANNOTATIONS}
            properties[keys[name]] = kept | promise(json_types(known, handler) if says_type else None)
        for name, field in cls.model_fields.items():
            if field.exclude:
                properties.pop(keys[name], None)
        content["required"] = [key for key in content.get("required", []) if key in properties]
        return shown


def _serializers(model: type[BaseModel]) -> dict[str, Any]:
    """The function that serializes each field, of those that the class itself serializes."""
    decorators = model.__pydantic_decorators__.field_serializers.values()
    return {
        name: each.func
        for each in decorators
        for name in (model.model_fields if "*" in each.info.fields else each.info.fields)
    }


def _may_be_none(lenient: type[BaseModel], field: str) -> bool:
    """Whether the field may be `None` as the model declares it that the lenient one reads."""
    declared = [
        each.model_fields for each in lenient.mro() if issubclass(each, BaseModel) and not issubclass(each, _Lenient)
    ]
    annotation = next((fields[field].annotation for fields in declared if field in fields), Any)
    return any(kind in (NoneType, Any) for kind, _ in members(annotation))


def lenient_response(model: type[Model]) -> type[Model]:
    """The model for responses: stored values are served unvalidated, a missing one is `None`; every field is nullable.

    A value of another JSON type than OpenAPI promises is converted where nothing is lost, or else `None`. No validator
    of the model is inherited, so reading never fails; its serializers, computed fields and methods are.
    """
    own = {name for each in model.mro() if not issubclass(DocumentResponse, each) for name in get_annotations(each)}
    fields = _fields(model, {name: field for name, field in model.model_fields.items() if name in own})
    if "id" in fields:
        fields["id"] = Annotated[fields["id"], Field(alias="_id", serialization_alias="id")]
    return cast("type[Model]", _derive(model, model.__name__, fields))


_nested_models: dict[type[BaseModel], type[BaseModel]] = {}
"""The read schemas of nested models: one of each, as OpenAPI names them."""


def _nested(model: type[BaseModel], inside: frozenset[type[BaseModel]]) -> type[BaseModel]:
    if model not in _nested_models:
        _nested_models[model] = _derive(model, f"{model.__name__}Read", _fields(model, model.model_fields, inside))
    return _nested_models[model]


def _derive(model: type[BaseModel], name: str, fields: dict[str, Any]) -> type[BaseModel]:
    bases: Any = (model, _Lenient)
    return create_model(name, __base__=bases, __module__=model.__module__, __doc__=model.__doc__, **fields)


def _fields(
    model: type[BaseModel], fields: Mapping[str, FieldInfo], inside: frozenset[type[BaseModel]] = frozenset()
) -> dict[str, Any]:
    lenient = _LenientType(model, inside)
    definitions: dict[str, tuple[FieldInfo, Any, list[Any]]] = {
        name: (
            field,
            lenient(field.annotation, field.metadata, is_serialized=name in _serializers(model)),
            [],
        )
        for name, field in fields.items()
    }
    return optional(definitions, discriminator=None)


def optional(declared: Mapping[str, tuple[FieldInfo, Any, list[Any]]], **attributes: Any) -> dict[str, Any]:
    """Definitions for `create_model`: the fields with these annotations, metadata and attributes, `None` by default."""
    changed = {"default": None, "default_factory": None, "validate_default": False, **attributes}
    return {
        name: Annotated[
            annotation,
            *metadata,
            Field(**field.asdict()["attributes"] | changed),
        ]
        for name, (field, annotation, metadata) in declared.items()
    }


class _LenientType:
    """Makes annotations that take any value of BSON, item by item, for the fields of a model."""

    def __init__(self, owner: type[BaseModel], inside: frozenset[type[BaseModel]]) -> None:
        self.owner, self.inside = owner, inside | {owner}

    def __call__(self, annotation: Any, metadata: Sequence[Any] = (), *, is_serialized: bool = False) -> Any:
        """The annotation, with `None` for what does not fit. `is_serialized` as for a `Leaf`."""
        types = [
            (Any if kind is JsonValue else kind, [each for each in data if not isinstance(each, RULES)])
            for kind, data in members(annotation, metadata)
            if kind is not NoneType
        ]
        if len(types) == 1 and not types[0][1] and (container := self._container(types[0][0])):
            return container
        every = [Annotated[kind, *data] if data else kind for kind, data in types]
        declared: Any = Union[tuple(every)] if types[1:] else every[0] if every else Any  # noqa: UP007  # of any number
        return Annotated[declared, Leaf(declared, self.owner.model_config, is_serialized=is_serialized)]

    def _container(self, kind: Any) -> Any:
        """The annotation of a model, an array, an object or a link; `None` for any other type."""
        origin, arguments = get_origin(kind) or kind, get_args(kind) or (Any, Any)
        if origin is Link:
            return Annotated[Any, LinkedId(arguments[0])]
        if origin in ARRAYS and (origin is not tuple or arguments[1] in {..., Any}):
            return Annotated[GenericAlias(list, (self(arguments[0]),)), _OrNull()]
        if origin in OBJECTS:
            return Annotated[GenericAlias(dict, (str, self(arguments[1]))), _OrNull()]
        is_model = isinstance(kind, type) and issubclass(kind, BaseModel) and not issubclass(kind, Document | RootModel)
        return Annotated[_nested(kind, self.inside), _OrNull()] if is_model and kind not in self.inside else None


class _OrNull:
    """`None` in the place of a value that is no such object or array."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_or_none, core_schema.nullable_schema(handler(source)))


def _or_none(value: Any, validate: Callable[[Any], Any]) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return None


@cached
def keys_in_json(model: type[BaseModel]) -> dict[str, str]:
    """The key in an answer of each field and computed field, by its name."""
    fields = {name: field.serialization_alias or name for name, field in model.model_fields.items()}
    return fields | {name: field.alias or name for name, field in model.model_computed_fields.items()}


def to_json(answer: BaseModel, **options: Any) -> str:
    """The answer as JSON, by its aliases. What a serializer or a computed field cannot make is null, and logged."""
    try:
        return answer.model_dump_json(by_alias=True, **options)
    except Exception:  # noqa: BLE001  # they are a school's code, and may raise anything
        return json.dumps(_without_errors(answer, **options))


def _without_errors(answer: BaseModel, include: Any = None, exclude: Any = None) -> dict[str, Any]:
    """The answer field by field; a list of models model by model."""
    content: dict[str, Any] = {}
    for name, key in keys_in_json(type(answer)).items():
        if (include is not None and name not in include) or name in (exclude or ()):
            continue
        value = answer.__dict__.get(name)
        if isinstance(value, list) and any(isinstance(each, BaseModel) for each in value):
            inner = (
                include[name].get("__all__") if isinstance(include, dict) and isinstance(include[name], dict) else None
            )
            content[key] = [json.loads(to_json(each, include=inner)) for each in value]
            continue
        try:
            content |= json.loads(answer.model_dump_json(by_alias=True, include={name}))
        except Exception:  # noqa: BLE001  # as above
            logger.warning("%s.%s is shown as null: the code that makes it fails", type(answer).__name__, name)
            content[key] = None
    return content
