"""The routes of the resource `/students/`."""

from http import HTTPStatus
from typing import Annotated, Any

from beanie import PydanticObjectId
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response

from students_api.conditional import IfMatch, IfNoneMatch, etag
from students_api.fields import DocumentId
from students_api.listing import each_once
from students_api.negotiation import JSON, MERGE_PATCH, AnswersJson, also_as, body_of
from students_api.openapi import ETAG, LINK, LOCATION, answer
from students_api.parameters import NoParameters
from students_api.problems import responses
from students_api.students.student import Student, StudentCreate, StudentPage, StudentQuery, StudentRead, StudentUpdate

router = APIRouter(prefix="/students", tags=["students"])

CHANGED = (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.PRECONDITION_FAILED)
UNREADABLE = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)

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


async def not_found_or_changed(student_id: PydanticObjectId) -> HTTPException:
    """The error to raise where no student has this id and meets the conditions."""
    student = await find_student(student_id)
    words = f"Student {student_id} is not as it was under your ETag. Get it again, and change what it is now."
    return HTTPException(HTTPStatus.PRECONDITION_FAILED, words, {"ETag": student.etag})


@router.post(
    "/",
    status_code=HTTPStatus.CREATED,
    summary="Create a student",
    response_description="The student as stored, with its new id",
    response_model=StudentRead,
    responses=answer(HTTPStatus.CREATED, ETAG | LOCATION) | responses(HTTPStatus.NOT_ACCEPTABLE, *UNREADABLE),
    dependencies=[NoParameters, AnswersJson, body_of(JSON)],
)
async def create_student(student: StudentCreate, request: Request, response: Response) -> Student:
    """Stores a new student and answers it with the id that the server made. An id in the body is ignored."""
    stored = await Student(**student.model_dump()).insert()
    response.headers["ETag"] = etag(stored.version)
    response.headers["Location"] = request.scope.get("root_path", "") + router.url_path_for("get_student", id=stored.id)
    return stored


@router.get(
    "/",
    summary="List students",
    response_description="A page of students",
    response_model=StudentPage,
    responses=answer(HTTPStatus.OK, LINK) | responses(HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY),
    dependencies=[AnswersJson, each_once(StudentQuery)],
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
    response_model=StudentRead,
    responses=answer(HTTPStatus.OK, ETAG)
    | answer(HTTPStatus.NOT_MODIFIED, ETAG, "The student is as it was under that ETag")
    | responses(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.UNPROCESSABLE_ENTITY),
    dependencies=[NoParameters, AnswersJson],
)
async def get_student(student: StoredStudent, if_none_match: IfNoneMatch, response: Response) -> Any:
    """Answers the student with this id."""
    if student.version in if_none_match:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": student.etag})
    response.headers["ETag"] = student.etag
    return student


@router.put(
    "/{id}",
    summary="Update a student",
    response_description="The student after the change",
    responses=answer(HTTPStatus.OK, ETAG) | responses(*CHANGED, *UNREADABLE),
    dependencies=[NoParameters, AnswersJson, body_of(JSON)],
)
async def update_student(
    student_id: StudentId, update: StudentUpdate, if_match: IfMatch, response: Response
) -> StudentRead:
    """Changes the fields given, all of them or none, and answers the student after the change.

    Fields that are missing or `null` stay as they are. An empty object changes nothing. With `If-Match` the change is
    made only if nobody else has changed the student since its `ETag` was read.
    """
    conditions: list[Any] = [Student.id == student_id, *if_match]
    student: StudentRead | None
    if changes := update.model_dump(exclude_none=True):
        student = await Student.change(*conditions, changes=changes, shape=StudentRead)
    else:
        student = await Student.find_one(*conditions, projection_model=StudentRead)
    if student is None:
        raise await not_found_or_changed(student_id)
    response.headers["ETag"] = student.etag
    return student


@router.patch(
    "/{id}",
    summary="Patch a student",
    response_description="The student after the change",
    responses=answer(HTTPStatus.OK, ETAG) | responses(*CHANGED, *UNREADABLE),
    dependencies=[NoParameters, AnswersJson, body_of(JSON, MERGE_PATCH)],
    openapi_extra=also_as(MERGE_PATCH, StudentUpdate),
)
async def patch_student(
    student_id: StudentId, update: StudentUpdate, if_match: IfMatch, response: Response
) -> StudentRead:
    """Does what an update by PUT does, and takes `application/merge-patch+json` as well.

    Other than in RFC 7396, a field that is `null` stays as it is: every student has all fields.
    """
    return await update_student(student_id, update, if_match, response)


@router.delete(
    "/{id}",
    status_code=HTTPStatus.NO_CONTENT,
    response_class=Response,  # without a Content-Type, as it has no content
    summary="Delete a student",
    response_description="The student is gone",
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.UNPROCESSABLE_ENTITY),
    dependencies=[NoParameters],
)
async def delete_student(student_id: StudentId, if_match: IfMatch) -> None:
    """Deletes the student with this id, for good; with `If-Match`, only if nobody has changed it."""
    result = await Student.find_one(Student.id == student_id, *if_match).delete()
    if result is None or not result.deleted_count:
        raise await not_found_or_changed(student_id)
