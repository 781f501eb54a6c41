"""Beanie's queries as the documents of this service have them: whatever way a change takes, it counts the version."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from beanie import Document
from beanie.exceptions import NotSupported
from beanie.odm.queries.update import UpdateMany, UpdateQuery
from bson import Binary

from students_api.conditional import is_version
from students_api.database import ProjectedFindOne, ProjectedUpdateOne, StoredFindMany


class _Counting(UpdateQuery):
    """An update that counts."""

    @property
    def update_query(self) -> Any:
        """As Beanie has it: update operators, or the stages of a pipeline."""
        return counting(self.document_model, super().update_query or {})


def counting(document: type[Document], update: Any) -> Any:
    """The update, and with it the version counted on, the time, and a new revision where documents have revisions.

    What the update sets itself stays as it is; but a document that is saved whole brings the version that it had.
    """
    noted: dict[str, Any] = {"updated_at": datetime.now(UTC)}
    if document.get_settings().use_revision:
        noted["revision_id"] = Binary.from_uuid(uuid4())
    if isinstance(update, list):
        counted = {"$add": [{"$cond": [{"$isNumber": "$version"}, "$version", 0]}, 1]}
        return [*update, {"$set": {"version": counted, **noted}}]
    fields = update.get("$set", {})
    if "_id" in fields:
        fields = {key: value for key, value in fields.items() if key not in {"version", "updated_at"}}
    fields = noted | fields
    # MongoDB takes each key once.
    taken = fields.keys() | {"version"}
    others = {
        operator: {key: value for key, value in values.items() if key not in taken}
        for operator, values in update.items()
        if operator != "$set"
    }
    if "version" not in fields:
        others["$inc"] = {**others.get("$inc", {}), "version": 1}
    return {"$set": fields, **{operator: values for operator, values in others.items() if values}}


class _UpdateOne(_Counting, ProjectedUpdateOne):
    pass


class _UpdateMany(_Counting, UpdateMany):
    pass


class CountingFindOne(ProjectedFindOne):
    """Beanie's query for one document."""

    UpdateQueryType = _UpdateOne

    async def replace_one(self, document: Any, *args: Any, **kwargs: Any) -> Any:
        """As Beanie has it, where nobody has changed the document since it was read."""
        if kwargs.get("bulk_writer") is not None:
            raise NotSupported("A bulk cannot tell whether somebody has changed the document: replace it by itself.")
        before = document.version, document.updated_at
        self.find_expressions.append(is_version({document.version}))
        document.version, document.updated_at = document.version + 1, datetime.now(UTC)
        try:
            return await super().replace_one(document, *args, **kwargs)
        except BaseException:  # it is not replaced, so it is what it was
            document.version, document.updated_at = before
            raise


class CountingFindMany(StoredFindMany):
    """Beanie's query for many documents."""

    UpdateQueryType = _UpdateMany
