"""The service as a process of its own, for what shows only there."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

import httpx2

T = TypeVar("T")

PATIENCE_SECONDS = 120
"""A bound on hanging, not a measurement: on a machine that has much else to do, a start takes its time."""

MAX_KIB = 150 * 1024
"""How much memory the service may have, whatever is asked of it."""


def is_free(port: int) -> bool:
    with socket.socket() as listener, suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        return True
    return False


def is_claimed(port: int) -> bool:
    """Claim a port, for as long as this process runs; whether another has done so, whose service is about to listen.

    The claim is the port of the same number for UDP, which nothing here uses.
    """
    claim = socket.socket(type=socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return True
    claim.detach()
    return False


def free_port() -> int:
    """A port that nothing listens on or will, and that no outgoing connection of a client will be given."""
    return next(port for port in random.sample(range(10_000, 20_000), 100) if is_free(port) and not is_claimed(port))


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The tests' own environment without the service's settings, no delay of its stop, and then what is given.

    A `PYTHONPATH` that is given comes before the tests' own, which may have their Beanie.
    """
    settings = ("STUDENTS_API_", "MONGODB_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    python_path = [each["PYTHONPATH"] for each in (more, own) if each.get("PYTHONPATH")]
    return own | {"STUDENTS_API_STOP_DELAY_SECONDS": "0"} | dict(more) | {"PYTHONPATH": os.pathsep.join(python_path)}


def run(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `students-api` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "students_api", *arguments],
        cwd=cwd,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def wait_for(condition: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """What the condition gives as soon as that is true; it must be within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)  # between two looks at another process, which cannot tell
    raise AssertionError(f"not within {seconds} s: {condition}")


class Service:
    """`students-api serve`, or another command that serves the application on `port`."""

    def __init__(
        self, folder: Path, arguments: Sequence[str], settings: Mapping[str, str], command: Sequence[str] = ()
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"service-{self.port}.log"
        command = command or (sys.executable, "-m", "students_api", "serve")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *arguments],
                cwd=folder,
                env=environment(settings),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def answers(self, path: str) -> int | None:
        """The status of the answer to GET; `None` where there is none."""
        try:
            # Without the certificates, which nothing here needs: to read them takes longer than an answer.
            return httpx2.get(f"{self.url}{path}", verify=False).status_code
        except httpx2.TransportError:
            return None

    def is_ready(self) -> bool:
        return self.answers("/readyz") == 200

    def wait_until_ready(self) -> None:
        wait_for(lambda: self.is_ready() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def peak_kib(self) -> int:
        """The most memory that its process has ever had; 0 where the system does not say."""
        status = Path(f"/proc/{self.process.pid}/status")
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) if status.exists() else 0

    def stop(self) -> int:
        """End it as an operator does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """End it and its workers with kill -9."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def mongods(folder: Path) -> list[int]:
    """The ids of the processes that run a mongod on the data folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"mongod") and str(folder / "db").encode() in words:
            found.append(int(entry.name))
    return found
