"""MongoDB's driver: all that the service knows of it. The other modules see Beanie, and the names defined here.

The driver is the one that the installed Beanie has: Motor with Beanie 1, PyMongo Async with Beanie 2. All that differs
between the two is where `ON_MOTOR` stands.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, TypeAlias, TypeVar, cast
from urllib.parse import unquote_plus

import beanie
from beanie import Document, PydanticObjectId, UpdateResponse
from beanie.odm.queries.find import FindMany, FindOne
from beanie.odm.queries.update import UpdateOne
from beanie.odm.utils.encoder import Encoder
from beanie.odm.utils.parsing import parse_obj
from beanie.odm.utils.projection import get_projection
from beanie.operators import And, Eq
from bson import ObjectId
from pydantic import BaseModel
from pymongo import IndexModel, MongoClient, ReturnDocument, monitoring
from pymongo import timeout as time_limit
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)
from pymongo.server_api import ServerApi

from students_api.settings import Settings, StartUpError

ON_MOTOR = beanie.__version__.startswith("1.")
"""Whether the driver is Motor, and not PyMongo Async. mypy takes it for true: pyproject.toml."""

if ON_MOTOR:
    from motor.motor_asyncio import AsyncIOMotorClient as _Client
    from motor.motor_asyncio import AsyncIOMotorCollection as _Collection
    from motor.motor_asyncio import AsyncIOMotorCursor as _Cursor
    from motor.motor_asyncio import AsyncIOMotorDatabase as _Database
else:
    from pymongo import AsyncMongoClient as _Client
    from pymongo.asynchronous.collection import AsyncCollection as _Collection
    from pymongo.asynchronous.cursor import AsyncCursor as _Cursor
    from pymongo.asynchronous.database import AsyncDatabase as _Database

__all__ = [
    "ON_MOTOR",
    "Collection",
    "CommandError",
    "CommandListener",
    "Database",
    "DatabaseError",
    "DuplicateKey",
    "Encoded",
    "IndexModel",
    "PoolListener",
    "ProjectedFindOne",
    "ProjectedUpdateOne",
    "StoredFindMany",
    "admin_command",
    "bson_encoder",
    "collection_of",
    "connect",
    "count",
    "cursor_of",
    "encoded",
    "error_message",
    "failure",
    "insert_document",
    "is_no_document",
    "is_refusal",
    "is_unavailable",
    "is_untried",
    "keys_of",
    "once",
    "open_database",
    "stored_documents",
    "time_limit",
]

Client: TypeAlias = _Client[dict[str, Any]]
Collection: TypeAlias = _Collection[dict[str, Any]]
Cursor: TypeAlias = _Cursor[dict[str, Any]]
Database: TypeAlias = _Database[dict[str, Any]]
DatabaseError = PyMongoError
CommandError = OperationFailure
DuplicateKey = DuplicateKeyError

# Each can be set in MONGODB_URL instead. Acknowledged means on disk, on a majority of the nodes, and what is read is
# what no failure can undo. `timeoutMS` covers each operation as a whole, its retries included.
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
"""How long a stop waits for the deployment to take note of it."""

NO_ACCESS = {13, 18, 391, 8000}
"""MongoDB's error codes for a user without the right: Unauthorized, AuthenticationFailed, ReauthenticationRequired, and
Atlas's own for all of these."""

UNAVAILABLE = NO_ACCESS | {
    6, 7, 89, 9001,  # HostUnreachable, HostNotFound, NetworkTimeout, SocketException
    24, 46, 112,  # LockTimeout, LockBusy, WriteConflict
    202, 262, 365, 462,  # NetworkInterfaceExceededTimeLimit, ExceededTimeLimit, TemporarilyUnavailable, and
    # IngressRequestRateLimitExceeded
    43, 175, 237, 11601,  # CursorNotFound, QueryPlanKilled, CursorKilled, Interrupted
    64, 79, 100,  # WriteConcernFailed, UnknownReplWriteConcern, UnsatisfiableWriteConcern
    91, 189, 10058, 10107, 11600, 11602, 13435, 13436,  # no primary any more, or none yet
    133, 134,  # FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet
    146, 292, 14031,  # ExceededMemoryLimit, QueryExceededMemoryLimitNoDiskUseAllowed, OutOfDiskSpace
}  # fmt: skip
"""MongoDB's error codes (https://www.mongodb.com/docs/manual/reference/error-codes/) of what passes, or what its
operator has to mend: the same request can succeed later."""

REFUSED = {121, 10334, 17419, 17420}
"""MongoDB's error codes of a document that it does not take: DocumentValidationFailure, and those beyond 16 MB."""


@asynccontextmanager
async def open_database(url: str, settings: Settings, listeners: Sequence[Any] = ()) -> AsyncIterator[Database]:
    """The database in the deployment at `url`, whether or not that answers; closed on leaving.

    `listeners` are told what its client does: a `CommandListener`, a `PoolListener`.
    Raises `StartUpError` where the URL cannot be used, or asks for writes that can be lost.
    """
    options = re.findall("([^&;=]+)=([^&;]*)", url.rpartition("?")[2])
    given = {option.lower(): unquote_plus(value).strip() for option, value in options}
    defaults = CLIENT_DEFAULTS | {
        "maxPoolSize": settings.pool_size,
        "timeoutMS": round(settings.deadline_seconds * 1000),
    }
    if re.fullmatch("0+", given.get("w", "")):
        del defaults["journal"]  # the driver takes no such pair
    try:
        client: Client = _Client(
            url,
            **{option: value for option, value in defaults.items() if option.lower() not in given},
            # `strict` would refuse Beanie's `buildInfo`, which the Stable API does not have.
            server_api=ServerApi("1", deprecation_errors=True),
            event_listeners=[*listeners],
            tz_aware=True,
            # What another program stored must be readable: text that is not UTF-8, dates beyond the year 9999, and (the
            # driver's default leaves them as they are) UUIDs that are none.
            unicode_decode_error_handler="replace",
            datetime_conversion="DATETIME_AUTO",
        )
        database = client[settings.mongodb_database]
    except (ConfigurationError, ValueError, OSError) as error:
        raise _unusable(error) from None  # its words may hold a part of the password
    if (weak := _weak_writes(client)) and not settings.allow_weak_writes:
        await _close(client)
        raise StartUpError(
            f"MONGODB_URL has {weak}, with which acknowledged students can be lost. Leave it out, or set "
            "STUDENTS_API_ALLOW_WEAK_WRITES=true."
        )
    try:
        yield database
    finally:
        await _close(client)


async def _close(client: Client) -> None:
    with time_limit(CLOSE_SECONDS):  # it tells the deployment, which may hang
        if ON_MOTOR:
            client.close()
        else:
            await client.close()


def _weak_writes(client: Client) -> str:
    """What a client was told with which writes can be lost that are acknowledged, or are not repeated."""
    concern = client.write_concern.document
    options: Any = client.options  # which is no method, as Motor's types have it
    found = {
        f"w={concern.get('w')}": concern.get("w") in {0, 1},
        "journal=false": concern.get("j") is False,
        "retryWrites=false": not options.retry_writes,
    }
    return " and ".join(words for words, is_there in found.items() if is_there)


async def connect(database: Database) -> None:
    """See that the deployment answers, and lets the service in.

    Raises `StartUpError` where it refuses, and a `DatabaseError` that `is_unavailable` where it does not answer.
    """
    try:
        with time_limit(CONNECT_SECONDS):
            await database.command("ping")
    except OperationFailure as error:
        if is_unavailable(error) and not is_refusal(error):
            raise
        raise StartUpError(
            f"MongoDB refuses. Are the credentials in MONGODB_URL right? {error_message(error)}"
        ) from error
    except (ConfigurationError, ValueError, OSError) as error:  # which the driver finds out only now
        raise _unusable(error) from None  # its words may hold a part of the password


def _unusable(error: Exception) -> StartUpError:
    if isinstance(error, ConfigurationError | OSError) and not isinstance(error, InvalidURI):
        return StartUpError(f"MONGODB_URL cannot be used: {error}")
    return StartUpError(  # its own words may hold a part of the password
        "MONGODB_URL is no connection string of MongoDB's. Special characters in a user name or password must be "
        "percent-encoded: @ is %40, : is %3A, / is %2F."
    )


def is_unavailable(error: PyMongoError) -> bool:
    """Whether the deployment cannot do now what it can do at other times: unreachable, too slow, without a primary."""
    return isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError) or (
        isinstance(error, OperationFailure)
        and (error.code in UNAVAILABLE or error.has_error_label("RetryableWriteError"))
    )


def is_refusal(error: PyMongoError) -> bool:
    """Whether MongoDB does not let the service in, or not do this."""
    return isinstance(error, OperationFailure) and error.code in NO_ACCESS


def is_untried(error: PyMongoError) -> bool:
    """Whether it is certain that no write was made.

    The driver raises the error of an earlier attempt rather than that there is no server for the next one. That there
    is no connection in time it says of a later attempt too.
    """
    return isinstance(error, ServerSelectionTimeoutError) or error.has_error_label("NoWritesPerformed")


def is_no_document(error: PyMongoError) -> bool:
    """Whether MongoDB does not take the document: it breaks a rule of the collection's operator, or is too large."""
    return isinstance(error, OperationFailure) and error.code in REFUSED


def error_message(error: PyMongoError) -> str:
    """What the driver or MongoDB says, for an operator; without the driver's state, or a value that is there twice."""
    if isinstance(error, OperationFailure) and error.details:
        return str(error.details.get("errmsg", error)).partition(" dup key: ")[0]
    return re.split(r" \(configured timeouts|, Timeout: ", str(error))[0]


def failure(error: PyMongoError) -> str:
    """What to tell an operator where the deployment cannot be used."""
    if is_unavailable(error) and not is_refusal(error):
        return f"MongoDB does not answer. Is MONGODB_URL right, and the server running? {error_message(error)}"
    return f"MongoDB refuses: {error_message(error)}"


def admin_command(port: int, command: dict[str, Any]) -> dict[str, Any]:
    """What the local mongod on `port` answers to an administrative command, primary or not.

    Raises `DatabaseError` after a second without an answer, and of these `CommandError` where mongod refuses.
    """
    with MongoClient[dict[str, Any]](
        "127.0.0.1",
        port,
        directConnection=True,
        connectTimeoutMS=1_000,
        serverSelectionTimeoutMS=1_000,
        socketTimeoutMS=10_000,
    ) as client:
        return client.admin.command(command)


def collection_of(document: type[Document]) -> Collection:
    """The driver's collection of a document that is bound to a database."""
    if ON_MOTOR:
        return document.get_motor_collection()
    return document.get_pymongo_collection()


async def cursor_of(query: FindMany[Any]) -> Cursor:
    """The driver's cursor of a query of Beanie's."""
    if ON_MOTOR:
        return cast("Cursor", query.motor_cursor)
    return cast("Cursor", await query.get_cursor())


async def count(query: FindMany[Any]) -> int:
    """How many documents a query of Beanie's finds, counted in an index: the one of the ids where it finds them all."""
    conditions = query.get_filter_query()
    options: dict[str, Any] = {} if conditions else {"hint": "_id_"}
    return await collection_of(query.document_model).count_documents(conditions, **options)


async def stored_documents(query: FindMany[Any]) -> list[dict[str, Any]]:
    """What a query of Beanie's finds, as the driver reads it: nothing is validated, each value is of its own type."""
    return await (await cursor_of(query)).to_list(None)


Function = TypeVar("Function", bound=Callable[..., Any])


def once(function: Function) -> Function:
    """`functools.cache`, for what is known of a class from the start on; its types take no classes."""
    return cast("Function", cache(function))


class Encoded(dict[str, Any]):
    """Conditions in BSON's own types."""


def encoded(document: type[Document], conditions: Mapping[str, Any]) -> Encoded:
    """The conditions with every value as it is stored: an enumeration's value, a date's midnight."""
    return Encoded(Encoder(custom_encoders=document.get_bson_encoders()).encode(conditions))


PLAIN = {NoneType, bool, datetime, float, int, str, ObjectId, PydanticObjectId}
"""The types of most values, which BSON has too. Beanie asks of each value whether it is of one of twenty others."""


@once
def bson_encoder(document: type[Document]) -> Callable[[Any], Any]:
    """What makes of a document's value what MongoDB stores of it."""
    settings = document.get_settings()
    encode = Encoder(custom_encoders=settings.bson_encoders, to_db=True, keep_nulls=settings.keep_nulls).encode
    if settings.bson_encoders:
        return encode
    return lambda value: value if type(value) in PLAIN else encode(value)


@once
def keys_of(document: type[Document]) -> dict[str, str]:
    """The key under which MongoDB has each field of a document."""
    return {name: field.alias or name for name, field in document.model_fields.items()}


async def insert_document(document: Document) -> None:
    """Store a new document, and nothing else: of what Beanie does with it, only the encoding.

    Beanie itself asks lazy-model for each value of the document several times, and waits for hooks that are not there.
    """
    kind = type(document)
    keep_nulls, keys, encode = kind.get_settings().keep_nulls, keys_of(kind), bson_encoder(kind)
    stored = {
        keys.get(name, name): encode(value)
        for name, value in document
        if (value is not None or keep_nulls) and name != "revision_id"
    }
    await collection_of(kind).insert_one(stored)


class StoredFindMany(FindMany[Any]):
    """Beanie's query for many documents, which takes encoded conditions as they are.

    Beanie itself looks at every part of every condition, twice. On the ranges of a cursor that takes as long as MongoDB
    takes to find them.
    """

    def get_filter_query(self) -> Any:
        """As Beanie has it."""
        if not any(isinstance(each, Encoded) for each in self.find_expressions):
            return super().get_filter_query()
        encoder = Encoder(custom_encoders=self.encoders)
        *others, last = [each if isinstance(each, Encoded) else encoder.encode(each) for each in self._in_order()]
        if others and last.keys() == {"$or"}:  # beside which MongoDB would scan an index from its start
            return {"$or": [And(*others, each).query for each in last["$or"]]}
        return And(*others, last).query

    def _in_order(self) -> list[Mapping[str, Any]]:
        """The conditions, alternatives last: those that Beanie adds for all of a document's queries come after them."""
        return sorted(self.find_expressions, key=lambda each: "$or" in each)


@once
def _is_plain(shape: type[BaseModel]) -> bool:
    """Whether it is none of Beanie's own kinds of model."""
    return not hasattr(shape, "get_model_type")


_projection = once(get_projection)


class ProjectedUpdateOne(UpdateOne):
    """The update of a `ProjectedFindOne`."""

    projection_model: type[BaseModel] | None = None

    async def _update(self) -> Any:
        if self.projection_model is None or self.bulk_writer or self.response_type != UpdateResponse.NEW_DOCUMENT:
            return await super()._update()  # type: ignore[no-untyped-call]  # Beanie has no annotations
        return await _find_one_and_update(self, self.find_query, self.update_query)


async def _find_one_and_update(query: Any, conditions: Mapping[str, Any], update: Any) -> Any:
    shape: type[BaseModel] = query.projection_model
    document = await collection_of(query.document_model).find_one_and_update(
        conditions,
        update,
        projection=_projection(shape),
        return_document=ReturnDocument.AFTER,
        session=query.session,
        **query.pymongo_kwargs,
    )
    if document is None or _is_plain(shape):
        return None if document is None else shape.model_validate(document)
    return parse_obj(shape, document)


class ProjectedFindOne(FindOne[Any]):
    """Beanie's query for one document, whose update answers through the query's projection, as its find does.

    Beanie itself reads the document after an update back into the Document class. That validates all of it again, and
    fails on one that another program stored against today's rules. Encoded conditions are taken as they are, and those
    that need no encoding.
    """

    UpdateQueryType = ProjectedUpdateOne

    def get_filter_query(self) -> Any:
        """As Beanie has it."""
        conditions, ready, others = self.find_expressions, list[Mapping[str, Any]](), list[Mapping[str, Any]]()
        for each in conditions:
            if isinstance(each, Encoded):
                ready.append(each)
            elif type(each) is Eq and type(each.other) in PLAIN and "." not in each.field and not self.encoders:
                ready.append({str(each.field): each.other})
            else:
                others.append(each)
        if others:
            self.find_expressions = others
            ready.append(super().get_filter_query())
            self.find_expressions = conditions
        return And(*ready).query if ready else {}

    async def _find_one(self) -> Any:
        """As Beanie has it; but a plain shape is read at once, while Beanie asks four times what kind it is."""
        shape = self.projection_model
        if not _is_plain(shape) or self.fetch_links or self.document_model.get_settings().use_cache:
            return await super()._find_one()  # type: ignore[no-untyped-call]  # Beanie has no annotations
        document = await collection_of(self.document_model).find_one(
            self.get_filter_query(), _projection(shape), session=self.session, **self.pymongo_kwargs
        )
        return None if document is None else shape.model_validate(document)

    async def find_one_and_update(self, update: Any) -> Any:
        """As `update` with `NEW_DOCUMENT`, for an update in BSON's own types, without a second query."""
        return await _find_one_and_update(self, self.get_filter_query(), update)

    def update(self, *args: Any, **kwargs: Any) -> Any:
        """As Beanie has it."""
        query: Any = super().update(*args, **kwargs)
        query.projection_model = self.projection_model
        return query


class CommandListener(monitoring.CommandListener):
    """Calls `finished` after each command, with its name, its outcome (`ok` or `error`) and the seconds that it took.

    It does so in the driver's threads, many at once, where it has any.
    """

    def __init__(self, finished: Callable[[str, str, float], None]) -> None:
        self.finished = finished

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """As PyMongo has it."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """As PyMongo has it."""
        self.finished(event.command_name, "ok", event.duration_micros / 1e6)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """As PyMongo has it."""
        self.finished(event.command_name, "error", event.duration_micros / 1e6)


class PoolListener(monitoring.ConnectionPoolListener):
    """Calls `opened` with 1 for each connection that is made and -1 for each that is closed, and `used` as well.

    It does so in the driver's threads, many at once, where it has any.
    """

    def __init__(self, opened: Callable[[int], None], used: Callable[[int], None]) -> None:
        self.opened, self.used = opened, used

    def connection_created(self, _event: monitoring.ConnectionCreatedEvent) -> None:
        """As PyMongo has it."""
        self.opened(1)

    def connection_closed(self, _event: monitoring.ConnectionClosedEvent) -> None:
        """As PyMongo has it."""
        self.opened(-1)

    def connection_checked_out(self, _event: monitoring.ConnectionCheckedOutEvent) -> None:
        """As PyMongo has it."""
        self.used(1)

    def connection_checked_in(self, _event: monitoring.ConnectionCheckedInEvent) -> None:
        """As PyMongo has it."""
        self.used(-1)

    def _pass_over(self, event: Any) -> None:
        pass

    pool_created = pool_ready = pool_cleared = pool_closed = _pass_over
    connection_ready = connection_check_out_started = connection_check_out_failed = _pass_over
