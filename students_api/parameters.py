"""The parameters that routes share."""

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict

from students_api.fields import DocumentId

PathId = Annotated[DocumentId, Path(alias="id", description="Its id.", examples=["5eb7cf5a86d9755df3a6c593"])]
"""The id at the end of a document's path."""


class _NoParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


async def _no_parameters(_: Annotated[_NoParameters, Query()]) -> None:
    pass


NoParameters = Depends(_no_parameters)
"""For the `dependencies=` of a route that takes no query parameters, so that it refuses any."""
