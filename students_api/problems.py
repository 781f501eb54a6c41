"""Errors as problem details (RFC 9457): the one form of every answer that is not what was asked for."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from students_api.database import DatabaseError, DatabaseUnavailable, error_message

logger = logging.getLogger("students_api")

MEDIA_TYPE = "application/problem+json"

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
    return {
        int(status): {
            "description": status.phrase,
            "content": {
                MEDIA_TYPE: {
                    "schema": {
                        "$ref": "#/components/schemas/"
                        + ("ValidationProblem" if status == HTTPStatus.UNPROCESSABLE_ENTITY else "Problem")
                    }
                }
            },
        }
        for status in statuses
    }


def invalid(loc: tuple[str, ...], words: str, kind: str) -> RequestValidationError:
    """The error to raise for a request that breaks a rule which no type expresses."""
    return RequestValidationError([{"loc": loc, "msg": words, "type": kind}])


def answer_with_problems(app: FastAPI) -> None:
    """Make every error that `app` answers a problem, and put the problems' schemas into its OpenAPI document."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    for error in DatabaseUnavailable:
        app.add_exception_handler(error, _database_unavailable)
    app.add_exception_handler(Exception, _unforeseen)
    generate = app.openapi
    _, definitions = models_json_schema(
        [(Problem, "serialization"), (ValidationProblem, "serialization")], ref_template="#/components/schemas/{model}"
    )

    def openapi() -> dict[str, Any]:
        document = generate()
        document["components"]["schemas"] |= definitions["$defs"]
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own documented way to extend the document


def _problem(
    request: Request, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "instance": quote(request.scope["path"]),
    }
    return JSONResponse(problem | more, status, headers, MEDIA_TYPE)


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, detail = HTTPStatus(error.status_code), error.detail
    if (status, detail) == UNREADABLE_BODY:
        # Its bytes are no text, or its nesting or a number in it has no end. To a client it is no JSON, as any other.
        return _invalid_request(
            request, RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error"}])
        )
    if detail == status.phrase:
        match status:
            case HTTPStatus.NOT_FOUND:
                detail = "There is nothing at this path. /docs lists what there is."
            case HTTPStatus.METHOD_NOT_ALLOWED:
                detail = "This path does not take this method. /docs lists those that it takes."
    return _problem(request, status, detail, error.headers)


def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"loc": list(item["loc"]), "msg": item["msg"], "type": item["type"]} for item in error.errors()]
    first = errors[0]
    place = " ".join(str(step) for step in first["loc"])
    detail = f"{place}: {first['msg']}" + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")
    return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def _database_unavailable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DatabaseError)
    logger.error("MongoDB does not answer: %s", error_message(error))
    status, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"}
    if request.method in {"GET", "HEAD"}:
        return _problem(request, status, "The database does not answer. Try again soon.", headers)
    detail = "The database does not answer. The change may have been made all the same: look before you repeat it."
    return _problem(request, status, detail, headers, outcome="unknown")


def _unforeseen(request: Request, _error: Exception) -> JSONResponse:
    return _problem(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something unforeseen happened, and it has been logged. It is not your fault.",
    )
