"""The filters and sort orders of a list: exactly those that the declared indexes of its document serve."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

from beanie import Document, PydanticObjectId
from pydantic import AfterValidator, BaseModel, Field, PydanticUserError, TypeAdapter, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from students_api.odm.indexes import TEXT, Index, declared_indexes
from students_api.resources.fields import DocumentId
from students_api.resources.lists.keyset import Order
from students_api.resources.lists.query import ATTRIBUTE_PREFIX, ListQuery

Query = TypeVar("Query", bound=ListQuery)

MAX_VALUES = 20
"""How many values a filter by one field takes."""

RANGE_OPERATORS = {"gt": "greater than", "gte": "at least", "lt": "less than", "lte": "at most"}
RANGE_TYPES = (int, float, Decimal, date)  # a datetime is a date

TEXT_FORMATS = {None, "email", "uri"}
"""The `format` in JSON Schema of strings that are stored as text."""


def _in_utc(value: datetime) -> datetime:
    """The time in UTC, as MongoDB stores it. Near the years 1 and 9999 a time may have no equivalent in UTC."""
    try:
        return value if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("datetime_range", "Input should be a time that exists in UTC") from error


# The types of filter values, each with the one to validate by, which is within the limits of what MongoDB stores.
VALUE_TYPES: dict[tuple[type, ...], Any] = {
    (datetime,): Annotated[datetime, AfterValidator(_in_utc)],
    (bool, Enum, date, UUID): None,
    (Decimal,): Annotated[Decimal, Field(max_digits=34, allow_inf_nan=False)],
    (float,): Annotated[float, Field(allow_inf_nan=False)],
    (int,): Annotated[int, Field(ge=-(2**63), lt=2**63)],
    (str,): str,
    (PydanticObjectId,): DocumentId,
}


def filters_from_indexes(document: type[Document]) -> Callable[[type[Query]], type[Query]]:
    """A class decorator: gives a `ListQuery` the filters and sort orders that the document's indexes serve, no others.

    An index serves an order if it holds every document and its keys are unique; a filter, if it begins with the
    filter's key; `q`, if it is a text index. Parameters are named after fields; in MongoDB the key is the field's
    alias. Fields that the document class itself declares take no part.
    """

    def derive(base: type[Query]) -> type[Query]:
        declared = declared_indexes(document)
        indexes = [index for index in declared if _can_filter(index)]
        models = [model for model in document.mro() if issubclass(model, BaseModel) and not issubclass(model, Document)]
        names = {name for model in models for name in model.model_fields}
        fields = {name: field for name, field in document.model_fields.items() if name in names}
        by_key = {field.alias or name: (name, field) for name, field in fields.items() if _value_type(field.annotation)}
        orders = {"id": [("_id", 1)], "-id": [("_id", -1)]} | dict(_orders(indexes, by_key))
        filters = {
            parameter: (key, operator, definition)
            for key in dict.fromkeys(index.keys[0][0] for index in indexes if index.keys[0][0] in by_key)
            for parameter, operator, definition in _filters(*by_key[key])
        }
        shared = {"sort": _sort(orders), "fields": _fields(["id", *fields]), **_text_search(declared)}
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
        "_".join(key.removeprefix("-").upper() + "_DESCENDING" * key.startswith("-") for key in order.split(","))
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


def _orders(indexes: Iterable[Index], by_key: Mapping[str, tuple[str, FieldInfo]]) -> Iterator[tuple[str, Order]]:
    """The sort orders of the indexes, forward and backward, by their values of `sort`. A list field has no order."""
    names = {key: name for key, (name, field) in by_key.items() if get_origin(_unwrapped(field.annotation)) is not list}
    for index, sign in itertools.product(filter(_is_unique_order, indexes), (1, -1)):
        order = [(key, int(direction) * sign) for key, direction in index.keys]
        named = [(names.get(key), direction) for key, direction in order if key != "_id"]
        if named and all(name for name, _ in named):
            yield ",".join(f"{'-' if direction < 0 else ''}{name}" for name, direction in named), order


def _filters(name: str, field: FieldInfo) -> Iterator[tuple[str, str, Any]]:
    """The filters by a field: each one's query parameter, MongoDB's operator, and the definition of the parameter."""
    value = _value_type(field.annotation)
    example = field.examples[0] if field.examples else None
    description = field.description or f"The field `{name}`."
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
    bare = _unwrapped(field.annotation)
    if isinstance(bare, type) and issubclass(bare, RANGE_TYPES) and not issubclass(bare, bool | Enum):
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


def _value_type(annotation: Any) -> Any:
    """The type to validate a filter's values by, without the field's limits, which stored values may exceed."""
    bare = _unwrapped(annotation)
    if get_origin(bare) is list:
        return _value_type(get_args(bare)[0])
    if get_origin(bare) is Literal:
        return bare
    if not isinstance(bare, type):
        return None
    for known, value in VALUE_TYPES.items():
        if issubclass(bare, known):
            return value or bare
    try:
        schema = TypeAdapter(bare).json_schema()
    except PydanticUserError:  # a type that pydantic does not know
        return None
    return str if schema.get("type") == "string" and schema.get("format") in TEXT_FORMATS else None


def _unwrapped(annotation: Any) -> Any:
    """The type inside of `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _unwrapped(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        members = [member for member in get_args(annotation) if member is not NoneType]
        return _unwrapped(members[0]) if len(members) == 1 else None
    return annotation
