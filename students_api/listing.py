"""Lists: the parameters that all of them share, and the pages that they ask for."""

import itertools
import math
from functools import cached_property
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, NamedTuple, Self
from urllib.parse import quote, urlencode

from beanie import Document, SortDirection
from beanie.odm.queries.find import FindMany
from fastapi import HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from students_api import cursors
from students_api.cursors import Order, Position
from students_api.database import CommandError, Encoded, count, encoded, stored_documents
from students_api.problems import invalid
from students_api.shapes import left_out

MAX_RANGES = 200
"""Into how many ranges of an index a page is split; beyond that MongoDB sorts what the filters find."""

PREFIX = "by_"
"""Of the attributes that hold the filters, so that a field can have any name."""

INDEX_NOT_FOUND = 27
"""MongoDB's error code of a search for words without a text index."""


class Page(NamedTuple):
    """The documents of a page as they are stored, the cursor of the next one, and how many match if that was asked."""

    documents: list[dict[str, Any]]
    next_cursor: str | None
    total: int | None


class ListQuery(BaseModel):
    """The parameters of every list. An unknown one is an error: a mistyped filter must not find everything."""

    model_config = ConfigDict(extra="forbid")

    orders: ClassVar[dict[str, Order]]
    filters: ClassVar[dict[str, tuple[str, str]]]  # a parameter's stored key and MongoDB's operator

    limit: Annotated[int, Field(ge=1, le=1000, description="How many at most.", examples=[50])] = 1000
    skip: Annotated[
        int, Field(ge=0, le=10_000, description="How many to pass over; not with `cursor`.", examples=[100])
    ] = 0
    cursor: str = Field(
        default_factory=left_out,
        pattern="^[A-Za-z0-9_-]+$",
        description="Where the last page ended: its `next_cursor`, with the same filters and the same `sort`.",
        examples=["0KpWQp0wM1HdDCBUIAAAAAR2YWx1ZXMAFwAAAAcwAGofjiucPU5fYHGCkwAQc2tpcAAAAAAAAA"],
    )
    count: Annotated[
        bool, Field(description="Whether to tell as `total` how many the filters find.", examples=[True])
    ] = False

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.cursor and self.skip:
            raise PydanticCustomError("skip_and_cursor", "skip and cursor exclude each other: leave one out")
        return self

    @property
    def order(self) -> Order:
        """The keys to sort by, which an index holds in this very order."""
        return self.orders[self.sort]  # type: ignore[attr-defined]  # the decorator's

    @property
    def only(self) -> set[str] | None:
        """The keys that each item is to have; `None` for all."""
        fields: str | None = self.fields  # type: ignore[attr-defined]  # the decorator's
        return None if fields is None else {"id", *fields.split(",")}

    @cached_property
    def position(self) -> Position:
        """Where the page begins. Raises a validation error where the cursor is none of this list."""
        if not self.cursor:
            return Position()
        try:
            return cursors.decode(self.cursor, self.context(), self.order)
        except ValueError as error:
            words = (
                "The cursor is damaged, or of a list with other filters or another order. Leave it out to begin anew"
            )
            raise invalid(("query", "cursor"), words, "cursor") from error

    def context(self) -> bytes:
        """What tells this list from every other: its filters and its order."""
        kept = self.model_dump_json(exclude={"limit", "skip", "cursor", "count", "fields"}, exclude_defaults=True)
        return f"{type(self).__name__} {kept}".encode()

    def find(self, document: type[Document], projection: type[BaseModel]) -> FindMany[Any]:
        """Beanie's query for the page, and for one document more, which tells whether there is a next page."""
        return document.find(
            *self._conditions(document, self.position),
            sort=[(key, SortDirection(direction)) for key, direction in self.order],
            skip=self.skip + self.position.skip,
            limit=self.limit + 1,
            projection_model=projection,
        )

    async def page(self, document: type[Document], projection: type[BaseModel]) -> Page:
        """The page that is asked for, with the projection's keys."""
        try:
            found = await stored_documents(self.find(document, projection))
        except CommandError as error:
            if error.code == INDEX_NOT_FOUND:
                words = "Words cannot be searched for: the text index is missing. `students-api check` shows what is."
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, words) from error
            raise
        documents, next_cursor = found[: self.limit], None
        if len(found) > self.limit:
            end = cursors.position_after(documents, self.order, self.position)
            next_cursor = cursors.encode(end, self.context())
        total = await count(document.find(*self._conditions(document, Position()))) if self.count else None
        return Page(documents, next_cursor, total)

    def links(self, request: Request, next_cursor: str | None) -> str:
        """The header `Link` (RFC 8288): the first page and the next one, with every parameter but the place."""
        path = quote(request.scope["path"])
        kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"cursor", "skip"}]
        pages = {"first": kept} | ({"next": [*kept, ("cursor", next_cursor)]} if next_cursor else {})
        return ", ".join(
            f'<{path}{"?" if parameters else ""}{urlencode(parameters)}>; rel="{relation}"'
            for relation, parameters in pages.items()
        )

    def _conditions(self, document: type[Document], position: Position) -> list[Encoded]:
        """What MongoDB is to find: all that the filters match from the position on."""
        words: str | None = getattr(self, "q", None)
        text = [Encoded({"$text": {"$search": _every(words)}})] if words else []
        matching: dict[str, dict[str, Any]] = {}
        for parameter, (key, operator) in self.filters.items():
            value = getattr(self, PREFIX + parameter)
            if value is not None and value != []:
                matching.setdefault(key, {})[operator] = value
        filters = [encoded(document, matching)] if matching else []
        if position.values is None:
            return [*text, *filters]
        beyond = cursors.after(position.values, self.order)
        # MongoDB merges ranges of an index in the list's order, but does not split any of several values in a range.
        several = {key: condition["$in"] for each in filters for key, condition in each.items() if "$in" in condition}
        if math.prod(map(len, several.values())) * len(beyond) > MAX_RANGES:
            several = {}
        single = [
            [*filters, *({key: {"$eq": value}} for key, value in zip(several, values, strict=True))]
            for values in itertools.product(*several.values())
        ]
        return [*text, Encoded({"$or": [{"$and": [*one, after]} for one in single for after in beyond]})]


def _every(words: str) -> str:
    """The words as MongoDB searches for all of them: each is a phrase, in which no character has a meaning."""
    return " ".join(f'"{word}"' for word in words.replace('"', " ").split())
