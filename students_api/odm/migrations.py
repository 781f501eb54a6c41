"""Migrations: Beanie's own, run with the service's client, and which of them have run."""

from pathlib import Path

from beanie import init_beanie
from beanie.migrations.database import DBHandler
from beanie.migrations.models import MigrationLog, RunningDirections, RunningMode
from beanie.migrations.runner import MigrationNode

import students_api
from students_api.mongodb.driver import Database, time_limit
from students_api.settings import StartUpError

_PACKAGE = Path(students_api.__file__).parent
_PACKAGED = _PACKAGE / "migrations"
PATH = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parent / "migrations"
"""The folder of the migrations: inside the package in a wheel, at the project's top level in a checkout."""

ROOT = "root"
"""The name in Beanie's log after the first migration was taken back by `--distance`."""


def names() -> list[str]:
    """The names of all migrations, in the order in which they run forward."""
    return sorted(path.name for path in PATH.glob("[!_]*.py"))


async def current(database: Database) -> str | None:
    """The name of the last migration that ran; `None` where none has, or `ROOT` where all were taken back."""
    await init_beanie(database, document_models=[MigrationLog], skip_indexes=True)
    log = await MigrationLog.find_one({"is_current": True})
    return log and log.name


async def pending(database: Database) -> list[str]:
    """The names of the migrations that have not run, in order; none of them where a newer version has migrated."""
    known, last = names(), await current(database)
    if last in {None, ROOT}:
        return known
    return known[known.index(last) + 1 :] if last in known else []


async def has_documents(database: Database) -> bool:
    """Whether anything but Beanie's log of migrations is stored. In an empty database there is nothing to migrate."""
    collections = await database.list_collection_names(filter={"type": "collection"})
    for name in collections:
        if name != MigrationLog.get_collection_name() and await database[name].find_one({}, {"_id": True}):
            return True
    return False


async def run(database: Database, *, backward: bool, distance: int) -> None:
    """Run up to `distance` migrations, all where it is 0.

    Without a transaction around them: one over a whole collection would outgrow MongoDB's limits. So each migration
    is idempotent and works in batches, and one that was interrupted is run again.

    Raises `StartUpError` where a newer version of the service has migrated the database.
    """
    # The runner's own `set_db` would connect without the service's settings.
    DBHandler.client, DBHandler.database = database.client, database  # type: ignore[attr-defined]  # no annotations
    if (last := await current(database)) not in {None, ROOT, *names()}:
        raise StartUpError(f"The last migration that ran is {last}, which this version of the service does not have.")
    node = await MigrationNode.build(PATH)
    direction = RunningDirections.BACKWARD if backward else RunningDirections.FORWARD
    with time_limit(None):
        await node.run(
            RunningMode(direction=direction, distance=distance), allow_index_dropping=False, use_transaction=False
        )
