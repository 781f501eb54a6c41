"""The API of MongoDB's FastAPI tutorial, by hand: FastAPI on PyMongo Async, without an ODM.

Written anew from what the tutorial's app does, its costs included: a list reads the collection and keeps 1000, and an
answer is validated by its model. `MONGODB_URL` and `MONGODB_DATABASE` say where the students are.
"""

import os
from typing import Annotated, Any

from bson import ObjectId
from fastapi import Body, FastAPI, HTTPException, Response, status
from pydantic import BaseModel, BeforeValidator, ConfigDict, EmailStr, Field
from pymongo import AsyncMongoClient, ReturnDocument

students = AsyncMongoClient[dict[str, Any]](os.environ["MONGODB_URL"])[os.environ["MONGODB_DATABASE"]]["students"]
app = FastAPI()

Id = Annotated[str, BeforeValidator(str)]


class StudentModel(BaseModel):
    """A student, in a request and in an answer."""

    model_config = ConfigDict(populate_by_name=True)

    id: Annotated[Id | None, Field(alias="_id")] = None
    name: str
    email: EmailStr
    course: str
    gpa: Annotated[float, Field(le=4.0)]


class UpdateStudentModel(BaseModel):
    """What is to change of a student."""

    name: str | None = None
    email: EmailStr | None = None
    course: str | None = None
    gpa: float | None = None


class StudentCollection(BaseModel):
    """A list of students."""

    students: list[StudentModel]


@app.post("/students/", response_model=StudentModel, status_code=status.HTTP_201_CREATED, response_model_by_alias=False)
async def create_student(student: Annotated[StudentModel, Body()]) -> Any:
    """Store a student."""
    document = student.model_dump(by_alias=True, exclude={"id"})
    result = await students.insert_one(document)
    return document | {"_id": result.inserted_id}


@app.get("/students/", response_model_by_alias=False)
async def list_students() -> StudentCollection:
    """List 1000 students."""
    return StudentCollection.model_validate({"students": await students.find().to_list(1000)})


@app.get("/students/{student_id}", response_model=StudentModel, response_model_by_alias=False)
async def get_student(student_id: str) -> Any:
    """Get a student."""
    student = await students.find_one({"_id": ObjectId(student_id)})
    if student is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"Student {student_id} not found")
    return student


@app.put("/students/{student_id}", response_model=StudentModel, response_model_by_alias=False)
async def update_student(student_id: str, student: Annotated[UpdateStudentModel, Body()]) -> Any:
    """Change a student."""
    changes = {name: value for name, value in student.model_dump(by_alias=True).items() if value is not None}
    found = (
        await students.find_one_and_update(
            {"_id": ObjectId(student_id)}, {"$set": changes}, return_document=ReturnDocument.AFTER
        )
        if changes
        else await students.find_one({"_id": ObjectId(student_id)})
    )
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"Student {student_id} not found")
    return found


@app.delete("/students/{student_id}")
async def delete_student(student_id: str) -> Response:
    """Delete a student."""
    result = await students.delete_one({"_id": ObjectId(student_id)})
    if result.deleted_count == 1:
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    raise HTTPException(status.HTTP_404_NOT_FOUND, f"Student {student_id} not found")
