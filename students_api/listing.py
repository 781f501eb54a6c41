"""Lists: the parameters that all of them share, and the pages that they ask for."""

import re
from collections import Counter
from functools import cached_property
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, NamedTuple, Self, get_args
from urllib.parse import quote, urlencode

from beanie import Document, SortDirection
from beanie.odm.queries.find import FindMany
from fastapi import HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from students_api import cursors
from students_api.cursors import Order, Position
from students_api.database import CommandError, Encoded, count, encoded, stored_documents
from students_api.problems import invalid
from students_api.shapes import left_out

REPLACED = "\ufffd"
"""What the driver reads in the place of bytes that are no UTF-8."""

PREFIX = "by_"
"""Of the attributes that hold the filters, so that a field can have any name."""

INDEX_NOT_FOUND = 27
"""MongoDB's error code of a search for words without a text index."""


NextCursor = Annotated[
    str | None,
    Field(description="Where the next page begins: the parameter `cursor`. `null` on the last page.", examples=[None]),
]
"""A page's key `next_cursor`."""

Total = Annotated[
    int | SkipJsonSchema[None],
    Field(default_factory=left_out, description="How many match the filters; with `count=true`.", examples=[1]),
]
"""A page's key `total`."""


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
            return Position(skip=self.skip)
        try:
            return cursors.decode(self.cursor, self.context(), self.order)
        except ValueError as error:
            words = (
                "The cursor is damaged, or of a list with other filters or another order. Leave it out to begin anew"
            )
            raise invalid(("query", "cursor"), words, "cursor") from error

    async def answer(self, request: Request, document: type[Document], shape: type[BaseModel]) -> Response:
        """The page that is asked for, in its `shape`: the items under its first key, then `next_cursor` and `total`.

        Raises a validation error where a parameter that takes one value has several, or the cursor is of another list.
        """
        self._refuse_repeated(request)
        items, field = next(iter(shape.model_fields.items()))
        (item,) = get_args(field.annotation)
        found = await self.page(document, item)
        page = shape.model_validate({items: found.documents, "next_cursor": found.next_cursor, "total": found.total})
        content = page.model_dump_json(
            by_alias=True,
            include={items: {"__all__": self.only}, "next_cursor": True, "total": True} if self.only else None,
            exclude=None if self.count else {"total"},
        )
        links = self.links(request, found.next_cursor)
        return Response(content, headers={"Link": links}, media_type="application/json")

    def _refuse_repeated(self, request: Request) -> None:
        several = {parameter for parameter, (_, operator) in self.filters.items() if operator == "$in"}
        for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
            if times > 1 and name not in several:
                raise invalid(("query", name), "It takes one value, and is given several times", "repeated")

    def context(self) -> bytes:
        """What tells this list from every other: its filters and its order."""
        kept = self.model_dump_json(exclude={"limit", "skip", "cursor", "count", "fields"}, exclude_defaults=True)
        return f"{type(self).__name__} {kept}".encode()

    def queries(self, document: type[Document], projection: type[BaseModel]) -> list[FindMany[Any]]:
        """Beanie's queries that find all from the page on, one after the other; mostly it is one."""
        matching = self._matching(document)
        values = self.position.values
        ranges = [] if values is None else [Encoded(each) for each in cursors.after(values, self.order)]
        if ranges and self._can_be_merged(matching):
            ranges = [Encoded({"$or": [{"$and": [*matching, each]} for each in ranges]})]
            matching = []
        options: dict[str, Any] = {
            "sort": [(key, SortDirection(direction)) for key, direction in self.order],
            "projection_model": projection,
            "batch_size": self.limit + 1,  # or MongoDB would send 101 first, and the rest when it is asked again
        }
        return [document.find(*matching, each, **options) for each in ranges] or [document.find(*matching, **options)]

    def _can_be_merged(self, matching: list[Encoded]) -> bool:
        """Whether MongoDB merges the ranges after the position in the list's order.

        It merges by what it fetched, where missing is less than null, though both are one place in an index: so only
        where neither is equal in all of a range. And it sorts ranges of several values, or of words, in memory.
        """
        values = self.position.values or []
        several = any(len(each.get("$in", [])) > 1 for conditions in matching for each in conditions.values())
        return None not in values and not several and not any("$text" in conditions for conditions in matching)

    async def page(self, document: type[Document], projection: type[BaseModel]) -> Page:
        """The page that is asked for, with the projection's keys."""
        found: list[dict[str, Any]] = []
        skip, wanted = self.position.skip, self.limit + 1  # one more tells whether there is a next page
        try:
            for query in self.queries(document, projection):
                part = await stored_documents(query.skip(skip).limit(wanted - len(found)))
                skip = max(skip - await count(query), 0) if skip and not part else 0
                found += part
                if len(found) == wanted:
                    break
            total = await count(document.find(*self._matching(document))) if self.count else None
        except CommandError as error:
            if error.code == INDEX_NOT_FOUND:
                words = "Words cannot be searched for: the text index is missing. `students-api check` shows what is."
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, words, {"Retry-After": "60"}) from error
            raise
        documents, next_cursor = found[: self.limit], None
        if len(found) == wanted:
            end = await self._end(document, documents)
            next_cursor = cursors.encode(end, self.context())
        return Page(documents, next_cursor, total)

    async def _end(self, document: type[Document], documents: list[dict[str, Any]]) -> Position:
        """Where the page ends: after its last document whose values are compared, and so many further."""
        for further, last in enumerate(reversed(documents)):
            values = [last.get(key) for key, _ in self.order]
            if all(map(cursors.is_compared, values)) and await self._is_read_as_stored(document, last, values):
                return Position(values, further)
        return Position(self.position.values, self.position.skip + len(documents))

    async def _is_read_as_stored(self, document: type[Document], last: dict[str, Any], values: list[Any]) -> bool:
        """Whether MongoDB has the very text that was read: the driver replaces what is no UTF-8."""
        if not any(isinstance(value, str) and REPLACED in value for value in values):
            return True
        same = {key: {"$eq": value} for (key, _), value in zip(self.order, values, strict=True)}
        return await count(document.find(Encoded({**same, "_id": {"$eq": last["_id"]}}))) == 1

    def links(self, request: Request, next_cursor: str | None) -> str:
        """The header `Link` (RFC 8288): the first page and the next one, with every parameter but the place."""
        path = quote(request.scope["path"])
        kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"cursor", "skip"}]
        pages = {"first": kept} | ({"next": [*kept, ("cursor", next_cursor)]} if next_cursor else {})
        return ", ".join(
            f'<{path}{"?" if parameters else ""}{urlencode(parameters)}>; rel="{relation}"'
            for relation, parameters in pages.items()
        )

    def _matching(self, document: type[Document]) -> list[Encoded]:
        """What the filters match."""
        words: str | None = getattr(self, "q", None)
        text = [Encoded({"$text": {"$search": _every(words)}})] if words else []
        matching: dict[str, dict[str, Any]] = {}
        for parameter, (key, operator) in self.filters.items():
            value = getattr(self, PREFIX + parameter)
            if value is not None and value != []:
                matching.setdefault(key, {})[operator] = value
        return [*text, encoded(document, matching)] if matching else text


def _every(words: str) -> str:
    """The words as MongoDB searches for all of them: each is a phrase, without any sign that has a meaning."""
    return " ".join(f'"{word}"' for word in re.findall(r"[^\W_]+", words))
