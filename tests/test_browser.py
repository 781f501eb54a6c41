"""Swagger UI and ReDoc as a person uses them, in a real browser, on a network that leads nowhere."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, Request, async_playwright

from tests.conftest import cannot_run
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.mongod, pytest.mark.slow]

QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]


class Visit:
    """A page in the browser, and what it asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, request: Request) -> None:
        self.requests.append(request.url)

    def left_the_machine(self, service: Service) -> list[str]:
        return [url for url in self.requests if not url.startswith((service.url, "data:", "blob:"))]


@pytest.fixture
async def visit() -> AsyncIterator[Visit]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        cannot_run("the browser tests need Chromium: `apt-get install chromium`")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *QUIET])
        page = await browser.new_page(viewport={"width": 1280, "height": 1800})
        page.set_default_timeout(20_000)
        yield Visit(page)
        await browser.close()


async def test_a_person_creates_a_student_in_swagger_ui(
    start_service: Callable[..., Service], visit: Visit, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    service = start_service()
    page = visit.page
    await page.goto(f"{service.url}/")
    assert page.url == f"{service.url}/docs"
    operation = page.locator("#operations-students-create_student")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    assert '"name": "Jane Doe"' in await operation.locator("textarea").input_value()
    await operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response")
    await answer.wait_for()
    assert (await answer.locator(".response-col_status").inner_text()).strip() == "201"
    assert '"email": "jdoe@example.com"' in await answer.inner_text()
    screenshot = pytestconfig.getoption("--screenshots") or tmp_path
    await page.screenshot(path=Path(screenshot) / "swagger-ui.png")
    assert visit.left_the_machine(service) == []
    assert visit.complaints == []


async def test_redoc_shows_every_operation(start_service: Callable[..., Service], visit: Visit) -> None:
    service = start_service()
    await visit.page.goto(f"{service.url}/redoc")
    for title in ("Create a student", "List students", "Get a student", "Update a student", "Delete a student"):
        await visit.page.get_by_role("heading", name=title).wait_for()
    # ReDoc asks a CDN for a logo; the page's Content-Security-Policy refuses, and nothing leaves the machine.
    assert [url for url in visit.left_the_machine(service) if "redoc" not in url] == []
    assert visit.complaints == []
