"""The OpenAPI document as a product: valid, kept by the service, and good for clients that are generated from it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from students_api.main import create_app
from students_api.mongodb.driver import Database
from tests.conftest import JANE, cannot_run
from tests.service import MAX_KIB, Service, environment

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

CLIENTS = Path(__file__).parent / "clients"
PYTHON_GENERATOR = "openapi-python-client==0.29.1"


@pytest.fixture
def service(start_service: Callable[..., Service], mongodb_url: str, real_database: Database) -> Service:
    """The service on an empty database."""
    return start_service(MONGODB_URL=mongodb_url, MONGODB_DATABASE=real_database.name)


def run(*command: str | Path, cwd: Path, seconds: float | None = 300, **more: str) -> str:
    """What a program prints; it must succeed, within `seconds`. The virtual environment's programs are on its path."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment({"PATH": programs, **more}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.any_driver
def test_the_document_is_valid_openapi() -> None:
    document = create_app().openapi()
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


@pytest.mark.any_driver
def test_the_service_keeps_what_the_document_says(
    service: Service, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Every check of schemathesis, on examples, edge cases, random requests and sequences of requests.

    More of them with `--examples`, as `make fuzz` has it.
    """
    report = run(
        *("schemathesis", "--config-file", CLIENTS / "schemathesis.toml", "run", f"{service.url}/openapi.json"),
        *("--max-examples", str(pytestconfig.getoption("examples")), "--seed", "1", "--no-color"),
        cwd=tmp_path,
        seconds=None,
        SCHEMATHESIS_HOOKS="tests.clients.schemathesis_hooks",
        PYTHONPATH=str(CLIENTS.parent.parent),
    )
    operations = sum(map(len, create_app().openapi()["paths"].values()))
    assert f"{operations} selected / {operations} total" in report
    assert "Traceback" not in service.log.read_text()
    assert service.peak_kib() < MAX_KIB


@pytest.mark.any_driver
def test_a_generated_python_client_works(service: Service, tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(httpx2.get(f"{service.url}/openapi.json").text)
    uv = ("uv", "--quiet", "--no-config", "--no-progress")
    generate = ("openapi-python-client", "generate", "--path", document, "--output-path", "client", "--fail-on-warning")
    printed = run(*uv, "tool", "run", "--python", sys.executable, "--from", PYTHON_GENERATOR, *generate, cwd=tmp_path)
    assert "warning" not in printed.lower()
    script = ("python", CLIENTS / "client.py", service.url, json.dumps(JANE))
    project = ("run", "--no-project", "--python", sys.executable, "--with", tmp_path / "client")
    run(*uv, *project, "--with", "mypy>=2.4,<2.5", "mypy", "--strict", CLIENTS / "client.py", cwd=tmp_path)
    run(*uv, *project, *script, cwd=tmp_path)


@pytest.mark.any_driver
def test_a_generated_typescript_client_works(service: Service, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        cannot_run("the TypeScript client needs Node.js 20 or later with npm")
    for name in ("package.json", "package-lock.json", ".npmrc", "client.ts"):
        shutil.copy(CLIENTS / name, tmp_path)
    (tmp_path / "openapi.json").write_text(httpx2.get(f"{service.url}/openapi.json").text)
    run("npm", "ci", "--no-audit", "--no-fund", "--silent", cwd=tmp_path)
    programs = tmp_path / "node_modules" / ".bin"
    printed = run(programs / "openapi-typescript", "openapi.json", "-o", "schema.ts", cwd=tmp_path)
    assert "warn" not in printed.lower().replace("npm warn", "")
    # As `schema.ts`, and not `.d.ts`, it is checked where TypeScript's own libraries are left out.
    strict = ("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "false", "--skipLibCheck")
    run(programs / "tsc", *strict, "--module", "nodenext", "--target", "es2022", "client.ts", cwd=tmp_path)
    run("node", "client.js", service.url, json.dumps(JANE), cwd=tmp_path)
