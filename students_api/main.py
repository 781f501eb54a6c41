"""The application: what is put together to make the service, and what happens when it starts and stops."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any

from beanie import Document, init_beanie
from fastapi import FastAPI

from students_api import __version__, documentation, health, migrate, students
from students_api.database import CommandError, Database, error_message, time_limit
from students_api.deployment import open_deployment
from students_api.indexes import create_indexes
from students_api.middleware import AccessLog, Head, Meter, OptionalSlash, RequestId
from students_api.openapi import describe
from students_api.problems import answer_with_problems, responses
from students_api.settings import Settings, StartUpError

logger = logging.getLogger("students_api")

RESOURCES = [students]
DOCUMENTS: list[type[Document]] = [document for resource in RESOURCES for document in resource.DOCUMENTS]

ANYWHERE = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
"""The problems that every operation can answer with."""

INDEX_SECONDS = 600
"""How long a start may take to build the indexes that are missing."""

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
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current = settings or Settings.read()
        async with _watched(app, current, meters), open_deployment(current) as database:
            for name in Settings.unknown_variables():
                logger.warning("%s is no setting; is it mistyped?", name)
            await prepare(database)
            _end_with_parent()
            if pending := await migrate.pending(database):
                logger.warning("Pending migrations: %s. Run `students-api migrate`.", ", ".join(pending))
            app.state.database = database
            yield

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
            "exclude": lambda _scope: not app.state.is_traced,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
        },
    )
    app.state.is_traced = False
    app.add_middleware(OptionalSlash, collections=frozenset(resource.router.prefix for resource in RESOURCES))
    app.add_middleware(AccessLog, meters=meters)
    app.add_middleware(Head)
    app.add_middleware(RequestId)  # the last one added is the first to be asked
    answer_with_problems(app)
    for resource in RESOURCES:
        app.include_router(resource.router, responses=responses(*ANYWHERE))
    app.include_router(health.router)
    documentation.add_documentation(app)
    describe(app)
    return app


@asynccontextmanager
async def _watched(app: FastAPI, settings: Settings, meters: list[Meter]) -> AsyncIterator[None]:
    """With what the settings turn on, and nothing else is imported; before there is a client of the database."""
    with ExitStack() as stack:
        if settings.metrics:
            from students_api import metrics  # noqa: PLC0415

            app.include_router(metrics.router)
            meters.append(metrics)
        if settings.telemetry:
            from students_api import telemetry  # noqa: PLC0415

            stack.enter_context(telemetry.exported())
            app.state.is_traced = True
        yield


async def prepare(database: Database) -> None:
    """Bind the documents to the database, and build the indexes that they declare and it lacks.

    What somebody has stored or indexed can be in the way of an index; the service starts without it. Raises
    `StartUpError` where MongoDB refuses otherwise.
    """
    await init_beanie(database, document_models=[*DOCUMENTS], skip_indexes=True)
    try:
        with time_limit(INDEX_SECONDS):
            obstacles = [words for document in DOCUMENTS for words in await create_indexes(document)]
    except CommandError as error:
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
