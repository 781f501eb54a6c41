"""What a page of a list costs in a collection of a million: `python -m benchmarks.lists [--students N] [--limit N]`.

Against a local MongoDB of its own, over HTTP but without a network: the client calls the application. Prints, for every
order, how much longer the last page by cursor takes than the first (medians of 20, taken in turn), and for an equality
filter with each order that an index has for it, how many keys MongoDB examines for each student it returns.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx2
from beanie import SortDirection

from students_api.main import create_app
from students_api.mongodb.client import open_database
from students_api.mongodb.driver import Database, cursor_of
from students_api.mongodb.local_mongod import LocalMongod, find_mongod
from students_api.odm.queries import fetch_raw
from students_api.resources.lists import cursors
from students_api.resources.lists.keyset import KeysetPosition
from students_api.settings import Settings
from students_api.students.student import Student, StudentQuery, StudentRead

ROUNDS = 20
BATCH = 10_000
MAX_RATIO = 1.3
MAX_KEYS = 2
COURSES = [f"Course {number}" for number in range(40)]
EQUALITY = {"course": COURSES[7]}
SERVED = ("id", "-id", "gpa", "-gpa", "name", "-name", "course,-gpa", "course,name")


def students(count: int) -> Iterator[dict[str, Any]]:
    """Students of a large school: many in each course, many with the same GPA. Pages are alike."""
    chance = random.Random(1)
    for number in range(count):
        name = f"First{chance.randrange(500)} Last{chance.randrange(2000)}"
        student = {"name": name, "email": f"{number}@example.com", "course": chance.choice(COURSES), "version": 1}
        yield student | {"gpa": round(chance.random() * 4, 2)}


async def fill(database: Database, count: int) -> None:
    """Store them, in batches. The application builds the indexes when it starts."""
    batch = []
    for student in students(count):
        batch.append(student)
        if len(batch) == BATCH:
            await database["students"].insert_many(batch, ordered=False)
            batch = []
    if batch:
        await database["students"].insert_many(batch, ordered=False)


async def last_cursor(sort: str, limit: int) -> str:
    """The cursor of the last page, which is full."""
    query = StudentQuery.model_validate({"sort": sort})
    backward = [(key, SortDirection(-direction)) for key, direction in query.order]
    found = Student.find_all(sort=backward, skip=limit, limit=1, projection_model=StudentRead)
    (before,) = await fetch_raw(found)
    return cursors.encode(KeysetPosition([before.get(key) for key, _ in query.order]), query.fingerprint())


async def seconds(client: httpx2.AsyncClient, parameters: dict[str, Any]) -> float:
    """How long a page takes that has to be full."""
    started = time.perf_counter()
    answer = await client.get("/students/", params=parameters)
    elapsed = time.perf_counter() - started
    assert len(answer.json()["students"]) == parameters["limit"]
    return elapsed


async def last_to_first(client: httpx2.AsyncClient, sort: str, limit: int) -> tuple[float, float]:
    """The median of the last page's time over that of the first, and the first one's in seconds."""
    first = {"sort": sort, "limit": limit}
    last = first | {"cursor": await last_cursor(sort, limit)}
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS + 1):
        for parameters, taken in zip((first, last), times, strict=True):
            taken.append(await seconds(client, parameters))
    medians = [statistics.median(taken[1:]) for taken in times]  # the first of each warms up
    return medians[1] / medians[0], medians[0]


async def examined(parameters: dict[str, Any]) -> tuple[float, set[str]]:
    """How many keys MongoDB examines for each student that it returns, and the stages of its plan."""
    listing = StudentQuery.model_validate(parameters)
    wanted, keys, plan = listing.limit + 1, 0, set[str]()
    for query in listing.queries(Student, StudentRead):
        explained = await (await cursor_of(query.limit(wanted))).explain()
        keys += explained["executionStats"]["totalKeysExamined"]
        wanted -= explained["executionStats"]["nReturned"]
        plan |= set(stages(explained["queryPlanner"]["winningPlan"]))
        if not wanted:
            break
    return keys / (listing.limit + 1 - wanted), plan


def stages(plan: Any) -> list[str]:
    """The names of all stages of a plan."""
    if isinstance(plan, dict):
        return [plan.get("stage", ""), *(name for each in plan.values() for name in stages(each))]
    return [name for each in plan for name in stages(each)] if isinstance(plan, list) else []


async def run(url: str, count: int, limit: int) -> bool:
    """Fill, measure and print; whether the bounds hold."""
    async with open_database(url, Settings().model_copy(update={"mongodb_database": "benchmark"})) as database:
        print(f"storing {count} students ...", file=sys.stderr)
        await fill(database, count)
        app = create_app(Settings(), open_deployment=lambda *_: nullcontext(database))
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://service", timeout=60) as client,
        ):
            print(f"{count} students, {limit} a page\n\n| order | last page / first page | first page |")
            print("| --- | --- | --- |")
            worst_ratio = 0.0
            for sort in StudentQuery.orders:
                ratio, first = await last_to_first(client, sort, limit)
                worst_ratio = max(worst_ratio, ratio)
                print(f"| `{sort}` | {ratio:.2f} | {first * 1000:.1f} ms |")
            print("\n| a course in the order | keys examined / students returned |\n| --- | --- |")
            worst_keys, plans = 0.0, set[str]()
            for sort in SERVED:
                first_page: dict[str, Any] = {**EQUALITY, "sort": sort, "limit": limit}
                cursor = (await client.get("/students/", params=first_page)).json()["next_cursor"]
                for page, name in ((first_page, "first page"), (first_page | {"cursor": cursor}, "second page")):
                    keys, plan = await examined(page | {"course": [EQUALITY["course"]]})
                    worst_keys, plans = max(worst_keys, keys), plans | plan
                    print(f"| `{sort}`, {name} | {keys:.2f} |")
    return worst_ratio <= MAX_RATIO and worst_keys <= MAX_KEYS and not plans & {"COLLSCAN", "SORT"}


def main() -> None:
    """Parse the arguments, run on a MongoDB in a temporary folder, and exit with 1 where a bound does not hold."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=1_000_000)
    parser.add_argument("--limit", type=int, default=1000, help="how many on a page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalMongod(Path(folder) / "data", find_mongod(None)) as url:
        if not asyncio.run(run(url, arguments.students, arguments.limit)):
            raise SystemExit(f"not kept: {MAX_RATIO} for pages, {MAX_KEYS} for keys, no collection scan, no sort")


if __name__ == "__main__":
    main()
