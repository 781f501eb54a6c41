"""Beanie's queries as the documents of this service have them: whatever way a change takes, it counts the version."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from beanie.odm.queries.update import UpdateMany, UpdateQuery
from bson import Binary

from students_api.conditional import is_version
from students_api.database import ProjectedFindOne, ProjectedUpdateOne, StoredFindMany


class _Counting(UpdateQuery):
    """An update that counts the version on, notes the time, and gives a new revision where the document has revisions.

    What the update sets itself stays as it is; but a document that is saved whole brings the version that it had.
    """

    @property
    def update_query(self) -> Any:
        """As Beanie has it: update operators, or the stages of a pipeline."""
        update = super().update_query
        moment = datetime.now(UTC)
        if isinstance(update, list):
            counted = {"$add": [{"$ifNull": ["$version", 0]}, 1]}
            return [*update, {"$set": {"version": counted, "updated_at": moment}}]
        fields = {"updated_at": moment, **update.get("$set", {})}
        if "_id" in fields:
            fields["updated_at"] = moment
            fields.pop("version", None)
        if self.document_model.get_settings().use_revision:
            fields.setdefault("revision_id", Binary.from_uuid(uuid4()))
        counting = {} if "version" in fields else {"$inc": {**update.get("$inc", {}), "version": 1}}
        return {**update, "$set": fields, **counting}


class _UpdateOne(_Counting, ProjectedUpdateOne):
    pass


class _UpdateMany(_Counting, UpdateMany):
    pass


class CountingFindOne(ProjectedFindOne):
    """Beanie's query for one document."""

    UpdateQueryType = _UpdateOne

    async def replace_one(self, document: Any, *args: Any, **kwargs: Any) -> Any:
        """As Beanie has it, where nobody has changed the document since it was read."""
        self.find_expressions.append(is_version({document.version}))
        document.version, document.updated_at = document.version + 1, datetime.now(UTC)
        return await super().replace_one(document, *args, **kwargs)


class CountingFindMany(StoredFindMany):
    """Beanie's query for many documents."""

    UpdateQueryType = _UpdateMany
