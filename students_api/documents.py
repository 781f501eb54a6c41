"""What every document of this service stores beside its own fields."""

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from beanie import Document, PydanticObjectId, UpdateResponse
from beanie.operators import Inc, Set
from pydantic import BaseModel, Field

from students_api.conditional import COUNTED
from students_api.database import ProjectedFindOne, StoredFindMany

Shape = TypeVar("Shape", bound=BaseModel)


def now() -> datetime:
    """The time in UTC. MongoDB keeps its milliseconds."""
    return datetime.now(UTC)


class StoredDocument(Document):
    """The base of the documents. Only its `id` shows in a body; the version is what an ETag is made of."""

    # Of the very type that MongoDB returns and never None, or `insert` builds a TypeAdapter at every call.
    id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    version: Annotated[
        int, Field(description="How many changes made the document what it is, its creation included.")
    ] = 1
    created_at: datetime = Field(default_factory=now)
    updated_at: datetime = Field(default_factory=lambda stored: stored["created_at"])

    _find_one_query_class = ProjectedFindOne
    _find_many_query_class = StoredFindMany

    @classmethod
    async def change(cls, *conditions: Any, changes: dict[str, Any], shape: type[Shape]) -> Shape | None:
        """Set the fields and count the version on, in one atomic operation; the document after it, or `None`.

        Where there is nothing to change, it stays as it is. A version from which MongoDB cannot count on, because
        another program stored it, becomes 1.
        """
        changed: Shape | None
        if not changes:
            changed = await cls.find_one(*conditions, projection_model=shape)
            return changed
        changes = changes | {"updated_at": now()}
        counting = COUNTED, [Set(changes), Inc({"version": 1})]
        starting = {"$nor": [COUNTED]}, [Set(changes | {"version": 1})]
        for counted, change in (counting, starting, counting):  # another may start between the first two
            query = cls.find_one(*conditions, counted, projection_model=shape)
            changed = await query.update(*change, response_type=UpdateResponse.NEW_DOCUMENT)
            if changed is not None:
                return changed
        return None

    @classmethod
    async def remove(cls, *conditions: Any) -> bool:
        """Delete the document that meets the conditions, in one atomic operation; whether there was one."""
        result = await cls.find_one(*conditions).delete()
        return result is not None and bool(result.deleted_count)
