"""Event listeners of the driver, from which the metrics are made."""

from collections.abc import Callable
from typing import Any

from pymongo import monitoring


class CommandListener(monitoring.CommandListener):
    """Calls `finished` after each command, with its name, its outcome (`ok` or `error`) and its duration in seconds.

    With Motor the calls come from the threads of its pool, several at once.
    """

    def __init__(self, finished: Callable[[str, str, float], None]) -> None:
        self.finished = finished

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Nothing to count yet."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Report the command as `ok`."""
        self.finished(event.command_name, "ok", event.duration_micros / 1e6)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Report the command as `error`."""
        self.finished(event.command_name, "error", event.duration_micros / 1e6)


class PoolListener(monitoring.ConnectionPoolListener):
    """Calls `opened` with 1 or -1 as a connection of the pool is opened or closed, `used` as one is checked out or in.

    With Motor the calls come from the threads of its pool, several at once.
    """

    def __init__(self, opened: Callable[[int], None], used: Callable[[int], None]) -> None:
        self.opened, self.used = opened, used

    def connection_created(self, _event: monitoring.ConnectionCreatedEvent) -> None:
        """Count an open connection."""
        self.opened(1)

    def connection_closed(self, _event: monitoring.ConnectionClosedEvent) -> None:
        """Count one open connection less."""
        self.opened(-1)

    def connection_checked_out(self, _event: monitoring.ConnectionCheckedOutEvent) -> None:
        """Count a connection in use."""
        self.used(1)

    def connection_checked_in(self, _event: monitoring.ConnectionCheckedInEvent) -> None:
        """Count one connection in use less."""
        self.used(-1)

    def _ignore(self, event: Any) -> None:
        pass

    pool_created = pool_ready = pool_cleared = pool_closed = _ignore
    connection_ready = connection_check_out_started = connection_check_out_failed = _ignore
