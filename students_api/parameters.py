"""The parameters that routes share."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict


class _NoParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


async def _no_parameters(_: Annotated[_NoParameters, Query()]) -> None:
    pass


NoParameters = Depends(_no_parameters)
"""For the `dependencies=` of a route that takes no query parameters, so that it refuses any."""
