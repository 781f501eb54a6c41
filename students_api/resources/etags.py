"""ETags and conditional requests (RFC 9110, section 13): `If-Match` and `If-None-Match` compared with versions."""

import re
from typing import Any

from fastapi import Request

from students_api.http.problems import validation_error
from students_api.odm.encoding import BsonFilter
from students_api.odm.versions import MATCHES_NOTHING, VERSION_END, version_filter

ENTITY_TAG = r'(W/)?"[!#-~\x80-\xff]*"'

ENTITY_TAGS = rf"^(\*|[ \t,]*{ENTITY_TAG}([ \t]*,[ \t,]*{ENTITY_TAG})*[ \t,]*)$"
"""A list of entity tags, or `*`. Weak tags and empty elements are valid in it."""

VERSION_TAG = re.compile(r'"(0|[1-9][0-9]{0,18})"')
"""An ETag of this service, also within its weak form `W/"1"`, which compressing proxies make."""


def _header_parameter(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": ENTITY_TAGS, "description": description, "examples": ['"1"'], "title": name}
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def etag(version: int) -> str:
    """The strong ETag of a version."""
    return f'"{version}"'


def _parse_versions(request: Request, header: str) -> set[int] | None:
    """The versions in a header, whose lines are one list; `None` for `*`. Raises 422 where it is no list of tags."""
    value = ", ".join(request.headers.getlist(header))
    if not re.fullmatch(ENTITY_TAGS, value):
        message = 'Input should be a list of entity tags such as "1", or *; repeated headers form one list'
        raise validation_error(("header", header), message, "entity_tags")
    if value == "*":
        return None
    return {version for version in map(int, VERSION_TAG.findall(value)) if version < VERSION_END}


# Declared in OpenAPI only: FastAPI takes longer to parse a declared header than this module takes in all.
IF_MATCH = _header_parameter("If-Match", "Make the change only if the document still has this `ETag`; else 412.")

IF_NONE_MATCH = _header_parameter("If-None-Match", "Answer 304 without a body if the document still has this `ETag`.")


def precondition_filters(request: Request) -> list[BsonFilter]:
    """The preconditions of a write (optimistic locking): filters on the version from `If-Match` and `If-None-Match`.

    So the check and the write are one atomic operation. Raises 422 for a malformed header.
    """
    conditions = []
    if "If-Match" in request.headers and (versions := _parse_versions(request, "If-Match")) is not None:
        conditions.append(version_filter(versions))
    # Rare with a write, but not to be ignored (RFC 9110, section 13.1.2).
    if "If-None-Match" in request.headers:
        known = _parse_versions(request, "If-None-Match")
        conditions.append(BsonFilter(MATCHES_NOTHING if known is None else {"$nor": [version_filter(known)]}))
    return conditions


def is_not_modified(request: Request, version: int) -> bool:
    """Whether `If-None-Match` has the ETag of this version. Raises 422 where it is no list of entity tags."""
    given = request.headers.getlist("If-None-Match")
    if not given or given == [etag(version)]:
        return bool(given)
    versions = _parse_versions(request, "If-None-Match")
    return versions is None or version in versions
