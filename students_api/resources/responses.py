"""Responses: what each type of operation declares in OpenAPI, and what its handler returns or raises.

Each constant is for the decorator of a route: `@router.get("/{id}", **GET, summary="Get a student")`.
"""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response

from students_api.http.negotiation import JSON
from students_api.http.problems import problem_responses
from students_api.odm.documents import StoredDocument
from students_api.odm.encoding import as_stored
from students_api.resources.etags import is_not_modified
from students_api.resources.fields import id_in_json
from students_api.resources.openapi import ETAG, LINK, LOCATION, PRECONDITION_FAILED, response_headers
from students_api.resources.read_schemas import DocumentResponse, to_json

BODY_ERRORS = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)

WRITE_ERRORS = (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.PRECONDITION_FAILED, *BODY_ERRORS)

CREATE: dict[str, Any] = {
    "status_code": HTTPStatus.CREATED,
    "response_description": "The new document, with its id",
    "responses": response_headers(HTTPStatus.CREATED, ETAG | LOCATION)
    | problem_responses(HTTPStatus.NOT_ACCEPTABLE, *BODY_ERRORS),
}

LIST: dict[str, Any] = {
    "response_description": "A page",
    "responses": response_headers(HTTPStatus.OK, LINK)
    | problem_responses(HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY),
}

GET: dict[str, Any] = {
    "response_description": "The document",
    "responses": response_headers(HTTPStatus.OK, ETAG)
    | response_headers(HTTPStatus.NOT_MODIFIED, ETAG, "Not modified: the document still has that ETag")
    | problem_responses(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY),
}

READ: dict[str, Any] = {
    "responses": problem_responses(HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY),
}
"""For any other GET of a resource without query parameters."""

UPDATE: dict[str, Any] = {
    "response_description": "The document after the update",
    "responses": response_headers(HTTPStatus.OK, ETAG) | problem_responses(*WRITE_ERRORS),
}

PATCH: dict[str, Any] = UPDATE

DELETE: dict[str, Any] = {
    "status_code": HTTPStatus.NO_CONTENT,
    "response_class": Response,  # without a Content-Type, as it has no content
    "response_description": "Deleted",
    "responses": problem_responses(
        HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.UNPROCESSABLE_ENTITY
    ),
}


def created_response(
    document: StoredDocument, model: type[DocumentResponse], request: Request, router: APIRouter
) -> Response:
    """201 with the new document as this response model, its ETag, and its `Location` under the router's prefix."""
    root = request.scope.get("root_path", "")
    stored = model.model_validate(as_stored(document))
    location = f"{root}{router.prefix}/{quote(str(id_in_json(document.id)), safe='')}"
    return document_response(stored, HTTPStatus.CREATED, Location=location)


def conditional_response(document: DocumentResponse, request: Request) -> Response:
    """200 with the document, or 304 where `If-None-Match` has its ETag."""
    if is_not_modified(request, document.version):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": document.etag})
    return document_response(document)


def document_response(document: DocumentResponse, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Response:
    """The document as JSON, with its ETag."""
    return Response(to_json(document), status, {"ETag": document.etag, **headers}, JSON)


def not_found(document: type[StoredDocument], document_id: object) -> HTTPException:
    """The 404 to raise where no document has this id."""
    return HTTPException(HTTPStatus.NOT_FOUND, f"{document.__name__} {document_id} not found")


async def not_found_or_precondition_failed(document: type[StoredDocument], document_id: object) -> HTTPException:
    """The error to raise where a conditional write found nothing: 412 with the current ETag, or 404."""
    stored = await document.find_one(document.id == document_id, projection_model=DocumentResponse)
    if stored is None:
        return not_found(document, document_id)
    detail = PRECONDITION_FAILED.format(document=document.__name__, id=document_id)
    return HTTPException(HTTPStatus.PRECONDITION_FAILED, detail, {"ETag": stored.etag})
