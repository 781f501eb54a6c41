"""The routes of the resource `/students/`."""

from http import HTTPStatus
from typing import Annotated

from beanie import PydanticObjectId, UpdateResponse
from beanie.operators import Inc, Set
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response

from students_api.documents import now
from students_api.fields import DocumentId
from students_api.parameters import NoParameters
from students_api.problems import responses
from students_api.students.student import Student, StudentCreate, StudentPage, StudentQuery, StudentRead, StudentUpdate

router = APIRouter(prefix="/students", tags=["students"])

INVALID = responses(HTTPStatus.UNPROCESSABLE_ENTITY)
NOT_FOUND_OR_INVALID = responses(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)

StudentId = Annotated[
    DocumentId, Path(alias="id", description="The student's id.", examples=["5eb7cf5a86d9755df3a6c593"])
]


def not_found(student_id: PydanticObjectId) -> HTTPException:
    """The error to raise where no student has this id."""
    return HTTPException(HTTPStatus.NOT_FOUND, f"Student {student_id} not found")


async def find_student(student_id: StudentId) -> StudentRead:
    """The stored student that the path names; 404 where there is none."""
    student = await Student.find_one(Student.id == student_id, projection_model=StudentRead)
    if student is None:
        raise not_found(student_id)
    return student


StoredStudent = Annotated[StudentRead, Depends(find_student)]


@router.post(
    "/",
    status_code=HTTPStatus.CREATED,
    summary="Create a student",
    response_description="The student as stored, with its new id",
    response_model=StudentRead,
    responses=INVALID,
    dependencies=[NoParameters],
)
async def create_student(student: StudentCreate) -> Student:
    """Stores a new student and answers it with the id that the server made. An id in the body is ignored."""
    return await Student(**student.model_dump()).insert()


@router.get(
    "/",
    summary="List students",
    response_description="A page of students",
    response_model=StudentPage,
    responses=INVALID,
)
async def list_students(query: Annotated[StudentQuery, Query()], request: Request) -> Response:
    """Answers the students that match every filter, a page at a time; past the last one the list is empty.

    The next page is the same request with `cursor` set to the page's `next_cursor`; the header `Link` has it too. A
    walk by cursor shows each student that is there all along exactly once, whatever is created and deleted meanwhile.
    """
    found = await query.page(Student, StudentRead)
    page = StudentPage.model_validate(
        {"students": found.documents, "next_cursor": found.next_cursor, "total": found.total}
    )
    return Response(
        page.model_dump_json(
            by_alias=True,
            include={"students": {"__all__": query.only}} | dict.fromkeys(("next_cursor", "total"), True)
            if query.only
            else None,
            exclude=None if query.count else {"total"},
        ),
        headers={"Link": query.links(request, found.next_cursor)},
        media_type="application/json",
    )


@router.get(
    "/{id}",
    summary="Get a student",
    response_description="The student",
    responses=NOT_FOUND_OR_INVALID,
    dependencies=[NoParameters],
)
async def get_student(student: StoredStudent) -> StudentRead:
    """Answers the student with this id."""
    return student


@router.put(
    "/{id}",
    summary="Update a student",
    response_description="The student after the change",
    responses=NOT_FOUND_OR_INVALID,
    dependencies=[NoParameters],
)
async def update_student(student_id: StudentId, update: StudentUpdate) -> StudentRead:
    """Changes the fields given, all of them or none, and answers the student after the change.

    Fields that are missing or `null` stay as they are. An empty object changes nothing.
    """
    changes = update.model_dump(exclude_none=True)
    if not changes:
        return await find_student(student_id)
    student: StudentRead | None = await Student.find_one(Student.id == student_id, projection_model=StudentRead).update(
        Set({**changes, "updated_at": now()}), Inc({"version": 1}), response_type=UpdateResponse.NEW_DOCUMENT
    )
    if student is None:
        raise not_found(student_id)
    return student


@router.delete(
    "/{id}",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,  # without a Content-Type, as it has no content
    summary="Delete a student",
    response_description="The student is gone",
    responses=NOT_FOUND_OR_INVALID,
    dependencies=[NoParameters],
)
async def delete_student(student_id: StudentId) -> None:
    """Deletes the student with this id, for good."""
    result = await Student.find_one(Student.id == student_id).delete()
    if result is None or not result.deleted_count:
        raise not_found(student_id)
