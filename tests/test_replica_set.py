"""The service on a replica set of three nodes: what is acknowledged stays, whatever happens to the primary."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.load import Load, compare, stored_ids
from tests.replica_set import ReplicaSet
from tests.service import Service

pytestmark = [pytest.mark.mongod, pytest.mark.slow]


def kill(nodes: ReplicaSet, load: Load) -> None:
    primary = nodes.primary()
    nodes.kill(primary)
    load.wait_until_steady()
    nodes.start(primary)


def stall_and_kill(nodes: ReplicaSet, load: Load) -> None:
    nodes.stall_replication()
    load.wait_until_waiting(50)
    primary = nodes.primary()
    nodes.kill(primary)
    nodes.resume_replication()
    load.wait_until_steady()
    nodes.start(primary)


def pause(nodes: ReplicaSet, load: Load) -> None:
    primary = nodes.primary()
    nodes.pause(primary)
    load.wait_until_steady()
    nodes.resume(primary)


def step_down(nodes: ReplicaSet, load: Load) -> None:
    nodes.step_down()
    load.wait_until_steady()


@pytest.fixture(scope="module")
def nodes(mongod_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    # As docs/operating.md has it for a primary that hangs: otherwise the others take two and more of its time limits.
    settings = {"electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 400, "catchUpTimeoutMillis": 1_000}
    parameters = ["oplogFetcherSteadyStateMaxFetcherRestarts=0"]
    with ReplicaSet(tmp_path_factory.mktemp("nodes"), mongod_program, settings, parameters) as nodes:
        yield nodes


@pytest.mark.parametrize("fault", [kill, stall_and_kill, pause, step_down], ids=lambda fault: fault.__name__)
def test_no_student_is_lost_or_stored_twice_and_each_failure_says_to_retry(
    nodes: ReplicaSet, start_service: Callable[..., Service], fault: Callable[[ReplicaSet, Load], None]
) -> None:
    service = start_service(MONGODB_URL=nodes.url, MONGODB_DATABASE=fault.__name__)
    before = nodes.primary()
    with Load(service.url, rate=50) as load:
        load.wait_until_steady()
        fault(nodes, load)
        load.wait_until_steady()
    nodes.wait_until_whole()
    assert nodes.primary() is not before
    ledger = compare(load.answers, stored_ids(nodes.url, fault.__name__))
    assert (ledger.lost, ledger.twice, ledger.hidden) == ([], [], [])
    assert [answer for answer in load.answers if not answer.is_acknowledgement and not answer.says_to_retry] == []
