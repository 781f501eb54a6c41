"""A student: the one declaration of its fields, and the models that derive from it."""

from typing import Annotated, ClassVar

from beanie import Indexed
from pydantic import BaseModel, ConfigDict, Field

from students_api.odm.documents import StoredDocument
from students_api.odm.indexes import text_index
from students_api.resources.fields import EmailAddress, NotBoolean, Text
from students_api.resources.lists.filters import filters_from_indexes
from students_api.resources.lists.query import ListQuery, NextCursor, Total
from students_api.resources.read_schemas import DocumentResponse, lenient_response
from students_api.resources.request_schemas import merge_patch, partial


class StudentFields(BaseModel):
    """The fields of a student, each declared here and nowhere else."""

    model_config = ConfigDict(validate_by_name=True)  # and by its alias, where a field has one

    name: Annotated[Text, Indexed(), Field(description="The student's full name.", examples=["Jane Doe"])]
    email: Annotated[
        EmailAddress,
        Indexed(),
        Field(
            description="The student's e-mail address. Several students may share one.", examples=["jdoe@example.com"]
        ),
    ]
    course: Annotated[
        Text,
        Indexed(),
        Field(description="What the student studies.", examples=["Experiments, Science, and Fashion in Nanophotonics"]),
    ]
    gpa: Annotated[
        float,
        Indexed(),
        Field(ge=0, le=4, allow_inf_nan=False, description="The grade point average.", examples=[3.0]),
        NotBoolean,
    ]


class Student(StoredDocument, StudentFields):
    """A student, as MongoDB stores it."""

    class Settings:
        name = "students"
        indexes: ClassVar = [
            [("gpa", -1), ("name", 1)],  # a ranking
            [("course", 1), ("gpa", -1)],  # the ranking of a course, and of each course in turn
            [("course", 1), ("name", 1)],  # a class list, and all of them
            text_index("name", "course", "email"),
        ]


class StudentCreate(StudentFields):
    """A student to create. Other keys are ignored."""


@partial
class StudentUpdate(StudentFields):
    """The fields of a student to update. A field that is missing or `null` stays as it is; other keys are ignored."""


@merge_patch
class StudentPatch(StudentFields):
    """The changes to a student: objects are merged, lists are replaced, `null` clears a field that may be empty."""


@lenient_response
class StudentRead(StudentFields, DocumentResponse):
    """A student. A field that the stored document lacks, or that is of another type there, is `null`."""


class StudentItem(StudentRead):
    """A student in a list, with the keys that `fields` names, or all of them."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)


class StudentPage(BaseModel):
    """A page of students."""

    students: list[StudentItem]
    next_cursor: NextCursor
    total: Total


@filters_from_indexes(Student)
class StudentQuery(ListQuery):
    """The query parameters of the list of students."""
