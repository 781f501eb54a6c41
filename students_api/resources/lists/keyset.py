"""Keyset pagination: the next page is a range of an index after the last document's sort keys, without an offset."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import bson
from bson import Decimal128, ObjectId

Order: TypeAlias = Sequence[tuple[str, int]]
"""The sort keys of an order without ties, each with its direction: 1 or -1."""

NAN = math.nan

# The types that comparisons find, in MongoDB's order, each with its least value. Null comes before them all, and NaN is
# the least number, though no comparison finds it.
# https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
COMPARABLE_TYPES: list[tuple[tuple[type, ...], Any]] = [
    ((int, float, Decimal128), -math.inf),
    ((str,), ""),
    ((dict,), {}),
    ((bytes,), b""),
    ((ObjectId,), ObjectId(bytes(12))),
    ((bool,), False),
    ((datetime,), datetime.min.replace(tzinfo=UTC)),
]


class KeysetPosition(NamedTuple):
    """A place in a list: after the document with these values of the sort keys, and `skip` documents further."""

    values: list[Any] | None = None
    skip: int = 0


def conditions_after(values: Sequence[Any], order: Order) -> list[dict[str, Any]]:
    """Filters for all documents after these values in this order; each is one range of the order's index."""
    conditions = []
    for depth, (key, direction) in reversed(list(enumerate(order))):
        same = {key: {"$eq": value} for (key, _), value in zip(order, values[:depth], strict=False)}
        conditions.append(same | _beyond(key, direction, values[depth]))
    return conditions


def _beyond(key: str, direction: int, value: Any) -> dict[str, Any]:
    """The condition for all values after this one in MongoDB's sort order, whatever their type.

    MongoDB's comparisons find values of one type only; their negations find those of all other types as well.
    """
    rank = _type_rank(value)
    if rank is None:
        return {"$and": [{key: {"$ne": None}}, {key: {"$ne": []}}]} if direction > 0 else {key: {"$eq": []}}
    if _is_nan(value):
        return (
            {"$and": [{key: {"$nin": [None, NAN]}}, {key: {"$ne": []}}]}
            if direction > 0
            else {key: {"$in": [[], None]}}
        )
    least_values = [least for _, least in COMPARABLE_TYPES]
    if direction > 0:
        exclusions = [
            {"$not": {"$lte": value}},
            *({"$not": {"$gte": least}} for least in least_values[:rank]),
            {"$nin": [None, NAN]},
            {"$ne": []},  # an empty array sorts before null
        ]
    else:
        exclusions = [{"$not": {"$gte": bound}} for bound in (value, *least_values[rank + 1 :])]
    return {"$and": [{key: condition} for condition in exclusions]}


def _type_rank(value: Any) -> int | None:
    """The position of the value's type among the comparable ones; `None` for null and for any other type."""
    if isinstance(value, bson.Code):
        return None
    ranks = [rank for rank, (types, _) in enumerate(COMPARABLE_TYPES) if isinstance(value, types)]
    return ranks[-1] if ranks else None  # the last one: a boolean is an `int`, too


def _is_nan(value: Any) -> bool:
    if isinstance(value, Decimal128):
        return value.to_decimal().is_nan()
    return isinstance(value, float) and math.isnan(value)


def is_comparable(value: Any) -> bool:
    """Whether a position can hold the value: null, a number, text, bytes, an ObjectId, a boolean or a date.

    Not an embedded document, whose values the driver may not read as they are stored, and not an array, which MongoDB
    sorts by one of its elements.
    """
    return not isinstance(value, dict) and (value is None or _type_rank(value) is not None)
