"""The service's log: every line tells the request in which it was written."""

import re
import sys
from pathlib import Path

import httpx2
import pytest

from tests.service import Service

pytestmark = [pytest.mark.mongod, pytest.mark.slow]

LINE = re.compile(r"^(\w+): +\[(\S+)\] (.*)$")

# `students-api serve` with a route that fails.
BROKEN = """
import students_api.main, students_api.cli

@students_api.main.app.get("/broken")
async def broken():
    students_api.main.logger.warning("about to break")
    raise RuntimeError("as planned")

students_api.cli.app()
"""


def test_every_line_has_the_requests_id(tmp_path: Path, mongodb_url: str) -> None:
    command = (sys.executable, "-c", BROKEN, "serve")
    with Service(tmp_path, [], {"MONGODB_URL": mongodb_url}, command) as service:
        service.wait_until_ready()
        headers = {"X-Request-ID": "abc-1"}
        problem = httpx2.get(f"{service.url}/broken", headers=headers)
        assert (problem.status_code, problem.headers["X-Request-ID"]) == (500, "abc-1")
        assert problem.json()["request_id"] == "abc-1"
        assert "as planned" not in problem.text
        made = httpx2.get(f"{service.url}/students/").headers["X-Request-ID"]
        assert service.stop() == 0
        log = service.log.read_text()
    lines = [match.groups() for match in map(LINE.match, log.splitlines()) if match]
    written = {(level, request) for level, request, words in lines if "break" in words or "/broken" in words}
    assert written == {("WARNING", "abc-1"), ("INFO", "abc-1")}
    assert ("ERROR", "abc-1", "Exception in ASGI application") in lines
    assert "RuntimeError: as planned" in log
    assert any("GET /students/" in words for _, request, words in lines if request == made)
    assert ("INFO", "-", "Application startup complete.") in lines
    outside = [line for line in log.splitlines() if re.match(r"(INFO|WARNING|ERROR):", line) and not LINE.match(line)]
    assert outside == []
