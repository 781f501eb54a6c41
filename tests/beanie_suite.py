"""Beanie's own tests of its ODM, with `StoredDocument` in the place of `Document`: `make beanie-suite`.

They come from Beanie's source distribution. The tests that may fail are those that docs/extending.md names, with the
reason of each, under "What differs from Beanie"; one of them that passes is reported too.
"""

import os
import re
import subprocess
import sys
import tarfile
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import beanie
import pytest
from motor import motor_asyncio

from students_api.mongodb.local_mongod import LocalMongod
from students_api.odm import documents

GUIDE = Path(__file__).parents[1] / "docs" / "extending.md"
SECTION = "## What differs from Beanie"


class Outcomes:
    """Collects which of the tests fail, as a pytest plugin."""

    def __init__(self) -> None:
        self.failed = set[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failed phase of a test by the test's name, without its parameters."""
        if report.failed:
            self.failed.add(report.nodeid.removeprefix("tests/odm/").split("[")[0])


def exceptions() -> set[str]:
    """The names of the tests that docs/extending.md says are different here."""
    section = GUIDE.read_text().partition(f"\n{SECTION}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"`([\w/]+\.py::[\w:]+)`", section))


def download(folder: Path) -> Path:
    """The folder that has Beanie's `tests`, of the version that is installed."""
    release = f"beanie=={version('beanie')}"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(folder),
        release,
    ]
    subprocess.run(pip, check=True)
    (archive,) = folder.glob("beanie-*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(folder, [each for each in source if "/tests/" in each.name], filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def run(folder: Path, url: str) -> Outcomes:
    """Run the tests of the ODM in this process."""
    outcomes = Outcomes()
    os.environ |= {"MONGODB_DSN": f"{url.partition('?')[0]}beanie", "MONGODB_DB_NAME": "beanie"}
    os.chdir(folder)
    sys.path[0] = str(folder)
    with pytest.MonkeyPatch.context() as patch:
        # The driver as the service has it, which returns times as they were given: in UTC, and aware of it.
        patch.setattr(motor_asyncio, "AsyncIOMotorClient", partial(motor_asyncio.AsyncIOMotorClient, tz_aware=True))
        patch.setattr(beanie, "Document", documents.StoredDocument)
        # What is refused when a class is made would end all tests of the module; tests of the project's own show it.
        patch.setattr(documents, "refuse_declarations", lambda *_: None)
        options = ["-q", "--tb=short", "-c", os.devnull, "--rootdir=.", "-p", "no:cacheprovider"]
        asyncio = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
        pytest.main([*options, *asyncio, "tests/odm"], [outcomes])
    return outcomes


def main() -> int:
    """Run the tests and compare; the exit status."""
    with TemporaryDirectory() as folder, LocalMongod(Path(folder) / "db") as url:
        outcomes = run(download(Path(folder)), url)
        os.chdir("/")
    known = exceptions()
    report = [f"{name}: fails, and docs/extending.md does not name it\n" for name in outcomes.failed - known]
    report += [f"{name}: passes, and docs/extending.md names it\n" for name in known - outcomes.failed]
    sys.stdout.writelines([*sorted(report), f"{len(outcomes.failed & known)} tests differ as docs/extending.md says\n"])
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main())
