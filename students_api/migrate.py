"""Migrations: Beanie's own, run with the service's settings, and what is known of their state."""

from pathlib import Path

from beanie import init_beanie
from beanie.migrations.database import DBHandler
from beanie.migrations.models import MigrationLog, RunningDirections, RunningMode
from beanie.migrations.runner import MigrationNode

from students_api.database import Database, time_limit

_PACKAGED = Path(__file__).parent / "migrations"
PATH = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[1] / "migrations"
"""Where the migrations are: inside the package in a wheel, at the project's top level in a checkout."""


def names() -> list[str]:
    """The names of all migrations, in the order in which they run forward."""
    return sorted(path.name for path in PATH.glob("[!_]*.py"))


async def current(database: Database) -> str | None:
    """The name of the last migration that ran on this database. Where all were taken back Beanie may call it `root`."""
    await init_beanie(database, document_models=[MigrationLog], skip_indexes=True)
    log = await MigrationLog.find_one({"is_current": True})
    return log and log.name


async def pending(database: Database) -> list[str]:
    """The names of the migrations that have not run on this database, in order."""
    known, last = names(), await current(database)
    return known[known.index(last) + 1 :] if last in known else known


async def run(database: Database, *, backward: bool, distance: int) -> None:
    """Run up to `distance` migrations, all where it is 0.

    Without a transaction around them: one over a whole collection would outgrow MongoDB's limits. So each migration
    is idempotent and works in batches, and one that was interrupted is run again.
    """
    # The runner's own `set_db` would connect without the service's settings.
    DBHandler.client, DBHandler.database = database.client, database  # type: ignore[attr-defined]  # no annotations
    node = await MigrationNode.build(PATH)
    direction = RunningDirections.BACKWARD if backward else RunningDirections.FORWARD
    with time_limit(None):
        await node.run(
            RunningMode(direction=direction, distance=distance), allow_index_dropping=False, use_transaction=False
        )
