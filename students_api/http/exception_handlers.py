"""Exception handlers: which problem a client gets for FastAPI's, Beanie's and MongoDB's errors."""

import logging
from http import HTTPStatus

from beanie.exceptions import DocumentNotFound, RevisionIdWasChanged
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pymongo.errors import DuplicateKeyError, PyMongoError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount

from students_api.http.problems import (
    REJECTED_DOCUMENT,
    REVISION_CHANGED,
    UNEXPECTED,
    duplicate_value,
    problem_response,
    unavailable_response,
    validation_error,
)
from students_api.mongodb.errors import error_message, is_rejected_document, is_unavailable, no_write_performed
from students_api.odm.encoding import InvalidDocument

logger = logging.getLogger("students_api")

UNPARSABLE_BODY = (HTTPStatus.BAD_REQUEST, "There was an error parsing the body")
"""FastAPI's own answer to a body that makes Python's JSON parser fail in another way than by a `JSONDecodeError`."""


def register_exception_handlers(app: FastAPI) -> None:
    """Answer every error of `app` with problem details."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(InvalidDocument, _invalid_document)
    app.add_exception_handler(PyMongoError, _database_error)
    app.add_exception_handler(DuplicateKeyError, _duplicate_key)
    for stale in (RevisionIdWasChanged, DocumentNotFound):  # the latter by `replace()`
        app.add_exception_handler(stale, _revision_changed)
    app.add_exception_handler(OverflowError, _integer_overflow)
    app.add_exception_handler(Exception, _unhandled)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status, detail, headers = HTTPStatus(error.status_code), error.detail, dict(error.headers or {})
    if (status, detail) == UNPARSABLE_BODY:
        # Bytes that are not UTF-8, or a nesting or a number beyond Python's limits: to a client it is invalid JSON.
        return await _validation_error(
            request, RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error"}])
        )
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed_methods(request))
        detail = f"This path does not support this method. Allowed: {headers['Allow']}."
    elif (status, detail) == (HTTPStatus.NOT_FOUND, status.phrase):
        detail = "There is no route at this path. /docs lists all routes."
    return problem_response(request, status, detail, headers)


def _allowed_methods(request: Request) -> list[str]:
    """The methods of all routes with the request's path, HEAD wherever GET is; a mount serves files."""
    routes = [route for route in request.app.router.routes if not isinstance(route, Mount)]
    methods = [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] == Match.FULL for route in routes)
    ] or ["GET"]
    return ["GET", "HEAD", *methods[1:]] if "GET" in methods else methods


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"loc": list(item["loc"]), "msg": item["msg"], "type": item["type"]} for item in error.errors()]
    first = errors[0]
    location = " ".join(str(step) for step in first["loc"])
    detail = f"{location}: {first['msg']}" + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")
    return problem_response(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


async def _invalid_document(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidDocument)
    errors = [{**each, "loc": ("body", *each["loc"])} for each in error.errors]
    return await _validation_error(request, RequestValidationError(errors))


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PyMongoError)
    if is_unavailable(error):
        logger.error("MongoDB does not answer: %s", error_message(error))
        return unavailable_response(request, no_write_performed=no_write_performed(error))
    if is_rejected_document(error):
        return await _validation_error(request, validation_error(("body",), REJECTED_DOCUMENT, "refused"))
    return await _unexpected(request, error)


async def _duplicate_key(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DuplicateKeyError)
    detail = duplicate_value((error.details or {}).get("keyPattern", {}))
    return problem_response(request, HTTPStatus.CONFLICT, detail)


async def _revision_changed(request: Request, _error: Exception) -> JSONResponse:
    return problem_response(request, HTTPStatus.CONFLICT, REVISION_CHANGED)


async def _integer_overflow(request: Request, error: Exception) -> JSONResponse:
    if "8-byte ints" in str(error):  # bson's message, for a field that declares no limits
        message = "An integer is larger than 64 bits"
        return await _validation_error(request, validation_error(("body",), message, "int_range"))
    return await _unexpected(request, error)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("Exception in the application", exc_info=error)
    return await _unhandled(request, error)


async def _unhandled(request: Request, _error: Exception) -> JSONResponse:
    # uvicorn closes the connection after an exception that reaches it, so the client is told.
    return problem_response(request, HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED, {"Connection": "close"})
