"""The local mongod's replica set of one node, for transactions and change streams: its configuration and state."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from students_api.mongodb.errors import NOT_YET_INITIALIZED

HOST = "127.0.0.1"
REPLICA_SET = "rs0"


def admin_command(port: int, command: dict[str, Any]) -> dict[str, Any]:
    """The reply of the mongod on `port` to an administrative command, whether it is primary or not.

    Raises `PyMongoError` where nothing answers for a second, its subclass `OperationFailure` where mongod refuses.
    """
    with MongoClient[dict[str, Any]](
        HOST,
        port,
        directConnection=True,
        connectTimeoutMS=1_000,
        serverSelectionTimeoutMS=1_000,
        socketTimeoutMS=10_000,
    ) as client:
        return client.admin.command(command)


def is_writable_primary(port: int, data: Path) -> bool:
    """Whether the mongod on `port` is the one that stores its data in `data`, and its replica set's primary."""
    try:
        options = admin_command(port, {"getCmdLineOpts": 1})["parsed"]
        is_own = options.get("storage", {}).get("dbPath") == str(data)
        return is_own and bool(admin_command(port, {"hello": 1})["isWritablePrimary"])
    except PyMongoError:
        return False


def configure_single_node(port: int) -> None:
    """Make the mongod on `port` the only member of its replica set, under this address. Call it until it is primary.

    A data folder whose mongod had another port before names that one in its configuration, and would wait for it.
    Raises `PyMongoError` where mongod does not answer.
    """
    address = f"{HOST}:{port}"
    try:
        config = admin_command(port, {"replSetGetConfig": 1})["config"]
    except OperationFailure as error:
        if error.code == NOT_YET_INITIALIZED:
            _initiate(address, port)
        return
    if config["members"][0]["host"] != address:
        config["members"][0]["host"] = address
        config["version"] += 1
        with suppress(OperationFailure):  # the next call tries again
            admin_command(port, {"replSetReconfig": config, "force": True})


def _initiate(address: str, port: int) -> None:
    # Refused while mongod still loads the configuration that it has, which takes half a minute where the address in it
    # does not answer. Then there is nothing to initiate.
    with suppress(OperationFailure):
        members = [{"_id": 0, "host": address}]
        admin_command(port, {"replSetInitiate": {"_id": REPLICA_SET, "members": members}})
