"""The application: its resources, its middleware, its lifespan, put together. `students_api.main:app` is what runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Any

from beanie import Document, View
from fastapi import FastAPI

from students_api import __version__
from students_api.http import documentation
from students_api.http.exception_handlers import register_exception_handlers
from students_api.http.limits import RequestLimitsMiddleware
from students_api.http.middleware import HeadMiddleware, OptionalSlashMiddleware, RequestIdMiddleware
from students_api.http.problems import problem_responses
from students_api.mongodb.deployment import open_deployment
from students_api.mongodb.driver import Database
from students_api.odm.documents import resolve_links
from students_api.operations import health
from students_api.operations.access_log import AccessLogMiddleware, Meter
from students_api.operations.lifespan import drain, init_database_with_retry, observability, stop_with_parent
from students_api.resources.openapi import extend_openapi
from students_api.resources.routing import Resource, include_resource
from students_api.settings import Settings
from students_api.students import routes as students
from students_api.students.student import Student

logger = logging.getLogger("students_api")

RESOURCES = [
    Resource(
        students.router,
        documents=[Student],
        description="The students of a college.",
    ),
]

MODELS: list[type[Document | View]] = [
    *(document for resource in RESOURCES for document in resource.documents),
    *(view for resource in RESOURCES for view in resource.views),
]
"""What Beanie initializes: the documents of all resources, and views of them."""

resolve_links(MODELS)

COMMON_ERRORS = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
"""The problems with which every operation can answer."""

DESCRIPTION = """
The records of students: create, list, get, update and delete them.

Every error is answered as problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
"""


def create_app(
    settings: Settings | None = None,
    open_deployment: Callable[[Settings, Sequence[Any]], AbstractAsyncContextManager[Database]] = open_deployment,
) -> FastAPI:
    """The ASGI application.

    `settings` are read from the environment at the start where none are given. `open_deployment` is the seam for
    another database: called with the settings and the driver's event listeners, it yields the one to use until the
    application stops.
    """
    meters: list[Meter] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        state = app.state
        state.settings = settings or Settings.read()
        state.database_slots = asyncio.Semaphore(state.settings.pool_size)
        state.stopping = asyncio.Event()
        state.is_ready = False
        for name in Settings.unknown_variables():
            logger.warning("%s is not a setting; is it mistyped?", name)
        with observability(app, meters) as listeners:
            async with (
                open_deployment(state.settings, listeners) as state.database,
                init_database_with_retry(app, MODELS),
            ):
                stop_with_parent()
                with drain(state.stopping, state.settings.stop_delay_seconds):
                    yield {"stopping": state.stopping, "routes": app.routes}

    app = FastAPI(
        title="Students API",
        version=__version__,
        summary="A REST API for student records.",
        description=DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[{"name": resource.router.tags[0], "description": resource.description} for resource in RESOURCES],
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        # FastAPI's own logs would have the messages of exceptions, and with them personal data.
        telemetry={
            "exclude": lambda _scope: not app.state.settings.telemetry,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
        },
    )
    app.state.settings = settings or Settings.model_construct()  # the defaults, until the application starts
    app.add_middleware(OptionalSlashMiddleware)
    app.add_middleware(RequestLimitsMiddleware)
    app.add_middleware(AccessLogMiddleware, meters=meters)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(RequestIdMiddleware)  # the last one added is the outermost
    register_exception_handlers(app)
    for resource in RESOURCES:
        include_resource(app, resource.router, problem_responses(*COMMON_ERRORS))
    app.include_router(health.router)
    documentation.add_documentation(app)
    extend_openapi(app, {str(resource.router.tags[0]): resource.documents[0] for resource in RESOURCES})
    return app


app = create_app()
