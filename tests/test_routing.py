"""Routers of resources in an application."""

from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, Depends, FastAPI

from students_api.resources.routing import include_resource


def owner() -> str:
    return "Jane"


def answer(name: str = Depends(owner)) -> str:
    return name


@pytest.mark.parametrize("is_nested", [False, True])
async def test_a_router_is_included_as_fastapi_includes_one(*, is_nested: bool) -> None:
    closed: dict[int | str, dict[str, Any]] = {503: {"description": "closed"}}
    router, inner = APIRouter(prefix="/pets", tags=["pets"], responses={418: {"description": "short"}}), APIRouter()
    router.add_api_route("/{id}", answer, description="Whose it is.", status_code=202, deprecated=True)
    if is_nested:
        inner.add_api_route("/inner", answer)
        router.include_router(inner)
    included, expected = FastAPI(), FastAPI()
    include_resource(included, router, closed)
    expected.include_router(router, responses=closed)
    assert included.openapi() == expected.openapi()
    are_its_own = "/pets/{id}" in {getattr(route, "path", None) for route in included.routes}
    assert are_its_own is not is_nested
    included.dependency_overrides[owner] = lambda: "Joe"
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(included), base_url="http://service") as client:
        answered = await client.get("/pets/1")
        assert (answered.status_code, answered.json()) == (202, "Joe")
        refused = await client.post("/pets/1")
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")
