"""Indexes: those that the documents declare, how they are created, and which of them MongoDB lacks."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from beanie import Document
from beanie.odm.utils.typing import get_index_attributes
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from students_api.mongodb.driver import collection_of
from students_api.mongodb.errors import INDEX_CONFLICT_CODES, error_message

TEXT = "text"

TEXT_DEFAULTS = {"default_language": "english", "language_override": "language"}
"""What MongoDB lists for a text index that does not declare them."""

SERVER_OPTIONS = {"v", "ns", "background", "textIndexVersion", "2dsphereIndexVersion"}
"""Options that MongoDB lists for an index and that nobody declares."""


class Index(NamedTuple):
    """An index: its keys with their directions (1, -1, or a type such as "text"), and its options with `name`."""

    keys: tuple[tuple[str, int | str], ...]
    options: dict[str, Any]


def declared_indexes(document: type[Document]) -> list[Index]:
    """The indexes that a document declares: `Indexed()` on a field, and Beanie's list in its `Settings`.

    One without options also gets `_id` as its last key, the tie-breaker, in the direction of the key before. So it
    holds a unique order, which keyset pagination needs; an index of the field alone has ties where values repeat.
    """
    on_fields = [
        IndexModel([(field.alias or name, attributes[0])], **attributes[1])
        for name, field in document.model_fields.items()
        if (attributes := get_index_attributes(field))
    ]
    settings = [vars(cls).get("Settings") for cls in reversed(document.mro())]
    if not getattr(getattr(document, "Settings", None), "merge_indexes", False):
        settings = [getattr(document, "Settings", None)]
    in_settings = [index for each in settings for index in getattr(each, "indexes", [])]
    models = [*on_fields, *(index if isinstance(index, IndexModel) else IndexModel(index) for index in in_settings)]
    return [_with_id_tiebreaker(_normalized(model.document)) for model in models]


def text_index(*fields: str) -> IndexModel:
    """A text index over these fields, for the list `indexes` in a document's `Settings`: words of any language.

    Without stop words and stemming, so that names are found as they are. No field of a document can override the
    language: MongoDB would refuse to store a document with a language that it does not know.
    """
    return IndexModel([(field, TEXT) for field in fields], default_language="none", language_override="no_such_field")


async def create_indexes(document: type[Document]) -> list[str]:
    """Build the indexes that a document declares and MongoDB lacks; MongoDB's message on each that it cannot build.

    Raises `OperationFailure` where that is not due to what another program has stored or indexed.
    """
    collection = collection_of(document)
    conflicts = []
    for index in declared_indexes(document):
        try:
            await collection.create_index(list(index.keys), **index.options)
        except OperationFailure as error:
            if error.code not in INDEX_CONFLICT_CODES:
                raise
            conflicts.append(error_message(error))
    return conflicts


async def missing_indexes(document: type[Document]) -> list[str]:
    """The names of the indexes that a document declares and MongoDB lacks, or has with other keys or options."""
    information = await collection_of(document).index_information()
    existing = [_normalized({"name": name, **options}) for name, options in information.items()]
    return sorted(
        index.options["name"]
        for index in declared_indexes(document)
        if not any(_is_built_as(index, other) for other in existing)
    )


def _is_built_as(declared: Index, existing: Index) -> bool:
    """Whether the index is the one declared. MongoDB lists a collation with all of its options."""
    options, built = ({**index.options, "collation": None} for index in (declared, existing))
    collation, built_collation = (index.options.get("collation", {}) for index in (declared, existing))
    is_same_collation = bool(collation) == bool(built_collation) and collation.items() <= built_collation.items()
    return (declared.keys, options) == (existing.keys, built) and is_same_collation


def _normalized(information: Mapping[str, Any]) -> Index:
    """An index from PyMongo's declaration or MongoDB's list, which has text keys as weights, in one form to compare."""
    options = {
        option: value for option, value in information.items() if option not in SERVER_OPTIONS and value is not False
    }
    keys = options.pop("key")
    keys = list(keys.items()) if isinstance(keys, Mapping) else keys
    if weights := options.pop("weights", None):
        keys = [key for key in keys if key[0] not in {"_fts", "_ftsx"}] + [(field, TEXT) for field in sorted(weights)]
        options = TEXT_DEFAULTS | options
    elif any(direction == TEXT for _, direction in keys):
        keys, options = sorted(keys), TEXT_DEFAULTS | options
    return Index(
        tuple((key, direction if isinstance(direction, str) else int(direction)) for key, direction in keys), options
    )


def _with_id_tiebreaker(index: Index) -> Index:
    """The index with `_id` as its last key, the tie-breaker that makes the order unique, if it has no options."""
    (last, direction), model = index.keys[-1], IndexModel(list(index.keys))
    if index.options.keys() != {"name"} or last == "_id" or isinstance(direction, str) or last.endswith("$**"):
        return index
    keys = (*index.keys, ("_id", direction))
    has_generated_name = index.options["name"] == model.document["name"]
    return Index(
        keys, {"name": IndexModel(list(keys)).document["name"] if has_generated_name else index.options["name"]}
    )
