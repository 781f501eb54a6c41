"""The routes of the resource `/students/`."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from students_api.http.negotiation import MERGE_PATCH
from students_api.resources.etags import precondition_filters
from students_api.resources.openapi import extra_media_type
from students_api.resources.request_schemas import given_values
from students_api.resources.responses import (
    CREATE,
    DELETE,
    GET,
    LIST,
    PATCH,
    UPDATE,
    conditional_response,
    created_response,
    document_response,
    not_found,
    not_found_or_precondition_failed,
)
from students_api.resources.routing import PathId, ResourceRoute
from students_api.students.student import (
    Student,
    StudentCreate,
    StudentPage,
    StudentPatch,
    StudentQuery,
    StudentRead,
    StudentUpdate,
)

router = APIRouter(prefix="/students", tags=["students"], route_class=ResourceRoute)


@router.post("/", **CREATE, summary="Create a student", response_model=StudentRead)
async def create_student(student: StudentCreate, request: Request) -> Response:
    """Creates a student and returns it with the id that the server made. An `id` in the body is ignored."""
    stored = await Student.from_request(student).insert()
    return created_response(stored, StudentRead, request, router)


@router.get("/", **LIST, summary="List students", response_model=StudentPage)
async def list_students(query: Annotated[StudentQuery, Query()], request: Request) -> Response:
    """Returns the students that match every filter, a page at a time; after the last one the list is empty.

    For the next page send the same request with `cursor` set to the page's `next_cursor`, or follow the header `Link`.
    Keyset pagination shows each student that is there all along exactly once, whatever is created or deleted meanwhile.
    """
    return await query.page_response(request, Student, StudentPage)


@router.get("/{id}", **GET, summary="Get a student", response_model=StudentRead)
async def get_student(student_id: PathId, request: Request) -> Response:
    """Returns the student with this id."""
    student = await Student.find_one(Student.id == student_id, projection_model=StudentRead)
    if student is None:
        raise not_found(Student, student_id)
    return conditional_response(student, request)


@router.put("/{id}", **UPDATE, summary="Update a student", response_model=StudentRead)
async def update_student(student_id: PathId, update: StudentUpdate, request: Request) -> Response:
    """Updates the fields given, all of them or none, and returns the student after the update.

    Fields that are missing or `null` stay as they are. An empty object changes nothing. With `If-Match` the update is
    made only if nobody has changed the student since you read its `ETag`.
    """
    return await _change_student(student_id, update, request)


@router.patch(
    "/{id}",
    **PATCH,
    summary="Patch a student",
    response_model=StudentRead,
    openapi_extra=extra_media_type(MERGE_PATCH, StudentPatch),
)
async def patch_student(student_id: PathId, patch: StudentPatch, request: Request) -> Response:
    """Changes the fields given, as a merge patch (RFC 7396) does, and returns the student after that.

    Objects are merged, lists are replaced, and `null` clears a field that may be empty; where every student has it, it
    is refused. With `If-Match` the change is made only if nobody has changed the student since you read its `ETag`.
    """
    return await _change_student(student_id, patch, request)


async def _change_student(student_id: PathId, change: StudentUpdate | StudentPatch, request: Request) -> Response:
    student = await Student.update_one(
        Student.id == student_id, *precondition_filters(request), values=given_values(change), projection=StudentRead
    )
    if student is None:
        raise await not_found_or_precondition_failed(Student, student_id)
    return document_response(student)


@router.delete("/{id}", **DELETE, summary="Delete a student")
async def delete_student(student_id: PathId, request: Request) -> None:
    """Deletes the student with this id for good; with `If-Match`, only if nobody has changed it."""
    if not await Student.delete_one(Student.id == student_id, *precondition_filters(request)):
        raise await not_found_or_precondition_failed(Student, student_id)
