"""Stopping without a failed request: on SIGTERM the service says that it is about to stop, and goes on for a while."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def linger(stopping: asyncio.Event, seconds: float) -> Iterator[None]:
    """Have the first SIGTERM set `stopping`, and reach the server only `seconds` later.

    Load balancers need that time to see that the service is not ready. Ctrl-C stops it at once; another SIGTERM does
    not, for a worker can get one from its parent and one from the system.
    """
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop):  # no server has asked for the signal
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
