"""The command `students-api`.

Exit codes: 0 done, 1 something is wrong, 2 wrong usage, 3 the service or its database did not start.
"""

import asyncio
import json
import logging.config
import math
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from students_api import __version__

# What imports FastAPI or Beanie is imported inside the commands, or `--help` would take half a second.
if TYPE_CHECKING:
    from students_api.settings import Settings


APP = "students_api.main:app"
WRONG = 1
NOT_STARTED = 3

METRICS_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the folder in which workers keep their metrics. prometheus-client reads it at its import."""

app = typer.Typer(
    help="Students API: a REST API for student records on MongoDB.",
    epilog="Exit codes: 0 done, 1 something is wrong, 2 wrong usage, 3 the service or its database did not start.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"students-api {__version__}")
        raise typer.Exit


@app.callback()
def students_api(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before a command."""


@contextmanager
def _settings_or_exit() -> Iterator["Settings"]:
    """Yields the settings. An error that keeps the service from starting becomes a line on stderr and exit code 3."""
    from pymongo.errors import PyMongoError

    from students_api.mongodb.errors import operator_message
    from students_api.settings import Settings, StartUpError

    try:
        yield Settings.read()
    except (StartUpError, PyMongoError) as error:
        message = operator_message(error) if isinstance(error, PyMongoError) else error
        typer.echo(f"students-api: {message}", err=True)
        raise typer.Exit(NOT_STARTED) from error


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="How many processes.")] = 1,
    pin: Annotated[
        bool, typer.Option(help="Pin each worker to a core if there are as many workers as cores (Linux).")
    ] = True,
    reload: Annotated[bool, typer.Option("--reload", help="Start again whenever a source file changes.")] = False,
) -> None:
    """Run the service, with a local MongoDB of its own where MONGODB_URL is not set."""
    if reload and workers > 1:
        raise typer.BadParameter("works with one worker only", param_hint="--reload")
    with _settings_or_exit() as settings:
        _serve(settings, {"host": host, "port": port, "workers": workers, "reload": reload}, pin=pin)


def _serve(settings: "Settings", options: dict[str, Any], *, pin: bool) -> None:
    """Run uvicorn with these options and the service's own, until it is told to stop."""
    import uvicorn
    from pymongo.errors import PyMongoError
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    from students_api.http.limits import READ_TIMEOUT_SECONDS
    from students_api.main import MODELS, logger
    from students_api.mongodb.client import open_database
    from students_api.mongodb.deployment import mongodb_url
    from students_api.mongodb.errors import is_unavailable, operator_message
    from students_api.operations.lifespan import init_database
    from students_api.operations.logs import logging_config
    from students_api.operations.workers import PinnedWorkers, use_batch_scheduling

    # uvicorn repeats the signal after its graceful shutdown, which by default ends this process before its mongod.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())

    async def try_database(url: str) -> None:
        async with open_database(url, settings) as database:
            try:
                await init_database(database, MODELS)
            except PyMongoError as error:
                if not is_unavailable(error):
                    raise
                logger.warning("%s The service starts anyway, and retries.", operator_message(error))

    with ExitStack() as stack:
        log = logging_config(settings.log_format, settings.log_level)
        logging.config.dictConfig(log)  # as uvicorn does, but the local MongoDB starts before that
        url = stack.enter_context(mongodb_url(settings))
        # Before uvicorn, which logs an unusable database with a stack trace, once for each worker.
        asyncio.run(try_database(url))
        workers = options["workers"]
        if settings.metrics and workers > 1 and METRICS_FOLDER_VARIABLE not in os.environ:
            prefix = "students-api-metrics-"
            os.environ[METRICS_FOLDER_VARIABLE] = stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
        options |= {
            "http": "students_api.http.protocol:HttpProtocol",  # by its name: workers import it, a supervisor never
            "ws": "none",  # the protocol of HTTP has it for routes that are WebSockets
            "ws_max_size": settings.max_body_bytes,
            # Long enough for a request's read timeout, then its deadline.
            "timeout_graceful_shutdown": math.ceil(READ_TIMEOUT_SECONDS + settings.deadline_seconds) + 1,
            "log_config": log,
            "access_log": False,  # the service has its own
        }
        if options["reload"]:
            os.environ["STUDENTS_API_STOP_DELAY_SECONDS"] = "0"  # a developer waits for each restart
        use_batch_scheduling()
        if workers == 1:
            uvicorn.run(APP, **options)
        else:
            config = uvicorn.Config(APP, **options)
            supervisor = (PinnedWorkers if pin else Multiprocess)(config, sockets=[config.bind_socket()])
            supervisor.run()
            if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
                raise typer.Exit(NOT_STARTED)


@app.command()
def migrate(
    backward: Annotated[bool, typer.Option("--backward", help="Roll migrations back instead.")] = False,
    distance: Annotated[int, typer.Option(min=0, help="How many migrations to run; 0 is all of them.")] = 0,
    status: Annotated[bool, typer.Option("--status", help="Only show which have run and which are pending.")] = False,
) -> None:
    """Run the migrations: bring stored documents to the form that this version writes."""
    from students_api.mongodb.client import connect
    from students_api.mongodb.deployment import open_deployment
    from students_api.odm import migrations

    async def run() -> None:
        async with open_deployment(settings) as database:
            await connect(database)
            if not status:
                await migrations.run(database, backward=backward, distance=distance)
            pending = await migrations.pending(database)
            for name in migrations.names():
                typer.echo(f"{'pending' if name in pending else 'applied'}  {name}")

    with _settings_or_exit() as settings:
        asyncio.run(run())


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the API."""
    from students_api.main import app

    typer.echo(json.dumps(app.openapi(), indent=2))


@app.command()
def check() -> None:
    """Check the settings, the database and every stored document; exit code 1 if anything is wrong."""
    from pymongo.errors import PyMongoError

    from students_api.main import MODELS
    from students_api.mongodb.client import connect
    from students_api.mongodb.deployment import open_deployment
    from students_api.mongodb.errors import operator_message
    from students_api.operations.check import Finding, check_database, check_settings
    from students_api.operations.lifespan import documents_in
    from students_api.settings import Settings, StartUpError

    async def findings() -> AsyncIterator[Finding]:
        try:
            settings = Settings.read()
        except StartUpError as error:
            yield Finding(False, f"settings: {error}")
            return
        for finding in check_settings():
            yield finding
        try:
            async with open_deployment(settings) as database:
                await connect(database)
                async for finding in check_database(database, documents_in(MODELS)):
                    yield finding
        except StartUpError as error:
            yield Finding(False, f"connection: {error}")
        except PyMongoError as error:
            yield Finding(False, f"connection: {operator_message(error)}")

    async def report() -> bool:
        ok = True
        async for finding in findings():
            typer.echo(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.text}")
            ok &= finding.ok
        return ok

    if not asyncio.run(report()):
        raise typer.Exit(WRONG)
