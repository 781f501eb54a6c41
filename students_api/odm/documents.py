"""The base of this service's Beanie documents: what each stores beside its own fields, and how one is changed."""

import sys
from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime
from inspect import get_annotations
from typing import Annotated, Any, Self, TypeVar

from beanie import Document, DocumentWithSoftDelete, PydanticObjectId
from beanie.odm.utils.parsing import parse_obj
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from students_api.odm.encoding import bson_encoder, cached, field_aliases
from students_api.odm.hooks import (
    AFTER,
    BEFORE,
    DELETE_EVENTS,
    INSERT_EVENTS,
    UPDATE_EVENTS,
    InvalidDocument,
    has_hooks,
    has_model_validators,
    run_hooks,
    validate_update,
)
from students_api.odm.queries import VersionedFindMany, VersionedFindOne, fetch_raw, insert_document
from students_api.odm.versions import (
    CAN_INCREMENT,
    CANNOT_INCREMENT,
    version_filter,
    version_of,
    with_version_increment,
)

Projection = TypeVar("Projection", bound=BaseModel)


def utc_now() -> datetime:
    """The time in UTC, aware of its zone. MongoDB keeps its milliseconds."""
    return datetime.now(UTC)


class StoredDocument(Document):
    """The base of all documents. Its version makes the ETag; of these four fields a response body has only `id`."""

    # Of the very type that MongoDB returns and never None, or Beanie's `insert` builds a TypeAdapter at every call.
    id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    version: Annotated[int, Field(description="How many changes the document has had, its creation included.")] = 1
    created_at: datetime = Field(default_factory=utc_now)
    updated_at: datetime = Field(default_factory=lambda stored: stored["created_at"])

    _find_one_query_class = VersionedFindOne
    _find_many_query_class = VersionedFindMany

    @model_validator(mode="before")
    @classmethod
    def _read_version(cls, data: Any) -> Any:
        """A stored document without a version, or with one that is no number, has version 0; a new one has 1."""
        return (
            {**data, "version": version_of(data.get("version"))} if isinstance(data, dict) and "_id" in data else data
        )

    @classmethod
    def from_request(cls, request: BaseModel) -> Self:
        """A new document with a request's values. Raises `InvalidDocument` where its own validators refuse them."""
        if _is_validated_by(cls, type(request)):
            time = utc_now()  # given, as the id is: pydantic inspects the signature of a default factory at each call
            document: Self = cls.model_construct(
                id=PydanticObjectId(), created_at=time, updated_at=time, **dict(request)
            )
            return document
        try:
            return cls(**request.model_dump())
        except ValidationError as error:
            # pydantic then also reports the default of `updated_at`, which it could not make: not the client's error.
            broken = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
            raise InvalidDocument(broken) from error

    async def insert(self, **options: Any) -> Self:
        """Insert the document: directly, in a quarter of Beanie's time, if no hook or feature of Beanie is in use."""
        if options or not _can_insert_directly(type(self)):
            inserted: Self = await super().insert(**options)
            return inserted
        await insert_document(self)
        return self

    @classmethod
    async def update_one(
        cls, *conditions: Any, values: dict[str, Any], projection: type[Projection]
    ) -> Projection | None:
        """Update the document that matches the conditions; the updated document through the projection, or `None`.

        Without hooks and model validators: one atomic operation. With them: optimistic locking. The document is read,
        changed and written under the version that was read; after a concurrent write this is retried. Empty values
        write nothing.

        Raises `InvalidDocument` where the updated document fails validation.
        """
        if not values:
            unchanged: Projection | None = await cls.find_one(*conditions, projection_model=projection)
            return unchanged
        if _can_update_atomically(cls):
            return await cls._set_fields(*conditions, values=_to_stored_keys(cls, values), projection=projection)
        while (document := await cls._load_for_hooks(*conditions)) is not None:
            model, before = type(document), deepcopy(_field_values(document))
            for name, value in {**_coerce(model, values), "updated_at": utc_now()}.items():
                setattr(document, name, value)
            await run_hooks(document, UPDATE_EVENTS, BEFORE)
            if has_model_validators(model, StoredDocument):
                validate_update(document, values)
            after = _field_values(document)
            changed = {name: after[name] for name in after if name in values or after[name] != before[name]}
            unmodified = version_filter({document.version})
            stored = await cls._set_fields(
                *conditions, unmodified, values=_to_stored_keys(model, changed), projection=projection
            )
            if stored is not None:
                document.version += 1
                await run_hooks(document, UPDATE_EVENTS, AFTER)
                return stored
        return None

    @classmethod
    async def delete_one(cls, *conditions: Any) -> bool:
        """Delete the document that matches the conditions, in one atomic operation; whether there was one.

        With hooks for a deletion it is read first (optimistic locking), and this is retried after a concurrent write.
        """
        if not has_hooks(cls, DELETE_EVENTS):
            return await cls._delete_atomically(*conditions)
        while (document := await cls._load_for_hooks(*conditions)) is not None:
            await run_hooks(document, DELETE_EVENTS, BEFORE)
            if await cls._delete_atomically(*conditions, version_filter({document.version})):
                await run_hooks(document, DELETE_EVENTS, AFTER)
                return True
        return False

    @classmethod
    async def _set_fields(
        cls, *conditions: Any, values: dict[str, Any], projection: type[Projection]
    ) -> Projection | None:
        """Set values by their stored keys and increment the version; one that MongoDB cannot increment becomes 1."""
        encode = bson_encoder(cls)
        nulls = {} if cls.get_settings().keep_nulls else {key: "" for key, value in values.items() if value is None}
        encoded = {key: encode(value) for key, value in values.items() if key not in nulls}
        unset = {"$unset": nulls} if nulls else {}
        increment, start = (CAN_INCREMENT, encoded), (CANNOT_INCREMENT, encoded | {"version": 1})
        for condition, fields in (increment, start, increment):  # another write may start between the first two
            query: Any = cls.find_one(*conditions, condition, projection_model=projection)
            changed: Projection | None = await query.find_one_and_update(
                with_version_increment(cls, {"$set": fields, **unset})
            )
            if changed is not None:
                return changed
        return None

    @classmethod
    async def _delete_atomically(cls, *conditions: Any) -> bool:
        if issubclass(cls, DocumentWithSoftDelete):
            return (
                await cls._set_fields(*conditions, values={"deleted_at": utc_now()}, projection=_NoFields) is not None
            )
        result = await cls.find_one(*conditions).delete()
        return result is not None and bool(result.deleted_count)

    @classmethod
    async def _load_for_hooks(cls, *conditions: Any) -> Self | None:
        """The stored document, for its hooks. Where it is invalid today, its values are taken without validation."""
        found = await fetch_raw(cls.find(*conditions).limit(1))
        if not found:
            return None
        (stored,) = found
        document: Self
        try:
            document = parse_obj(cls, stored)  # type: ignore[assignment]  # Beanie annotates the base class
        except ValidationError:
            model: type[Self] = cls._children.get(str(stored.get(cls.get_settings().class_id)), cls)
            document = model.model_construct(**{name: stored.get(key) for name, key in field_aliases(model).items()})
        document.version = version_of(stored.get("version"))
        return document

    @classmethod
    def _add_class_id_filter(cls, args: Any, with_children: bool = False) -> Any:  # noqa: FBT001, FBT002  # Beanie's
        """Filter by class for a subclass only: the root class also finds documents that have no class stored."""
        return args if cls._parent is None else super()._add_class_id_filter(args, with_children)


class SoftDeletedDocument(StoredDocument, DocumentWithSoftDelete):
    """The base of documents with soft deletion: a deletion sets `deleted_at`, and no query finds the document then.

    Beanie's `find_many_in_all` finds it, and so does `distinct`, which knows nothing of soft deletion.
    """

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


def _field_values(document: Document) -> dict[str, Any]:
    return {name: getattr(document, name) for name in type(document).model_fields}


def _to_stored_keys(document: type[Document], values: dict[str, Any]) -> dict[str, Any]:
    """The values by their keys in MongoDB, without the version, which each update increments by itself."""
    keys = field_aliases(document)
    return {keys[name]: value for name, value in values.items() if name != "version"}


def _coerce(document: type[Document], values: dict[str, Any]) -> dict[str, Any]:
    """The values in the document's declared types, for its hooks: a nested model, where the request was dumped."""
    return {
        name: _field_adapter(document, name).validate_python(value) if isinstance(value, dict | list) else value
        for name, value in values.items()
    }


def _field_adapter(document: type[Document], name: str) -> TypeAdapter[Any]:
    field = document.model_fields[name]
    declared: Any = Annotated[field.annotation, "", *field.metadata]  # `Annotated` takes one piece of metadata at least
    return TypeAdapter(declared)


@cached
def _can_update_atomically(document: type[Document]) -> bool:
    return not has_hooks(document, UPDATE_EVENTS) and not has_model_validators(document, StoredDocument)


@cached
def _can_insert_directly(document: type[Document]) -> bool:
    """Whether an insert is only that: no hook, no model validator, and no feature of Beanie's that adds to it."""
    settings = document.get_settings()
    features = (settings.use_state_management, settings.use_revision, settings.union_doc, settings.is_root)
    return (
        not any(features)
        and document._parent is None  # noqa: SLF001  # Beanie has no public name for it
        and not document.get_link_fields()
        and not has_hooks(document, INSERT_EVENTS)
        and not has_model_validators(document, StoredDocument)
    )


@cached
def _is_validated_by(document: type[Document], request: type[BaseModel]) -> bool:
    """Whether a valid request is a valid document: both inherit the fields, with their validators, from one class.

    To validate an e-mail address a second time takes as long as all else that a new document does.
    """
    return (
        not has_model_validators(document, StoredDocument)
        and _field_validators(document) <= _field_validators(request)
        and document.model_config == StoredDocument.model_config
        and all(_declaring_class(document, name) is _declaring_class(request, name) for name in request.model_fields)
    )


def _field_validators(model: type[BaseModel]) -> set[Any]:
    """The functions of the model's field validators; a class method is another object in each class."""
    validators = model.__pydantic_decorators__.field_validators.values()
    return {getattr(each.func, "__func__", each.func) for each in validators}


def _declaring_class(model: type[BaseModel], field: str) -> type | None:
    return next((each for each in model.__mro__ if field in get_annotations(each)), None)
