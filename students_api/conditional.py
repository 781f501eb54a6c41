"""Conditional requests (RFC 9110, section 13): entity tags made of versions, `If-Match` and `If-None-Match`."""

import re
from typing import Annotated, Any

from fastapi import Depends, Header, Request

TAG = r'(W/)?"[!#-~\x80-\xff]*"'
TAGS = rf"^(\*|[ \t,]*{TAG}([ \t]*,[ \t,]*{TAG})*[ \t,]*)$"
"""A list of entity tags, weak ones and empty elements included, or `*`."""

VERSION = re.compile(r'"(0|[1-9][0-9]{0,18})"')
"""A tag of ours. A weak form of it is the same: a proxy that compresses makes it."""


def version_of(stored: Any) -> int:
    """The version that a document counts as, by what it stores: 0 where that is no number from 1 on."""
    return int(stored) if isinstance(stored, int | float) and not isinstance(stored, bool) and stored >= 1 else 0


def etag(version: int) -> str:
    """The strong entity tag of a version."""
    return f'"{version}"'


def is_version(versions: set[int]) -> dict[str, Any]:
    """The condition that a stored document counts as one of these versions."""
    stored: list[dict[str, Any]] = [{"version": {"$in": sorted(versions)}}]
    return {"$or": [*stored, {"version": {"$not": {"$gte": 1}}}]} if 0 in versions else stored[0]


def _versions(request: Request, header: str) -> set[int] | None:
    """The versions that a header names; `None` for any."""
    value = ", ".join(request.headers.getlist(header))
    if "*" in re.sub(TAG, "", value):
        return None
    return {version for version in map(int, VERSION.findall(value)) if version < 2**63}


def _header(name: str, description: str) -> Any:
    # Left out, it is None; the type is without it, as a header has no null that OpenAPI could speak of.
    return Header(None, alias=name, pattern=TAGS, description=description, examples=['"1"'])


MATCH = _header("If-Match", "Make the change only if the student is still as it was under this `ETag`; else 412.")
NONE_MATCH = _header("If-None-Match", "Answer 304 without a body if the student is still as it was under this `ETag`.")


async def _if_match(request: Request, if_match: str = MATCH) -> list[dict[str, Any]]:
    versions = _versions(request, "If-Match") if if_match else None
    return [] if versions is None else [is_version(versions)]


async def _if_none_match(request: Request, if_none_match: str = NONE_MATCH) -> "Known":
    return Known(_versions(request, "If-None-Match") if if_none_match else set())


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
