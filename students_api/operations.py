"""What the operations of every resource have alike, apart from their handlers: statuses, headers, problems, and errors.

Each constant is for the decorator of a route: `@router.get("/{id}", **GET, summary="Get a student")`.
"""

from http import HTTPStatus
from typing import Any

from beanie import PydanticObjectId
from fastapi import APIRouter, HTTPException, Request, Response

from students_api.conditional import is_known
from students_api.documents import StoredDocument
from students_api.negotiation import JSON
from students_api.openapi import ETAG, LINK, LOCATION, answer
from students_api.problems import responses
from students_api.shapes import Identified

UNREADABLE = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
CHANGED = (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.PRECONDITION_FAILED, *UNREADABLE)

CREATE: dict[str, Any] = {
    "status_code": HTTPStatus.CREATED,
    "response_description": "As it is stored, with its new id",
    "responses": answer(HTTPStatus.CREATED, ETAG | LOCATION) | responses(HTTPStatus.NOT_ACCEPTABLE, *UNREADABLE),
}
LIST: dict[str, Any] = {
    "response_description": "A page",
    "responses": answer(HTTPStatus.OK, LINK) | responses(HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY),
}
GET: dict[str, Any] = {
    "response_description": "As it is stored",
    "responses": answer(HTTPStatus.OK, ETAG)
    | answer(HTTPStatus.NOT_MODIFIED, ETAG, "It is as it was under that ETag")
    | responses(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY),
}
READ: dict[str, Any] = {
    "responses": responses(HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY),
}
"""For whatever else a resource answers to GET, without parameters."""

UPDATE: dict[str, Any] = {
    "response_description": "As it is after the change",
    "responses": answer(HTTPStatus.OK, ETAG) | responses(*CHANGED),
}
PATCH: dict[str, Any] = UPDATE
DELETE: dict[str, Any] = {
    "status_code": HTTPStatus.NO_CONTENT,
    "response_class": Response,  # without a Content-Type, as it has no content
    "response_description": "It is gone",
    "responses": responses(HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.UNPROCESSABLE_ENTITY),
}


def created(stored: StoredDocument, shape: type[Identified], request: Request, router: APIRouter) -> Response:
    """The answer to POST: the new document in this shape, and where the router has it."""
    root = request.scope.get("root_path", "")
    location = f"{root}{router.prefix}/{stored.id}"
    return shown(shape.model_validate(dict(stored)), HTTPStatus.CREATED, Location=location)


def unless_known(stored: Identified, request: Request) -> Response:
    """The answer to GET: the document with its ETag, or 304 where the client has it already."""
    if is_known(request, stored.version):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": stored.etag})
    return shown(stored)


def shown(stored: Identified, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Response:
    """The answer with a document and its ETag."""
    return Response(stored.model_dump_json(by_alias=True), status, {"ETag": stored.etag, **headers}, JSON)


def not_found(document: type[StoredDocument], document_id: PydanticObjectId) -> HTTPException:
    """The error to raise where no document has this id."""
    return HTTPException(HTTPStatus.NOT_FOUND, f"{document.__name__} {document_id} not found")


async def not_found_or_changed(document: type[StoredDocument], document_id: PydanticObjectId) -> HTTPException:
    """The error to raise where no document has this id and meets the conditions."""
    stored = await document.find_one(document.id == document_id, projection_model=Identified)
    if stored is None:
        return not_found(document, document_id)
    words = (
        f"{document.__name__} {document_id} is not as it was under your ETag. Get it again, and change what it is now."
    )
    return HTTPException(HTTPStatus.PRECONDITION_FAILED, words, {"ETag": stored.etag})
