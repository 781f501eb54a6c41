"""A replica set of three nodes on this machine, and what can happen to a node of one."""

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pymongo.errors import OperationFailure, PyMongoError

from students_api.mongodb.local_mongod import LAUNCHER
from students_api.mongodb.replica_set import HOST, REPLICA_SET, admin_command
from tests.service import free_port, wait_for

logger = logging.getLogger(__name__)

NODES = 3
MAJORITY = 2
STEPPED_DOWN_SECONDS = 10
"""How long a primary that stepped down does not stand for election."""
EXCEEDED_TIME_LIMIT = 262
"""MongoDB's error code of a primary that stays one, because no other node has caught up in time."""
WHOLE_SECONDS = 45
"""How long a set takes to become whole, at most: with MongoDB's own settings a hung node is noticed after 20 s."""


class Node:
    """One mongod of the set."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.address = f"{HOST}:{port}"
        self.folder = folder
        self.log = folder / "mongod.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.is_paused = False

    def hello(self) -> dict[str, Any]:
        """What it says of itself and of the set; nothing while it does not answer."""
        if self.process is None or self.is_paused:
            return {}
        with suppress(PyMongoError):
            return admin_command(self.port, {"hello": 1})
        return {}

    @property
    def takes_part(self) -> bool:
        """Whether it is a primary or a secondary."""
        hello = self.hello()
        return bool(hello.get("isWritablePrimary") or hello.get("secondary"))


class ReplicaSet:
    """Three mongods, which run for as long as the context lasts, each in a folder of its own in the one given.

    `settings` are those of the set's configuration, and `parameters` those of mongod, each as `name=value`, that are
    not to be MongoDB's own.
    """

    def __init__(
        self, folder: Path, program: Path, settings: Mapping[str, int] | None = None, parameters: Sequence[str] = ()
    ) -> None:
        self._program = program
        self._settings = dict(settings or {})
        self._parameters = parameters
        ports = set[int]()
        while len(ports) < NODES:
            ports.add(free_port())
        self.nodes = [Node(folder / str(port), port) for port in ports]
        self.url = f"mongodb://{','.join(node.address for node in self.nodes)}/?replicaSet={REPLICA_SET}"
        # The kernel ends a mongod with the *thread* that started it: this one lasts until the context is left.
        self._starter = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                self._launch(node)
            wait_for(lambda: all(node.hello() for node in self.nodes))
            self._initiate()
            self.wait_until_whole()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all nodes at once."""
        for node in self.nodes:
            self.kill(node)
        self._starter.shutdown()

    def primary(self) -> Node:
        """The primary: which says so, and which a majority of the nodes takes for it. Waits until there is one."""
        return wait_for(self._find_primary, 60)

    @property
    def secondaries(self) -> list[Node]:
        """The nodes that replicate from the primary, if they run."""
        primary = self.primary()
        return [node for node in self.nodes if node is not primary]

    def wait_until_whole(self) -> None:
        """Wait until every node has what the primary has, and they agree about which one that is."""
        try:
            wait_for(self._is_whole, WHOLE_SECONDS)
        except AssertionError:
            # Seen of MongoDB 6.0.5: a node that takes writes back for the second time computes for ever, and holds all
            # its locks. An operator would do the same.
            for node in self.nodes:
                if not node.takes_part:
                    logger.warning("%s takes no part, and is started again; see %s", node.address, node.log)
                    self.kill(node)
                    self.start(node)
            wait_for(self._is_whole, WHOLE_SECONDS)

    def kill(self, node: Node) -> None:
        """End it with kill -9."""
        if node.process is not None:
            node.process.kill()
            node.process.wait()
        node.process, node.is_paused = None, False

    def start(self, node: Node) -> None:
        """Start it, and wait until it is a primary or a secondary."""
        self._launch(node)
        wait_for(lambda: node.takes_part, 60)

    def pause(self, node: Node) -> None:
        """Have it keep its connections and answer nothing, as a machine that hangs."""
        assert node.process is not None
        node.is_paused = True
        node.process.send_signal(signal.SIGSTOP)

    def resume(self, node: Node) -> None:
        """Have it go on as if nothing had happened."""
        assert node.process is not None
        node.process.send_signal(signal.SIGCONT)
        node.is_paused = False

    def step_down(self) -> None:
        """Have the primary hand over to another node, as it does before a maintenance."""
        command = {"replSetStepDown": STEPPED_DOWN_SECONDS, "secondaryCatchUpPeriodSecs": 1}
        wait_for(lambda: self._is_done(self.primary(), command))

    def stall_replication(self) -> None:
        """Have the secondaries replicate nothing: no write is acknowledged, and the primary is ahead of them."""
        for node in self.secondaries:
            self._set_stalled(node, "alwaysOn")

    def resume_replication(self) -> None:
        """Have all nodes that run replicate again."""
        for node in self.nodes:
            if node.process is not None:
                self._set_stalled(node, "off")

    def _launch(self, node: Node) -> None:
        node.folder.mkdir(exist_ok=True)
        command = [
            # A node that is paused heeds no SIGTERM.
            *(sys.executable, "-I", "-c", LAUNCHER.replace("SIGTERM", "SIGKILL"), str(os.getpid())),
            *(str(self._program), "--dbpath", str(node.folder), "--bind_ip", HOST, "--port", str(node.port)),
            *("--replSet", REPLICA_SET, "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"),
            *("--networkMessageCompressors", "disabled"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--setParameter", "enableTestCommands=1"),  # for the fail point that stalls replication
            *(word for parameter in self._parameters for word in ("--setParameter", parameter)),
        ]
        with node.log.open("ab") as log:
            started = self._starter.submit(
                subprocess.Popen,
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            node.process = started.result()

    def _initiate(self) -> None:
        """Make a set of the nodes."""
        members = [{"_id": number, "host": node.address} for number, node in enumerate(self.nodes)]
        config = {"_id": REPLICA_SET, "members": members, "settings": self._settings}
        admin_command(self.nodes[0].port, {"replSetInitiate": config})

    @staticmethod
    def _is_done(node: Node, command: dict[str, Any]) -> bool:
        """Give a command; no node may have caught up in its time."""
        try:
            admin_command(node.port, command)
        except OperationFailure as error:
            if error.code != EXCEEDED_TIME_LIMIT:
                raise
            return False
        return True

    def _find_primary(self) -> Node | None:
        said = {node.address: node.hello() for node in self.nodes}
        votes = Counter(hello.get("primary") for hello in said.values())
        for node in self.nodes:
            if said[node.address].get("isWritablePrimary") and votes[node.address] >= MAJORITY:
                return node
        return None

    def _is_whole(self) -> bool:
        said = [node.hello() for node in self.nodes]
        primary = self._find_primary()
        if primary is None or any(hello.get("primary") != primary.address for hello in said):
            return False
        note = {"appendOplogNote": 1, "data": {}, "writeConcern": {"w": NODES, "wtimeout": 5_000}}
        with suppress(PyMongoError):
            return "writeConcernError" not in admin_command(primary.port, note)
        return False

    @staticmethod
    def _set_stalled(node: Node, mode: str) -> None:
        admin_command(node.port, {"configureFailPoint": "stopReplProducer", "mode": mode})
