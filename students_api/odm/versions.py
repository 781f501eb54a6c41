"""Optimistic locking: each document stores a version, which every change increments in the same atomic operation."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from beanie import Document
from bson import Binary, Decimal128

from students_api.odm.encoding import BsonFilter, keeps_null

VERSION_END = 2**63 - 1
"""The exclusive upper bound of versions: the largest 64-bit integer, which MongoDB cannot increment."""


def utc_now() -> datetime:
    """The time in UTC, aware of its zone, in milliseconds, which are all that MongoDB keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def version_of(stored: Any) -> int:
    """The version in a stored value: the integer part of a number from 1 on; 0 for any other value, or none."""
    if isinstance(stored, Decimal128):
        stored = stored.to_decimal()
        stored = float("nan") if stored.is_nan() else stored
    is_number = isinstance(stored, int | float | Decimal) and not isinstance(stored, bool)
    return int(stored) if is_number and 1 <= stored < VERSION_END else 0


def version_filter(versions: set[int]) -> BsonFilter:
    """The filter that finds a document with one of these versions, as `version_of` reads them."""
    ranges = [_version_between(version, version + 1) for version in sorted(versions) if version]
    zero = [{"$nor": [_version_between(1, VERSION_END)]}] if 0 in versions else []
    return BsonFilter({"$or": [*ranges, *zero]} if versions else MATCHES_NOTHING)


def _version_between(start: int, end: int) -> dict[str, Any]:
    # MongoDB compares an array by each of its elements; an array is no version.
    return {"version": {"$gte": start, "$lt": end}, "version.0": {"$exists": False}}


MATCHES_NOTHING: dict[str, Any] = {"version": {"$in": []}}

CAN_INCREMENT = BsonFilter({"$or": [_version_between(0, VERSION_END), {"version": {"$exists": False}}]})
"""The filter for documents whose version `$inc` can increment: a number, or none yet."""

CANNOT_INCREMENT = BsonFilter({"$nor": [CAN_INCREMENT]})
"""The filter for documents whose version is of another type, because another program stored it."""


def with_version_increment(document: type[Document], update: Any) -> Any:
    """The update, extended: it increments `version`, sets `updated_at`, and a new `revision_id` where Beanie uses one.

    `update` has update operators, or is an aggregation pipeline. Values that it sets itself are kept, except in a full
    save (`_id` in `$set`): there `version` and `updated_at` are the old ones.
    """
    stamps: dict[str, Any] = {"updated_at": utc_now()}
    if document.get_settings().use_revision:
        stamps["revision_id"] = Binary.from_uuid(uuid4())
    if isinstance(update, list):
        incremented = {"$add": [{"$cond": [{"$isNumber": "$version"}, "$version", 0]}, 1]}
        return [*update, {"$set": {"version": incremented, **stamps}}]
    fields = update.get("$set", {})
    if "_id" in fields:
        fields = {key: value for key, value in fields.items() if key not in {"version", "updated_at"}}
    fields = stamps | fields
    nulls = {key: "" for key, value in fields.items() if value is None and not keeps_null(document, key)}
    fields = {key: value for key, value in fields.items() if key not in nulls}
    # MongoDB refuses an update with two operators on one key.
    taken = fields.keys() | {"version"}
    others = {
        operator: {key: value for key, value in values.items() if key not in taken}
        for operator, values in update.items()
        if operator != "$set"
    }
    if nulls:
        others["$unset"] = {**others.get("$unset", {}), **nulls}
    if "version" not in fields:
        others["$inc"] = {**others.get("$inc", {}), "version": 1}
    return {"$set": fields, **{operator: values for operator, values in others.items() if values}}
