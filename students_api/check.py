"""`students-api check`: what an operator wants to know before they trust a deployment."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from beanie import Document, init_beanie
from pydantic import BaseModel, ConfigDict, ValidationError

from students_api import migrate
from students_api.database import Database, encoded, keys_of
from students_api.indexes import missing_indexes
from students_api.settings import Settings


class Finding(NamedTuple):
    """One line of the report."""

    ok: bool
    text: str


class _Whole(BaseModel):
    """A document as it is, for a look at all of it without any rule."""

    model_config = ConfigDict(extra="allow")


def check_settings() -> list[Finding]:
    """Whether every variable that looks like a setting is one."""
    unknown = Settings.unknown_variables()
    return [Finding(False, f"settings: {name} is none of them; is it mistyped?") for name in unknown] or [
        Finding(True, "settings: all known")
    ]


async def check_database(database: Database, documents: list[type[Document]]) -> AsyncIterator[Finding]:
    """The server's version, the migrations, and of each document the indexes and what is stored. Changes nothing."""
    build = await database.command("buildInfo")
    yield Finding(True, f"connection: MongoDB {build['version']}, database {database.name}")

    pending = await migrate.pending(database)
    yield Finding(not pending, f"migrations: {', '.join(pending) or 'none'} pending")

    await init_beanie(database, document_models=[*documents], skip_indexes=True)
    for document in documents:
        name = document.get_collection_name()
        missing = await missing_indexes(document)
        yield Finding(not missing, f"indexes of {name}: {', '.join(missing) or 'none'} missing")
        stored = broken = 0
        async for whole in document.find_all(projection_model=_Whole):
            content = whole.model_extra or {}
            stored += 1
            if rules := _broken_rules(document, content):
                broken += 1
                yield Finding(False, f"{name} {content.get('_id')}: {'; '.join(rules)}")
        yield Finding(not broken, f"documents of {name}: {broken} of {stored} break a rule")


def _broken_rules(document: type[Document], content: dict[str, Any]) -> list[str]:
    """The rules that what is stored breaks, each with its field; and where only a conversion makes it keep them."""
    try:
        written = document.model_validate(content)
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors()
            if item["type"] != "default_factory_not_called"  # a consequence, not a rule
        ]
    kept = encoded(document, {key: getattr(written, name) for name, key in keys_of(document).items()})
    return [
        f"{key}: Stored as {type(content[key]).__name__}, not as {type(value).__name__}"
        for key, value in kept.items()
        if key in content and not _is_of_type(content[key], value)
    ]


def _is_of_type(stored: Any, written: Any) -> bool:
    both = (stored, written)
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in both)
    return numbers or isinstance(written, type(stored))
