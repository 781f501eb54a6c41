"""Cursors: where a page of a list ended, as a key in the list's order, from which an index goes on.

A cursor is text for a URL: a digest, then the position as BSON. The digest covers the list's filters and order too, so
a cursor that is damaged, or used with others, is refused. It keeps no secret and needs none: a position only ever
becomes operands of comparisons, of the types that are named here.
"""

import hashlib
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import bson
from bson import Decimal128, ObjectId
from bson.codec_options import CodecOptions

Order: TypeAlias = Sequence[tuple[str, int]]
"""The keys of a total order, each with its direction: 1 or -1."""

NAN = math.nan
DIGEST_BYTES = 12
MAX_SKIP = 2**31
OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, datetime_conversion=bson.DatetimeConversion.DATETIME_AUTO
)

# The types that are compared, in MongoDB's order, each with its least value. Null comes before them all, and NaN is the
# least number, though no comparison finds it.
# https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
COMPARED: list[tuple[tuple[type, ...], Any]] = [
    ((int, float, Decimal128), -math.inf),
    ((str,), ""),
    ((dict,), {}),
    ((bytes,), b""),
    ((ObjectId,), ObjectId(bytes(12))),
    ((bool,), False),
    ((datetime,), datetime.min.replace(tzinfo=UTC)),
]


class Position(NamedTuple):
    """A place in a list: after the document with these values of the order's keys, and `skip` documents further."""

    values: list[Any] | None = None
    skip: int = 0


def encode(position: Position, context: bytes) -> str:
    """The cursor for a position in the list that `context` tells from all others."""
    return sealed(bson.encode({"values": position.values, "skip": position.skip}), context)


def decode(cursor: str, context: bytes, order: Order) -> Position:
    """The position that a cursor for this list holds. Raises `ValueError` where it is none."""
    try:
        data = urlsafe_b64decode(cursor + "==")[DIGEST_BYTES:]
        if cursor != sealed(data, context):
            raise ValueError("damaged, or of another list")
        match bson.decode(data, OPTIONS):
            case {"skip": bool()}:
                pass
            case {"values": None, "skip": int(skip)} if 0 <= skip < MAX_SKIP:
                return Position(None, skip)
            case {"values": list(values), "skip": int(skip)} if 0 <= skip < MAX_SKIP and len(values) == len(order):
                if all(map(is_compared, values)):
                    return Position(values, skip)
    except bson.errors.BSONError as error:
        raise ValueError("no cursor") from error
    raise ValueError("no position")


def after(values: Sequence[Any], order: Order) -> list[dict[str, Any]]:
    """Conditions, each one range of the order's index, that find all that comes after these values, in this order."""
    conditions = []
    for depth, (key, direction) in reversed(list(enumerate(order))):
        same = {key: {"$eq": value} for (key, _), value in zip(order, values[:depth], strict=False)}
        conditions.append(same | _beyond(key, direction, values[depth]))
    return conditions


def _beyond(key: str, direction: int, value: Any) -> dict[str, Any]:
    """What comes after the value, in all types: all but what is up to it, and but the types that come before.

    MongoDB's comparisons find values of one type only; their negations find those of all others as well.
    """
    rank = _rank(value)
    if rank is None:
        return {"$and": [{key: {"$ne": None}}, {key: {"$ne": []}}]} if direction > 0 else {key: {"$eq": []}}
    if _is_nan(value):
        return (
            {"$and": [{key: {"$nin": [None, NAN]}}, {key: {"$ne": []}}]}
            if direction > 0
            else {key: {"$in": [[], None]}}
        )
    least = [each for _, each in COMPARED]
    if direction > 0:
        before = [
            {"$not": {"$lte": value}},
            *({"$not": {"$gte": each}} for each in least[:rank]),
            {"$nin": [None, NAN]},
            {"$ne": []},  # which comes before null
        ]
    else:
        before = [{"$not": {"$gte": each}} for each in (value, *least[rank + 1 :])]
    return {"$and": [{key: condition} for condition in before]}


def _rank(value: Any) -> int | None:
    """Which of the types that are compared, in MongoDB's order; `None` for null and for any other."""
    if isinstance(value, bson.Code):
        return None
    ranks = [rank for rank, (kinds, _) in enumerate(COMPARED) if isinstance(value, kinds)]
    return ranks[-1] if ranks else None  # the last: a boolean is an `int`, too


def _is_nan(value: Any) -> bool:
    if isinstance(value, Decimal128):
        return value.to_decimal().is_nan()
    return isinstance(value, float) and math.isnan(value)


def is_compared(value: Any) -> bool:
    """Whether a position can hold the value: null, a number, text, bytes, an ObjectId, a boolean or a date.

    What an embedded document holds need not survive being read; and lists are sorted by a part of them.
    """
    return not isinstance(value, dict) and (value is None or _rank(value) is not None)


def sealed(data: bytes, context: bytes) -> str:
    """The data with the digest that a cursor of this list has."""
    digest = hashlib.sha256(hashlib.sha256(context).digest() + data).digest()[:DIGEST_BYTES]
    return urlsafe_b64encode(digest + data).decode().rstrip("=")
