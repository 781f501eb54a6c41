"""The documentation pages, Swagger UI and ReDoc, whose assets the service has itself: they work on a closed network."""

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

ASSETS = "/docs-assets"

# The pages' own scripts are inline; ReDoc searches in a worker made from a blob. All else comes from this server, or
# not at all: ReDoc asks a CDN for a logo.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src blob:; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


class _Assets(StaticFiles):
    """Static files without byte ranges: an invalid range would be answered without problem details."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in scope["headers"] if header[0] != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


def add_documentation(app: FastAPI) -> None:
    """Serve `/docs`, `/redoc` and their assets; `/` redirects to `/docs`."""
    app.include_router(router)
    app.mount(ASSETS, _Assets(packages=[("fastapi_offline", "static")]))


@router.get("/")
async def redirect_to_documentation() -> RedirectResponse:
    """Redirect to `/docs`, by a relative URL, which is right behind a proxy's prefix as well."""
    return RedirectResponse("docs")


@router.get("/docs")
async def show_swagger_ui(request: Request) -> HTMLResponse:
    """The page of Swagger UI."""
    root = request.scope.get("root_path", "")
    page = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title=request.app.title,
        swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{root}{ASSETS}/favicon.png",
        swagger_ui_parameters={"displayRequestDuration": True},
    )
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return page


@router.get("/redoc")
async def show_redoc(request: Request) -> HTMLResponse:
    """The page of ReDoc."""
    root = request.scope.get("root_path", "")
    page = get_redoc_html(
        openapi_url=f"{root}/openapi.json",
        title=request.app.title,
        redoc_js_url=f"{root}{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{root}{ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return page
