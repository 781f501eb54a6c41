"""Errors as problem details (RFC 9457): the one form of every answer that is not what was asked for."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import quote

from beanie.exceptions import RevisionIdWasChanged
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount

from students_api.database import (
    DatabaseError,
    DuplicateKey,
    error_message,
    is_no_document,
    is_unavailable,
    is_untried,
)
from students_api.middleware import REQUEST_ID, request_id

logger = logging.getLogger("students_api")

MEDIA_TYPE = "application/problem+json"

UNAVAILABLE = "The database does not answer. Try again soon."
UNKNOWN_OUTCOME = "The database does not answer. The change may have been made all the same: look before you repeat it."
REFUSED = "The database does not take this document: it is too large, or breaks a rule that its operator has set"
TAKEN = "Another has the same {}, which has to be different in each."
REVISED = "Somebody else has changed it, or another has a value that has to be different in each. Get it and try again."
UNFORESEEN = "Something unforeseen happened. It is not your fault; the service's log has it under the request's id."
RETRY_AFTER_SECONDS = 5

UNREADABLE_BODY = (HTTPStatus.BAD_REQUEST, "There was an error parsing the body")
"""FastAPI's answer to a body on which Python's JSON parser gives up, rather than finding an error in it."""


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: Annotated[str, Field(description="What kind of problem it is; `about:blank` where the status says it all.")]
    title: Annotated[str, Field(description="The kind, in words.", examples=["Not Found"])]
    status: Annotated[int, Field(description="The HTTP status of this answer.", examples=[404])]
    detail: Annotated[
        str, Field(description="What happened, for a person.", examples=["Student 5eb7cf5a86d9755df3a6c593 not found"])
    ]
    instance: Annotated[str, Field(description="The path that was asked for.", examples=["/students/"])]
    request_id: Annotated[
        str,
        Field(
            description="The request's id, which the service's log has too.",
            examples=["b5a1a1a0c0f34c0f8a3c5d8e7f6a9b2c"],
        ),
    ]
    outcome: Annotated[
        Literal["unknown"] | None,
        Field(description="There where a change may have been made all the same, after 503.", examples=["unknown"]),
    ] = None


class InvalidInput(BaseModel):
    """One thing to change about a request."""

    loc: Annotated[list[str | int], Field(description="Where it is.", examples=[["body", "gpa"]])]
    msg: Annotated[str, Field(description="What is expected.", examples=["Input should be less than or equal to 4"])]
    type: Annotated[str, Field(description="The rule that it breaks.", examples=["less_than_equal"])]


class ValidationProblem(Problem):
    """What is wrong with the request, item by item. It never repeats a value that was sent."""

    errors: list[InvalidInput]


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of the problems that an operation can answer with, for its `responses=`."""
    return {int(status): {"description": status.phrase, "content": {MEDIA_TYPE: {}}} for status in statuses}


def invalid(loc: tuple[str, ...], words: str, kind: str) -> RequestValidationError:
    """The error to raise for a request that breaks a rule which no type expresses."""
    return RequestValidationError([{"loc": loc, "msg": words, "type": kind}])


def invalid_document(errors: Iterable[Mapping[str, Any]]) -> RequestValidationError:
    """The error to raise for a document that the request's body would make, and that breaks these rules."""
    return RequestValidationError([{**error, "loc": ("body", *error["loc"])} for error in errors])


def unavailable(request: Request, *, untried: bool = False) -> JSONResponse:
    """The answer where the database gives none; `untried` where it is certain that it has changed nothing."""
    status, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if untried or request.method in {"GET", "HEAD"}:
        return problem(request, status, UNAVAILABLE, headers)
    return problem(request, status, UNKNOWN_OUTCOME, headers, outcome="unknown")


def answer_with_problems(app: FastAPI) -> None:
    """Make every error that `app` answers a problem."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(DatabaseError, _database_error)
    app.add_exception_handler(DuplicateKey, _duplicate)
    app.add_exception_handler(RevisionIdWasChanged, _revised)
    app.add_exception_handler(OverflowError, _overflow)
    app.add_exception_handler(Exception, _unforeseen)


def problem(
    request: Request, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """The answer that tells what went wrong; `detail` is a sentence for a person."""
    content = members(status, detail, request.scope["path"], request_id.get()) | more
    # The handler of what is unforeseen answers outside of all middleware, so the id is added here.
    return JSONResponse(content, status, {REQUEST_ID: request_id.get(), **(headers or {})}, MEDIA_TYPE)


def members(status: HTTPStatus, detail: str, path: str, request_id: str) -> dict[str, Any]:
    """What each problem consists of."""
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "instance": quote(path),
        "request_id": request_id,
    }


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, detail, headers = HTTPStatus(error.status_code), error.detail, dict(error.headers or {})
    if (status, detail) == UNREADABLE_BODY:
        # Its bytes are no text, or its nesting or a number in it has no end. To a client it is no JSON, as any other.
        return await _invalid_request(
            request, RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error"}])
        )
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
        detail = f"This path does not take this method. It takes {headers['Allow']}."
    elif (status, detail) == (HTTPStatus.NOT_FOUND, status.phrase):
        detail = "There is nothing at this path. /docs lists what there is."
    return problem(request, status, detail, headers)


def _methods(request: Request) -> list[str]:
    """The methods that the request's path takes, on any of its routes. Where GET goes, HEAD does; a mount has files."""
    routes = [route for route in request.app.router.routes if not isinstance(route, Mount)]
    methods = [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] == Match.FULL for route in routes)
    ] or ["GET"]
    return ["GET", "HEAD", *methods[1:]] if "GET" in methods else methods


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"loc": list(item["loc"]), "msg": item["msg"], "type": item["type"]} for item in error.errors()]
    first = errors[0]
    place = " ".join(str(step) for step in first["loc"])
    detail = f"{place}: {first['msg']}" + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DatabaseError)
    if is_unavailable(error):
        logger.error("MongoDB does not answer: %s", error_message(error))
        return unavailable(request, untried=is_untried(error))
    if is_no_document(error):
        return await _invalid_request(request, invalid(("body",), REFUSED, "refused"))
    return await _unexpected(request, error)


async def _duplicate(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DuplicateKey)
    fields = " and ".join((error.details or {}).get("keyPattern", {})) or "a field"
    return problem(request, HTTPStatus.CONFLICT, TAKEN.format(fields))


async def _revised(request: Request, _error: Exception) -> JSONResponse:
    return problem(request, HTTPStatus.CONFLICT, REVISED)


async def _overflow(request: Request, error: Exception) -> JSONResponse:
    if "8-byte ints" in str(error):  # BSON's words, for a field that declares no limits
        words = "A whole number is larger than can be stored"
        return await _invalid_request(request, invalid(("body",), words, "int_range"))
    return await _unexpected(request, error)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("Exception in the application", exc_info=error)
    return await _unforeseen(request, error)


async def _unforeseen(request: Request, _error: Exception) -> JSONResponse:
    # The server closes the connection after an error that reaches it; a client that knows does not use it again.
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, UNFORESEEN, {"Connection": "close"})
