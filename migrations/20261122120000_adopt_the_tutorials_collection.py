"""Adopt a collection that the tutorial's app filled: give its students a version and time stamps.

The documents count as version 0, as they did before, so that no ETag changes. Both time stamps are the time at which
the ObjectId was made; a document with an id of another type gets none, because nothing tells its age.

Backward takes away only what forward gave: the version where it still is 0, with it a time stamp that is still that
of the ObjectId. A document that the service has created or changed since has a higher version, and keeps all three. The
tutorial's app passes over fields that it does not know.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from beanie import Document, free_fall_migration
from bson import DatetimeMS, Timestamp
from pydantic import BaseModel, Field

BATCH = 1_000


class Adoptable(Document):
    """The collection as this migration knows it. It updates in place and never reads a whole document."""

    class Settings:
        name = "students"
        # Beanie takes these types for no BSON; ids of another program can be of them.
        bson_encoders: ClassVar = {DatetimeMS: lambda date: date, Timestamp: lambda stamp: stamp}


class Key(BaseModel):
    """A document's id alone, of whatever type another program chose."""

    id: Any = Field(alias="_id")


async def update_in_batches(query: Mapping[str, Any], *update: Any) -> None:
    """Update the documents that match, some at a time, so that no operation runs long."""
    batch: list[Any] = []
    async for key in Adoptable.find(query, projection_model=Key):
        batch.append(key.id)
        if len(batch) == BATCH:
            await Adoptable.find({"_id": {"$in": batch}}, query).update(*update)
            batch = []
    if batch:
        await Adoptable.find({"_id": {"$in": batch}}, query).update(*update)


MADE = {"$cond": [{"$eq": [{"$type": "$_id"}, "objectId"]}, {"$toDate": "$_id"}, "$$REMOVE"]}
"""When the document was made, as far as its id tells."""


class Forward:
    @free_fall_migration(document_models=[Adoptable])  # type: ignore[untyped-decorator]  # Beanie has no annotations
    async def adopt(self, session: Any) -> None:
        """Outside of `session`: one transaction over a whole collection would outgrow MongoDB's limits."""
        await update_in_batches(
            {"$or": [{field: {"$exists": False}} for field in ("version", "created_at", "updated_at")]},
            [
                {
                    "$set": {
                        "version": {"$ifNull": ["$version", 0]},
                        "created_at": {"$ifNull": ["$created_at", MADE]},
                        "updated_at": {"$ifNull": ["$updated_at", MADE]},
                    }
                }
            ],
        )


class Backward:
    @free_fall_migration(document_models=[Adoptable])  # type: ignore[untyped-decorator]  # Beanie has no annotations
    async def release(self, session: Any) -> None:
        """Outside of `session`, for the same reason."""
        stamps = ("created_at", "updated_at")
        kept = {stamp: {"$cond": [{"$eq": [f"${stamp}", MADE]}, "$$REMOVE", f"${stamp}"]} for stamp in stamps}
        await update_in_batches({"version": 0}, [{"$set": kept | {"version": "$$REMOVE"}}])
