"""The routes of the resources: how a request finds its route, what it is checked for, its turn at the database."""

from collections.abc import Callable, Coroutine
from inspect import signature
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.utils import is_body_allowed_for_status_code

from students_api.limits import take_turn
from students_api.negotiation import JSON, answers_json, body_of
from students_api.parameters import no_parameters


class Route(APIRoute):
    """A route of a resource, for the `route_class=` of its router.

    It follows from what the route declares: without query parameters it refuses any; a body is JSON, or of a type that
    `openapi_extra=` has beside it; an answer with content is JSON, which the client must take. And a request that is
    complete waits for its turn at the database.

    Dependencies could do all that. But FastAPI takes as long for each of them as all the checks together do.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI has it."""
        answer = super().get_route_handler()
        checks = list[Callable[[Request], None]]()
        if not _has_parameters(self.dependant):
            checks.append(no_parameters)
        if is_body_allowed_for_status_code(self.status_code):
            checks.append(answers_json)
        has_body = self.body_field is not None
        if has_body:
            others = (self.openapi_extra or {}).get("requestBody", {}).get("content", {})
            checks.append(body_of(JSON, *others))

        async def handle(request: Request) -> Response:
            for check in checks:
                check(request)
            if has_body:
                await request.body()
            await take_turn(request)
            return await answer(request)

        return handle


def include(app: FastAPI, router: APIRouter, responses: dict[int | str, dict[str, Any]]) -> None:
    """Have an application answer with a router's routes, each of which can have these responses too.

    They become the application's own, as with `include_router` until FastAPI 0.136. Now that keeps the router, and
    looks through its routes twice for each request, which takes a seventh of all that the service does for one.
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


def _has_parameters(dependant: Dependant) -> bool:
    return bool(dependant.query_params) or any(map(_has_parameters, dependant.dependencies))
