"""The application's lifespan: observability, a connection to MongoDB that is retried, and graceful shutdown."""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

from beanie import Document, View, init_beanie
from fastapi import FastAPI
from pymongo.errors import OperationFailure, PyMongoError

from students_api.mongodb.client import connect
from students_api.mongodb.driver import Database, time_limit
from students_api.mongodb.errors import error_message, is_auth_error, is_unavailable, operator_message
from students_api.odm import migrations
from students_api.odm.indexes import create_indexes
from students_api.operations.access_log import Meter
from students_api.settings import StartUpError

logger = logging.getLogger("students_api")

Models = Sequence[type[Document | View]]
"""What Beanie initializes: documents, and views of them."""

INDEX_BUILD_SECONDS = 600
"""How long a start may take to build the indexes that are missing."""

RETRY_SECONDS = 1
"""How long after a failed attempt the connection is tried again."""


def documents_in(models: Models) -> list[type[Document]]:
    """The documents among Beanie's models."""
    return [model for model in models if issubclass(model, Document)]


@contextmanager
def observability(app: FastAPI, meters: list[Meter]) -> Iterator[list[Any]]:
    """Set up metrics and tracing where the settings enable them; yields the driver's event listeners.

    Neither is imported unless it is enabled. Enter this before the client is created: tracing instruments PyMongo.
    """
    listeners: list[Any] = []
    with ExitStack() as stack:
        if app.state.settings.metrics:
            from students_api.operations import metrics  # noqa: PLC0415  # only where it is on

            app.include_router(metrics.router)
            meters.append(metrics)
            listeners += metrics.LISTENERS
        if app.state.settings.telemetry:
            from students_api.operations import tracing  # noqa: PLC0415  # and this needs an extra

            stack.enter_context(tracing.export_spans())
        yield listeners


@asynccontextmanager
async def init_database_with_retry(app: FastAPI, models: Models) -> AsyncIterator[None]:
    """Initialize the database; while MongoDB does not answer, start all the same and retry in the background.

    Raises `StartUpError` where MongoDB answers and refuses.
    """
    last_message = ""

    async def initialize() -> None:
        database = app.state.database
        await init_database(database, models)
        if (pending := await migrations.pending(database)) and await migrations.has_documents(database):
            logger.warning("Pending migrations: %s. Run `students-api migrate`.", ", ".join(pending))
        app.state.is_ready = True

    async def retry() -> None:
        nonlocal last_message
        while not app.state.is_ready:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await initialize()
                logger.info("MongoDB answers; the service is ready.")
            except Exception as error:  # whatever it is, the next attempt can succeed
                message = operator_message(error) if isinstance(error, PyMongoError) else str(error)
                if message != last_message:
                    unexpected = None if isinstance(error, PyMongoError | StartUpError) else error
                    logger.warning("%s The service is not ready, and retries.", message, exc_info=unexpected)
                last_message = message

    try:
        await initialize()
    except PyMongoError as error:
        if not is_unavailable(error):
            raise
        last_message = operator_message(error)
        logger.warning("%s The service is not ready, and retries.", last_message)
    retries = asyncio.create_task(retry())
    try:
        yield
    finally:
        retries.cancel()


async def init_database(database: Database, models: Models) -> None:
    """Connect, initialize Beanie, and build the indexes that the documents declare and MongoDB lacks.

    An index with which stored documents or other indexes conflict is logged, and the service starts without it.
    Raises `StartUpError` where MongoDB refuses otherwise, and a `PyMongoError` where it does not answer.
    """
    await connect(database)
    await init_beanie(database, document_models=[*models], skip_indexes=True)
    try:
        with time_limit(INDEX_BUILD_SECONDS):
            conflicts = [message for document in documents_in(models) for message in await create_indexes(document)]
    except OperationFailure as error:
        if is_unavailable(error) and not is_auth_error(error):
            raise
        raise StartUpError(
            f"The documents' indexes cannot be built. Does the user have the role readWrite? {error_message(error)}"
        ) from error
    for message in conflicts:
        logger.warning("An index that the documents declare cannot be built; lists that need it are slow: %s", message)


@contextmanager
def drain(stopping: asyncio.Event, seconds: float) -> Iterator[None]:
    """Graceful shutdown: the first SIGTERM sets `stopping`, and reaches the server `seconds` later.

    In that time load balancers see that the service is not ready, and requests are still answered. Ctrl-C stops at
    once; another SIGTERM does not, for a worker can get one from its parent and one from the system.
    """
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):  # no server handles the signal
        yield
        return
    loop = asyncio.get_running_loop()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if not stopping.is_set():
            stopping.set()
            loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, None)

    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, stop)


def stop_with_parent() -> None:
    """Stop a worker, or the process under `--reload`, when its parent was killed: it would keep the port."""

    def wait_for(parent: Any) -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    if parent := multiprocessing.parent_process():
        threading.Thread(target=wait_for, args=(parent,), name="parent", daemon=True).start()
