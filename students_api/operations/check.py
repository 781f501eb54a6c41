"""`students-api check`: whether the settings, the database and every stored document are in order."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from beanie import Document, init_beanie
from bson import ObjectId
from pydantic import BaseModel, ConfigDict, ValidationError

from students_api.mongodb.driver import Database
from students_api.odm import migrations
from students_api.odm.encoding import encode_document
from students_api.odm.indexes import missing_indexes
from students_api.settings import Settings


class Finding(NamedTuple):
    """One line of the report."""

    ok: bool
    text: str


class _RawDocument(BaseModel):
    """The projection of a whole document, not validated."""

    model_config = ConfigDict(extra="allow")


def check_settings() -> list[Finding]:
    """Findings on the environment: variables that look like a setting and are none."""
    unknown = Settings.unknown_variables()
    return [Finding(False, f"settings: {name} is not a setting; is it mistyped?") for name in unknown] or [
        Finding(True, "settings: all known")
    ]


async def check_database(database: Database, documents: list[type[Document]]) -> AsyncIterator[Finding]:
    """Findings on the server's version, the migrations, the indexes and the stored documents. Writes nothing."""
    build = await database.command("buildInfo")
    yield Finding(True, f"connection: MongoDB {build['version']}, database {database.name}")

    pending = await migrations.pending(database)
    yield Finding(not pending, f"migrations: {', '.join(pending) or 'none'} pending")

    await init_beanie(database, document_models=[*documents], skip_indexes=True)
    for document in documents:
        name = document.get_collection_name()
        missing = await missing_indexes(document)
        yield Finding(not missing, f"indexes of {name}: {', '.join(missing) or 'none'} missing")
        stored = invalid = 0
        async for raw in document.find_all(projection_model=_RawDocument):
            content = raw.model_extra or {}
            stored += 1
            if errors := _validation_errors(document, content):
                invalid += 1
                yield Finding(False, f"{name} {content.get('_id')}: {'; '.join(errors)}")
        yield Finding(not invalid, f"documents of {name}: {invalid} of {stored} are invalid")


def _validation_errors(document: type[Document], content: dict[str, Any]) -> list[str]:
    """The fields of a stored document that are invalid, or valid only after a conversion, each with the reason."""
    try:
        parsed = document.model_validate(content)
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors()
            if item["type"] != "default_factory_not_called"  # a consequence of another error
        ]
    if content.get("_id") is None:  # as it is of a document that is not stored yet
        return ["_id: Input should not be null"]
    expected = encode_document(parsed)
    if isinstance(content["_id"], str) and isinstance(expected["_id"], ObjectId):
        return ["_id: Stored as text, not as an ObjectId: no path finds it; `students-api migrate` mends students"]
    return [*_other_types({key: content[key] for key in expected if key in content}, expected)]


def _other_types(stored: Any, expected: Any, path: str = "") -> Iterator[str]:
    """What is stored in other types than the document declares, such as a number as text, also in nested values."""
    if isinstance(stored, dict) and isinstance(expected, dict):
        for key in stored.keys() & expected.keys():
            yield from _other_types(stored[key], expected[key], f"{path}.{key}".strip("."))
    elif isinstance(stored, list) and isinstance(expected, list):
        for number, (one, other) in enumerate(zip(stored, expected, strict=False)):
            yield from _other_types(one, other, f"{path}.{number}")
    elif not _has_type_of(stored, expected):
        yield f"{path}: Stored as {type(stored).__name__}, not as {type(expected).__name__}"


def _has_type_of(stored: Any, expected: Any) -> bool:
    both = (stored, expected)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in both)
    return numbers or isinstance(expected, type(stored))
