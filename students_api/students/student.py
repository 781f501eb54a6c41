"""A student: the one declaration of its fields, and the shapes that derive from it."""

from typing import Annotated, ClassVar

from beanie import Indexed
from pydantic import BaseModel, ConfigDict, Field

from students_api.documents import StoredDocument
from students_api.fields import EmailAddress, NotBoolean, Text
from students_api.indexes import text_index
from students_api.shapes import Identified, all_optional, as_stored


class StudentFields(BaseModel):
    """The fields of a student, each declared here and nowhere else."""

    name: Annotated[Text, Indexed(), Field(description="The student's full name.", examples=["Jane Doe"])]
    email: Annotated[
        EmailAddress,
        Indexed(),
        Field(description="Where to write to. Several students may share one.", examples=["jdoe@example.com"]),
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
    """A student to create. Keys that are none of these are ignored."""


@all_optional
class StudentUpdate(StudentFields):
    """What to change about a student. What is missing or `null` stays as it is; other keys are ignored."""


@as_stored
class StudentRead(StudentFields, Identified):
    """A student. What an older document lacks, or JSON cannot hold, is `null`."""


class StudentPage(BaseModel):
    """A page of students, in the order of their creation."""

    students: list[StudentRead]


class StudentQuery(BaseModel):
    """Which students to list. An unknown parameter is an error: a mistyped one must not return everything."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="How many students at most.", examples=[50])] = 1000
    skip: Annotated[int, Field(ge=0, le=10_000, description="How many students to pass over.", examples=[100])] = 0
