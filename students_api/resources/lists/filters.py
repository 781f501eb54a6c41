"""The filters and sort orders of a list: exactly those that the declared indexes of its document serve."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import GenericAlias, NoneType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin
from uuid import UUID

from beanie import Document, PydanticObjectId
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PydanticUserError, TypeAdapter, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from students_api.odm.declarations import members
from students_api.odm.indexes import TEXT, Index, declared_indexes
from students_api.resources.fields import DocumentId
from students_api.resources.json_values import base_type
from students_api.resources.lists.keyset import Order
from students_api.resources.lists.query import ATTRIBUTE_PREFIX, ListQuery
from students_api.resources.read_schemas import ARRAYS

Query = TypeVar("Query", bound=ListQuery)

MAX_VALUES = 20
"""How many values a filter by one field takes."""

RANGE_OPERATORS = {"gt": "greater than", "gte": "at least", "lt": "less than", "lte": "at most"}
RANGE_TYPES = {"int", "float", "decimal", "date", "datetime", "timedelta"}

TEXT_FORMATS = {None, "email", "uri"}
"""The `format` in JSON Schema of strings that are stored as text."""


def _in_utc(value: datetime) -> datetime:
    """The time in UTC, as MongoDB stores it. Near the years 1 and 9999 a time may have no equivalent in UTC."""
    try:
        return value if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("datetime_range", "Input should be a time that exists in UTC") from error


VALUE_TYPES: dict[str, Any] = {
    "datetime": Annotated[datetime, AfterValidator(_in_utc)],
    "date": date,
    "timedelta": timedelta,
    "bool": bool,
    "uuid": UUID,
    "decimal": Annotated[Decimal, Field(max_digits=34, allow_inf_nan=False)],
    "float": Annotated[float, Field(allow_inf_nan=False)],
    "int": Annotated[int, Field(ge=-(2**63), lt=2**63)],
    "str": str,
}
"""The types of filter values by pydantic's core schema of a field, within the limits of what MongoDB stores."""


class _Key(NamedTuple):
    """A key of an index that leads to a field, in nested models too (`address.city`)."""

    name: str
    field: FieldInfo
    is_array: bool

    @property
    def value_type(self) -> Any:
        """The type to validate a filter's values by, without the field's limits; `None` where there is no filter."""
        return _value_type(self.field.annotation)

    @property
    def example(self) -> Any:
        """The field's first example, of one element of an array."""
        example = self.field.examples[0] if self.field.examples else None
        return example[0] if isinstance(example, list) and example else example


def _leads_to(key: str, fields: Mapping[str, FieldInfo]) -> _Key | None:
    """The field to which the key leads, and whether an array is on the way."""
    name, _, inner = key.partition(".")
    for field in (field for own, field in fields.items() if (field.alias or own) == name):
        kinds = [kind for kind, _ in members(field.annotation) if kind is not NoneType]
        elements = [get_args(kind)[0] for kind in kinds if get_origin(kind) in ARRAYS]
        if not inner:
            return _Key(name, field, bool(elements))
        for kind in elements or kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found = _leads_to(inner, kind.model_fields)
                return found and found._replace(name=key, is_array=found.is_array or bool(elements))
    return None


def filters_from_indexes(document: type[Document]) -> Callable[[type[Query]], type[Query]]:
    """A class decorator: gives a `ListQuery` the filters and sort orders that the document's indexes serve, no others.

    An index serves an order if it holds every document and its keys are unique; a filter, if it begins with the
    filter's key; `q`, if it is a text index. Parameters are named as JSON and MongoDB name the fields. Fields that the
    document class itself declares take no part.
    """

    def derive(base: type[Query]) -> type[Query]:
        declared = declared_indexes(document)
        indexes = [index for index in declared if _can_filter(index)]
        models = [model for model in document.mro() if issubclass(model, BaseModel) and not issubclass(model, Document)]
        declared_in = {name for model in models for name in model.model_fields}
        fields = {name: field for name, field in document.model_fields.items() if name in declared_in}
        names = dict.fromkeys(key for index in indexes for key, _ in index.keys)
        leads = {key: found for key in names if (found := _leads_to(key, fields)) and found.value_type}
        orders = {"id": [("_id", 1)], "-id": [("_id", -1)]} | dict(_orders(indexes, leads))
        filters = {
            parameter: (key, operator, definition)
            for key in dict.fromkeys(index.keys[0][0] for index in indexes if index.keys[0][0] in leads)
            for parameter, operator, definition in _filters(leads[key])
        }
        shown = [field.alias or name for name, field in fields.items() if not field.exclude]
        computed = [field.alias or name for name, field in document.model_computed_fields.items()]
        shared = {"sort": _sort(orders), "fields": _fields(["id", *shown, *computed]), **_text_search(declared)}
        if clashes := filters.keys() & {*base.model_fields, *shared, "q"}:
            raise TypeError(f"The query parameter {clashes.pop()} exists already: rename the field")
        attributes = {ATTRIBUTE_PREFIX + parameter: definition for parameter, (_, _, definition) in filters.items()}
        query = create_model(
            base.__name__, __base__=base, __module__=base.__module__, __doc__=base.__doc__, **attributes, **shared
        )
        query.orders = orders
        query.filters = {parameter: (key, operator) for parameter, (key, operator, _) in filters.items()}
        return query

    return derive


def _sort(orders: Mapping[str, Order]) -> Any:
    description = "The sort order, `-` for descending; `id` is its last key, in the direction of the key before it."
    # Names for the values in generated clients, which would number them.
    names = [
        "_".join(
            key.removeprefix("-").upper().replace(".", "_") + "_DESCENDING" * key.startswith("-")
            for key in order.split(",")
        )
        for order in orders
    ]
    extra: dict[str, Any] = {"x-enum-varnames": names}
    return Literal[tuple(orders)], Field(
        "id", description=description, examples=[list(orders)[-1]], json_schema_extra=extra
    )


def _fields(names: list[str]) -> Any:
    choice = "|".join(names)
    annotation = Annotated[str, Field(pattern=f"^({choice})(,({choice}))*$")]
    description = "Only these keys of each document, separated by commas; `id` is always among them."
    return _optional_parameter(annotation, "fields", description, ",".join(names[1:3]))


def _text_search(indexes: Iterable[Index]) -> dict[str, Any]:
    for index in indexes:
        if fields := [key for key, direction in index.keys if direction == TEXT]:
            annotation = Annotated[str, Field(min_length=1, max_length=200, pattern=r"[^\W_]")]
            description = (
                f"Full-text search in {' or '.join(fields)} for all of these words, one at least as a whole word."
            )
            return {"q": _optional_parameter(annotation, "q", description, "jane")}
    return {}


def _can_filter(index: Index) -> bool:
    """Whether the index serves a filter for any value, under the simple collation."""
    special = {"partialFilterExpression", "collation", "hidden"} & index.options.keys()
    return not special and all(direction in {1, -1} for _, direction in index.keys)


def _is_unique_order(index: Index) -> bool:
    """Whether the index holds every document, and orders them without ties."""
    return not index.options.get("sparse") and (index.keys[-1][0] == "_id" or bool(index.options.get("unique")))


def _orders(indexes: Iterable[Index], leads: Mapping[str, _Key]) -> Iterator[tuple[str, Order]]:
    """The sort orders of the indexes, forward and backward, by their values of `sort`. An array has no order."""
    for index, sign in itertools.product(filter(_is_unique_order, indexes), (1, -1)):
        order = [(key, int(direction) * sign) for key, direction in index.keys]
        named = [(key, direction) for key, direction in order if key != "_id"]
        if named and all(key in leads and not leads[key].is_array for key, _ in named):
            yield ",".join(f"{'-' if direction < 0 else ''}{key}" for key, direction in named), order


def _filters(key: _Key) -> Iterator[tuple[str, str, Any]]:
    """The filters by a field: each one's query parameter, MongoDB's operator, and the definition of the parameter."""
    name, value, example = key.name, key.value_type, key.example
    description = key.field.description or f"The field `{name}`."
    values: Any = Annotated[GenericAlias(list, (value,)), Field(max_length=MAX_VALUES)]
    yield (
        name,
        "$in",
        _optional_parameter(
            values,
            name,
            f"Only those whose `{name}` equals this; given several times, any of them. {description}",
            [example],
        ),
    )
    if not key.is_array and _core_type(key.field.annotation) in RANGE_TYPES:
        for suffix, relation in RANGE_OPERATORS.items():
            parameter = f"{name}__{suffix}"
            yield (
                parameter,
                f"${suffix}",
                _optional_parameter(
                    value, parameter, f"Only those whose `{name}` is {relation} this. {description}", example
                ),
            )


def _optional_parameter(annotation: Any, name: str, description: str, example: Any) -> tuple[Any, Any]:
    """An optional query parameter that is not nullable: a URL has no null."""
    examples = [] if example in (None, [None]) else [example]
    return annotation, Field(None, alias=name, description=description, examples=examples)


def _bare(annotation: Any) -> Any:
    """The type inside of `Annotated` and `| None`; of an array that of its elements; `None` for several types."""
    kinds = [kind for kind, _ in members(annotation) if kind is not NoneType]
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    return _bare(get_args(kind)[0]) if get_origin(kind) in ARRAYS else kind


def _core_type(annotation: Any) -> str:
    """The type in pydantic's core schema, such as `date` for a `PastDate`; empty where there is none."""
    try:
        return base_type(TypeAdapter(_bare(annotation)).core_schema)
    except PydanticUserError:
        return ""


def _value_type(annotation: Any) -> Any:
    bare = _bare(annotation)
    if get_origin(bare) is Literal:
        return _choice(bare, get_args(bare))
    if isinstance(bare, type) and issubclass(bare, Enum):
        return _choice(bare, [member.value for member in bare])
    if isinstance(bare, type) and issubclass(bare, PydanticObjectId):
        return DocumentId
    core_type = _core_type(bare) if bare else ""
    if core_type in VALUE_TYPES and not (core_type == "str" and "writeOnly" in TypeAdapter(bare).json_schema()):
        return VALUE_TYPES[core_type]
    try:
        schema = TypeAdapter(bare).json_schema() if core_type else {}
    except PydanticUserError:  # a type of which pydantic has no JSON Schema
        return None
    return str if schema.get("type") == "string" and schema.get("format") in TEXT_FORMATS else None


def _choice(kind: Any, values: Iterable[Any]) -> Any:
    """The type with its values taken from a query, where each is text: `1` and `true` as JSON writes them."""
    by_text = {value if isinstance(value, str) else json.dumps(value, default=str): value for value in values}
    return Annotated[
        kind, BeforeValidator(lambda given: by_text.get(given, given) if isinstance(given, str) else given)
    ]
