"""Where MongoDB is: the deployment that `MONGODB_URL` names, or else a local mongod that the service runs itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

from students_api.mongodb.client import open_database
from students_api.mongodb.driver import Database
from students_api.settings import Settings


@contextmanager
def mongodb_url(settings: Settings) -> Iterator[str]:
    """The connection string of the deployment; a local mongod runs until the exit.

    Raises `StartUpError` where no mongod is found, or it does not start.
    """
    if settings.mongodb_url is not None:
        yield settings.mongodb_url.get_secret_value()
        return

    from students_api.mongodb.local_mongod import LocalMongod  # noqa: PLC0415  # needs POSIX; MONGODB_URL does not

    with LocalMongod(settings.data_dir, settings.mongod) as url:
        yield url


@asynccontextmanager
async def open_deployment(settings: Settings, listeners: Sequence[Any] = ()) -> AsyncIterator[Database]:
    """The service's database, whether or not it answers yet; `listeners` are the driver's event listeners.

    Raises `StartUpError` where there is no usable MongoDB.
    """
    with ExitStack() as stack:
        url = await asyncio.to_thread(stack.enter_context, mongodb_url(settings))
        async with open_database(url, settings, listeners) as database:
            yield database
