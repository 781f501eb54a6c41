"""Content negotiation (RFC 9110, sections 8.3 and 12.5): a request's Content-Type and Accept."""

from collections.abc import Callable
from http import HTTPStatus

from fastapi import HTTPException, Request

JSON = "application/json"

MERGE_PATCH = "application/merge-patch+json"
"""A merge patch (RFC 7396)."""


def accepts(header: str, media_type: str) -> bool:
    """Whether an `Accept` header takes this type: its most specific matching range decides, by its quality value."""
    ranges = [media_type, media_type.partition("/")[0] + "/*", "*/*"]
    qualities: dict[str, float] = {}
    for element in header.lower().split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        name = "*/*" if name == "*" else name
        qualities[name] = max(_quality(parameters), qualities.get(name, 0))
    return next((qualities[name] > 0 for name in ranges if name in qualities), False)


def require_content_type(*media_types: str) -> Callable[[Request], None]:
    """The check of a route that takes a body of these types: 415 for any other."""

    def check_body(request: Request) -> None:
        headers = request.headers
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            return
        if headers.get("content-type", "").partition(";")[0].strip(" \t").lower() not in media_types:
            detail = f"The Content-Type must be {' or '.join(media_types)}."
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, {"Accept": ", ".join(media_types)})

    return check_body


def require_accept(*media_types: str) -> Callable[[Request], None]:
    """The check of a route that answers with these types: 406 where `Accept` takes none of them."""

    def check_accept(request: Request) -> None:
        header = ",".join(request.headers.getlist("accept"))
        if header.strip() and not any(accepts(header, media_type) for media_type in media_types):
            detail = f"Responses are {' or '.join(media_types)}; the Accept header must allow it."
            raise HTTPException(HTTPStatus.NOT_ACCEPTABLE, detail)

    return check_accept


def _quality(parameters: list[str]) -> float:
    try:
        return next((float(parameter[2:]) for parameter in parameters if parameter.startswith("q=")), 1)
    except ValueError:
        return 1  # malformed, so it does not count
