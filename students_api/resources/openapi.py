"""The OpenAPI document: FastAPI's, with problem details, response headers and conditional headers added."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from beanie import Document
from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from students_api.http.limits import READ_TIMEOUT, TOO_LARGE
from students_api.http.middleware import REQUEST_ID
from students_api.http.problems import (
    MEDIA_TYPE,
    RETRY_AFTER_SECONDS,
    UNAVAILABLE,
    UNEXPECTED,
    UNKNOWN_OUTCOME,
    Problem,
    ValidationProblem,
    duplicate_value,
)
from students_api.odm.indexes import declared_indexes
from students_api.resources.etags import IF_MATCH, IF_NONE_MATCH

EXAMPLE_ID = "5eb7cf5a86d9755df3a6c593"
EXAMPLE_REQUEST_ID = Problem.model_fields["request_id"].examples[0]  # type: ignore[index]  # declared with one example


def header(description: str, example: str, json_type: str = "string") -> dict[str, Any]:
    """A header of a response, as OpenAPI describes it."""
    return {"description": description, "schema": {"type": json_type}, "example": example}


ETAG = {"ETag": header("The document's version, for `If-Match` and `If-None-Match`.", '"1"')}
LOCATION = {"Location": header("The path of the new document.", f"/students/{EXAMPLE_ID}")}

LINK = {
    "Link": header(
        "The URLs of the first page and of the next one (RFC 8288).",
        '</students/?limit=50>; rel="first", </students/?limit=50&cursor=0KpWQp0w>; rel="next"',
    )
}

CLOSE = {"Connection": header("The connection is closed after this.", "close")}

COMMON_HEADERS = {
    REQUEST_ID: header("The request's id: the one that it was sent with, if that is well formed.", EXAMPLE_REQUEST_ID)
}

INVALID_BODY = {"loc": ["body", 17], "msg": "JSON decode error", "type": "json_invalid"}

INVALID_QUERY = {
    "loc": ["query", "limit"], "msg": "Input should be less than or equal to 1000", "type": "less_than_equal"
}  # fmt: skip

INVALID_ID = {
    "loc": ["path", "id"],
    "msg": "String should match pattern '^[0-9a-fA-F]{24}$'",
    "type": "string_pattern_mismatch",
}

PRECONDITION_FAILED = (
    "{document} {id} does not meet the condition in If-Match or If-None-Match. "
    "Get it again, and apply your change to the current version."
)

# For each problem an example of its detail, in which {document} and {id} are filled in, and its headers.
PROBLEMS: dict[HTTPStatus, tuple[str, dict[str, Any]]] = {
    HTTPStatus.NOT_FOUND: ("{document} {id} not found", {}),
    HTTPStatus.NOT_ACCEPTABLE: (
        "Responses are application/json; the Accept header must allow it.", {}
    ),
    HTTPStatus.REQUEST_TIMEOUT: (READ_TIMEOUT, CLOSE),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (TOO_LARGE.format(2**16), CLOSE),
    HTTPStatus.CONFLICT: ("", {}),  # the example depends on the document
    HTTPStatus.PRECONDITION_FAILED: (
        PRECONDITION_FAILED, ETAG
    ),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: (
        "The Content-Type must be application/json.",
        {"Accept": header("The media types that the body can have.", "application/json")},
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: ("", {}),  # the example depends on the operation
    HTTPStatus.INTERNAL_SERVER_ERROR: (UNEXPECTED, {}),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        UNAVAILABLE,
        {"Retry-After": header("After how many seconds to try again.", str(RETRY_AFTER_SECONDS), "integer")},
    ),
}  # fmt: skip

CONDITIONAL_PARAMETERS = {"304": IF_NONE_MATCH, "412": IF_MATCH}
"""The header parameter of an operation that declares the status."""


def extend_openapi(app: FastAPI, documents: Mapping[str, type[Document]]) -> None:
    """Extend the OpenAPI document of `app` by the problems of each operation and the headers of each response.

    `documents` has the document of each tag: its name is in the examples, its unique indexes make 409 possible.
    """
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            _, definitions = models_json_schema(
                [(Problem, "serialization"), (ValidationProblem, "serialization")],
                ref_template="#/components/schemas/{model}",
            )
            document["components"]["schemas"] |= definitions["$defs"]
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    tag = next(iter(operation.get("tags", [])), "")
                    _extend_operation(operation, path, method, documents.get(tag))
            for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's models of a 422, which problems replace
                if f"'#/components/schemas/{name}'" not in str(document):
                    document["components"]["schemas"].pop(name, None)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it


def extra_media_type(media_type: str, model: type[BaseModel]) -> dict[str, Any]:
    """A media type that a route's body may have beside JSON, for its `openapi_extra=`."""
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"content": {media_type: {"schema": reference}}}}


def response_headers(
    status: HTTPStatus, headers: dict[str, Any], description: str = ""
) -> dict[int | str, dict[str, Any]]:
    """A response with headers, as OpenAPI describes it, for the `responses=` of a route."""
    return {int(status): {"headers": headers} | ({"description": description} if description else {})}


def _extend_operation(operation: dict[str, Any], path: str, method: str, document: type[Document] | None) -> None:
    """Extend an operation of the document's resource, or of none: a route that FastAPI alone knows of."""
    responses = operation["responses"]
    unique = _unique_keys(document, method) if document else []
    if "requestBody" in operation and unique:
        responses.setdefault("409", {})
    for code in responses.keys() & {"409", "422"}:  # FastAPI's 422, and a route's 409, become problems
        responses[code] |= {"description": HTTPStatus(int(code)).phrase, "content": {MEDIA_TYPE: {}}}
    for code, header_parameter in CONDITIONAL_PARAMETERS.items():
        if code in responses:
            operation.setdefault("parameters", []).append(header_parameter)
    for code, response in responses.items():
        response["headers"] = response.get("headers", {}) | COMMON_HEADERS
        if MEDIA_TYPE not in response.get("content", {}):
            continue
        status = HTTPStatus(int(code))
        detail, headers = PROBLEMS.get(status, (status.description, {}))
        response["headers"] |= headers
        example = {
            "type": "about:blank",
            "title": status.phrase,
            "status": int(status),
            "detail": detail.format(document=document.__name__ if document else "Document", id=EXAMPLE_ID),
            "instance": re.sub(r"{\w+}", EXAMPLE_ID, path),
            "request_id": EXAMPLE_REQUEST_ID,
        }
        if status == HTTPStatus.CONFLICT:
            example["detail"] = duplicate_value(unique)
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            error = INVALID_BODY if "requestBody" in operation else INVALID_ID if "{" in path else INVALID_QUERY
            location = " ".join(map(str, error["loc"]))
            example |= {"detail": f"{location}: {error['msg']}", "errors": [error]}
        if status == HTTPStatus.SERVICE_UNAVAILABLE and method != "get":
            example |= {"detail": UNKNOWN_OUTCOME, "outcome": "unknown"}
        model = ValidationProblem if status == HTTPStatus.UNPROCESSABLE_ENTITY else Problem
        reference = {"$ref": f"#/components/schemas/{model.__name__}"}
        response["content"][MEDIA_TYPE] = {"schema": reference, "example": example}


def _unique_keys(document: type[Document], method: str) -> list[str]:
    """The keys of the first unique index; the id where clients give it to a new document."""
    keys = [[key for key, _ in index.keys] for index in declared_indexes(document) if index.options.get("unique")]
    gives_id = method == "post" and document.model_fields["id"].is_required()
    return next(iter(keys), ["_id"] if gives_id else [])
