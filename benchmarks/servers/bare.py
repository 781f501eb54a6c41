"""The limit: the same answers from ASGI on the service's driver, without framework, models or checks."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

from bson import ObjectId
from pydantic_core import to_json

from students_api.mongodb.client import open_database
from students_api.mongodb.driver import Collection
from students_api.settings import Settings

KEYS = dict.fromkeys(("_id", "name", "email", "course", "gpa"), 1)
JSON = (b"content-type", b"application/json")


def shown(student: dict[str, Any]) -> dict[str, Any]:
    """A student as the answers have it."""
    return {"id": str(student.pop("_id")), **student}


@asynccontextmanager
async def opened() -> AsyncIterator[Collection]:
    """The collection, by a client with the service's options."""
    settings = Settings()
    assert settings.mongodb_url is not None
    async with open_database(settings.mongodb_url.get_secret_value(), settings) as database:
        yield database["students"]


class Application:
    """The ASGI application."""

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Answer as ASGI has it."""
        if scope["type"] == "lifespan":
            async with opened() as self.students:
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = (await receive()).get("body") if scope["method"] in {"POST", "PUT"} else b""
        status, found = await self.answer(scope, json.loads(body) if body else {})
        content = b"" if found is None else to_json(found)
        headers = [JSON, (b"content-length", b"%d" % len(content))] if found is not None else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def answer(self, scope: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any]:
        """The status of the answer and its content."""
        path, method = scope["path"], scope["method"]
        if path == "/students/":
            if method == "POST":
                await self.students.insert_one(body)
                return 201, shown(body)
            limit = int(parse_qs(scope["query_string"])[b"limit"][0])
            found = await self.students.find({}, KEYS, batch_size=limit).sort("_id").limit(limit).to_list(None)
            return 200, {"students": [shown(student) for student in found], "next_cursor": None}
        one = {"_id": ObjectId(path[len("/students/") :])}
        if method == "DELETE":
            deleted = await self.students.delete_one(one)
            return (204, None) if deleted.deleted_count else (404, {})
        if method == "PUT":
            student: dict[str, Any] | None = await self.students.find_one_and_update(
                one, {"$set": body}, KEYS, return_document=True
            )
        else:
            student = await self.students.find_one(one, KEYS)
        return (404, {}) if student is None else (200, shown(student))


app = Application()
