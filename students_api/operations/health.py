"""Health checks for load balancers and orchestrators, `/livez` and `/readyz`; they are not in OpenAPI."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request

from students_api.mongodb.driver import time_limit

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def get_liveness() -> dict[str, str]:
    """Liveness: the process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def get_readiness(request: Request) -> dict[str, str]:
    """Readiness: the database answers within a second, and the service is not draining."""
    state = request.app.state
    if state.stopping.is_set():
        raise _not_ready("The service is about to stop.")
    if not state.is_ready:
        raise _not_ready("The database has not answered yet.")
    try:
        # The driver's timeout frees its thread; the other one holds while all threads are busy.
        with time_limit(1):
            async with asyncio.timeout(1):
                await state.database.command("ping")
    except Exception as error:  # whatever it is, the service is not ready
        raise _not_ready("The database does not answer.") from error
    return {"status": "ok"}


def _not_ready(detail: str) -> HTTPException:
    return HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"})
