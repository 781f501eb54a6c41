"""Conditional requests (RFC 9110, section 13): entity tags made of versions, `If-Match` and `If-None-Match`."""

import re
from decimal import Decimal
from typing import Any

from bson import Decimal128
from fastapi import Request

from students_api.database import Encoded
from students_api.problems import invalid

TAG = r'(W/)?"[!#-~\x80-\xff]*"'
TAGS = rf"^(\*|[ \t,]*{TAG}([ \t]*,[ \t,]*{TAG})*[ \t,]*)$"
"""A list of entity tags, weak ones and empty elements included, or `*`."""

END = 2**63 - 1
"""No version is as high: MongoDB's integers end here."""

VERSION = re.compile(r'"(0|[1-9][0-9]{0,18})"')
"""A tag of ours. A weak form of it is the same: a proxy that compresses makes it."""


def _header(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": TAGS, "description": description, "examples": ['"1"'], "title": name}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def version_of(stored: Any) -> int:
    """The version that a document counts as: a whole number from 1 on, or 0 for whatever else it stores."""
    if isinstance(stored, Decimal128):
        stored = stored.to_decimal()
        stored = float("nan") if stored.is_nan() else stored
    is_number = isinstance(stored, int | float | Decimal) and not isinstance(stored, bool)
    return int(stored) if is_number and 1 <= stored < END else 0


def etag(version: int) -> str:
    """The strong entity tag of a version."""
    return f'"{version}"'


def is_version(versions: set[int]) -> Encoded:
    """The condition that a stored document counts as one of these versions."""
    each = [_between(one, one + 1) for one in sorted(versions) if one]
    none = [{"$nor": [_between(1, END)]}] if 0 in versions else []
    return Encoded({"$or": [*each, *none]} if versions else NO_VERSION)


def _between(start: int, end: int) -> dict[str, Any]:
    # A list is found by each of its elements; it is no version.
    return {"version": {"$gte": start, "$lt": end}, "version.0": {"$exists": False}}


NO_VERSION: dict[str, Any] = {"version": {"$in": []}}
"""The condition that nothing meets."""

COUNTED = Encoded({"$or": [_between(0, END), {"version": {"$exists": False}}]})
"""The condition that a stored version can be counted on from, or there is none."""

UNCOUNTED = Encoded({"$nor": [COUNTED]})
"""The condition that it cannot."""


def _versions(request: Request, header: str) -> set[int] | None:
    """The versions that a header names; `None` for any. Several lines of it are one list."""
    value = ", ".join(request.headers.getlist(header))
    if not re.fullmatch(TAGS, value):
        words = 'It should be a list of entity tags such as "1", or *; several lines of it are one list'
        raise invalid(("header", header), words, "entity_tags")
    if value == "*":
        return None
    return {version for version in map(int, VERSION.findall(value)) if version < END}


# FastAPI would take longer to read a header that is declared as a parameter than all of this does to use it. So OpenAPI
# has them from here: students_api/openapi.py.
MATCH = _header("If-Match", "Make the change only if it is still as it was under this `ETag`; else 412.")
NONE_MATCH = _header("If-None-Match", "Answer 304 without a body if it is still as it was under this `ETag`.")


def if_match(request: Request) -> list[Encoded]:
    """Conditions for the query of a write, so that the check and the write are one operation of the database.

    They are what `If-Match` asks for. Raises 422 where it is no list of entity tags.
    """
    conditions = []
    if "If-Match" in request.headers and (versions := _versions(request, "If-Match")) is not None:
        conditions.append(is_version(versions))
    # Few clients send it with a write; those that do must not have it ignored (RFC 9110, section 13.1.2).
    if "If-None-Match" in request.headers:
        known = _versions(request, "If-None-Match")
        conditions.append(Encoded(NO_VERSION if known is None else {"$nor": [is_version(known)]}))
    return conditions


def is_known(request: Request, version: int) -> bool:
    """Whether the client has this version already: `If-None-Match` names it."""
    given = request.headers.getlist("If-None-Match")
    if not given or given == [etag(version)]:
        return bool(given)
    versions = _versions(request, "If-None-Match")
    return versions is None or version in versions
