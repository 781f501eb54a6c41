"""What the service withstands: `python -m benchmarks.resilience [silence] [stop] [gone] [killed] [memory]`.

The service runs as a process, on a mongod that this program starts, hangs and kills. Prints a row for each bound. Needs
Linux, and takes about eight minutes for all.
"""

import asyncio
import random
import resource
import signal
import statistics
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks._load import (
    Client,
    Mongod,
    apart,
    balance,
    be_silent,
    clients,
    kib,
    paced,
    probe,
    send_mixed,
    stop_after,
    without_pause,
)
from students_api.http.limits import READ_TIMEOUT_SECONDS
from students_api.settings import Settings
from tests.service import MAX_KIB, Service

DEADLINE, STOP_DELAY = (Settings.model_fields[name].default for name in ("deadline_seconds", "stop_delay_seconds"))
ROUNDS = 3
MAX_P99 = 3.0
STOP_MARGIN = 5.0
ANSWER_MARGIN = 0.5
MAX_LIVEZ = 0.1
READY_SECONDS = 5.0
GONE_SECONDS = 15.0


class Row(NamedTuple):
    """A bound, and what was measured."""

    bound: str
    measured: str
    kept: bool


class Bounds:
    """The measurements, each of which adds its rows."""

    def __init__(self, folder: Path, mongod: Mongod) -> None:
        self.folder, self.mongod = folder, mongod
        self.rows: list[Row] = []
        self.peaks: list[int] = []

    def add(self, bound: str, measured: str, *, kept: bool) -> None:
        """Print a row."""
        self.rows.append(Row(bound, measured, kept))
        print(f"| {bound} | {measured} | {'kept' if kept else 'not kept'} |", flush=True)

    @contextmanager
    def service(self, database: str, *arguments: str, **settings: str) -> Iterator[Service]:
        """The service, as an operator starts it."""
        settings = {"MONGODB_URL": self.mongod.url, "MONGODB_DATABASE": database} | settings
        settings = {"STUDENTS_API_STOP_DELAY_SECONDS": str(STOP_DELAY)} | settings
        with Service(self.folder, arguments, settings) as service:
            service.wait_until_ready()
            yield service
            self.look_at_memory(service)

    def look_at_memory(self, service: Service) -> None:
        """Note the most that the service and its workers have had."""
        children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
        for pid in [str(service.process.pid), *(children.read_text().split() if children.exists() else [])]:
            self.peaks.append(kib(pid, "VmHWM"))

    async def silence(self) -> None:
        """1000 connections that send half a request."""
        quiet: list[float] = []
        silent: list[float] = []
        closed: list[tuple[int, float]] = []
        with self.service("silence") as service:
            async with clients(service, 8) as found:
                for _ in range(ROUNDS):
                    await paced(found, Client.get, 200, stop_after(READ_TIMEOUT_SECONDS + 7))
                    quiet += times(found)
                    with apart(be_silent, service.port, 1000) as answers:
                        await paced(found, Client.get, 200, stop_after(READ_TIMEOUT_SECONDS + 7))
                    silent += times(found)
                    closed += answers
        seconds = [kept for _, kept in closed]
        ratio = percentile(silent) / percentile(quiet)
        figures = f"{ratio:.2f} ({1000 * percentile(silent):.1f} ms / {1000 * percentile(quiet):.1f} ms)"
        self.add("p99 beside 1,000 half-sent requests, over that without: at most 3", figures, kept=ratio <= MAX_P99)
        statuses = Counter(status for status, _ in closed)
        all_408 = statuses == {408: ROUNDS * 1000} and READ_TIMEOUT_SECONDS - 0.5 < min(seconds) <= max(seconds) < 12
        figures = f"{dict(statuses)} after {min(seconds):.1f} to {max(seconds):.1f} s"
        self.add("each of these is closed with 408 after 10 s", figures, kept=all_408)

    async def stop(self) -> None:
        """SIGTERM under 100 requests a second, until a load balancer sees that the service is not ready."""
        within = max(DEADLINE, READ_TIMEOUT_SECONDS) + STOP_MARGIN
        await self.stopped("1 worker", within=STOP_DELAY + STOP_MARGIN)
        await self.stopped("2 workers", "--workers", "2", within=STOP_DELAY + STOP_MARGIN)
        await self.stopped("200 requests half-sent", half_sent=200, within=within)
        await self.stopped("the database hangs", hung=True, within=within)
        await self.stopped("2 workers, the database hangs", "--workers", "2", hung=True, within=within)

    async def stopped(self, words: str, *arguments: str, within: float, half_sent: int = 0, hung: bool = False) -> None:
        """Stop the service some times."""
        codes, seconds, failed, sent = [], [], 0, 0
        for _ in range(ROUNDS):
            with self.service("stop", *arguments) as service:
                async with clients(service, 8) as found:
                    unready = asyncio.Event()
                    load = asyncio.gather(paced(found, Client.mixed, 100, unready), balance(service, unready))
                    await asyncio.sleep(1)
                    with apart(be_silent, service.port, half_sent) as halves:
                        await asyncio.sleep(1 + random.random())
                        if hung:
                            self.mongod.pause()
                            await asyncio.sleep(0.5)
                        self.look_at_memory(service)
                        start = time.monotonic()
                        service.process.send_signal(signal.SIGTERM)
                        await load
                        codes.append(await asyncio.to_thread(service.process.wait, 60))
                        seconds.append(time.monotonic() - start)
                        await self.mongod.come_back()
                    answers = [answer for client in found for answer in client.answers]
            failed += sum(status not in {0, 408} for status, _ in halves)
            sent += len(answers)
            failed += sum(not (each.status in {200, 201} or (hung and each.is_unavailable)) for each in answers)
        figures = f"{failed} of {sent:,} failed, exit codes {set(codes)}, after {max(seconds):.1f} s at most"
        kept = not failed and set(codes) == {0} and max(seconds) < within
        self.add(f"stop ({words}): none fails, exit code 0, within {within:.0f} s", figures, kept=kept)

    async def gone(self) -> None:
        """The database is killed, or hangs, under 60 clients."""
        measured = {
            f"{how}, deadline {deadline} s": await self.gone_once(how, deadline)
            for how in ("killed", "hung")
            for deadline in (DEADLINE, 3)
        }
        bounds = [
            ("every answer within the deadline + 0.5 s", "s"),
            ("failures that are not 503 with `Retry-After` in problem form: none", ""),
            ("`/livez` within 100 ms meanwhile", "ms"),
            ("`/livez` within 100 ms before and after, while the clients take what they get", "ms"),
            ("`/readyz` is 200 within 5 s of its return", "s"),
            ("acknowledged students lost, and students stored twice: none", ""),
        ]
        for number, (bound, unit) in enumerate(bounds):
            figures = "; ".join(f"{name}: {figure[number][0]} {unit}".strip() for name, figure in measured.items())
            kept = all(figure[number][1] for figure in measured.values())
            self.add(f"database gone for {GONE_SECONDS:.0f} s under 60 clients: {bound}", figures, kept=kept)

    async def gone_once(self, how: str, deadline: float) -> list[tuple[str, bool]]:
        """The figures, and whether each keeps its bound."""
        database = f"gone-{how}-{deadline:.0f}"
        with (
            self.service(database, STUDENTS_API_DEADLINE_SECONDS=str(deadline)) as service,
            apart(probe, service.port, "/livez") as lives,
            apart(probe, service.port, "/readyz") as readies,
        ):
            async with clients(service, 60) as found:
                stop = stop_after(3600)
                load = asyncio.gather(*(without_pause(client, stop) for client in found))
                await asyncio.sleep(4)
                gone = time.monotonic()
                {"killed": self.mongod.kill, "hung": self.mongod.pause}[how]()
                await asyncio.sleep(GONE_SECONDS)
                back = time.monotonic()
                await self.mongod.come_back()
                back = time.monotonic() if how == "killed" else back
                await asyncio.sleep(READY_SECONDS + 3)
                stop.set()
                await load
        answers = [answer for client in found for answer in client.answers]
        longest = max(answer.seconds for answer in answers)
        failures = [answer for answer in answers if answer.status not in {200, 201}]
        wrong = sum(not answer.is_unavailable for answer in failures)
        while_gone, busy = (
            max(seconds if status == 200 else 60 for at, seconds, status in lives if (gone < at < back) == part)
            for part in (True, False)
        )
        ready = min((at + seconds for at, seconds, status in readies if at + seconds > back and status == 200)) - back
        names = self.mongod.names(database)
        lost = sum(not names[name] for client in found for name in client.acknowledged)
        twice = sum(count > 1 for count in names.values())
        return [
            (f"{longest:.2f}", longest <= deadline + ANSWER_MARGIN),
            (f"{wrong} of {len(failures)}", not wrong),
            (f"{1000 * while_gone:.0f}", while_gone < MAX_LIVEZ),
            (f"{1000 * busy:.0f}", busy < MAX_LIVEZ),
            (f"{ready:.1f}", ready < READY_SECONDS),
            (f"{lost} and {twice} of {len(names):,}", not lost and not twice),
        ]

    async def killed(self) -> None:
        """Kill -9 of the service, 5 times, under 200 writes a second."""
        acknowledged: list[str] = []
        for _ in range(5):
            with self.service("killed") as service:
                async with clients(service, 16) as found:
                    stop = stop_after(3)
                    load = asyncio.create_task(paced(found, Client.create, 200, stop))
                    await asyncio.sleep(2 + random.random() / 2)
                    self.look_at_memory(service)
                    service.kill()
                    await load
                acknowledged += [name for client in found for name in client.acknowledged]
        names = self.mongod.names("killed")
        lost = sum(not names[name] for name in acknowledged)
        twice = sum(count > 1 for count in names.values())
        figures = f"{lost} lost and {twice} twice of {len(acknowledged):,}"
        self.add(
            "kill -9 of the service, 5 times under 200 writes a second: none lost", figures, kept=not (lost or twice)
        )

    async def memory(self) -> None:
        """After 10,000 and 20,000 mixed requests, and the most in all measurements."""
        with self.service("memory") as service:
            found = [kib(service.process.pid, "VmRSS")]
            for _ in range(2):
                async with clients(service, 8) as eight:
                    await asyncio.gather(*(send_mixed(client, 10_000 // 8) for client in eight))
                found.append(kib(service.process.pid, "VmRSS"))
        at_rest, *later = (f"{each / 1024:.0f}" for each in found)
        figures = f"{at_rest}, {later[0]} and {later[1]} MiB; {max(self.peaks) / 1024:.0f} MiB"
        words = "memory at rest, after 10,000 and 20,000 requests; at most in all of the above: below 150 MiB"
        self.add(words, figures, kept=max(self.peaks) < MAX_KIB)


def percentile(seconds: list[float]) -> float:
    """The 99th."""
    return statistics.quantiles(seconds, n=100)[98]


def times(found: list[Client]) -> list[float]:
    """How long each answer took since the last look; all must be 200."""
    answers = [answer for client in found for answer in client.answers]
    for client in found:
        client.answers.clear()
    assert {answer.status for answer in answers} <= {200, 201}, Counter(answer.status for answer in answers)
    return [answer.seconds for answer in answers]


async def measure(folder: Path, wanted: list[str]) -> bool:
    """Whether all bounds are kept."""
    (folder / "db").mkdir()
    mongod = Mongod(folder / "db")
    try:
        await mongod.come_back()
        bounds = Bounds(folder, mongod)
        print("| bound | measured | |\n| --- | --- | --- |")
        for name in wanted or BOUNDS:
            await getattr(bounds, name)()
        return all(row.kept for row in bounds.rows)
    finally:
        mongod.kill()


BOUNDS = ("silence", "stop", "gone", "killed", "memory")


def main() -> None:
    """Parse the arguments, measure, and exit with 1 where a bound is not kept."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("bounds", nargs="*", help=f"which of {', '.join(BOUNDS)}")
    wanted = parser.parse_args().bounds
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        if not asyncio.run(measure(Path(folder), wanted)):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
