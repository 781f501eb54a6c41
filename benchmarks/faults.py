"""What a client sees while the nodes of a replica set fail: `python -m benchmarks.faults [--quick]`.

Three nodes on this machine, the service as a process, and a client that creates students at a steady rate. One fault
after the other, each when the set is whole again. At the end every student is read back and compared with the answers.
Prints a table with a row for each kind of fault, and whether each bound holds.
"""

import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from students_api.mongodb.local_mongod import find_mongod
from tests.load import Answer, Ledger, Load, compare, stored_ids
from tests.replica_set import ReplicaSet
from tests.service import Service

DATABASE = "faults"
DEADLINE_SECONDS = 10
"""The service's default: how long it takes for an answer at most."""
LATE_SECONDS = 0.5
PARAMETERS = ["oplogFetcherSteadyStateMaxFetcherRestarts=0", "oplogNetworkTimeoutBufferSeconds=1"]
"""Of mongod, as docs/operating.md has them: otherwise the third node goes on asking a primary that hangs."""
STALLED_SECONDS = 3
PAUSED_SECONDS = 20


def kill_primary(nodes: ReplicaSet, load: Load) -> float:
    """End the primary with kill -9, and start it again when another one serves. All of these: when it happened."""
    primary, moment = nodes.primary(), time.monotonic()
    nodes.kill(primary)
    load.wait_until_steady()
    nodes.start(primary)
    return moment


def stall_and_kill_primary(nodes: ReplicaSet, load: Load) -> float:
    """The same when the primary has writes that no other node has."""
    nodes.stall_replication()
    time.sleep(STALLED_SECONDS)
    primary, moment = nodes.primary(), time.monotonic()
    nodes.kill(primary)
    nodes.resume_replication()
    load.wait_until_steady()
    nodes.start(primary)
    return moment


def step_down_primary(nodes: ReplicaSet, load: Load) -> float:
    """Have the primary hand over to another node."""
    moment = time.monotonic()
    nodes.step_down()
    load.wait_until_steady()
    return moment


def pause_primary(nodes: ReplicaSet, load: Load) -> float:
    """Have the primary hang, its connections open, and go on later as if it still were one."""
    primary, moment = nodes.primary(), time.monotonic()
    nodes.pause(primary)
    time.sleep(PAUSED_SECONDS)
    nodes.resume(primary)
    load.wait_until_steady()
    return moment


class Fault(NamedTuple):
    """A kind of fault, and how often it happens."""

    words: str
    happen: Callable[[ReplicaSet, Load], float]
    times: int


FAULTS = [
    Fault("primary killed (-9)", kill_primary, 5),
    Fault(f"replication stalled for {STALLED_SECONDS} s, then primary killed (-9)", stall_and_kill_primary, 2),
    Fault("primary stepped down", step_down_primary, 3),
    Fault(f"primary paused for {PAUSED_SECONDS} s", pause_primary, 1),
]


@dataclass
class Row:
    """What the client saw of one kind of fault."""

    words: str
    times: int
    gaps: list[float] = field(default_factory=list)
    """For each time, the longest time without an acknowledgement."""
    answers: list[Answer] = field(default_factory=list)
    ledger: Ledger = field(default_factory=lambda: Ledger([], [], []))

    @property
    def failures(self) -> list[Answer]:
        """All answers but acknowledgements."""
        return [answer for answer in self.answers if not answer.is_acknowledgement]

    @property
    def slowest(self) -> float:
        """How long the slowest answer took."""
        return max(answer.seconds for answer in self.answers)

    def __str__(self) -> str:
        statuses = Counter(answer.status or "none" for answer in self.failures)
        cells = [
            *(self.words, self.times, len(self.answers) - len(self.failures)),
            *(len(self.ledger.lost), len(self.ledger.twice)),
            f"{max(self.gaps):.1f} s ({statistics.median(self.gaps):.1f} s)",
            f"{self.slowest:.1f} s",
            ", ".join(f"{status}: {count}" for status, count in statuses.items()) or "none",
        ]
        return f"| {' | '.join(map(str, cells))} |"


def longest_gap(answers: Sequence[Answer], began: float, ended: float) -> float:
    """The longest time without an acknowledgement between the two."""
    moments = [answer.received for answer in answers if answer.is_acknowledgement and began < answer.received < ended]
    return max(after - before for before, after in pairwise([began, *moments, ended]))


def settings_for(election_timeout: int) -> dict[str, int]:
    """Of the replica set: the first two in proportion, as MongoDB's 10 s and 2 s; the last as in docs/operating.md."""
    return {
        "electionTimeoutMillis": election_timeout * 1000,
        "heartbeatIntervalMillis": election_timeout * 200,
        "catchUpTimeoutMillis": max(500, election_timeout * 100),
    }


def run(election_timeout: int, options: Namespace, folder: Path) -> list[Row]:
    """Start all, let the faults happen and compare; a row for each kind of fault."""
    settings = settings_for(election_timeout)
    settings |= {name: int(value) for name, _, value in (words.partition("=") for words in options.setting)}
    rows = [Row(fault.words, 1 if options.quick else fault.times) for fault in FAULTS]
    with ReplicaSet(folder, find_mongod(None), settings, [*PARAMETERS, *options.parameter]) as nodes:
        url = "&".join([nodes.url, *options.option])
        with Service(folder, [], {"MONGODB_URL": url, "MONGODB_DATABASE": DATABASE}) as service:
            service.wait_until_ready()
            with Load(service.url, options.rate) as load:
                load.wait_until_steady()
                for row, fault in zip(rows, FAULTS, strict=True):
                    for time_number in range(row.times):
                        print(f"{row.words}, {time_number + 1} of {row.times} ...", file=sys.stderr)
                        first = len(load.answers)
                        moment = fault.happen(nodes, load)
                        nodes.wait_until_whole()
                        load.wait_until_steady()
                        answers = load.answers[first:]
                        row.answers += answers
                        row.gaps.append(longest_gap(answers, moment, time.monotonic()))
        stored = stored_ids(nodes.url, DATABASE)
    for row in rows:
        row.ledger = compare(row.answers, stored)
    return rows


def verdicts(rows: Sequence[Row], max_gap: float) -> list[tuple[bool, str]]:
    """For each bound whether it holds, and what was found."""
    lost = [name for row in rows for name in row.ledger.lost]
    twice = [name for row in rows for name in row.ledger.twice]
    hidden = [name for row in rows for name in row.ledger.hidden]
    gap = max(gap for row in rows for gap in row.gaps)
    wrong = [answer for row in rows for answer in row.failures if not answer.says_to_retry]
    slowest = max(row.slowest for row in rows)
    late = [answer for row in rows for answer in row.answers if answer.seconds > DEADLINE_SECONDS + LATE_SECONDS]
    return [
        (not lost, f"acknowledged and lost: {len(lost)} {lost[:3]}"),
        (not twice, f"stored twice: {len(twice)} {twice[:3]}"),
        (not hidden, f"stored, and the answer was an error that rules it out: {len(hidden)} {hidden[:3]}"),
        (gap < max_gap, f"longest gap between two acknowledgements: {gap:.1f} s, less than {max_gap:g} s wanted"),
        (not wrong, f"failures other than 503 with Retry-After: {len(wrong)} {[answer.body for answer in wrong[:3]]}"),
        (not late, f"answers later than {DEADLINE_SECONDS + LATE_SECONDS} s: {len(late)}, the slowest {slowest:.1f} s"),
    ]


def main() -> None:
    """Parse the arguments, run for each election timeout, and exit with 1 where a bound does not hold."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--election-timeout", type=int, metavar="SECONDS", help="one, in place of 10 and then 3")
    parser.add_argument("--rate", type=float, default=200, help="how many students a second")
    parser.add_argument("--quick", action="store_true", help="each fault once")
    for flag, words in {
        "--setting": "of the replica set's configuration: catchUpTimeoutMillis=2000",
        "--parameter": "of mongod: oplogFetcherSteadyStateMaxFetcherRestarts=0",
        "--option": "of the driver, in MONGODB_URL: heartbeatFrequencyMS=1000",
    }.items():
        parser.add_argument(flag, action="append", default=[], metavar="NAME=VALUE", help=words)
    options = parser.parse_args()
    held = True
    for election_timeout in [options.election_timeout] if options.election_timeout else [10, 3]:
        with tempfile.TemporaryDirectory() as folder:
            rows = run(election_timeout, options, Path(folder))
        print(f"\nelection timeout {election_timeout} s, {options.rate:g} students a second\n")
        print(
            "| what happened | times | acknowledged | lost | twice | longest gap (median) | slowest answer | failures |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        print(*rows, "", sep="\n")
        # An election takes up to 1.15 of its timeout; the rest is for the service to find the new primary.
        for holds, words in verdicts(rows, election_timeout + max(2, election_timeout / 2)):
            print(f"{'ok   ' if holds else 'BROKEN'}  {words}")
            held &= holds
    if not held:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
