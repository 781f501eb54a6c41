"""Conditional requests (RFC 9110, section 13): entity tags made of versions, `If-Match` and `If-None-Match`."""

import re
from decimal import Decimal
from typing import Annotated, Any

from bson import Decimal128
from fastapi import Depends, Header, Request

from students_api.problems import invalid

TAG = r'(W/)?"[!#-~\x80-\xff]*"'
TAGS = rf"^(\*|[ \t,]*{TAG}([ \t]*,[ \t,]*{TAG})*[ \t,]*)$"
"""A list of entity tags, weak ones and empty elements included, or `*`."""

END = 2**63 - 1
"""No version is as high: MongoDB's integers end here."""

VERSION = re.compile(r'"(0|[1-9][0-9]{0,18})"')
"""A tag of ours. A weak form of it is the same: a proxy that compresses makes it."""


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


def is_version(versions: set[int]) -> dict[str, Any]:
    """The condition that a stored document counts as one of these versions."""
    each = [_between(one, one + 1) for one in sorted(versions) if one]
    none = [{"$nor": [_between(1, END)]}] if 0 in versions else []
    return {"$or": [*each, *none]} if versions else {"version": {"$in": []}}


def _between(start: int, end: int) -> dict[str, Any]:
    # A list is found by each of its elements; it is no version.
    return {"version": {"$gte": start, "$lt": end}, "version.0": {"$exists": False}}


COUNTED: dict[str, Any] = {"$or": [_between(0, END), {"version": {"$exists": False}}]}
"""The condition that a stored version can be counted on from, or there is none."""


def _versions(request: Request, header: str) -> set[int] | None:
    """The versions that a header names; `None` for any. Several lines of it are one list."""
    value = ", ".join(request.headers.getlist(header))
    if not re.fullmatch(TAGS, value):
        raise invalid(("header", header), "Several lines should be one list of entity tags", "entity_tags")
    if value == "*":
        return None
    return {version for version in map(int, VERSION.findall(value)) if version < END}


def _header(name: str, description: str) -> Any:
    # Left out, it is None; the type is without it, as a header has no null that OpenAPI could speak of.
    return Header(None, alias=name, pattern=TAGS, description=description, examples=['"1"'])


MATCH = _header("If-Match", "Make the change only if it is still as it was under this `ETag`; else 412.")
NONE_MATCH = _header("If-None-Match", "Answer 304 without a body if it is still as it was under this `ETag`.")


async def _if_match(request: Request, if_match: str = MATCH) -> list[dict[str, Any]]:
    conditions = []
    if if_match is not None and (versions := _versions(request, "If-Match")) is not None:
        conditions.append(is_version(versions))
    # Few clients send it with a write; those that do must not have it ignored (RFC 9110, section 13.1.2).
    if "If-None-Match" in request.headers:
        known = _versions(request, "If-None-Match")
        conditions.append({"version": {"$in": []}} if known is None else {"$nor": [is_version(known)]})
    return conditions


async def _if_none_match(request: Request, if_none_match: str = NONE_MATCH) -> "Known":
    return Known(set() if if_none_match is None else _versions(request, "If-None-Match"))


class Known:
    """The versions that a client has already."""

    def __init__(self, versions: set[int] | None) -> None:
        self.versions = versions

    def __contains__(self, version: int) -> bool:
        return self.versions is None or version in self.versions


IfMatch = Annotated[list[dict[str, Any]], Depends(_if_match)]
"""Conditions for the query of a write, so that the check and the write are one operation of the database."""

IfNoneMatch = Annotated[Known, Depends(_if_none_match)]
"""The versions for which to answer that nothing has changed."""
