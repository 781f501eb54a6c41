"""The parameters that routes share."""

from typing import Annotated

from fastapi import Path, Request
from fastapi.exceptions import RequestValidationError

from students_api.fields import DocumentId

PathId = Annotated[DocumentId, Path(alias="id", description="Its id.", examples=["5eb7cf5a86d9755df3a6c593"])]
"""The id at the end of a document's path."""


def no_parameters(request: Request) -> None:
    """The check of a route that takes no query parameters, so that it refuses any."""
    if request.scope["query_string"] and request.query_params:
        raise RequestValidationError(
            [
                {"loc": ("query", name), "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}
                for name in request.query_params
            ]
        )
