"""The filters and the orders of a list: exactly those that the declared indexes of what it lists serve."""

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

from students_api.cursors import Order
from students_api.fields import DocumentId
from students_api.indexes import TEXT, Index, declared_indexes
from students_api.listing import PREFIX, ListQuery

Query = TypeVar("Query", bound=ListQuery)

MAX_VALUES = 20
"""How many values of one field a filter takes."""

RANGES = {"gt": "greater than", "gte": "of at least", "lt": "less than", "lte": "of at most"}
ORDERED = (int, float, Decimal, date)  # and so the time stamps, which are dates
TEXTS = {None, "email", "uri"}
"""The formats of strings, in JSON Schema, that are stored as text."""


def _in_utc(value: datetime) -> datetime:
    """At the ends of the calendar the time in another zone can be none in UTC, which MongoDB keeps."""
    try:
        return value if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("datetime_range", "Input should be a time that exists in UTC") from error


# The types of filters' values, and what stands for them where they have to be within what MongoDB stores.
VALUE_TYPES: dict[tuple[type, ...], Any] = {
    (datetime,): Annotated[datetime, AfterValidator(_in_utc)],
    (bool, Enum, date, UUID): None,
    (Decimal,): Annotated[Decimal, Field(max_digits=34, allow_inf_nan=False)],
    (float,): Annotated[float, Field(allow_inf_nan=False)],
    (int,): Annotated[int, Field(ge=-(2**63), lt=2**63)],
    (str,): str,
    (PydanticObjectId,): DocumentId,
}


def served_by_indexes(document: type[Document]) -> Callable[[type[Query]], type[Query]]:
    """Gives a `ListQuery` the filters and the orders that the document's declared indexes serve, and no others.

    An index serves an order where it holds every document in it; a filter where it begins with the filter's key; and
    a text index serves `q`. A field is known by its name here, and by its alias in MongoDB. What the document itself
    declares, or Beanie for it, shows nowhere: the fields of a resource are those of the plain model beside it.
    """

    def derive(shape: type[Query]) -> type[Query]:
        declared = declared_indexes(document)
        indexes = [index for index in declared if _serves(index)]
        plain = [base for base in document.mro() if issubclass(base, BaseModel) and not issubclass(base, Document)]
        shown = {name for base in plain for name in base.model_fields}
        own = {name: field for name, field in document.model_fields.items() if name in shown}
        by_key = {field.alias or name: (name, field) for name, field in own.items() if _value_type(field.annotation)}
        orders = {"id": [("_id", 1)], "-id": [("_id", -1)]} | dict(_orders(indexes, by_key))
        filters = {
            parameter: (key, operator, definition)
            for key in dict.fromkeys(index.keys[0][0] for index in indexes if index.keys[0][0] in by_key)
            for parameter, operator, definition in _filters(*by_key[key])
        }
        shared = {"sort": _sort(orders), "fields": _fields(["id", *own]), **_words(declared)}
        if taken := filters.keys() & {*shape.model_fields, *shared, "q"}:
            raise TypeError(f"Lists have a parameter of this name already: call the field another than {taken.pop()}")
        by = {PREFIX + parameter: definition for parameter, (_, _, definition) in filters.items()}
        query = create_model(
            shape.__name__, __base__=shape, __module__=shape.__module__, __doc__=shape.__doc__, **by, **shared
        )
        query.orders = orders
        query.filters = {parameter: (key, operator) for parameter, (key, operator, _) in filters.items()}
        return query

    return derive


def _sort(orders: Mapping[str, Order]) -> Any:
    words = "The order, `-` for descending; `id` ends every order, in the direction of the key before it."
    # The names that generators of clients give to the values, which they could only number.
    names = [
        "_".join(key.removeprefix("-").upper() + "_DESCENDING" * key.startswith("-") for key in order.split(","))
        for order in orders
    ]
    extra: dict[str, Any] = {"x-enum-varnames": names}
    return Literal[tuple(orders)], Field("id", description=words, examples=[list(orders)[-1]], json_schema_extra=extra)


def _fields(names: list[str]) -> Any:
    choice = "|".join(names)
    kind = Annotated[str, Field(pattern=f"^({choice})(,({choice}))*$")]
    words = "Only these keys of each, separated by commas; `id` always comes along."
    return _optional(kind, "fields", words, ",".join(names[1:3]))


def _words(indexes: Iterable[Index]) -> dict[str, Any]:
    for index in indexes:
        if fields := [key for key, kind in index.keys if kind == TEXT]:
            kind = Annotated[str, Field(min_length=1, max_length=200, pattern=r"[^\W_]")]
            words = f"Words that are to be found, all of them, in {' or '.join(fields)}; one at least as a whole word."
            return {"q": _optional(kind, "q", words, "jane")}
    return {}


def _serves(index: Index) -> bool:
    """Whether the index can be used for any value, compared as MongoDB compares without a collation."""
    apart = {"partialFilterExpression", "collation", "hidden"} & index.options.keys()
    return not apart and all(direction in {1, -1} for _, direction in index.keys)


def _is_total(index: Index) -> bool:
    """Whether the index holds every document, in an order without ties."""
    return not index.options.get("sparse") and (index.keys[-1][0] == "_id" or bool(index.options.get("unique")))


def _orders(indexes: Iterable[Index], by_key: Mapping[str, tuple[str, FieldInfo]]) -> Iterator[tuple[str, Order]]:
    """The orders that the indexes hold, forward and backward, by what `sort` calls them. A list of values has none."""
    names = {key: name for key, (name, field) in by_key.items() if get_origin(_bare(field.annotation)) is not list}
    for index, turn in itertools.product(filter(_is_total, indexes), (1, -1)):
        order = [(key, int(direction) * turn) for key, direction in index.keys]
        named = [(names.get(key), direction) for key, direction in order if key != "_id"]
        if named and all(name for name, _ in named):
            yield ",".join(f"{'-' if direction < 0 else ''}{name}" for name, direction in named), order


def _filters(name: str, field: FieldInfo) -> Iterator[tuple[str, str, Any]]:
    """The filters by a field: each one's parameter, MongoDB's operator and the parameter's definition."""
    value = _value_type(field.annotation)
    example = field.examples[0] if field.examples else None
    words = field.description or f"The field `{name}`."
    values: Any = Annotated[GenericAlias(list, (value,)), Field(max_length=MAX_VALUES)]
    yield (
        name,
        "$in",
        _optional(values, name, f"{words} Only those equal to this, or to any of several.", [example]),
    )
    bare = _bare(field.annotation)
    if isinstance(bare, type) and issubclass(bare, ORDERED) and not issubclass(bare, bool | Enum):
        for suffix, relation in RANGES.items():
            parameter = f"{name}__{suffix}"
            yield parameter, f"${suffix}", _optional(value, parameter, f"{words} Only those {relation} this.", example)


def _optional(kind: Any, name: str, description: str, example: Any) -> tuple[Any, Any]:
    """A parameter that may be left out, but has no null as a value: a URL has none."""
    examples = [] if example in (None, [None]) else [example]
    return kind, Field(None, alias=name, description=description, examples=examples)


def _value_type(annotation: Any) -> Any:
    """The type of a filter's values, without the limits of the field: what is stored may be beyond them."""
    kind = _bare(annotation)
    if get_origin(kind) is list:
        return _value_type(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return kind
    if not isinstance(kind, type):
        return None
    for known, value in VALUE_TYPES.items():
        if issubclass(kind, known):
            return value or kind
    try:
        schema = TypeAdapter(kind).json_schema()
    except PydanticUserError:  # a type that pydantic does not know
        return None
    return str if schema.get("type") == "string" and schema.get("format") in TEXTS else None


def _bare(annotation: Any) -> Any:
    """The type inside of `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return _bare(kinds[0]) if len(kinds) == 1 else None
    return annotation
