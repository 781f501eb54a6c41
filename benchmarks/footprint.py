"""What the service takes at rest and at its start: `python -m benchmarks.footprint [--rounds N]`.

Prints the resident memory of a worker at rest and after 10,000, 20,000 and 30,000 requests, eight of ten to get a
student, the others to create and to change one. And how long it takes from the command to the first answer with 200,
with MongoDB there and with a local one that the service has to start, and to the end of `students-api --help`; medians,
and as ratios to the start of the tutorial's app by hand. Needs Linux and wrk.
"""

import re
import statistics
import tempfile
import time
from argparse import ArgumentParser
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from benchmarks._servers import BODY, TUTORIAL, Load, Server, cores, fill, on_cores, servers, start, wrk
from students_api.mongodb.local_mongod import LocalMongod, find_mongod
from tests.service import Service, run, wait_for

MIXED = Load([*["GET /students/{id}"] * 8, f"POST /students/ {BODY}", 'PUT /students/{id} {"course": "Course {n}"}'])
STEP = 10_000


def resident_mib(service: Service) -> float:
    """The memory of its process that is not swapped out."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024


def memory(folder: Path, url: str) -> None:
    """At rest, and after each so many requests."""
    fill(url, "footprint", MIXED.ids)
    one, _ = cores()
    with on_cores(one):
        service = start(Server(), folder, url, "footprint")
    with service:
        print("| after so many requests | resident, MiB |\n| --- | --- |")
        print(f"| 0 | {resident_mib(service):.0f} |")
        answered, due = 0, STEP
        while due <= 3 * STEP:
            answered += wrk(service.url, MIXED, 1)["answered"]
            if answered >= due:
                print(f"| {answered:,} | {resident_mib(service):.0f} |")
                due += STEP


def starts(folder: Path, url: str, rounds: int) -> None:
    """From the command to the first answer, each in turn."""
    tutorial = servers()[TUTORIAL]
    settings = {"MONGODB_URL": url, "MONGODB_DATABASE": "footprint"}
    found = defaultdict[str, list[float]](list)

    def first_answer(number: int, settings: dict[str, str], command: Server, path: str) -> float:
        where = folder / f"start-{number}"
        where.mkdir(exist_ok=True)
        began = time.perf_counter()
        with Service(where, command.arguments, settings, command.command) as service:
            wait_for(lambda: service.answers(path) == 200)
            return time.perf_counter() - began

    for number in range(rounds):
        found[TUTORIAL].append(first_answer(number, settings, tutorial, "/openapi.json"))
        found["serve, MongoDB is there"].append(first_answer(number, settings, Server(), "/students/?limit=1"))
        found["serve, a new local MongoDB"].append(first_answer(number, {}, Server(), "/students/?limit=1"))
        began = time.perf_counter()
        run("--help", cwd=folder)
        found["students-api --help"].append(time.perf_counter() - began)
    base = statistics.median(found[TUTORIAL])
    print("\n| from the command to the first 200, or its end | seconds | over the tutorial's app |")
    print("| --- | --- | --- |")
    for name, each in found.items():
        print(f"| {name} | {statistics.median(each):.2f} | {statistics.median(each) / base:.2f} |")


def main() -> None:
    """Parse the arguments, and measure on a MongoDB in a temporary folder."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how many starts of each kind")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(LocalMongod(folder / "data", find_mongod(None)))
        memory(folder, url)
        starts(folder, url, arguments.rounds)


if __name__ == "__main__":
    main()
