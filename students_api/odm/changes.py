"""A change of a stored document: it is read, merged, given to its hooks and validated as a whole, before it is written.

When hooks (`before_event`, `after_event`) and model validators run is in `documents`.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from copy import deepcopy
from inspect import get_annotations
from typing import Annotated, Any, Union, get_args, get_origin

from beanie import Document
from beanie.odm.actions import ActionDirections, ActionRegistry, EventTypes
from beanie.odm.utils.parsing import parse_obj
from pydantic import BaseModel, TypeAdapter, ValidationError

from students_api.odm.declarations import members
from students_api.odm.encoding import InvalidDocument, cached, field_aliases, to_validate, with_decimals
from students_api.odm.versions import utc_now, version_of

Hook = Callable[[Any], Awaitable[None] | None]

UPDATE_EVENTS = (EventTypes.SAVE, EventTypes.SAVE_CHANGES, EventTypes.REPLACE, EventTypes.UPDATE)
"""The events of an update. Beanie has one for each of its methods; an update over HTTP runs the hooks of all four."""

INSERT_EVENTS = (EventTypes.INSERT,)
DELETE_EVENTS = (EventTypes.DELETE,)
VALIDATE_EVENTS = (EventTypes.VALIDATE_ON_SAVE,)
BEFORE, AFTER = ActionDirections.BEFORE, ActionDirections.AFTER


def with_subclasses(document: type[Document]) -> Iterable[type[Document]]:
    """The class and those that inherit from it, which share its collection (`is_root`)."""
    return document, *document._children.values()  # noqa: SLF001  # Beanie has no public name for them


def _hooks(document: type[Document], events: Iterable[EventTypes], direction: ActionDirections) -> dict[Hook, None]:
    return dict.fromkeys(
        hook for event in events for hook in ActionRegistry.get_action_list(document, event, direction)
    )


@cached
def has_hooks(document: type[Document], events: tuple[EventTypes, ...]) -> bool:
    """Whether the class, or one that inherits from it, declares a hook for any of the events."""
    return any(_hooks(each, events, direction) for each in with_subclasses(document) for direction in (BEFORE, AFTER))


async def run_hooks(
    document: Document, events: Iterable[EventTypes], direction: ActionDirections, skipped: Collection[Any] | None = ()
) -> None:
    """Run the document's hooks for any of the events, each once, in no order to count on.

    `skipped` is Beanie's `skip_actions`: names of hooks, or directions.
    """
    for hook in _hooks(type(document), events, direction):
        if skipped and not {hook.__name__, direction}.isdisjoint(skipped):
            continue
        try:
            if inspect.isawaitable(done := hook(document)):
                await done
        except ValidationError as error:  # of an assignment, with `validate_assignment`
            raise InvalidDocument(error.errors()) from error


@cached
def has_model_validators(document: type[Document], base: type[Document]) -> bool:
    """Whether the class declares a `model_validator` beside those of `base`, or Beanie's `validate_on_save`."""
    known = base.__pydantic_decorators__.model_validators
    return any(
        each.get_settings().validate_on_save or each.__pydantic_decorators__.model_validators.keys() - known.keys()
        for each in with_subclasses(document)
    )


class MergePatch(dict[str, Any]):
    """A nested object of a merge patch (RFC 7396): the members to change, as JSON has them."""


def read_document(document: type[Document], stored: Mapping[str, Any]) -> Document:
    """The document, of the class that is stored. A value that is invalid today is taken as it is."""
    model: type[Document] = document._children.get(str(stored.get(document.get_settings().class_id)), document)  # noqa: SLF001  # Beanie has no public name
    parsed: Any
    try:
        parsed = parse_obj(document, stored)
    except ValidationError:
        fields = {name: key for name, key in field_aliases(model).items() if key in stored}
        values = {name: _read_value(model, name, stored[key]) for name, key in fields.items()}
        missing = {name: field for name, field in model.model_fields.items() if name not in values}
        for name, field in missing.items():
            values[name] = (
                None if field.is_required() else field.get_default(call_default_factory=True, validated_data=values)
            )
        parsed = model.model_construct(_fields_set=set(fields), **values)
    set_values(parsed, {"version": version_of(stored.get("version"))})
    result: Document = parsed
    return result


async def change_document(
    model: type[Document], stored: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Document, dict[str, Any]]:
    """The stored document with the values, after its hooks and validators, and what is to be written: nothing for none.

    Raises `InvalidDocument`.
    """
    document = read_document(model, stored)
    before = deepcopy(field_values(document))
    if not (given := merge(document, stored, values)):
        return document, {}
    set_values(document, {**given, "updated_at": utc_now()})
    await run_hooks(document, UPDATE_EVENTS, BEFORE)
    await run_hooks(document, VALIDATE_EVENTS, BEFORE)
    set_values(document, validated_values(document, given))
    await run_hooks(document, VALIDATE_EVENTS, AFTER)
    after = field_values(document)
    changed = {name for name in after if name in given or differs(after[name], before[name])} - {"version"}
    return document, {name: after[name] for name in changed}


def _read_value(document: type[Document], name: str, stored: Any) -> Any:
    value = to_validate(document, {name: with_decimals(stored)})[name]
    try:
        return field_adapter(document, name).validate_python(value)
    except ValidationError:
        return stored


def field_values(document: Document) -> dict[str, Any]:
    """The values of the fields by name, as they are; to get a deprecated one as an attribute would be a warning."""
    return {name: document.__dict__[name] for name in type(document).model_fields}


def differs(one: Any, other: Any) -> bool:
    """Whether two values are unequal; NaN, which another program may have stored, is equal to itself here."""
    return bool(one != other) and not (one != one and other != other)  # noqa: PLR0124  # only NaN is unequal to itself


def set_values(document: Document, values: Mapping[str, Any]) -> None:
    """Set the fields all at once: neither `frozen` nor `validate_assignment` is about what the service itself sets."""
    document.__dict__.update(values)
    document.__pydantic_fields_set__.update(values)


def merge(document: Document, stored: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with each merge patch applied to what is stored, and without those of frozen fields that are the same.

    Raises `InvalidDocument` where a merged value is invalid, or would change a frozen field.
    """
    model, errors, merged = type(document), list[Any](), dict[str, Any]()
    keys = field_aliases(model)
    for name, value in values.items():
        field = model.model_fields[name]
        if isinstance(value, MergePatch):
            patched = _patched(field.annotation, with_decimals(stored.get(keys[name])), value)
            try:
                merged[name] = field_adapter(model, name).validate_python(patched)
            except ValidationError as error:
                errors += [{**each, "loc": (keys[name], *each["loc"])} for each in error.errors()]
        else:
            merged[name] = value
        if name in merged and is_frozen(model, name) and merged.pop(name) != document.__dict__[name]:
            errors.append({"type": "frozen_field", "loc": (keys[name],), "msg": "Field is frozen"})
    if errors:
        raise InvalidDocument(errors)
    return merged


def _patched(annotation: Any, stored: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """The stored object with the patch's members. `null` is a model's `None`, and takes a key out of a dictionary."""
    types = [kind for kind, _ in members(annotation)]
    fields = {
        key: (field.alias or name, field.annotation)
        for each in types
        if isinstance(each, type) and issubclass(each, BaseModel)
        for name, field in each.model_fields.items()
        for key in (name, field.alias or name)
    }
    values: Any = Union[tuple(get_args(each)[1] for each in types if get_origin(each) is dict) or (Any,)]  # noqa: UP007  # of any number
    merged = dict(stored) if isinstance(stored, Mapping) else {}
    for member, value in patch.items():
        key, inner = fields.get(member, (member, values))
        if value is None and not fields:
            merged.pop(key, None)
        else:
            merged[key] = _patched(inner, merged.get(key), value) if isinstance(value, dict) else value
    return merged


def validated_values(document: Document, given: Iterable[str]) -> dict[str, Any]:
    """The values of the fields after the document's validators. One that was stored in no form has its default.

    Raises `InvalidDocument` where one of the fields given or a model validator fails. Other stored fields that are
    invalid do not prevent a change, but pydantic then runs no model validator.
    """
    model, values = type(document), field_values(document)
    keys, present = field_aliases(model), {name for name in values if name in document.model_fields_set}
    own = {keys[name] for name in given}
    stored = {keys[name]: value for name, value in values.items() if value is not None or name in present}
    try:
        validated = model.model_validate(stored)
    except ValidationError as error:
        if broken := [each for each in error.errors() if not each["loc"] or each["loc"][0] in own]:
            raise InvalidDocument(broken) from error
        return values
    return field_values(validated)


@cached
def field_adapter(document: type[Document], name: str) -> TypeAdapter[Any]:
    """Validates values of a field by its annotation, without the class's validators."""
    field = document.model_fields[name]
    declared: Any = Annotated[field.annotation, "", *field.metadata]  # `Annotated` takes one piece of metadata at least
    return TypeAdapter(declared)


@cached
def is_frozen(document: type[Document], name: str) -> bool:
    """Whether a field keeps the value with which the document was created."""
    return bool(document.model_fields[name].frozen or document.model_config.get("frozen"))


@cached
def own_fields(document: type[Document], base: type[Document]) -> set[str]:
    """The fields that the document itself declares, perhaps with other rules than requests have."""
    models = [model for model in document.mro() if issubclass(model, Document) and not issubclass(base, model)]
    return {name for model in models for name in get_annotations(model) if name in document.model_fields}


@cached
def can_update_atomically(document: type[Document], base: type[Document]) -> bool:
    """Whether an update of valid values leaves a valid document, and runs no hook."""
    validators = {
        model: {
            getattr(each.func, "__func__", each.func)
            for each in model.__pydantic_decorators__.field_validators.values()
        }
        for model in document.mro()
        if issubclass(model, BaseModel)
    }
    of_fields = {
        each for model, functions in validators.items() if not issubclass(model, Document) for each in functions
    }
    return (
        not has_hooks(document, UPDATE_EVENTS + VALIDATE_EVENTS)
        and not has_model_validators(document, base)
        and validators[document] <= of_fields
    )


def needs_stored_document(document: type[Document], base: type[Document], values: dict[str, Any]) -> bool:
    """Whether an update of these values depends on the stored document, or on rules of the document's own."""
    return not own_fields(document, base).isdisjoint(values) or any(
        isinstance(value, MergePatch) or is_frozen(document, name) for name, value in values.items()
    )
