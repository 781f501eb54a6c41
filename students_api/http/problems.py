"""Problem details (RFC 9457): the models and the messages of every error response."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from students_api.http.middleware import REQUEST_ID, request_id

MEDIA_TYPE = "application/problem+json"
UNAVAILABLE = "The database does not answer. Try again soon."
UNKNOWN_OUTCOME = (
    "The database does not answer. The change may have been made all the same: check before you repeat it."
)

REJECTED_DOCUMENT = (
    "MongoDB rejects this document: it is too large, breaks a rule of the collection, "
    "or has a value that an index does not take, such as a place that is not on the map"
)

DUPLICATE_VALUE = "Another document has the same {}, which must be unique."

REVISION_CHANGED = (
    "Somebody else has changed or deleted it, or a value that must be unique is taken. "
    "Get the document again and retry."
)

UNEXPECTED = "An unexpected error occurred. It is not your fault; the service's log has it under the request's id."
RETRY_AFTER_SECONDS = 5


class Problem(BaseModel):
    """Problem details (RFC 9457): what went wrong."""

    type: Annotated[
        str, Field(description="The type of the problem; `about:blank` where the status says all there is.")
    ]
    title: Annotated[str, Field(description="The phrase of the status.", examples=["Not Found"])]
    status: Annotated[int, Field(description="The HTTP status of the response.", examples=[404])]
    detail: Annotated[
        str,
        Field(
            description="A sentence for a person: what happened, and what to do.",
            examples=["Student 5eb7cf5a86d9755df3a6c593 not found"],
        ),
    ]
    instance: Annotated[str, Field(description="The path of the request.", examples=["/students/"])]
    request_id: Annotated[
        str,
        Field(
            description="The request's id, which is also in the service's log.",
            examples=["b5a1a1a0c0f34c0f8a3c5d8e7f6a9b2c"],
        ),
    ]
    outcome: Annotated[
        Literal["unknown"] | None,
        Field(
            description="With a 503 of a write that may have been made all the same; else missing.",
            examples=["unknown"],
        ),
    ] = None


class InvalidInput(BaseModel):
    """One error in a request."""

    loc: Annotated[
        list[str | int],
        Field(
            description="Where the error is: the part of the request, then the path within it.",
            examples=[["body", "gpa"]],
        ),
    ]
    msg: Annotated[
        str,
        Field(description="What is wrong, or what is expected.", examples=["Input should be less than or equal to 4"]),
    ]
    type: Annotated[
        str, Field(description="The type of the error, as pydantic names it.", examples=["less_than_equal"])
    ]


class ValidationProblem(Problem):
    """The errors in a request, one by one. A value that was sent is never repeated."""

    errors: list[InvalidInput]


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems with which an operation can answer, for the `responses=` of a route."""
    return {int(status): {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {}}} for status in statuses}


def duplicate_value(keys: Iterable[str]) -> str:
    """The detail of a 409 for a unique index over these keys, named as JSON has them: the id of a link is the link."""
    fields = ["id" if key == "_id" else key.removesuffix(".$id") for key in keys]
    return DUPLICATE_VALUE.format(" and ".join(fields) or "a field")


def validation_error(loc: tuple[str, ...], message: str, error_type: str) -> RequestValidationError:
    """The 422 to raise for a rule that no type expresses; `error_type` is a name as pydantic has them."""
    return RequestValidationError([{"loc": loc, "msg": message, "type": error_type}])


def unavailable_response(request: Request, *, no_write_performed: bool = False) -> JSONResponse:
    """503: the database did not answer. The outcome of a write is unknown unless `no_write_performed` is certain."""
    status, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if no_write_performed or request.method in {"GET", "HEAD"}:
        return problem_response(request, status, UNAVAILABLE, headers)
    return problem_response(request, status, UNKNOWN_OUTCOME, headers, outcome="unknown")


def problem_response(
    request: Request, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """The response with a problem; `detail` is a sentence for a person, `more` are further members of the body."""
    content = problem_body(status, detail, request.scope["path"], request_id.get()) | more
    # The handler of unhandled exceptions runs outside of all middleware, so the id is added here.
    return JSONResponse(content, status, {REQUEST_ID: request_id.get(), **(headers or {})}, MEDIA_TYPE)


def problem_body(status: HTTPStatus, detail: str, path: str, request_id: str) -> dict[str, Any]:
    """The members of a problem's body that all problems have."""
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "instance": quote(path),
        "request_id": request_id,
    }
