"""What every document of this service stores beside its own fields, and how it is changed and deleted."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from copy import deepcopy
from datetime import UTC, datetime
from inspect import get_annotations
from typing import Annotated, Any, Self, TypeVar

from beanie import Document, DocumentWithSoftDelete, PydanticObjectId
from beanie.odm.actions import ActionDirections, ActionRegistry, EventTypes
from beanie.odm.utils.parsing import parse_obj
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, model_validator

from students_api.conditional import COUNTED, UNCOUNTED, is_version, version_of
from students_api.database import bson_encoder, insert_document, keys_of, once, stored_documents
from students_api.problems import invalid_document
from students_api.queries import CountingFindMany, CountingFindOne, counting

Shape = TypeVar("Shape", bound=BaseModel)
Action = Callable[[Any], Awaitable[None] | None]

CHANGE = (EventTypes.SAVE, EventTypes.SAVE_CHANGES, EventTypes.REPLACE, EventTypes.UPDATE)
"""The events of a change. Beanie has one for each way to make it, and that is no business of a hook's."""

INSERT = (EventTypes.INSERT,)
DELETE = (EventTypes.DELETE,)
BEFORE, AFTER = ActionDirections.BEFORE, ActionDirections.AFTER


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

    _find_one_query_class = CountingFindOne
    _find_many_query_class = CountingFindMany

    @model_validator(mode="before")
    @classmethod
    def _as_it_counts(cls, data: Any) -> Any:
        """What is stored without a version, or with none, counts as 0; only a new document begins with 1."""
        return (
            {**data, "version": version_of(data.get("version"))} if isinstance(data, dict) and "_id" in data else data
        )

    @classmethod
    def made_of(cls, shape: BaseModel) -> Self:
        """A new document with the fields of a request. Raises a validation error where they break a rule together."""
        if _is_checked_by(cls, type(shape)):
            time = now()  # and the id: pydantic would look at the signature of each factory of a default, every time
            made: Self = cls.model_construct(id=PydanticObjectId(), created_at=time, updated_at=time, **dict(shape))
            return made
        try:
            return cls(**shape.model_dump())
        except ValidationError as error:
            # A broken rule also keeps the time stamps from being made, which is nobody's mistake.
            broken = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
            raise invalid_document(broken) from error

    async def insert(self, **options: Any) -> Self:
        """As Beanie has it; but where it would do no more than to store the document, in a quarter of the time."""
        if options or not _is_only_stored(type(self)):
            inserted: Self = await super().insert(**options)
            return inserted
        await insert_document(self)
        return self

    @classmethod
    async def change(cls, *conditions: Any, changes: dict[str, Any], shape: type[Shape]) -> Shape | None:
        """Set the fields of the document that meets the conditions; the document after it, or `None`.

        It is one atomic operation. Where the document declares hooks for a change, or a rule over several fields, it is
        read, changed and written instead, and that again for as long as somebody else writes in between. Where there
        is nothing to change, it stays as it is.

        Raises a validation error where the change breaks a rule over several fields.
        """
        if not changes:
            unchanged: Shape | None = await cls.find_one(*conditions, projection_model=shape)
            return unchanged
        if _is_only_set(cls):
            return await cls._set(*conditions, changes=_by_key(cls, changes), shape=shape)
        while (document := await cls._whole(*conditions)) is not None:
            before = deepcopy(_values(document))
            for name, value in {**_typed(type(document), changes), "updated_at": now()}.items():
                setattr(document, name, value)
            await _run(document, CHANGE, BEFORE)
            _check_rules(document, changes)
            after = _values(document)
            changed = {name: after[name] for name in after if name in changes or after[name] != before[name]}
            known = is_version({document.version})
            stored = await cls._set(*conditions, known, changes=_by_key(type(document), changed), shape=shape)
            if stored is not None:
                document.version += 1
                await _run(document, CHANGE, AFTER)
                return stored
        return None

    @classmethod
    async def remove(cls, *conditions: Any) -> bool:
        """Delete the document that meets the conditions, in one atomic operation; whether there was one.

        Where the document declares hooks for that, it is read before, and again if somebody else writes in between.
        """
        if not _has_actions(cls, DELETE):
            return await cls._delete(*conditions)
        while (document := await cls._whole(*conditions)) is not None:
            await _run(document, DELETE, BEFORE)
            if await cls._delete(*conditions, is_version({document.version})):
                await _run(document, DELETE, AFTER)
                return True
        return False

    @classmethod
    async def _set(cls, *conditions: Any, changes: dict[str, Any], shape: type[Shape]) -> Shape | None:
        """A version from which MongoDB cannot count on, because another program stored it, becomes 1."""
        encode = bson_encoder(cls)
        nulls = {} if cls.get_settings().keep_nulls else {key: "" for key, value in changes.items() if value is None}
        values = {key: encode(value) for key, value in changes.items() if key not in nulls}
        unset = {"$unset": nulls} if nulls else {}
        counted, started = (COUNTED, values), (UNCOUNTED, values | {"version": 1})
        for condition, change in (counted, started, counted):  # another may start between the first two
            query: Any = cls.find_one(*conditions, condition, projection_model=shape)
            changed: Shape | None = await query.find_one_and_update(counting(cls, {"$set": change, **unset}))
            if changed is not None:
                return changed
        return None

    @classmethod
    async def _delete(cls, *conditions: Any) -> bool:
        if issubclass(cls, DocumentWithSoftDelete):
            return await cls._set(*conditions, changes={"deleted_at": now()}, shape=_Deleted) is not None
        result = await cls.find_one(*conditions).delete()
        return result is not None and bool(result.deleted_count)

    @classmethod
    async def _whole(cls, *conditions: Any) -> Self | None:
        """The document for its hooks. One that breaks its rules, because another program stored it, is as stored."""
        found = await stored_documents(cls.find(*conditions).limit(1))
        if not found:
            return None
        (stored,) = found
        document: Self
        try:
            document = parse_obj(cls, stored)  # type: ignore[assignment]  # Beanie says of it only what its base is
        except ValidationError:
            kind: type[Self] = cls._children.get(str(stored.get(cls.get_settings().class_id)), cls)
            values = {name: stored.get(key) for name, key in keys_of(kind).items()}
            document = kind.model_construct(**values)
        document.version = version_of(stored.get("version"))
        return document

    @classmethod
    def _add_class_id_filter(cls, args: Any, with_children: bool = False) -> Any:  # noqa: FBT001, FBT002  # Beanie's
        """As Beanie has it; but the root of an inheritance finds all that is in its collection, of whatever class."""
        return args if cls._parent is None else super()._add_class_id_filter(args, with_children)


class SoftDeletedDocument(StoredDocument, DocumentWithSoftDelete):
    """The base of documents that stay stored when they are deleted, with the time as `deleted_at`.

    Nothing finds them any more but Beanie's `find_many_in_all`, and its `distinct`, which knows nothing of it.
    """

    async def hard_delete(self, *args: Any, **kwargs: Any) -> Any:
        """As Beanie has it, which does not find what is deleted already."""
        kwargs.pop("skip_actions", None)
        return await type(self).find_many_in_all({"_id": self.id}).delete(*args, **kwargs)


class _Deleted(BaseModel):
    """Nothing of a document."""


def _values(document: Document) -> dict[str, Any]:
    return {name: getattr(document, name) for name in type(document).model_fields}


def _by_key(kind: type[Document], values: dict[str, Any]) -> dict[str, Any]:
    """The values by the keys under which MongoDB has them, and without what every change counts on by itself."""
    keys = keys_of(kind)
    return {keys[name]: value for name, value in values.items() if name != "version"}


def _typed(kind: type[Document], changes: dict[str, Any]) -> dict[str, Any]:
    """The changes of the types that the document declares, for its hooks: nested models, where a request is dumped."""
    return {
        name: _adapter(kind, name).validate_python(value) if isinstance(value, dict | list) else value
        for name, value in changes.items()
    }


def _adapter(kind: type[Document], name: str) -> TypeAdapter[Any]:
    field = kind.model_fields[name]
    declared: Any = Annotated[field.annotation, "", *field.metadata]  # which takes one piece of metadata at least
    return TypeAdapter(declared)


def _kinds(kind: type[Document]) -> Iterable[type[Document]]:
    return kind, *kind._children.values()  # noqa: SLF001  # Beanie has no other word for those that inherit


@once
def _is_only_set(kind: type[Document]) -> bool:
    """Whether a change of a document is one atomic operation: there are neither hooks for it, nor such rules."""
    return not _has_actions(kind, CHANGE) and not _has_rules(kind)


@once
def _is_only_stored(kind: type[Document]) -> bool:
    """Whether nothing else happens to a new document than that it is stored: Beanie has no more to do for it."""
    settings = kind.get_settings()
    more = (settings.use_state_management, settings.use_revision, settings.union_doc, settings.is_root, kind._parent)  # noqa: SLF001  # as below
    return not any(more) and not kind.get_link_fields() and not _has_actions(kind, INSERT) and not _has_rules(kind)


@once
def _is_checked_by(kind: type[Document], shape: type[BaseModel]) -> bool:
    """Whether what is valid in the shape is so in the document, of whose fields the same classes have the rules.

    To check an e-mail address a second time takes as long as all else that a new document does.
    """
    return (
        not _has_rules(kind)
        and _field_rules(kind) <= _field_rules(shape)
        and kind.model_config == StoredDocument.model_config
        and all(_declaring(kind, name) is _declaring(shape, name) for name in shape.model_fields)
    )


def _field_rules(kind: type[BaseModel]) -> set[Any]:
    """The functions of its field validators, of which a class method is another one in each class."""
    rules = kind.__pydantic_decorators__.field_validators.values()
    return {getattr(rule.func, "__func__", rule.func) for rule in rules}


def _declaring(kind: type[BaseModel], field: str) -> type | None:
    return next((each for each in kind.__mro__ if field in get_annotations(each)), None)


@once
def _has_rules(kind: type[Document]) -> bool:
    """Whether there is a rule over several fields: a `model_validator`, or Beanie's `validate_on_save`."""
    known = StoredDocument.__pydantic_decorators__.model_validators
    return any(
        each.get_settings().validate_on_save or each.__pydantic_decorators__.model_validators.keys() - known.keys()
        for each in _kinds(kind)
    )


def _check_rules(document: Document, changes: dict[str, Any]) -> None:
    """Raise a validation error where a changed field, or the document as a whole, breaks a rule.

    What other fields of a stored document break is left to them; but then pydantic checks no rule over several.
    """
    if not _has_rules(type(document)):
        return
    values = _values(document)
    stored = {name: value for name, value in values.items() if value is not None}  # what is missing has its default
    try:
        type(document).model_validate(_by_key(type(document), stored))
    except ValidationError as error:
        changed = _by_key(type(document), changes)
        if broken := [each for each in error.errors() if not each["loc"] or each["loc"][0] in changed]:
            raise invalid_document(broken) from error


def _actions(kind: type[Document], events: Iterable[EventTypes], direction: ActionDirections) -> dict[Action, None]:
    return dict.fromkeys(
        action for event in events for action in ActionRegistry.get_action_list(kind, event, direction)
    )


@once
def _has_actions(kind: type[Document], events: tuple[EventTypes, ...]) -> bool:
    return any(_actions(each, events, direction) for each in _kinds(kind) for direction in (BEFORE, AFTER))


async def _run(document: Document, events: Iterable[EventTypes], direction: ActionDirections) -> None:
    """Run the hooks that the document declares for any of the events, each once, in no order to count on."""
    for action in _actions(type(document), events, direction):
        if inspect.isawaitable(done := action(document)):
            await done
