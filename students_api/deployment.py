"""Where MongoDB is: the deployment that `MONGODB_URL` names, or a local one of the service's own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

from students_api.database import Database, open_database
from students_api.settings import Settings


@contextmanager
def deployment(settings: Settings) -> Iterator[str]:
    """The URL of the deployment. Where that is a local mongod, it runs for as long as the context lasts.

    Raises `StartUpError` where there is no mongod, or it does not come up.
    """
    if settings.mongodb_url is not None:
        yield settings.mongodb_url.get_secret_value()
        return

    from students_api.mongod import LocalMongod  # noqa: PLC0415  # needs POSIX; MONGODB_URL does not

    with LocalMongod(settings.data_dir, settings.mongod) as url:
        yield url


@asynccontextmanager
async def open_deployment(settings: Settings) -> AsyncIterator[Database]:
    """The service's database, whether or not it answers.

    Raises `StartUpError` where there is no usable MongoDB.
    """
    listeners: list[object] = []
    if settings.metrics:
        from students_api.metrics import LISTENERS  # noqa: PLC0415  # it takes long, and most do without

        listeners += LISTENERS
    with ExitStack() as stack:
        url = await asyncio.to_thread(stack.enter_context, deployment(settings))
        async with open_database(url, settings, listeners) as database:
            yield database
