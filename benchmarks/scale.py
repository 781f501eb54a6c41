"""What cores give, and a distant database takes: `python -m benchmarks.scale [--rounds N] [--seconds N]`.

Prints, as medians of rounds in turn, (1) how many requests a second two workers on two cores answer over one on one
core, pinned and not; wrk and MongoDB share the cores of the workers, so that each worker leaves them the same room.
And (2), with a proxy before MongoDB that holds each message back for 10 ms, how many a worker answers over what its
connections allow: each is taken for as long as a request takes that is alone. Needs Linux, two cores, and wrk.
"""

import asyncio
import multiprocessing
import statistics
import tempfile
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from pymongo.errors import BulkWriteError

from benchmarks._servers import Load, Server, cores, fill, measure, on_cores, processor_seconds, start, wrk
from students_api.mongodb.local_mongod import LocalMongod, find_mongod
from tests.service import free_port, is_free, wait_for

GET = Load(["GET /students/{id}"])
MIXED = Load([*["GET /students/{id}"] * 9, 'PUT /students/{id} {"course": "Course {n}"}'], connections=64)
DELAY_SECONDS = 0.01
POOLS = (8, 16, 32)
DATABASE = "scale"


async def delayed(port: int, target: int) -> None:
    """Pass on what comes to `port` and back, each piece a while later."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await reader.read(2**16):
                loop.call_later(DELAY_SECONDS, writer.write, data)
        loop.call_later(DELAY_SECONDS, writer.close)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pass_on(reader, other[1]), pass_on(other[0], writer))

    async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
        await server.serve_forever()


def run_delayed(port: int, target: int) -> None:
    """The proxy, as a process of its own."""
    asyncio.run(delayed(port, target))


@contextmanager
def proxy(url: str) -> Iterator[str]:
    """The URL of a MongoDB that is 20 ms away."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=run_delayed, args=(port, urlsplit(url).port))
    process.start()
    try:
        wait_for(lambda: not is_free(port))
        yield f"mongodb://127.0.0.1:{port}/?directConnection=true"
    finally:
        process.kill()
        process.join()


def compare_workers(folder: Path, rounds: int, seconds: int) -> None:
    """One worker on one core, two on two, and two that are not pinned."""
    servers = {
        "1 worker, 1 core": (1, Server()),
        "2 workers, 2 cores": (2, Server(arguments=["--workers", "2"])),
        "2 workers, 2 cores, --no-pin": (2, Server(arguments=["--workers", "2", "--no-pin"])),
    }
    one, others = cores()
    rates = defaultdict[str, list[float]](list)
    for _ in range(rounds):
        for name, (count, server) in servers.items():
            with on_cores(one if count == 1 else one | {min(others)}), ExitStack() as stack:
                url = stack.enter_context(LocalMongod(folder / f"data-{count}", find_mongod(None)))
                fill_once(url)
                service = stack.enter_context(start(server, folder, url, DATABASE))
                for wait in (1, seconds):  # the first warms up
                    answer = wrk(service.url, MIXED, wait)
                rates[name].append(answer["answered"] / answer["seconds"])
    first = statistics.median(rates["1 worker, 1 core"])
    print("| | requests a second | over one worker |\n| --- | --- | --- |")
    for name, found in rates.items():
        print(f"| {name} | {statistics.median(found):,.0f} | {statistics.median(found) / first:.2f} |")


def compare_pools(folder: Path, rounds: int, seconds: int) -> None:
    """The requests that a pool of connections lets through, where MongoDB is far away."""
    one, others = cores()
    print("\n| connections | requests a second | allowed | share | of the processor |")
    print("| --- | --- | --- | --- | --- |")
    with on_cores(others), ExitStack() as stack:
        near = stack.enter_context(LocalMongod(folder / "data-1", find_mongod(None)))
        far = stack.enter_context(proxy(near))
        for pool in POOLS:
            server = Server(settings={"STUDENTS_API_POOL_SIZE": str(pool)})
            with on_cores(one):
                service = stack.enter_context(start(server, folder, far, DATABASE))
            wrk(service.url, GET._replace(connections=2 * pool), 1)
            shares, found = [], []
            for _ in range(rounds):
                alone = measure(service, GET._replace(connections=1), seconds).a_second
                before = processor_seconds(service)
                answer = wrk(service.url, GET._replace(connections=2 * pool), seconds)
                worked = (processor_seconds(service) - before) / answer["seconds"]
                shares.append((answer["answered"] / answer["seconds"], pool * alone, worked))
                found.append(shares[-1][0] / shares[-1][1])
            a_second, allowed, worked = (statistics.median(values) for values in zip(*shares, strict=True))
            print(f"| {pool} | {a_second:,.0f} | {allowed:,.0f} | {statistics.median(found):.2f} | {worked:.0%} |")


def fill_once(url: str) -> None:
    """Store the students, where they are not there from the round before."""
    with suppress(BulkWriteError):
        fill(url, DATABASE, 1000)


def main() -> None:
    """Parse the arguments, and measure on MongoDBs in a temporary folder."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="how long wrk loads the service each time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare_workers(Path(folder), arguments.rounds, arguments.seconds)
        compare_pools(Path(folder), arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
