"""Beanie's query classes, extended: updates increment the version and return through the query's projection."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from beanie import UpdateResponse
from beanie.exceptions import DocumentNotFound, NotSupported
from beanie.odm.queries.find import FindMany, FindOne
from beanie.odm.queries.update import UpdateMany, UpdateOne, UpdateQuery
from beanie.odm.utils.encoder import Encoder
from beanie.odm.utils.parsing import parse_obj
from beanie.odm.utils.projection import get_projection
from beanie.operators import And, Eq
from pydantic import BaseModel
from pymongo import ReturnDocument

from students_api.mongodb.driver import collection_of, cursor_of
from students_api.odm.encoding import BSON_NATIVE_TYPES, BsonFilter, cached, encode_document, field_aliases
from students_api.odm.versions import utc_now, version_filter, version_of, with_version_increment

_ignores_version: ContextVar[bool] = ContextVar("ignores_version", default=False)


@contextmanager
def ignoring_version(ignored: bool) -> Iterator[None]:  # noqa: FBT001  # Beanie's `ignore_revision`
    """Within, a replacement is written whatever version is stored. Beanie hands `ignore_revision` to no query."""
    token = _ignores_version.set(ignored)
    try:
        yield
    finally:
        _ignores_version.reset(token)


async def count(query: FindMany[Any]) -> int:
    """How many documents the query finds. Without a filter MongoDB counts the index of the ids."""
    conditions = query.get_filter_query()
    options: dict[str, Any] = {} if conditions else {"hint": "_id_"}
    return await collection_of(query.document_model).count_documents(conditions, **options)


async def fetch_raw(query: FindMany[Any]) -> list[dict[str, Any]]:
    """The query's documents as the driver reads them: dictionaries of BSON's types, not validated."""
    return await (await cursor_of(query)).to_list(None)


@cached
def _is_plain_model(projection: type[BaseModel]) -> bool:
    """Whether the projection is a pydantic model, and neither a document nor a view of Beanie's."""
    return not hasattr(projection, "get_model_type")


_projection = cached(get_projection)


async def _find_one_and_update(query: Any, conditions: Mapping[str, Any], update: Any) -> Any:
    model: type[BaseModel] = query.projection_model
    document = await collection_of(query.document_model).find_one_and_update(
        conditions,
        update,
        projection=_projection(model),
        return_document=ReturnDocument.AFTER,
        session=query.session,
        **query.pymongo_kwargs,
    )
    if document is None or _is_plain_model(model):
        return None if document is None else model.model_validate(document)
    return parse_obj(model, document)


class _VersionIncrement(UpdateQuery):
    @property
    def update_query(self) -> Any:
        """Beanie's update operators or pipeline, with the version's increment."""
        return with_version_increment(self.document_model, super().update_query or {})


class VersionedUpdateOne(_VersionIncrement, UpdateOne):
    """The update of a `VersionedFindOne`: it increments the version, and its response has the query's projection."""

    projection_model: type[BaseModel] | None = None

    async def _update(self) -> Any:
        if self.projection_model is None or self.bulk_writer or self.response_type != UpdateResponse.NEW_DOCUMENT:
            return await super()._update()  # type: ignore[no-untyped-call]  # Beanie has no annotations
        return await _find_one_and_update(self, self.find_query, self.update_query)


class VersionedUpdateMany(_VersionIncrement, UpdateMany):
    """The update of a `VersionedFindMany`: it increments the version of each document."""


class VersionedFindOne(FindOne[Any]):
    """A query for one document, whose update returns through the query's projection, as its find does.

    Beanie parses the document after an update as the Document class instead. That validates all of it again, and fails
    on a stored document that is invalid today.
    """

    UpdateQueryType = VersionedUpdateOne

    def get_filter_query(self) -> Any:
        """Beanie's filter; but a `BsonFilter`, and an equality with a value of a BSON type, are not encoded again."""
        conditions, encoded, unencoded = self.find_expressions, list[Mapping[str, Any]](), list[Mapping[str, Any]]()
        for expression in conditions:
            if isinstance(expression, BsonFilter):
                encoded.append(expression)
            elif (
                type(expression) is Eq
                and type(expression.other) in BSON_NATIVE_TYPES
                and "." not in expression.field
                and not self.encoders
            ):
                encoded.append({str(expression.field): expression.other})
            else:
                unencoded.append(expression)
        if unencoded:
            self.find_expressions = unencoded
            encoded.append(super().get_filter_query())
            self.find_expressions = conditions
        return And(*encoded).query if encoded else {}

    async def _find_one(self) -> Any:
        """Parse a plain model directly: Beanie checks four times what type of model it is."""
        model = self.projection_model
        if not _is_plain_model(model) or self.fetch_links or self.document_model.get_settings().use_cache:
            return await super()._find_one()  # type: ignore[no-untyped-call]  # Beanie has no annotations
        document = await collection_of(self.document_model).find_one(
            self.get_filter_query(), _projection(model), session=self.session, **self.pymongo_kwargs
        )
        return None if document is None else model.model_validate(document)

    async def find_one_and_update(self, update: Any) -> Any:
        """Apply an update that is encoded to BSON already; the document after it, through the projection, or `None`."""
        return await _find_one_and_update(self, self.get_filter_query(), update)

    def update(self, *args: Any, **kwargs: Any) -> Any:
        """Beanie's update query, to which the projection is handed on."""
        query: Any = super().update(*args, **kwargs)
        query.projection_model = self.projection_model
        return query

    async def replace_one(self, document: Any, session: Any = None, bulk_writer: Any = None, **_: Any) -> Any:
        """Replace the document and increment its version; `DocumentNotFound` where it is stale (optimistic locking)."""
        if bulk_writer is not None:
            raise NotSupported("A bulk write cannot tell whether the document has changed: replace it by itself.")
        self.set_session(session=session)
        before, conditions = (document.version, document.updated_at), [*self.find_expressions]
        replaced: Any = None
        try:
            while replaced is None:
                self.find_expressions = [*conditions]
                version = await self._stored_version() if _ignores_version.get() else before[0]
                self.find_expressions.append(version_filter({version}))
                document.version, document.updated_at = version + 1, utc_now()
                stored = {key: value for key, value in encode_document(document).items() if key != "_id"}
                result: Any = await collection_of(self.document_model).replace_one(
                    self.get_filter_query(), stored, session=self.session
                )
                replaced = result if result.raw_result["updatedExisting"] else None
                if not _ignores_version.get():
                    break
        finally:
            if replaced is None:
                document.version, document.updated_at = before
        if replaced is None:
            raise DocumentNotFound
        return replaced

    async def _stored_version(self) -> int:
        """The document's version in MongoDB. Raises `DocumentNotFound`."""
        stored = await collection_of(self.document_model).find_one(
            self.get_filter_query(), {"version": True}, session=self.session
        )
        if stored is None:
            raise DocumentNotFound
        return version_of(stored.get("version"))


class VersionedFindMany(FindMany[Any]):
    """A query for many documents, in whose filter a `BsonFilter` goes as it is.

    Beanie encodes every part of a filter, twice. On the ranges of keyset pagination that takes as long as MongoDB takes
    to find them.
    """

    UpdateQueryType = VersionedUpdateMany

    def get_filter_query(self) -> Any:
        """Beanie's filter, with the other conditions moved into each branch of `$or`, a range of an index each."""
        if not any(isinstance(each, BsonFilter) for each in self.find_expressions):
            return super().get_filter_query()
        encoder = Encoder(custom_encoders=self.encoders)
        *others, last = [
            each if isinstance(each, BsonFilter) else encoder.encode(each) for each in self._alternatives_last()
        ]
        if others and last.keys() == {"$or"}:
            return {"$or": [And(*others, each).query for each in last["$or"]]}
        return And(*others, last).query

    def _alternatives_last(self) -> list[Mapping[str, Any]]:
        """The conditions, `$or` last: Beanie appends its own, such as soft deletion's, to those of the query."""
        return sorted(self.find_expressions, key=lambda each: "$or" in each)

    def build_aggregation_pipeline(self, *extra_stages: Any) -> Any:
        """Beanie's pipeline, behind what an index can find: Beanie looks up the links of all documents first."""
        pipeline = super().build_aggregation_pipeline(*extra_stages)  # type: ignore[no-untyped-call]  # no annotations
        found = _before_lookup(self.document_model, self.get_filter_query()) if self.fetch_links else []
        return [{"$match": {"$and": found}}, *pipeline] if found else pipeline


def _before_lookup(document: Any, conditions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of a filter's conditions that hold before links are looked up, and of a link the equality of its id."""
    if "$text" in str(conditions):  # which has to be the first, and goes through its own index
        return []
    keys = field_aliases(document)
    links = {key for name in document.get_link_fields() or {} for key in (name, keys.get(name, name))}
    found = list[dict[str, Any]]()
    for key, value in ((key, value) for each in conditions.get("$and", [conditions]) for key, value in each.items()):
        field, _, rest = key.partition(".")
        equals = not isinstance(value, dict) or value.keys() <= {"$in", "$eq"}
        if field not in links and not key.startswith("$"):
            found.append({key: value})
        elif rest == "_id" and equals:
            found.append({f"{field}.$id": value})
    return found
