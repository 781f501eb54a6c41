"""The client: a connection pool whose defaults lose no acknowledged write, opened and closed with the application."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote_plus

from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure
from pymongo.server_api import ServerApi

from students_api.mongodb.driver import AsyncMongoClient, Client, Database, close_client, time_limit
from students_api.mongodb.errors import error_message, is_auth_error, is_unavailable
from students_api.settings import Settings, StartUpError

# An option in MONGODB_URL overrides its default. Writes are acknowledged by a majority of the nodes, on disk; reads see
# only what a majority has. `timeoutMS` covers each operation as a whole, its retries included.
CLIENT_DEFAULTS: dict[str, Any] = {
    "appname": "students-api",
    "connectTimeoutMS": 2_000,
    "heartbeatFrequencyMS": 1_000,
    "w": "majority",
    "journal": True,
    "retryWrites": True,
    "readConcernLevel": "majority",
    "readPreference": "primary",
}

CONNECT_SECONDS = 5
"""How long a start waits for the deployment's first answer."""

CLOSE_SECONDS = 1
"""How long a stop waits while the client ends its sessions on the server."""


@asynccontextmanager
async def open_database(url: str, settings: Settings, listeners: Sequence[Any] = ()) -> AsyncIterator[Database]:
    """The database of a new client of the deployment at `url`, which need not answer yet; the exit closes the client.

    The options of `url` override `CLIENT_DEFAULTS`; `settings` have the database's name, the size of the connection
    pool and the deadline of each operation; `listeners` are PyMongo's event listeners.

    Raises `StartUpError` where the URL is invalid, or its write concern can lose acknowledged writes.
    """
    options = re.findall("([^&;=]+)=([^&;]*)", url.rpartition("?")[2])
    given = {option.lower(): unquote_plus(value).strip() for option, value in options}
    defaults = CLIENT_DEFAULTS | {
        "maxPoolSize": settings.pool_size,
        "timeoutMS": round(settings.deadline_seconds * 1000),
    }
    if re.fullmatch("0+", given.get("w", "")):
        del defaults["journal"]  # the driver refuses w=0 with journal=true
    try:
        client: Client = AsyncMongoClient(
            url,
            **{option: value for option, value in defaults.items() if option.lower() not in given},
            # `strict` would refuse Beanie's `buildInfo`, which the Stable API does not have.
            server_api=ServerApi("1", deprecation_errors=True),
            event_listeners=[*listeners],
            tz_aware=True,
            # Whatever another program stored is readable: text that is not UTF-8, dates beyond the year 9999, and (by
            # the driver's default, which leaves binary data as it is) malformed UUIDs.
            unicode_decode_error_handler="replace",
            datetime_conversion="DATETIME_AUTO",
        )
        database = client[settings.mongodb_database]
    except (ConfigurationError, ValueError, OSError) as error:
        raise _unusable_url(error) from None  # the driver's message may hold a part of the password
    if (weak := _weak_writes(client)) and not settings.allow_weak_writes:
        await _close(client)
        raise StartUpError(
            f"MONGODB_URL has {weak}, with which acknowledged writes can be lost. Leave it out, or set "
            "STUDENTS_API_ALLOW_WEAK_WRITES=true."
        )
    try:
        yield database
    finally:
        await _close(client)


async def _close(client: Client) -> None:
    with time_limit(CLOSE_SECONDS):  # the deployment may hang
        await close_client(client)


def _weak_writes(client: Client) -> str:
    """The client's options with which an acknowledged write can be lost, or an interrupted one is not retried."""
    concern = client.write_concern.document
    options: Any = client.options  # a property; Motor's annotations take it for a method
    found = {
        f"w={concern.get('w')}": concern.get("w") in {0, 1},
        "journal=false": concern.get("j") is False,
        "retryWrites=false": not options.retry_writes,
    }
    return " and ".join(option for option, is_set in found.items() if is_set)


async def connect(database: Database) -> None:
    """Ping the deployment: whether it answers, and takes the credentials.

    Raises `StartUpError` where it refuses, and a `PyMongoError` that `is_unavailable` where it does not answer.
    """
    try:
        with time_limit(CONNECT_SECONDS):
            await database.command("ping")
    except OperationFailure as error:
        if is_unavailable(error) and not is_auth_error(error):
            raise
        raise StartUpError(
            f"MongoDB refuses. Are the credentials in MONGODB_URL right? {error_message(error)}"
        ) from error
    except (ConfigurationError, ValueError, OSError) as error:  # the driver resolves host names only now
        raise _unusable_url(error) from None  # the driver's message may hold a part of the password


def _unusable_url(error: Exception) -> StartUpError:
    if isinstance(error, ConfigurationError | OSError) and not isinstance(error, InvalidURI):
        return StartUpError(f"MONGODB_URL cannot be used: {error}")
    return StartUpError(  # the driver's message may hold a part of the password
        "MONGODB_URL is not a valid MongoDB connection string. Special characters in a user name or password must be "
        "percent-encoded: @ is %40, : is %3A, / is %2F."
    )
