"""The command `students-api`: what it prints, and its exit codes."""

import json
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bson import ObjectId

import students_api
from students_api.main import MODELS
from students_api.mongodb.driver import ON_MOTOR, Database
from students_api.odm import migrations
from students_api.odm.indexes import declared_indexes
from students_api.operations.lifespan import documents_in
from students_api.settings import Settings
from students_api.students.student import Student
from tests.conftest import JANE, STORED_JANE, client_of
from tests.resources import RESOURCES
from tests.service import Service, environment, free_port, run, wait_for

NO_SERVER = "mongodb://127.0.0.1:1/"


def test_it_says_its_version(tmp_path: Path) -> None:
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"students-api {students_api.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["serve", "migrate", "openapi", "check", "--version", "--install-completion", "Exit codes"]),
        (["serve"], ["--host", "127.0.0.1", "--port", "8000", "--workers", "--reload", "MONGODB_URL"]),
        (["migrate"], ["--backward", "--distance", "--status"]),
        (["openapi"], ["OpenAPI"]),
        (["check"], ["exit code 1"]),
    ],
    ids=str,
)
def test_its_help_says_what_there_is(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    done = run(*arguments, "--help", cwd=tmp_path, COLUMNS="200", NO_COLOR="1")
    assert done.returncode == 0
    for word in words:
        assert word in done.stdout


def test_its_help_needs_neither_fastapi_nor_beanie() -> None:
    program = "import sys, students_api.cli; sys.exit(any(name in sys.modules for name in ('fastapi', 'beanie')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_it_completes_in_the_shell(tmp_path: Path) -> None:
    complete = {"_STUDENTS_API_COMPLETE": "complete_bash", "COMP_WORDS": "students-api m", "COMP_CWORD": "1"}
    program = Path(sys.executable).parent / "students-api"
    done = subprocess.run(
        [program], cwd=tmp_path, env=environment(complete), capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["migrate"]


def test_openapi_prints_the_document_without_a_database(tmp_path: Path) -> None:
    done = run("openapi", cwd=tmp_path, MONGODB_URL=NO_SERVER)
    assert done.returncode == 0
    assert {"/students/", "/students/{id}"} <= set(json.loads(done.stdout)["paths"])


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["serve", "--port", "70000"], ["serve", "--workers", "0"], ["serve", "--reload", "--workers", "2"],
     ["migrate", "--distance", "-1"], ["check", "--nonsense"]],
    ids=str,
)  # fmt: skip
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: list[str]) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr


@pytest.mark.slow
def test_a_missing_server_is_one_line_within_seconds(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        migrate, check = pool.map(lambda name: run(name, cwd=tmp_path, MONGODB_URL=NO_SERVER), ("migrate", "check"))
    assert migrate.returncode == 3
    assert len(migrate.stderr.splitlines()) == 1
    assert migrate.stderr.startswith("students-api: MongoDB does not answer. Is MONGODB_URL right")
    assert check.returncode == 1
    assert "WRONG  connection: MongoDB does not answer" in check.stdout


@pytest.mark.mongod
@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_credentials_that_are_refused_are_one_line_and_exit_with_3(
    tmp_path: Path, mongodb_url: str, workers: str
) -> None:
    url = mongodb_url.replace("://", "://jane:SECRET@")
    done = run("serve", "--workers", workers, cwd=tmp_path, MONGODB_URL=url)
    assert done.returncode == 3
    assert done.stderr == (
        "students-api: MongoDB refuses. Are the credentials in MONGODB_URL right? Authentication failed.\n"
    )


@pytest.mark.slow
def test_serve_waits_for_a_missing_server_and_says_so(tmp_path: Path) -> None:
    with Service(tmp_path, ["--workers", "2"], {"MONGODB_URL": NO_SERVER}) as service:
        wait_for(lambda: service.answers("/livez") == 200)
        assert service.answers("/readyz") == 503
        assert service.answers("/students/") == 503
        assert service.stop() == 0
        log = service.log.read_text()
    assert "MongoDB does not answer. Is MONGODB_URL right, and the server running?" in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MONGODB_URL": "http://example.com"}, "MONGODB_URL"),
        ({"MONGODB_URL": "mongodb://a:b@c@127.0.0.1"}, "MONGODB_URL"),
        ({"MONGODB_DATABASE": "a.b"}, "MONGODB_DATABASE"),
        ({"MONGODB_DATABASE": "x" * 64}, "MONGODB_DATABASE"),
        ({"STUDENTS_API_MONGOD": "/nowhere/mongod"}, "STUDENTS_API_MONGOD"),
        ({"STUDENTS_API_POOL_SIZE": "many"}, "STUDENTS_API_POOL_SIZE"),
        ({"STUDENTS_API_POOL_SIZE": "0"}, "STUDENTS_API_POOL_SIZE"),
        ({"STUDENTS_API_DATA_DIR": "/proc/nowhere"}, "STUDENTS_API_DATA_DIR"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_used_exits_with_3_and_names_it(
    tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    done = run("serve", cwd=tmp_path, **settings)
    assert done.returncode == 3
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.any_driver
@pytest.mark.mongod
@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_exits_with_3(tmp_path: Path, mongodb_url: str, workers: str) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as other:
        taken = ("serve", "--port", str(other.getsockname()[1]), "--workers", workers)
        assert run(*taken, cwd=tmp_path, MONGODB_URL=mongodb_url).returncode == 3


@pytest.mark.mongod
@pytest.mark.slow
@pytest.mark.parametrize(("command", "code"), [("serve", 3), ("migrate", 3), ("check", 1)])
async def test_what_mongodb_refuses_is_one_line(
    tmp_path: Path, mongodb_url: str, real_database: Database, command: str, code: int
) -> None:
    """A view, which takes no index and no update, stands for all that MongoDB can refuse to a client it lets in."""
    await real_database["students"].drop()
    await real_database["pupils"].insert_one(dict(JANE))
    await real_database.create_collection("students", viewOn="pupils", pipeline=[])
    try:
        done = run(command, cwd=tmp_path, MONGODB_URL=mongodb_url)
    finally:
        await real_database["students"].drop()
    assert done.returncode == code
    refusals = [line for line in (done.stdout + done.stderr).splitlines() if "view" in line.lower()]
    assert len(refusals) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.any_driver
@pytest.mark.mongod
@pytest.mark.slow
def test_workers_that_do_not_start_exit_with_3(tmp_path: Path, mongodb_url: str) -> None:
    """What only a worker meets: here, a setting that it cannot use."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'spawn_main' in str(sys.orig_argv): os.environ['MONGODB_DATABASE'] = 'a.b'\n"
    )
    workers = ("serve", "--port", str(free_port()), "--workers", "2")
    done = run(*workers, cwd=tmp_path, MONGODB_URL=mongodb_url, PYTHONPATH=str(tmp_path))
    assert done.returncode == 3, done.stderr
    assert "MONGODB_DATABASE" in done.stderr


async def check(tmp_path: Path, mongodb_url: str) -> tuple[int, list[str]]:
    done = run("check", cwd=tmp_path, MONGODB_URL=mongodb_url)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


@pytest.mark.mongod
@pytest.mark.slow
async def test_check_finds_nothing_wrong_where_nothing_is(
    real_database: Database, mongodb_url: str, tmp_path: Path
) -> None:
    async with client_of(real_database) as client:
        for resource in RESOURCES:
            await client.post(resource.path, json=resource.body)
    await migrations.run(real_database, backward=False, distance=0)
    code, lines = await check(tmp_path, mongodb_url)
    assert code == 0, lines
    own = [resource.document for resource in RESOURCES]
    assert [re.sub(r"MongoDB [\d.]+", "MongoDB x", line) for line in lines] == [
        "ok     settings: all known",
        "ok     connection: MongoDB x, database college",
        "ok     migrations: none pending",
        *[
            f"ok     {words}"
            for document in documents_in(MODELS)
            for name, stored in [(document.get_collection_name(), int(document in own))]
            for words in (f"indexes of {name}: none missing", f"documents of {name}: 0 of {stored} are invalid")
        ],
    ]


@pytest.mark.mongod
@pytest.mark.slow
async def test_check_names_each_thing_that_is_wrong_and_exits_with_1(
    real_database: Database, mongodb_url: str, tmp_path: Path
) -> None:
    await real_database["students"].drop()
    broken = ObjectId()
    await real_database["students"].insert_many(
        [
            {"_id": broken, **STORED_JANE, "gpa": 9, "email": "SECRET"},
            {"_id": "an id", **STORED_JANE},
            {"_id": ObjectId(), **STORED_JANE},
        ]
    )
    done = run("check", cwd=tmp_path, MONGODB_URL=mongodb_url, STUDENTS_API_DATADIR="x")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "WRONG  settings: STUDENTS_API_DATADIR is not a setting; is it mistyped?" in lines
    assert any(line.startswith("WRONG  migrations: 2026") and line.endswith("pending") for line in lines)
    declared = sorted(index.options["name"] for index in declared_indexes(Student))
    assert "course_1_gpa_-1__id_-1" in declared
    assert f"WRONG  indexes of students: {', '.join(declared)} missing" in lines
    assert (
        f"WRONG  students {broken}: email: Input should be a bare e-mail address such as jdoe@example.com; "
        "gpa: Input should be less than or equal to 4"
    ) in lines
    assert any(line.startswith("WRONG  students an id: _id:") for line in lines)
    assert "WRONG  documents of students: 2 of 3 are invalid" in lines
    assert "SECRET" not in done.stdout
    assert await real_database["students"].index_information() == {"_id_": {"v": 2, "key": [("_id", 1)]}}


@pytest.mark.skipif(not ON_MOTOR, reason="PyMongo Async has no threads")
@pytest.mark.slow
def test_motor_has_as_many_threads_as_the_pool_has_connections() -> None:
    program = "import students_api.students.student, motor.frameworks.asyncio as motor; print(motor.max_workers)"

    def threads(**settings: str) -> int:
        return int(
            subprocess.run(
                [sys.executable, "-c", program], env=environment(settings), capture_output=True, text=True, check=True
            ).stdout
        )

    os.environ.pop("MOTOR_MAX_WORKERS", None)  # which importing the package into this process has set
    assert threads() == Settings().pool_size
    assert threads(STUDENTS_API_POOL_SIZE="7") == 7
