"""Indexes: what the documents declare, built and compared."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from beanie import Document
from beanie.odm.utils.typing import get_index_attributes

from students_api.database import CommandError, IndexModel, error_message

TEXT = "text"

OBSTACLES = {85, 86, 171, 11000, 28755}
"""MongoDB's error codes of what another program did: an index with another name or with other options, a document with
lists in two fields of one index, a value that is there twice, text that is no UTF-8."""

LISTED_ONLY = {"v", "ns", "background", "textIndexVersion"}
"""What MongoDB says of an index beside what was declared."""


class Index(NamedTuple):
    """The keys with their directions (1, -1, or a kind such as "text"), and the options, `name` among them."""

    keys: tuple[tuple[str, int | str], ...]
    options: dict[str, Any]


def declared_indexes(document: type[Document]) -> list[Index]:
    """The indexes that a document declares: `Indexed()` on a field, and Beanie's list in its `Settings`.

    One without options also gets the `_id` as its last key, in the direction of the key before. So it gives a total
    order, in which a list can go on where a page ended; the field's own index gives none where values repeat.
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
    return [_total(_index(model.document)) for model in models]


def text_index(*fields: str) -> IndexModel:
    """For the list of indexes in a document's `Settings`: the words of these fields, in any language.

    No word is left out and none is reduced to its stem, so that names are found as they are. No field of a document
    can name a language: MongoDB would refuse to store one that it does not know.
    """
    return IndexModel([(field, TEXT) for field in fields], default_language="none", language_override="no_such_field")


async def create_indexes(document: type[Document]) -> list[str]:
    """Build the indexes that a document declares and MongoDB lacks; MongoDB's words on each that it cannot build.

    Raises `CommandError` where that is not due to what another program has stored or indexed.
    """
    collection = document.get_motor_collection()
    obstacles = []
    for index in declared_indexes(document):
        try:
            await collection.create_index(list(index.keys), **index.options)
        except CommandError as error:
            if error.code not in OBSTACLES:
                raise
            obstacles.append(error_message(error))
    return obstacles


async def missing_indexes(document: type[Document]) -> list[str]:
    """The names of the indexes that a document declares and MongoDB lacks as such."""
    information = await document.get_motor_collection().index_information()
    existing = [_index({"name": name, **options}) for name, options in information.items()]
    return sorted(index.options["name"] for index in declared_indexes(document) if index not in existing)


def _index(information: Mapping[str, Any]) -> Index:
    """An index as PyMongo declares or MongoDB lists it. A text index is listed by its words' weights."""
    options = {
        option: value for option, value in information.items() if option not in LISTED_ONLY and value is not False
    }
    keys = options.pop("key")
    keys = list(keys.items()) if isinstance(keys, Mapping) else keys
    if weights := options.pop("weights", None):
        keys = [key for key in keys if key[0] not in {"_fts", "_ftsx"}] + [(field, TEXT) for field in sorted(weights)]
    elif any(direction == TEXT for _, direction in keys):
        keys = sorted(keys)
    return Index(
        tuple((key, direction if isinstance(direction, str) else int(direction)) for key, direction in keys), options
    )


def _total(index: Index) -> Index:
    (last, direction), model = index.keys[-1], IndexModel(list(index.keys))
    if index.options.keys() != {"name"} or last == "_id" or isinstance(direction, str):
        return index
    keys = (*index.keys, ("_id", direction))
    generated = index.options["name"] == model.document["name"]
    return Index(keys, {"name": IndexModel(list(keys)).document["name"] if generated else index.options["name"]})
