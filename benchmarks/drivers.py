"""What PyMongo Async takes beside Motor: `python -m benchmarks.drivers [--rounds N] [--requests N]`.

Two services of the same sources, one with Beanie 2 from `.beanie2`, run at once on one MongoDB of their own, and are
asked in turn by 8 clients. Prints, for each kind of request, how much of the processor's time the service takes for one
and how many it answers in a second (medians of the rounds), and the ratio of the two. Needs Linux, and
`make .beanie2/installed` before.
"""

import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks._load import NUMBERS, Answer, Client, clients
from students_api.mongod import LocalMongod, find_mongod
from tests.service import Service, environment

BEANIE2 = Path(__file__).parents[1] / ".beanie2"
DRIVERS: dict[str, dict[str, str]] = {"Motor": {}, "PyMongo Async": {"PYTHONPATH": str(BEANIE2)}}
CLIENTS = 8
KINDS: dict[str, Callable[[Client], Awaitable[Answer]]] = {
    "POST": lambda client: client.create(),
    "GET": lambda client: client.send("GET", f"/students/{client.student}"),
    "GET, 50 in a list": lambda client: client.send("GET", "/students/?limit=50"),
    "PUT": lambda client: client.send("PUT", f"/students/{client.student}", {"course": str(next(NUMBERS))}),
}


class Cost(NamedTuple):
    """What a request takes."""

    milliseconds: float
    """Of the processor's time, in the service's process."""
    a_second: float
    """How many are answered in a second."""


def processor_seconds(service: Service) -> float:
    """How long the processor has worked for the service, in all its threads."""
    _, _, fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def measure(service: Service, found: list[Client], kind: str, count: int) -> Cost:
    """Have the clients send so many requests together, each client one after the other."""

    async def send(client: Client) -> None:
        client.close()  # the service may be about to do so
        for _ in range(count // len(found)):
            answer = await KINDS[kind](client)
            assert answer.status in {200, 201}, answer

    worked, started = processor_seconds(service), time.perf_counter()
    await asyncio.gather(*(send(client) for client in found))
    seconds, worked = time.perf_counter() - started, processor_seconds(service) - worked
    return Cost(1000 * worked / count, count / seconds)


async def compare(services: dict[str, Service], rounds: int, count: int) -> None:
    """Ask the services in turn, and print what each kind of request takes."""
    costs = defaultdict[tuple[str, str], list[Cost]](list)
    motor, beanie2 = services
    async with clients(services[motor], CLIENTS) as one, clients(services[beanie2], CLIENTS) as other:
        for number, kind in itertools.product(range(rounds + 1), KINDS):
            turns = [(motor, one), (beanie2, other)]
            for driver, found in turns if number % 2 else reversed(turns):
                costs[kind, driver].append(await measure(services[driver], found, kind, count))
    print(f"| request | figure | {motor} | {beanie2} | ratio |\n| --- | --- | --- | --- | --- |")
    for kind, (place, name) in itertools.product(KINDS, enumerate(("processor's time, ms", "a second"))):
        # The first of each warms up.
        before, after = (statistics.median(cost[place] for cost in costs[kind, driver][1:]) for driver in services)
        print(f"| {kind} | {name} | {before:.2f} | {after:.2f} | {after / before:.2f} |")


def check() -> None:
    """See that each environment has the driver that it is named for."""
    program = "from students_api.database import ON_MOTOR; print(ON_MOTOR)"
    for driver, settings in DRIVERS.items():
        run = [sys.executable, "-c", program]
        printed = subprocess.run(run, env=environment(settings), capture_output=True, text=True, check=True).stdout
        if (printed.strip() == "True") != (driver == "Motor"):
            raise SystemExit(f"There is no {driver} here. Do `make .beanie2/installed`, and set no PYTHONPATH.")


def main() -> None:
    """Parse the arguments, and measure on a MongoDB in a temporary folder."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=1000, help="how many of each kind in a round")
    arguments = parser.parse_args()
    check()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(LocalMongod(folder / "data", find_mongod(None)))
        services = {}
        for number, (driver, more) in enumerate(DRIVERS.items()):
            settings = {"MONGODB_URL": url, "MONGODB_DATABASE": f"driver-{number}", **more}
            services[driver] = stack.enter_context(Service(folder, [], settings))
            services[driver].wait_until_ready()
        asyncio.run(compare(services, arguments.rounds, arguments.requests))


if __name__ == "__main__":
    main()
