"""How the service's processes share the processor. Linux alone can do this; elsewhere nothing happens."""

import os
from contextlib import suppress
from pathlib import Path

from uvicorn.supervisors import Multiprocess


def let_the_loop_run() -> None:
    """Have no thread interrupt another of the process, nor of those that it starts from now on.

    Motor's threads take the database's answers. Each would otherwise interrupt the event loop when its answer comes,
    only to wait for Python's lock, which the loop has (`SCHED_BATCH` in sched(7)).
    """
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class PinnedWorkers(Multiprocess):
    """uvicorn's workers, each held to a core of its own, where they are to use all the cores that they may use.

    Of a worker's threads one runs at a time. On one core its data stay in that core's caches, and no thread waits for
    another core to wake up. Where there are more cores than workers, others may be about to choose the same ones.
    """

    def init_processes(self) -> None:
        """As uvicorn has it."""
        super().init_processes()
        self._pin()

    def keep_subprocess_alive(self) -> None:
        """As uvicorn has it: twice a second, and a worker that died has a successor in its place."""
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
