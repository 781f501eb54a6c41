"""Scheduling of the service's processes: batch scheduling and CPU affinity, on Linux; elsewhere nothing happens."""

import os
from contextlib import suppress
from pathlib import Path

from uvicorn.supervisors import Multiprocess


def use_batch_scheduling() -> None:
    """Use Linux's `SCHED_BATCH`: a driver's thread that wakes up does not preempt the event loop.

    Motor reads replies in threads. Each would otherwise preempt the event loop when its reply comes, only to wait for
    the GIL, which the loop holds. Processes that are started later inherit it. See sched(7).
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class PinnedWorkers(Multiprocess):
    """uvicorn's supervisor, which pins each worker to a core if there are as many workers as cores.

    Only one of a worker's threads runs at a time. On one core its data stays in that core's caches, and no thread waits
    for another core to wake up. With more cores than workers the kernel chooses better.
    """

    def init_processes(self) -> None:
        """Start the workers, and pin them."""
        super().init_processes()
        self._pin()

    def keep_subprocess_alive(self) -> None:
        """Replace workers that died, and pin their successors; uvicorn calls it twice a second."""
        super().keep_subprocess_alive()
        self._pin()

    def _pin(self) -> None:
        if not hasattr(os, "sched_setaffinity"):
            return
        cores = sorted(os.sched_getaffinity(0))
        if len(self.processes) != len(cores):
            return
        for core, process in zip(cores, self.processes, strict=True):
            with suppress(OSError):  # it has ended meanwhile
                for thread in Path(f"/proc/{process.pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {core})
