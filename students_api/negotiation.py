"""Content negotiation (RFC 9110, sections 8.3 and 12.5): in which form bodies come, and in which they are wanted."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException, Request
from pydantic import BaseModel

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
"""RFC 7396. Where it has null for a key, the field stays as it is: no field of a student can be taken away."""


def accepts(header: str, media_type: str) -> bool:
    """Whether an `Accept` header lets an answer be of this type: the closest of its ranges decides, by its weight."""
    ranges = [media_type, media_type.partition("/")[0] + "/*", "*/*"]
    weights: dict[str, float] = {}
    for element in header.lower().split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        name = "*/*" if name == "*" else name
        weights[name] = max(_weight(parameters), weights.get(name, 0))
    return next((weights[name] > 0 for name in ranges if name in weights), False)


def body_of(*media_types: str) -> Callable[[Request], None]:
    """The check of a route whose body is of one of these types: 415 for any other."""

    def check_body(request: Request) -> None:
        headers = request.headers
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            return
        if headers.get("content-type", "").partition(";")[0].strip(" \t").lower() not in media_types:
            words = f"The body's Content-Type has to be {' or '.join(media_types)}."
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, words, {"Accept": ", ".join(media_types)})

    return check_body


def answers_json(request: Request) -> None:
    """The check of a route that answers with JSON: 406 where the client takes none."""
    header = ",".join(request.headers.getlist("accept"))
    if header.strip() and not accepts(header, JSON):
        words = f"Answers are {JSON}; the request's Accept header has to allow that."
        raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, words)


def also_as(media_type: str, shape: type[BaseModel]) -> dict[str, Any]:
    """For the `openapi_extra=` of a route that takes this form of body beside JSON."""
    reference = {"$ref": f"#/components/schemas/{shape.__name__}"}
    return {"requestBody": {"content": {media_type: {"schema": reference}}}}


def _weight(parameters: list[str]) -> float:
    try:
        return next((float(parameter[2:]) for parameter in parameters if parameter.startswith("q=")), 1)
    except ValueError:
        return 1  # it is no weight; the type alone counts
