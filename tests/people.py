"""The fields of the tests' own documents: those of the tutorial's student, whatever a school makes of its students."""

from typing import Annotated, Any

from beanie import Indexed
from pydantic import BaseModel, Field

from students_api.resources.fields import EmailAddress, NotBoolean, Text


class PersonFields(BaseModel):
    """For the documents of a test to add to."""

    name: Annotated[Text, Indexed()]
    email: Annotated[EmailAddress, Indexed()]
    course: Annotated[Text, Indexed()]
    gpa: Annotated[float, Indexed(), Field(ge=0, le=4, allow_inf_nan=False), NotBoolean]


JANE_DOE: dict[str, Any] = {"name": "Jane Doe", "email": "jdoe@example.com", "course": "Physics", "gpa": 3.0}
