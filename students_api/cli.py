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

# What needs FastAPI or Beanie is imported inside the commands: it would make `--help` take half a second.
if TYPE_CHECKING:
    from students_api.settings import Settings

APP = "students_api.main:app"
WRONG = 1
NOT_STARTED = 3
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which the workers keep their metrics. The client for Prometheus reads it when it is imported."""

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
    """What comes before a command."""


@contextmanager
def _starting() -> Iterator["Settings"]:
    """The settings. Whatever keeps the service from starting becomes a line on standard error and exit code 3."""
    from students_api.database import DatabaseError, failure
    from students_api.settings import Settings, StartUpError

    try:
        yield Settings.read()
    except (StartUpError, DatabaseError) as error:
        words = failure(error) if isinstance(error, DatabaseError) else error
        typer.echo(f"students-api: {words}", err=True)
        raise typer.Exit(NOT_STARTED) from error


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="How many processes.")] = 1,
    pin: Annotated[bool, typer.Option(help="Whether as many workers as cores have one each (Linux).")] = True,
    reload: Annotated[bool, typer.Option("--reload", help="Start again whenever a source file changes.")] = False,
) -> None:
    """Run the service, with a local MongoDB of its own where MONGODB_URL is not set."""
    import uvicorn
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    from students_api.database import DatabaseError, failure, is_unavailable, open_database
    from students_api.deployment import deployment
    from students_api.limits import INCOMPLETE_SECONDS
    from students_api.logs import configuration
    from students_api.main import logger, prepare
    from students_api.workers import PinnedWorkers, let_the_loop_run

    if reload and workers > 1:
        raise typer.BadParameter("it takes one worker", param_hint="--reload")
    # uvicorn stops gracefully and then repeats the signal, which by default would end this process before its mongod.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())

    async def try_out(url: str) -> None:
        async with open_database(url, settings) as database:
            try:
                await prepare(database)
            except DatabaseError as error:
                if not is_unavailable(error):
                    raise
                logger.warning("%s The service starts all the same, and keeps trying.", failure(error))

    with _starting() as settings, ExitStack() as stack:
        log = configuration(settings.log_format, settings.log_level)
        logging.config.dictConfig(log)  # as uvicorn will; the local MongoDB starts before it
        url = stack.enter_context(deployment(settings))
        # Before uvicorn: it would tell of a database that cannot be used with a stack trace, and each worker once.
        asyncio.run(try_out(url))
        if settings.metrics and workers > 1 and METRICS_FOLDER not in os.environ:
            prefix = "students-api-metrics-"
            os.environ[METRICS_FOLDER] = stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
        options: dict[str, Any] = {
            "host": host,
            "port": port,
            "workers": workers,
            "reload": reload,
            "http": "students_api.server:HttpProtocol",  # the class itself would be a second's imports before a pong
            "ws": "none",
            # By then each request has had an answer: its client was too slow, or the service was.
            "timeout_graceful_shutdown": math.ceil(INCOMPLETE_SECONDS + settings.deadline_seconds) + 1,
            "log_config": log,
            "access_log": False,  # the service has its own
        }
        if reload:
            os.environ["STUDENTS_API_STOP_DELAY_SECONDS"] = "0"  # a developer waits for it
        let_the_loop_run()
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
    backward: Annotated[bool, typer.Option("--backward", help="Take migrations back instead.")] = False,
    distance: Annotated[int, typer.Option(min=0, help="How many migrations; 0 is all of them.")] = 0,
    status: Annotated[bool, typer.Option("--status", help="Only say which have run and which are pending.")] = False,
) -> None:
    """Bring the stored documents to the form that this version of the service writes."""
    from students_api import migrate
    from students_api.database import connect
    from students_api.deployment import open_deployment

    async def run() -> None:
        async with open_deployment(settings) as database:
            await connect(database)
            if not status:
                await migrate.run(database, backward=backward, distance=distance)
            pending = await migrate.pending(database)
            for name in migrate.names():
                typer.echo(f"{'pending' if name in pending else 'applied'}  {name}")

    with _starting() as settings:
        asyncio.run(run())


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of the API."""
    from students_api.main import app

    typer.echo(json.dumps(app.openapi(), indent=2))


@app.command()
def check() -> None:
    """Look at the settings, the database and every stored document; exit code 1 if anything is wrong."""
    from students_api.check import Finding, check_database, check_settings
    from students_api.database import DatabaseError, connect, failure
    from students_api.deployment import open_deployment
    from students_api.main import DOCUMENTS
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
                async for finding in check_database(database, DOCUMENTS):
                    yield finding
        except StartUpError as error:
            yield Finding(False, f"connection: {error}")
        except DatabaseError as error:
            yield Finding(False, f"connection: {failure(error)}")

    async def report() -> bool:
        ok = True
        async for finding in findings():
            typer.echo(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.text}")
            ok &= finding.ok
        return ok

    if not asyncio.run(report()):
        raise typer.Exit(WRONG)
