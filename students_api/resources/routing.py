"""The routes of resources: their route class, the parameter of their path, and how an application includes them."""

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from inspect import signature
from typing import Annotated, Any, NamedTuple

from beanie import Document, View
from fastapi import APIRouter, FastAPI, Path, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.utils import is_body_allowed_for_status_code

from students_api.http.limits import acquire_slot
from students_api.http.negotiation import JSON, require_accept, require_content_type
from students_api.resources.fields import SUB_PATHS, DocumentId

PathId = Annotated[
    DocumentId, Path(alias="id", description="The document's id.", examples=["5eb7cf5a86d9755df3a6c593"])
]
"""The path parameter `id` of a route for one document."""


class Resource(NamedTuple):
    """A resource of the API.

    Its routes return the first of its documents, of which there is one at least; `description` is that of its tag.
    """

    router: APIRouter
    documents: Sequence[type[Document]]
    description: str
    views: Sequence[type[View]] = ()


def require_no_query_parameters(request: Request) -> None:
    """The check of a route without query parameters: 422 for any."""
    if request.scope["query_string"] and request.query_params:
        raise RequestValidationError(
            [
                {"loc": ("query", name), "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}
                for name in request.query_params
            ]
        )


class ResourceRoute(APIRoute):
    """A route of a resource, for the `route_class=` of its router.

    It derives checks from its declaration: no query parameters declared, none accepted; a body must be of a media type
    that it takes, and `Accept` must allow one that it gives. Once the body is read, it waits for a slot of the
    concurrency limit.

    It takes JSON, or what `Form`, `File` or `Body(media_type=)` say, and the types that `openapi_extra=` adds. It gives
    what its `response_class` has, and the types that `responses=` adds to its status; where neither says one, any.

    Dependencies (`Depends`) could do all that, but FastAPI takes as long for each as all the checks together do.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        _, *steps = path.strip("/").split("/")
        SUB_PATHS.update(step for step in steps[:1] if "{" not in step)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the checks and the concurrency limit."""
        handler = super().get_route_handler()
        checks = list[Callable[[Request], None]]()
        if not _takes_query_parameters(self.dependant):
            checks.append(require_no_query_parameters)
        if given := _response_media_types(self):
            checks.append(require_accept(*given))
        taken = _request_media_types(self)
        if taken:
            checks.append(require_content_type(*taken))

        async def handle(request: Request) -> Response:
            for check in checks:
                check(request)
            if taken:
                await request.body()
            await acquire_slot(request)
            return await handler(request)

        return handle


def include_resource(app: FastAPI, router: APIRouter, responses: dict[int | str, dict[str, Any]]) -> None:
    """Add a router's routes to the application, each with these `responses` in OpenAPI.

    They become the application's own routes. Since 0.137 FastAPI's `include_router` matches an included router twice
    for each request, which takes a seventh of a request's time.
    """
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    if len(routes) < len(router.routes):
        app.include_router(router, responses=responses)
        return
    settings = signature(app.router.add_api_route).parameters.keys()
    for route in routes:
        declared: Any = {name: value for name, value in vars(route).items() if name in settings}
        declared["responses"] = responses | declared["responses"]
        app.router.add_api_route(**declared, route_class_override=type(route))


def _request_media_types(route: APIRoute) -> list[str]:
    """The media types of a body that the route takes; empty where it takes none."""
    added = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    if route.body_field is None:
        return [*added]
    return [getattr(route.body_field.field_info, "media_type", JSON), *added]


def _response_media_types(route: APIRoute) -> list[str]:
    """The media types of the route's response; empty where it has no body, or does not say."""
    if not is_body_allowed_for_status_code(route.status_code):
        return []
    response_class: Any = getattr(route.response_class, "value", route.response_class)  # FastAPI wraps its default
    own = "application/jsonl" if route.is_json_stream else response_class.media_type
    status = route.status_code or HTTPStatus.OK
    described = route.responses.get(status) or route.responses.get(str(int(status))) or {}
    return [*([own] if own else []), *described.get("content", {})]


def _takes_query_parameters(dependant: Dependant) -> bool:
    return bool(dependant.query_params) or any(map(_takes_query_parameters, dependant.dependencies))
