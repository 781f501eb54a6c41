"""Whether the service lives, and whether it can serve: for load balancers, not part of the API's description."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, HTTPException, Request

from students_api.database import time_limit

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def get_liveness() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def get_readiness(request: Request) -> dict[str, str]:
    """The database answers, within a second, and the service is not about to stop."""
    state = request.app.state
    if state.stopping.is_set():
        raise _not_ready("The service is about to stop.")
    if not state.is_ready:
        raise _not_ready("The database has not answered yet.")
    try:
        # The driver's limit gives its thread back; the other one holds while all threads are busy.
        with time_limit(1):
            async with asyncio.timeout(1):
                await state.database.command("ping")
    except Exception as error:  # whatever it is, the service is not ready
        raise _not_ready("The database does not answer.") from error
    return {"status": "ok"}


def _not_ready(words: str) -> HTTPException:
    return HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, words, {"Retry-After": "1"})
