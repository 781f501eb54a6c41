"""`students-api check`: what an operator wants to know before they trust a deployment."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from beanie import Document, init_beanie
from pydantic import BaseModel, ConfigDict, ValidationError

from students_api import migrate
from students_api.database import Database
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
            stored += 1
            try:
                document.model_validate(whole.model_extra)
            except ValidationError as error:
                broken += 1
                rules = "; ".join(
                    f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
                    for item in error.errors()
                    if item["type"] != "default_factory_not_called"  # a consequence, not a rule
                )
                yield Finding(False, f"{name} {(whole.model_extra or {}).get('_id')}: {rules}")
        yield Finding(not broken, f"documents of {name}: {broken} of {stored} break a rule")
