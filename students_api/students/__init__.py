"""The students of a college."""

from students_api.students.routes import router
from students_api.students.student import Student

__all__ = ["DOCUMENTS", "router"]

DOCUMENTS = [Student]
