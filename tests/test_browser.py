"""Swagger UI and ReDoc as a person uses them, in a real browser, on a network that leads nowhere."""

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Browser, Locator, Page, Request, async_playwright

from tests.conftest import JANE, cannot_run
from tests.service import Service

pytestmark = [pytest.mark.any_driver, pytest.mark.browser, pytest.mark.mongod, pytest.mark.slow]

TITLES = [f"{verb} a student" for verb in ("Create", "Get", "Update", "Patch", "Delete")] + ["List students"]

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


@pytest.fixture(scope="module")
def service(mongodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all: each test has students of its own."""
    settings = {"MONGODB_URL": mongodb_url, "MONGODB_DATABASE": "browser"}
    with Service(tmp_path_factory.mktemp("browser"), (), settings) as service:
        service.wait_until_ready()
        yield service


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        cannot_run("the browser tests need Chromium: `apt-get install chromium`")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *QUIET])
        yield browser
        await browser.close()


@pytest.fixture
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """A page in a window that remembers nothing of another test's."""
    async with await browser.new_context(viewport={"width": 1280, "height": 1800}) as window:
        page = await window.new_page()
        page.set_default_timeout(20_000)
        yield Visit(page)


async def test_a_person_creates_a_student_in_swagger_ui(
    service: Service, visit: Visit, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
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


async def test_redoc_shows_every_operation(service: Service, visit: Visit) -> None:
    await visit.page.goto(f"{service.url}/redoc")
    for title in TITLES:
        await visit.page.get_by_role("heading", name=re.compile(f"{title}$")).wait_for()
    # ReDoc asks a CDN for a logo; the page's Content-Security-Policy refuses, and nothing leaves the machine.
    assert [url for url in visit.left_the_machine(service) if "redoc" not in url] == []
    assert visit.complaints == []


async def try_out(page: Page, operation_id: str) -> Locator:
    """The operation, unfolded and ready to be filled in."""
    operation = page.locator(f"#operations-students-{operation_id}")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    return operation


async def fill_in(operation: Locator, parameter: str, value: str) -> None:
    await operation.locator(f'tr[data-param-name="{parameter}"] input').fill(value)


async def execute(operation: Locator, status: int) -> str:
    """Press Execute and wait for the answer, which is another than the last one; its body and headers as shown."""
    clear = operation.get_by_role("button", name="Clear")
    if await clear.is_visible():
        await clear.click()
    await operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response")
    await answer.wait_for()
    assert (await answer.locator(".response-col_status").inner_text()).split()[0] == str(status)
    return await answer.inner_text()


async def test_a_person_follows_the_pages_of_a_filtered_list_in_swagger_ui(
    service: Service, visit: Visit, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    for number in range(3):
        httpx2.post(f"{service.url}/students/", json=JANE | {"name": f"Student {number}", "course": "Physics"})
    httpx2.post(f"{service.url}/students/", json=JANE)
    page = visit.page
    await page.goto(f"{service.url}/docs")
    operation = await try_out(page, "list_students")
    await operation.locator('tr[data-param-name="course"]').get_by_role("button", name="Add string item").click()
    await fill_in(operation, "course", "Physics")
    await fill_in(operation, "limit", "2")
    await operation.locator('tr[data-param-name="sort"] select').select_option("-name")
    first = await execute(operation, 200)
    assert [f"Student {number}" in first for number in range(3)] == [False, True, True]
    assert "Jane Doe" not in first
    assert 'rel="next"' in first
    (cursor,) = re.findall(r'"next_cursor": "([\w-]+)"', first)
    await fill_in(operation, "cursor", cursor)
    second = await execute(operation, 200)
    assert [f"Student {number}" in second for number in range(3)] == [True, False, False]
    assert '"next_cursor": null' in second
    await operation.screenshot(path=Path(pytestconfig.getoption("--screenshots") or tmp_path) / "swagger-ui-list.png")
    assert visit.left_the_machine(service) == []
    assert visit.complaints == []


async def test_a_person_updates_a_student_with_if_match_in_swagger_ui(
    service: Service, visit: Visit, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    student = httpx2.post(f"{service.url}/students/", json=JANE).json()
    httpx2.put(f"{service.url}/students/{student['id']}", json={"name": "Jane Roe"})
    page = visit.page
    await page.goto(f"{service.url}/docs")
    operation = await try_out(page, "update_student")
    await fill_in(operation, "id", student["id"])
    await fill_in(operation, "If-Match", '"1"')
    await operation.locator("textarea").fill('{"gpa": 3.7}')
    refused = await execute(operation, 412)
    assert "does not meet the condition in If-Match" in refused
    (tag,) = re.findall(r'etag: ("\d+")', refused)
    screenshots = Path(pytestconfig.getoption("--screenshots") or tmp_path)
    await operation.screenshot(path=screenshots / "swagger-ui-412.png")
    await fill_in(operation, "If-Match", tag)
    changed = await execute(operation, 200)
    assert '"name": "Jane Roe"' in changed
    assert '"gpa": 3.7' in changed
    assert 'etag: "3"' in changed
    await operation.screenshot(path=screenshots / "swagger-ui-200.png")
    assert visit.left_the_machine(service) == []
    assert visit.complaints == []
