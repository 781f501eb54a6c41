"""The application: what is put together to make the service, and what happens when it starts and stops."""

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any

from beanie import Document, View, init_beanie
from fastapi import FastAPI

from students_api import __version__, documentation, health, migrate, students
from students_api.database import (
    CommandError,
    Database,
    DatabaseError,
    connect,
    error_message,
    failure,
    is_refusal,
    is_unavailable,
    time_limit,
)
from students_api.deployment import open_deployment
from students_api.indexes import create_indexes
from students_api.limits import RequestLimits
from students_api.middleware import AccessLog, Head, Meter, OptionalSlash, RequestId
from students_api.openapi import describe
from students_api.problems import answer_with_problems, responses
from students_api.routing import include
from students_api.settings import Settings, StartUpError
from students_api.stopping import linger

logger = logging.getLogger("students_api")

RESOURCES = [students]
MODELS: list[type[Document | View]] = [model for resource in RESOURCES for model in resource.DOCUMENTS]
"""What Beanie is to know: the documents, and views of them."""

DOCUMENTS = [model for model in MODELS if issubclass(model, Document)]

ANYWHERE = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
"""The problems that every operation can answer with."""

INDEX_SECONDS = 600
"""How long a start may take to build the indexes that are missing."""

RETRY_SECONDS = 1
"""How long after a deployment that did not answer it is asked again."""

DESCRIPTION = """
The records of students: create, list, get, update and delete them.

Every error is answered as problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
"""


def create_app(
    settings: Settings | None = None,
    open_deployment: Callable[[Settings], AbstractAsyncContextManager[Database]] = open_deployment,
) -> FastAPI:
    """The ASGI application.

    `settings` are read from the environment where none are given, when the application starts. `open_deployment` is the
    seam for another database: it yields the one to use, for as long as the application runs.
    """
    meters: list[Meter] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        state = app.state
        state.settings = settings or Settings.read()
        state.turns = asyncio.Semaphore(state.settings.pool_size)
        state.stopping = asyncio.Event()
        state.is_ready = False
        for name in Settings.unknown_variables():
            logger.warning("%s is no setting; is it mistyped?", name)
        async with _watched(app, meters), open_deployment(state.settings) as database:
            state.database = database
            async with _made_ready(app):
                _end_with_parent()
                with linger(state.stopping, state.settings.stop_delay_seconds):
                    yield {"stopping": state.stopping}

    app = FastAPI(
        title="Students API",
        version=__version__,
        summary="A REST API for student records.",
        description=DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[{"name": resource.router.tags[0], "description": resource.__doc__} for resource in RESOURCES],
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        # Its logs have the words of exceptions, and with them personal data.
        telemetry={
            "exclude": lambda _scope: not app.state.settings.telemetry,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
        },
    )
    app.state.settings = settings or Settings.model_construct()  # the defaults, until the application starts
    app.add_middleware(OptionalSlash, collections=frozenset(resource.router.prefix for resource in RESOURCES))
    app.add_middleware(RequestLimits)
    app.add_middleware(AccessLog, meters=meters)
    app.add_middleware(Head)
    app.add_middleware(RequestId)  # the last one added is the first to be asked
    answer_with_problems(app)
    for resource in RESOURCES:
        include(app, resource.router, responses(*ANYWHERE))
    app.include_router(health.router)
    documentation.add_documentation(app)
    describe(app, {resource.router.tags[0]: resource.DOCUMENTS[0] for resource in RESOURCES})
    return app


@asynccontextmanager
async def _watched(app: FastAPI, meters: list[Meter]) -> AsyncIterator[None]:
    """With what the settings turn on, and nothing else is imported; before there is a client of the database."""
    with ExitStack() as stack:
        if app.state.settings.metrics:
            from students_api import metrics  # noqa: PLC0415  # only where it is on

            app.include_router(metrics.router)
            meters.append(metrics)
        if app.state.settings.telemetry:
            from students_api import telemetry  # noqa: PLC0415  # and this needs an extra

            stack.enter_context(telemetry.exported())
        yield


@asynccontextmanager
async def _made_ready(app: FastAPI) -> AsyncIterator[None]:
    """Prepare the database, now or as soon as it answers.

    Raises `StartUpError` where it answers at once, and refuses.
    """
    said = ""

    async def make_ready() -> None:
        await prepare(app.state.database)
        if pending := await migrate.pending(app.state.database):
            logger.warning("Pending migrations: %s. Run `students-api migrate`.", ", ".join(pending))
        app.state.is_ready = True

    async def keep_trying() -> None:
        nonlocal said
        while not app.state.is_ready:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await make_ready()
                logger.info("MongoDB answers; the service is ready.")
            except Exception as error:  # whatever it is, it can be over the next time
                if said != (said := failure(error) if isinstance(error, DatabaseError) else str(error)):
                    unforeseen = None if isinstance(error, DatabaseError | StartUpError) else error
                    logger.warning("%s The service is not ready, and keeps trying.", said, exc_info=unforeseen)

    try:
        await make_ready()
    except DatabaseError as error:
        if not is_unavailable(error):
            raise
        said = failure(error)
        logger.warning("%s The service is not ready, and keeps trying.", said)
    trying = asyncio.create_task(keep_trying())
    try:
        yield
    finally:
        trying.cancel()


async def prepare(database: Database) -> None:
    """Bind the documents to the database, and build the indexes that they declare and it lacks.

    What somebody has stored or indexed can be in the way of an index; the service starts without it.

    Raises `StartUpError` where MongoDB refuses otherwise, and a `DatabaseError` where it does not answer.
    """
    await connect(database)
    await init_beanie(database, document_models=[*MODELS], skip_indexes=True)
    try:
        with time_limit(INDEX_SECONDS):
            obstacles = [words for document in DOCUMENTS for words in await create_indexes(document)]
    except CommandError as error:
        if is_unavailable(error) and not is_refusal(error):
            raise
        raise StartUpError(
            f"The documents' indexes cannot be built. Has the user the role readWrite? {error_message(error)}"
        ) from error
    for words in obstacles:
        logger.warning(
            "An index that the documents declare cannot be built, and lists that need it are slow: %s", words
        )


def _end_with_parent() -> None:
    """In a worker, or under `--reload`: stop when the parent was killed, or the port would stay taken."""

    def wait_for(parent: Any) -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    if parent := multiprocessing.parent_process():
        threading.Thread(target=wait_for, args=(parent,), name="parent", daemon=True).start()


app = create_app()
