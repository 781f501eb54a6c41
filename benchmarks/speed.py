"""What a request costs: `python -m benchmarks.speed [--rounds N] [--seconds N] [--only WORDS] [--write]`.

The service, MongoDB's tutorial by hand, bare ASGI on the service's driver and Express with Mongoose answer the same
requests side by side on one MongoDB, in turn: each server on one core, wrk and mongod on the others. Prints how much of
the CPU time a server takes for a request of each kind, as a ratio to the others too, and how many it answers in
a second: medians of the rounds, in brackets the least and the most. `--write`, as in `make bench`, puts that into
docs/speed.md, and a chart beside it. Needs Linux and wrk; Node.js for Express.
"""

import os
import platform
import re
import statistics
import tempfile
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
from bson import ObjectId

from benchmarks._chart import bars
from benchmarks._servers import (
    BARE,
    BODY,
    ON_BEANIE2,
    SERVICE,
    TUTORIAL,
    Cost,
    Load,
    cores,
    fill,
    forget,
    measure,
    on_cores,
    servers,
    start,
    wrk,
)
from students_api.mongodb.local_mongod import LocalMongod, find_mongod
from students_api.resources.lists import cursors
from students_api.resources.lists.keyset import KeysetPosition
from students_api.students.student import StudentQuery
from tests.service import Service

DOCS = Path(__file__).parents[1] / "docs"

GET, CREATE = "GET /students/{id}", f"POST /students/ {BODY}"
UPDATE = 'PUT /students/{id} {"course": "Course {n}", "gpa": 3.5}'
MIXED, LAST_PAGE = "8 GET, 1 POST, 1 PUT", "list of 50, the last by cursor"

NEW = 2**40
"""The first id of the students that are there to be deleted."""

DELETED = 15_000
"""How many of these there are: more than a server deletes in a round."""

NOWHERE = 2**52
"""No student has this id."""

KINDS: dict[str, Load] = {
    "GET one": Load([GET]),
    "GET one, 304": Load([GET], status=304, ids=1),
    "GET one, 404": Load([GET], status=404, first=NOWHERE),
    "POST": Load([CREATE], status=201),
    "PUT": Load([UPDATE]),
    "DELETE": Load(["DELETE /students/{id}"], status=204, first=NEW, ids=DELETED),
    MIXED: Load([*[GET] * 8, CREATE, UPDATE]),
    "list of 1": Load(["GET /students/?limit=1"], connections=4),
    "list of 50": Load(["GET /students/?limit=50"], connections=4),
    LAST_PAGE: Load([], connections=4),
    "list of 1000": Load(["GET /students/?limit=1000"], connections=4),
}
SIZES = {
    1_000: [kind for kind in KINDS if kind != LAST_PAGE],
    100_000: ["GET one", "list of 1000"],
    1_000_000: ["list of 50", LAST_PAGE, "list of 1000"],
}
"""The collections, and what is asked of each."""

WARM_SECONDS = 2
"""How long wrk loads each new process before anything is measured."""

SLOW_SECONDS = 8
"""How long wrk loads a server that may take a second for an answer: the tutorial's app, which reads far beyond 1000."""

IN_CHART = ["GET one", "POST", "PUT", "list of 1000"]

Costs = dict[tuple[int, str, str], list[Cost]]


def can(server: str, kind: str) -> bool:
    """Whether a server has this kind of request: not all have ETags or cursors, and the tutorial's app has one list."""
    if kind == LAST_PAGE:
        return server in {SERVICE, ON_BEANIE2}
    if kind == "GET one, 304":
        return server not in {TUTORIAL, BARE}
    return server != TUTORIAL or kind not in {"list of 1", "list of 50"}


def prepared(service: Service, kind: str, size: int, url: str, database: str) -> Load:
    """What wrk is to send, after what has to be there is there, and one answer was as expected."""
    load = KINDS[kind]
    if kind == "DELETE":
        fill(url, database, DELETED, NEW)
    if load.status == 304:
        tag = httpx2.get(f"{service.url}/students/{load.first:024x}").headers["etag"]
        load = load._replace(header=f"If-None-Match: {tag}")
    if kind == LAST_PAGE:
        cursor = cursors.encode(KeysetPosition([ObjectId(f"{size - 50:024x}")]), StudentQuery().fingerprint())
        load = load._replace(requests=[f"GET /students/?limit=50&cursor={cursor}"])
    method, path, *body = load.requests[0].replace("{id}", f"{load.first:024x}").split(maxsplit=2)
    name, _, value = load.header.partition(": ")
    headers = {"Content-Type": "application/json"} | ({name: value} if name else {})
    answer = httpx2.request(method, service.url + path, headers=headers, content="".join(body), timeout=60)
    assert answer.status_code == load.status, (kind, answer.status_code, answer.text)
    if limit := re.search(r"limit=(\d+)", path):
        assert len(answer.json()["students"]) == int(limit[1]), kind
    return load._replace(first=load.first + 1) if kind == "DELETE" else load


def run(url: str, folder: Path, rounds: int, seconds: int, only: str) -> Costs:
    """Measure everything that is asked for, in turn. The first round warms up MongoDB.

    Each round has new processes: where the system puts one in the memory moves its figures by a twentieth.
    """
    costs: Costs = defaultdict(list)
    pinned, _ = cores()
    for size, kinds in SIZES.items():
        chosen = [kind for kind in kinds if re.search(only, kind)]
        if not chosen:
            continue
        database = f"students-{size}"
        fill(url, database, size)
        for number in range(rounds + 1):
            with ExitStack() as stack:
                with on_cores(pinned):
                    running = {
                        name: stack.enter_context(start(server, folder, url, database))
                        for name, server in servers().items()
                    }
                for service in running.values():
                    wrk(service.url, KINDS[MIXED], WARM_SECONDS)
                forget(url, database, size)
                for kind in chosen:
                    names = [name for name in running if can(name, kind)]
                    for name in names if number % 2 else reversed(names):
                        load = prepared(running[name], kind, size, url, database)
                        slow = name == TUTORIAL and size > 1000 and kind.startswith("list")
                        cost = measure(running[name], load, SLOW_SECONDS if slow else seconds)
                        forget(url, database, size)
                        if number:
                            costs[size, kind, name].append(cost)
    return costs


def ratio(costs: Costs, size: int, kind: str, other: str) -> str:
    """The service's time for a request over another server's, the median of the rounds; empty where there is none.

    What the tutorial's app has no answer for is compared with the nearest that it has.
    """
    instead = {"GET one, 304": "GET one"}.get(kind, kind) if other == TUTORIAL else kind
    pairs = zip(costs.get((size, kind, SERVICE), []), costs.get((size, instead, other), []), strict=False)
    ratios = [one.milliseconds / another.milliseconds for one, another in pairs]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def tables(costs: Costs) -> Iterator[str]:
    """The costs in Markdown, a row for each kind of request: the CPU time and the ratios, then the rates."""
    names = [name for name in servers() if any(name == key[2] for key in costs)]
    rows = [(size, kind) for size, kinds in SIZES.items() for kind in kinds if (size, kind, SERVICE) in costs]
    yield "The CPU time for a request, in milliseconds, and the service's over that of the two others:\n"
    yield "| students | request | " + " | ".join(names) + f" | over {TUTORIAL} | over {BARE} |"
    yield "| --- " * (len(names) + 4) + "|"
    for size, kind in rows:
        cells = []
        for name in names:
            found = [cost.milliseconds for cost in costs.get((size, kind, name), [])]
            spread = f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else ""
            cells.append(spread)
        cells += [ratio(costs, size, kind, TUTORIAL), ratio(costs, size, kind, BARE)]
        yield f"| {size:,} | {kind} | " + " | ".join(cells) + " |"
    yield "\nRequests a second, with one core for the server:\n"
    yield "| students | request | " + " | ".join(names) + " |"
    yield "| --- " * (len(names) + 2) + "|"
    for size, kind in rows:
        rates = [[cost.a_second for cost in costs.get((size, kind, name), [])] for name in names]
        yield f"| {size:,} | {kind} | " + " | ".join(f"{statistics.median(r):,.0f}" if r else "" for r in rates) + " |"


def chart(costs: Costs) -> str:
    """The picture: what each server takes for a request, over what the tutorial's app takes."""
    groups = {}
    for kind in IN_CHART:
        base = [cost.milliseconds for cost in costs[1000, kind, TUTORIAL]]
        groups[kind] = {
            name: statistics.median(cost.milliseconds for cost in costs[1000, kind, name]) / statistics.median(base)
            for name in servers()
            if (1000, kind, name) in costs
        }
    return bars(f"The CPU time for a request, over that of {TUTORIAL}", groups)


def main() -> None:
    """Parse the arguments, and measure on a MongoDB in a temporary folder."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="how long wrk loads a server each time")
    parser.add_argument("--only", default="", help="a regular expression of the requests")
    parser.add_argument("--write", action="store_true", help="write docs/speed.md and docs/speed.svg")
    arguments = parser.parse_args()
    _, others = cores()
    with on_cores(others), ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(LocalMongod(folder / "data", find_mongod(None)))
        costs = run(url, folder, arguments.rounds, arguments.seconds, arguments.only)
    found = "\n".join(tables(costs))
    print(found)
    if arguments.write:
        where = f"{os.cpu_count()} cores, Linux on {platform.machine()}, Python {platform.python_version()}"
        before, _, _ = (DOCS / "speed.md").read_text().partition("## What was measured")
        measured = f"## What was measured\n\nOn {where}, MongoDB 6.0.5, {arguments.rounds} rounds.\n\n{found}\n"
        (DOCS / "speed.md").write_text(before + measured)
        (DOCS / "speed.svg").write_text(chart(costs))


if __name__ == "__main__":
    main()
