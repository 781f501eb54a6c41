"""What the tests share: the two databases, a client for the application, and the service as a process of its own."""

import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from beanie import View, init_beanie
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from students_api.main import MODELS, create_app
from students_api.mongodb.client import open_database
from students_api.mongodb.driver import ON_MOTOR, Database
from students_api.mongodb.local_mongod import LocalMongod, find_mongod
from students_api.odm.indexes import create_indexes, missing_indexes
from students_api.operations.lifespan import documents_in
from students_api.settings import Settings, StartUpError
from tests.resources import NO_ID, RESOURCES, STUDENTS, Resource
from tests.service import Service

# The declared examples, so that a field that a school adds is in every test from the start.
JANE: dict[str, Any] = STUDENTS.body
STORED_JANE = {name: value for name, value in STUDENTS.stored(JANE).items() if value is not None}
"""As another program stores her."""

NO_STUDENT = NO_ID

ON_CI = os.environ.get("CI") == "true"

SHARED_URL, SHARED_DATABASE = "TESTS_MONGODB_URL", "TESTS_MONGODB_DATABASE"


def cannot_run(reason: str) -> None:
    """Skip, loudly; where everything has to be there, fail."""
    if ON_CI:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the developer's shell has set, a test begins without settings."""
    for name in os.environ:
        if name.startswith(("STUDENTS_API_", "MONGODB_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def mongod_program() -> Path:
    try:
        return find_mongod(None)
    except StartUpError as error:
        cannot_run(str(error))
        raise


@pytest.fixture(scope="session")
def mongodb_url(mongod_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real mongod of the tests; those in a recipe's copy have a database of their own on the one of the others."""
    if SHARED_URL in os.environ:
        yield os.environ[SHARED_URL]
        return
    with LocalMongod(tmp_path_factory.mktemp("mongodb"), mongod_program) as url:
        yield url


@pytest.fixture(scope="session")
async def shared_database(mongodb_url: str) -> AsyncIterator[Database]:
    """The connections that the tests share; take `real_database`."""
    # The event loop stands still while a test without one runs. A driver that waits on it for MongoDB's next word would
    # take MongoDB for gone, and cancel what it is asked then; PyMongo Async does, so it asks once a while instead.
    url = f"{mongodb_url}&serverMonitoringMode=poll"
    own = {"pool_size": 8, "mongodb_database": os.environ.get(SHARED_DATABASE, Settings().mongodb_database)}
    async with open_database(url, Settings().model_copy(update=own)) as database:
        yield database


async def emptied(database: Database) -> Database:
    """The database, with nothing in its collections."""
    stored = {"type": "collection", "name": {"$not": {"$regex": "^system\\."}}}
    for name in await database.list_collection_names(filter=stored):
        # Which takes less time than to drop it and to build its indexes again.
        await database[name].delete_many({})
    return database


@pytest.fixture
async def real_database(shared_database: Database) -> Database:
    """An empty database on a real mongod."""
    return await emptied(shared_database)


def in_memory() -> Database:
    """An empty database in memory."""
    from mongomock_motor import AsyncMongoMockClient  # noqa: PLC0415  # it imports Motor, which Beanie 2 goes without

    database: Any = AsyncMongoMockClient(tz_aware=True)["college"]
    names = database.list_collection_names

    async def with_views(**_: object) -> list[str]:
        """Without the options, which mongomock does not take; it has no views, and Beanie makes none that are there."""
        return [*await names(), *(view.get_settings().name for view in MODELS if issubclass(view, View))]

    database.list_collection_names = with_views
    return cast("Database", database)


@pytest.fixture(scope="session")
def shared_mock_database() -> Database:
    """The database in memory that the tests share; take `mock_database`."""
    return in_memory()


@pytest.fixture
async def mock_database(shared_mock_database: Database) -> Database:
    """An empty database in memory."""
    return await emptied(shared_mock_database)


@pytest.fixture(params=["mongomock", pytest.param("mongod", marks=pytest.mark.mongod)])
def where(request: pytest.FixtureRequest) -> str:
    """The MongoDB that a test runs on: in memory first, then a real one."""
    return cast("str", request.param)


@pytest.fixture
def database(request: pytest.FixtureRequest, where: str) -> Database:
    """An empty database, in memory first and then on a real mongod."""
    return cast("Database", request.getfixturevalue("mock_database" if where == "mongomock" else "real_database"))


def logging_exceptions(app: ASGIApp) -> ASGIApp:
    """The application, with its exceptions logged as uvicorn does: pytest shows the traceback where a test fails."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
            raise

    return logged


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application, which runs in this process. To the client an exception is a 500."""
    transport = httpx2.ASGITransport(logging_exceptions(app), raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service") as client,
    ):
        yield client


def client_of(database: Database) -> AbstractAsyncContextManager[httpx2.AsyncClient]:
    """A client of the application on this database."""
    return running(create_app(Settings(), open_deployment=lambda *_: nullcontext(database)))


@pytest.fixture(scope="session")
async def shared_client(shared_database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """The application that the tests share, as its start takes longer than most of them; take `real_client`."""
    async with client_of(shared_database) as client:
        yield client


@pytest.fixture(scope="session")
async def shared_mock_client(shared_mock_database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """The same in memory; take `mock_client`."""
    async with client_of(shared_mock_database) as client:
        yield client


async def begin_anew(database: Database) -> None:
    """As the application's start did: another test may have bound the documents elsewhere, or dropped an index."""
    await init_beanie(database, document_models=[*MODELS], skip_indexes=True)
    for document in documents_in(MODELS):
        if await missing_indexes(document):
            await create_indexes(document)


@pytest.fixture
async def real_client(shared_client: httpx2.AsyncClient, real_database: Database) -> httpx2.AsyncClient:
    """A client of the application on an empty database of a real mongod."""
    await begin_anew(real_database)
    return shared_client


@pytest.fixture
async def mock_client(shared_mock_client: httpx2.AsyncClient, mock_database: Database) -> httpx2.AsyncClient:
    """A client of the application on an empty database in memory."""
    await begin_anew(mock_database)
    return shared_mock_client


@pytest.fixture
def client(request: pytest.FixtureRequest, where: str) -> httpx2.AsyncClient:
    """A client of the application on an empty database, in memory first and then on a real mongod."""
    name = "mock_client" if where == "mongomock" else "real_client"
    return cast("httpx2.AsyncClient", request.getfixturevalue(name))


@pytest.fixture(params=RESOURCES, ids=str)
def resource(request: pytest.FixtureRequest) -> Resource:
    """Each resource of the service: what states the contract of any of them takes this."""
    return cast("Resource", request.param)


async def create(client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Store a document, and return it as the service answered it."""
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


@pytest.fixture
async def item(client: httpx2.AsyncClient, resource: Resource) -> dict[str, Any]:
    """A stored one of the resource, as the service answered it."""
    return await create(client, resource.path, resource.body)


@pytest.fixture
async def items(client: httpx2.AsyncClient, resource: Resource) -> list[dict[str, Any]]:
    """Several of them, in the order of their creation."""
    return [await create(client, resource.path, body) for body in resource.bodies(6)]


@pytest.fixture
async def jane(client: httpx2.AsyncClient) -> dict[str, Any]:
    """A stored student, as the service answered it."""
    return await create(client, "/students/", JANE)


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts `students-api serve` as a process of its own; the test's folder is its working directory."""
    with ExitStack() as stack:

        def start(*arguments: str, wait: bool = True, **environment: str) -> Service:
            service = stack.enter_context(Service(tmp_path, arguments, environment))
            if wait:
                service.wait_until_ready()
            return service

        yield start


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="run the whole suite in each recipe's copy")
    parser.addoption("--screenshots", metavar="FOLDER", help="where the browser tests keep their screenshots")
    parser.addoption(
        "--examples", metavar="COUNT", type=int, default=30, help="how many schemathesis tries of each operation"
    )


def pytest_configure(config: pytest.Config) -> None:
    """PyMongo Async leaves the socket of a connection that is cancelled while it is made to the garbage collector.

    Known as https://jira.mongodb.org/browse/PYTHON-5867; a request whose time is over can be in the middle of one.
    """
    if not ON_MOTOR:
        config.addinivalue_line("filterwarnings", "ignore:unclosed (<socket|transport):ResourceWarning")


ONE_BY_ONE = {"test_cli", "test_clients", "test_local_mongod", "test_recipes", "test_service"}
"""The files whose tests take long and share no fixture: each of these tests can run on another core."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile` the others go by file, so that each fixture of a file is made once."""
    from xdist.scheduler import (  # type: ignore[import-untyped]  # noqa: PLC0415  # untyped; not there without xdist
        LoadFileScheduling,
    )

    class ByFile(LoadFileScheduling):  # type: ignore[misc]  # as above
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return nodeid if Path(file).stem in ONE_BY_ONE else file

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More than cores: many tests wait for a time limit, or for a process to start."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with the largest share of slow tests come first, so that no worker has one of them left at the end."""
    tests = Counter(item.path for item in items)
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path] / tests[item.path])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran on a real mongod: that they are many is part of what a green run means."""
    passed = terminalreporter.stats.get("passed", [])
    on_mongod = sum("mongod" in report.keywords for report in passed)
    terminalreporter.write_line(f"{on_mongod} of {len(passed)} tests ran on a real mongod")
