"""The driver: Motor with Beanie 1, PyMongo Async with Beanie 2. No other module knows which it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, cast

import beanie
from beanie import Document
from beanie.odm.queries.find import FindMany
from pymongo import timeout as time_limit

ON_MOTOR = beanie.__version__.startswith("1.")
"""Whether the driver is Motor, and not PyMongo Async. mypy assumes so (`always_true` in pyproject.toml)."""

if ON_MOTOR:
    from motor.motor_asyncio import AsyncIOMotorClient as AsyncMongoClient
    from motor.motor_asyncio import AsyncIOMotorCollection as AsyncCollection
    from motor.motor_asyncio import AsyncIOMotorCursor as AsyncCursor
    from motor.motor_asyncio import AsyncIOMotorDatabase as AsyncDatabase
else:
    from pymongo import AsyncMongoClient
    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.cursor import AsyncCursor
    from pymongo.asynchronous.database import AsyncDatabase

__all__ = [
    "ON_MOTOR",
    "AsyncMongoClient",
    "Client",
    "Collection",
    "Cursor",
    "Database",
    "close_client",
    "collection_of",
    "cursor_of",
    "time_limit",
    "transaction",
]

Client: TypeAlias = AsyncMongoClient[dict[str, Any]]
Collection: TypeAlias = AsyncCollection[dict[str, Any]]
Cursor: TypeAlias = AsyncCursor[dict[str, Any]]
Database: TypeAlias = AsyncDatabase[dict[str, Any]]


async def close_client(client: Client) -> None:
    """Close the client's connection pool and end its sessions on the server."""
    if ON_MOTOR:
        client.close()
    else:
        await client.close()


@asynccontextmanager
async def transaction(session: Any) -> AsyncIterator[None]:
    """Begin a transaction of a client's session; it is committed at the end, or aborted by an exception."""
    begun = session.start_transaction()
    async with begun if ON_MOTOR else await begun:
        yield


def collection_of(document: type[Document]) -> Collection:
    """The driver's collection of an initialized Beanie document."""
    if ON_MOTOR:
        return document.get_motor_collection()
    return document.get_pymongo_collection()


async def cursor_of(query: FindMany[Any]) -> Cursor:
    """The driver's cursor of a Beanie query. Its documents are raw: dictionaries, not validated."""
    if ON_MOTOR:
        return cast("Cursor", query.motor_cursor)
    return cast("Cursor", await query.get_cursor())
