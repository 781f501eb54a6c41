"""What a document declares to run when it is written: hooks (`before_event`, `after_event`) and model validators.

When they run is in `documents`: `StoredDocument.update_one` and `delete_one`.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from beanie import Document
from beanie.odm.actions import ActionDirections, ActionRegistry, EventTypes
from pydantic import ValidationError

from students_api.odm.encoding import cached, field_aliases

Hook = Callable[[Any], Awaitable[None] | None]

UPDATE_EVENTS = (EventTypes.SAVE, EventTypes.SAVE_CHANGES, EventTypes.REPLACE, EventTypes.UPDATE)
"""The events of an update. Beanie has one for each of its methods; an update over HTTP runs the hooks of all four."""

INSERT_EVENTS = (EventTypes.INSERT,)
DELETE_EVENTS = (EventTypes.DELETE,)
BEFORE, AFTER = ActionDirections.BEFORE, ActionDirections.AFTER


class InvalidDocument(Exception):  # noqa: N818  # as Beanie's own DocumentNotFound
    """Values that are valid one by one, but that the document's validators refuse. `errors` are pydantic's."""

    def __init__(self, errors: Iterable[Mapping[str, Any]]) -> None:
        super().__init__("The document is invalid")
        self.errors = [*errors]


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


async def run_hooks(document: Document, events: Iterable[EventTypes], direction: ActionDirections) -> None:
    """Run the document's hooks for any of the events, each once, in no order to count on."""
    for hook in _hooks(type(document), events, direction):
        if inspect.isawaitable(done := hook(document)):
            await done


@cached
def has_model_validators(document: type[Document], base: type[Document]) -> bool:
    """Whether the class declares a `model_validator` beside those of `base`, or Beanie's `validate_on_save`."""
    known = base.__pydantic_decorators__.model_validators
    return any(
        each.get_settings().validate_on_save or each.__pydantic_decorators__.model_validators.keys() - known.keys()
        for each in with_subclasses(document)
    )


def validate_update(document: Document, changed: Iterable[str]) -> None:
    """Validate the document after an update of the fields named.

    Raises `InvalidDocument` where an updated field or a model validator fails. Other stored fields that are invalid do
    not prevent the update, but pydantic then runs no model validator.
    """
    model, keys = type(document), field_aliases(type(document))
    values = {name: getattr(document, name) for name in model.model_fields if name != "version"}
    stored = {keys[name]: value for name, value in values.items() if value is not None}  # a missing one has its default
    try:
        model.model_validate(stored)
    except ValidationError as error:
        own = {keys[name] for name in changed}
        if broken := [each for each in error.errors() if not each["loc"] or each["loc"][0] in own]:
            raise InvalidDocument(broken) from error
