"""The base of this service's Beanie documents: what each stores beside its own fields, and how one is changed."""

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID, uuid4

from beanie import Document, DocumentWithSoftDelete, PydanticObjectId
from beanie.exceptions import ReplaceError
from beanie.odm.fields import ExpressionField
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from students_api.mongodb.driver import collection_of
from students_api.odm.changes import (
    AFTER,
    BEFORE,
    DELETE_EVENTS,
    INSERT_EVENTS,
    UPDATE_EVENTS,
    VALIDATE_EVENTS,
    can_update_atomically,
    change_document,
    has_hooks,
    needs_stored_document,
    own_fields,
    read_document,
    run_hooks,
    set_values,
    validated_values,
)
from students_api.odm.declarations import refuse_declarations
from students_api.odm.encoding import (
    InvalidDocument,
    encode_document,
    encode_values,
    field_aliases,
    keeps_null,
    require_finite,
    to_validate,
    with_decimals,
)
from students_api.odm.queries import VersionedFindMany, VersionedFindOne, fetch_raw, ignoring_version
from students_api.odm.versions import (
    CAN_INCREMENT,
    CANNOT_INCREMENT,
    utc_now,
    version_filter,
    version_of,
    with_version_increment,
)

Projection = TypeVar("Projection", bound=BaseModel)


class StoredDocument(Document):
    """The base of all documents. Its version makes the ETag; of these four fields a response body has only `id`.

    What could not be stored and read right is refused when the class is made: see `declarations`.
    """

    if TYPE_CHECKING:
        id: Any = None  # a document can declare another type
    else:
        id: PydanticObjectId | None = Field(None, alias="_id")  # None until it is stored, as in Beanie
    # With aliases, or an `alias_generator` of the fields' class would rename them.
    version: int = Field(
        1, alias="version", description="How many changes the document has had, its creation included."
    )
    created_at: datetime = Field(alias="created_at", default_factory=utc_now)
    updated_at: datetime = Field(alias="updated_at", default_factory=lambda stored: stored["created_at"])
    revision_id: SkipJsonSchema[UUID | None] = Field(None, alias="revision_id", exclude=True)

    _find_one_query_class = VersionedFindOne
    _find_many_query_class = VersionedFindMany

    def __init_subclass__(cls, **options: Any) -> None:
        """Inherit nothing that Beanie set on this base: pydantic would take its query expressions for defaults."""
        for base in (each for each in cls.__mro__ if each.__module__ == __name__):
            for name in [name for name, value in vars(base).items() if isinstance(value, ExpressionField)]:
                delattr(base, name)
        cls._document_settings = None
        super().__init_subclass__(**options)

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        """Refuse declarations that could not be right, with a `TypeError`."""
        if "StoredDocument" in globals():
            refuse_declarations(cls, StoredDocument)

    @model_validator(mode="before")
    @classmethod
    def _read_stored(cls, data: Any) -> Any:
        """A stored document as pydantic expects it. Without a version that is a number it is 0; a new one has 1."""
        if not isinstance(data, dict) or "_id" not in data:
            return data
        return to_validate(cls, with_decimals(data)) | {"version": version_of(data.get("version"))}

    @classmethod
    def from_request(cls, request: BaseModel) -> Self:
        """A new document with a request's values. Raises `InvalidDocument` where its own validators refuse them.

        The values are the request's own, not those that its serializers make for an answer. A field that the request
        was not given has the default that the document declares for it, or else the request's.
        """
        own = own_fields(cls, StoredDocument)
        values = {name: value for name, value in request if name in request.model_fields_set or name not in own}
        require_finite(cls, values)
        try:
            document = cls(**to_validate(cls, values))
        except ValidationError as error:
            # pydantic then also reports the default of `updated_at`, which it could not make: not the client's error.
            broken = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
            raise InvalidDocument(broken) from error
        return document

    async def insert(self, *, session: Any = None, **options: Any) -> Self:
        """Insert the document, with its hooks. Raises `InvalidDocument`. With options (`link_rule`) Beanie does it.

        Beanie asks lazy-model several times for each value, and says of one that cannot be stored not which it is.
        """
        if options:
            inserted: Self = await super().insert(session=session, **options)
            return inserted
        await run_hooks(self, INSERT_EVENTS, BEFORE)
        await self.validate_self()
        if self.get_settings().use_revision:
            set_values(self, {"revision_id": uuid4()})
        stored = encode_document(self)
        if stored.get("_id") is None:
            stored["_id"] = PydanticObjectId()
        await collection_of(type(self)).insert_one(stored, session=session)
        set_values(self, {"id": stored["_id"]} if self.id is None else {})
        self._save_state()
        await run_hooks(self, INSERT_EVENTS, AFTER)
        return self

    async def validate_self(self, *_args: Any, skip_actions: Any = None, **_kwargs: Any) -> None:
        """Do what `validate_on_save` says, with the values; Beanie validates what serializers make of them."""
        await run_hooks(self, VALIDATE_EVENTS, BEFORE, skip_actions)
        if self.get_settings().validate_on_save:
            set_values(self, validated_values(self, type(self).model_fields))
        await run_hooks(self, VALIDATE_EVENTS, AFTER, skip_actions)

    async def replace(self, ignore_revision: bool = False, *args: Any, **options: Any) -> Self:  # noqa: FBT001, FBT002  # Beanie's
        """Replace the stored document, with Beanie's options. Raises `DocumentNotFound` where its version is stale.

        `ignore_revision` also ignores the version.
        """
        with ignoring_version(ignore_revision):
            replaced: Self = await super().replace(ignore_revision, *args, **options)
        return replaced

    @classmethod
    async def replace_many(cls, documents: Iterable[Any], session: Any = None) -> None:
        """Replace documents one after the other: a bulk write cannot tell which of them is stale.

        Raises `ReplaceError` before it writes, where one is not stored; `DocumentNotFound` where one is stale.
        """
        ids = [document.id for document in documents]
        if await cls.find({"_id": {"$in": ids}}, session=session).count() != len(ids):
            raise ReplaceError("Some of the documents are not stored: insert them first.")
        for document in documents:
            await document.replace(session=session)

    @classmethod
    async def update_one(
        cls, *conditions: Any, values: dict[str, Any], projection: type[Projection], session: Any = None
    ) -> Projection | None:
        """Update the document that matches the conditions; the updated document through the projection, or `None`.

        In one atomic operation, unless hooks, validators of the document, frozen fields or a `MergePatch` need the
        stored document: then it is read, changed and written under the version that was read (optimistic locking), and
        after a concurrent write this is retried. Empty values write nothing.

        `session` is one of the driver's, for a transaction. Raises `InvalidDocument` where a value cannot be stored, or
        the updated document fails validation.
        """
        require_finite(cls, values)
        keys = field_aliases(cls)
        if (
            values
            and can_update_atomically(cls, StoredDocument)
            and not needs_stored_document(cls, StoredDocument, values)
        ):
            stored_values = {keys[name]: value for name, value in values.items()}
            return await cls._set_fields(*conditions, values=stored_values, projection=projection, session=session)
        while values and (found := await fetch_raw(cls.find(*conditions, session=session).limit(1))):
            document, changed = await change_document(cls, found[0], values)
            if not changed:
                values = {}
                break
            version, keys = version_of(found[0].get("version")), field_aliases(type(document))
            stored_values = {keys[name]: value for name, value in changed.items()}
            conditional = *conditions, version_filter({version})
            stored = await cls._set_fields(*conditional, values=stored_values, projection=projection, session=session)
            if stored is not None:
                set_values(document, {**changed, "version": version + 1})
                await run_hooks(document, UPDATE_EVENTS, AFTER)
                return stored
        return None if values else await cls.find_one(*conditions, projection_model=projection, session=session)

    @classmethod
    async def delete_one(cls, *conditions: Any, session: Any = None) -> bool:
        """Delete the document that matches the conditions, in one atomic operation; whether there was one.

        With hooks for a deletion it is read first (optimistic locking), and this is retried after a concurrent write.
        """
        if not has_hooks(cls, DELETE_EVENTS):
            return await cls._delete_atomically(*conditions, session=session)
        while found := await fetch_raw(cls.find(*conditions, session=session).limit(1)):
            document = read_document(cls, found[0])
            await run_hooks(document, DELETE_EVENTS, BEFORE)
            unmodified = version_filter({version_of(found[0].get("version"))})
            if await cls._delete_atomically(*conditions, unmodified, session=session):
                await run_hooks(document, DELETE_EVENTS, AFTER)
                return True
        return False

    @classmethod
    async def _set_fields(
        cls, *conditions: Any, values: dict[str, Any], projection: type[Projection], session: Any
    ) -> Projection | None:
        """Set values by their stored keys and increment the version; one that MongoDB cannot increment becomes 1."""
        nulls = {key: "" for key, value in values.items() if value is None and not keeps_null(cls, key)}
        encoded = encode_values(cls, {key: value for key, value in values.items() if key not in nulls})
        unset = {"$unset": nulls} if nulls else {}
        increment, start = (CAN_INCREMENT, encoded), (CANNOT_INCREMENT, encoded | {"version": 1})
        for condition, fields in (increment, start, increment):  # another write may start between the first two
            query: Any = cls.find_one(*conditions, condition, projection_model=projection, session=session)
            changed: Projection | None = await query.find_one_and_update(
                with_version_increment(cls, {"$set": fields, **unset})
            )
            if changed is not None:
                return changed
        return None

    @classmethod
    async def _delete_atomically(cls, *conditions: Any, session: Any) -> bool:
        if issubclass(cls, DocumentWithSoftDelete):
            values = {"deleted_at": utc_now()}
            return await cls._set_fields(*conditions, values=values, projection=_NoFields, session=session) is not None
        result = await cls.find_one(*conditions, session=session).delete(session=session)
        return result is not None and bool(result.deleted_count)

    @classmethod
    def _add_class_id_filter(cls, args: Any, with_children: bool = False) -> Any:  # noqa: FBT001, FBT002  # Beanie's
        """Filter by class for a subclass and in a `UnionDoc`; a root class also finds those that have no class."""
        alone = cls._parent is None and cls.get_settings().union_doc is None
        return args if alone else super()._add_class_id_filter(args, with_children)


class SoftDeletedDocument(StoredDocument, DocumentWithSoftDelete):
    """The base of documents with soft deletion: a deletion sets `deleted_at`, and no query finds the document then.

    Beanie's `find_many_in_all` finds it, and so does `distinct`, which knows nothing of soft deletion.
    """

    deleted_at: datetime | None = Field(None, alias="deleted_at")

    async def hard_delete(self, *args: Any, **kwargs: Any) -> Any:
        """Delete for good; Beanie's own does not find a document that is soft-deleted."""
        kwargs.pop("skip_actions", None)
        return await type(self).find_many_in_all({"_id": self.id}).delete(*args, **kwargs)


def resolve_links(documents: Iterable[type[BaseModel]]) -> None:
    """Complete the models that name one of the documents in a forward reference, such as `Link["Course"]`.

    So two documents can link to each other: one module imports the other under `TYPE_CHECKING` alone. The models are
    those in the documents' own modules.
    """
    names = {document.__name__: document for document in documents}
    for module in dict.fromkeys(document.__module__ for document in names.values()):
        for model in [*vars(sys.modules[module]).values()]:
            is_own = isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module
            if is_own and not model.__pydantic_complete__:
                model.model_rebuild(_types_namespace=names)


class _NoFields(BaseModel):
    """The projection of an update whose document nobody reads."""
