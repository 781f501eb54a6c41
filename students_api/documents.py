"""What every document of this service stores beside its own fields."""

from datetime import UTC, datetime
from typing import Annotated

from beanie import Document, PydanticObjectId
from pydantic import Field

from students_api.database import ProjectedFindOne, StoredFindMany


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
