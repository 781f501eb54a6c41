"""The application: what is put together to make the service, and what happens when it starts and stops."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from beanie import Document, init_beanie
from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from students_api import __version__, documentation, health, migrate
from students_api.database import Database, time_limit
from students_api.deployment import open_deployment
from students_api.problems import answer_with_problems
from students_api.settings import Settings
from students_api.students.routes import router as students
from students_api.students.student import Student

logger = logging.getLogger("students_api")

DOCUMENTS: list[type[Document]] = [Student]
RESOURCES: list[APIRouter] = [students]

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

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_deployment(settings or Settings()) as database:
            for name in Settings.unknown_variables():
                logger.warning("%s is no setting; is it mistyped?", name)
            with time_limit(INDEX_SECONDS):
                await init_beanie(database, document_models=[*DOCUMENTS])
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
        openapi_tags=[{"name": "students", "description": "The students, one resource each."}],
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.add_middleware(OptionalSlash, collections=frozenset(router.prefix for router in RESOURCES))
    answer_with_problems(app)
    for router in RESOURCES:
        app.include_router(router)
    app.include_router(health.router)
    documentation.add_documentation(app)
    return app


class OptionalSlash:
    """The same answer with and without a slash at the end of the path; Starlette would redirect, and trust `Host`."""

    def __init__(self, app: ASGIApp, collections: frozenset[str]) -> None:
        self.app = app
        self.collections = collections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI has it."""
        if scope["type"] == "http":
            root, path = scope.get("root_path", ""), scope["path"]
            path = path.removeprefix(root).removesuffix("/")
            scope["path"] = root + path + ("/" if path in self.collections or not path else "")
        await self.app(scope, receive, send)


app = create_app()
