"""The query parameters of a list, and the page that they select: filters, sort order, keyset pagination."""

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
from pymongo.errors import OperationFailure

from students_api.http.problems import validation_error
from students_api.mongodb.errors import INDEX_NOT_FOUND
from students_api.odm.encoding import BsonFilter, to_bson_filter
from students_api.odm.queries import count, fetch_raw
from students_api.resources.lists import cursors
from students_api.resources.lists.keyset import KeysetPosition, Order, conditions_after, is_comparable
from students_api.resources.read_schemas import keys_in_json, to_json
from students_api.resources.request_schemas import omitted

REPLACEMENT_CHARACTER = "\ufffd"
"""What the driver reads for bytes that are not UTF-8."""

ATTRIBUTE_PREFIX = "by_"
"""The prefix of the attributes that hold filters, so that a field can have any name."""

NextCursor = Annotated[
    str | None,
    Field(description="The parameter `cursor` of the next page; `null` on the last page.", examples=[None]),
]
"""A page's key `next_cursor`."""

Total = Annotated[
    int | SkipJsonSchema[None],
    Field(
        default_factory=omitted,
        description="The number of documents that match the filters, with `count=true`.",
        examples=[1],
    ),
]
"""A page's key `total`."""


class Page(NamedTuple):
    """The raw documents of a page, the cursor of the next one, and the number of matches with `count=true`."""

    documents: list[dict[str, Any]]
    next_cursor: str | None
    total: int | None


class ListQuery(BaseModel):
    """The query parameters of every list. An unknown one is an error: a mistyped filter must not find everything."""

    model_config = ConfigDict(extra="forbid")

    orders: ClassVar[dict[str, Order]]
    filters: ClassVar[dict[str, tuple[str, str]]]  # of each parameter the key in MongoDB and the operator

    limit: Annotated[
        int, Field(ge=1, le=1000, description="The page size: how many documents to return at most.", examples=[50])
    ] = 1000
    skip: Annotated[
        int, Field(ge=0, le=10_000, description="How many documents to skip; not with `cursor`.", examples=[100])
    ] = 0
    cursor: str = Field(
        default_factory=omitted,
        pattern="^[A-Za-z0-9_-]+$",
        description="The `next_cursor` of the page before, with the same filters and the same `sort`.",
        examples=["0KpWQp0wM1HdDCBUIAAAAAR2YWx1ZXMAFwAAAAcwAGofjiucPU5fYHGCkwAQc2tpcAAAAAAAAA"],
    )
    count: Annotated[
        bool,
        Field(
            description="Whether the response has `total`, the number of documents that match the filters.",
            examples=[True],
        ),
    ] = False

    @model_validator(mode="after")
    def _cursor_or_skip(self) -> Self:
        if self.cursor and self.skip:
            raise PydanticCustomError("skip_and_cursor", "skip and cursor cannot be combined: leave one out")
        return self

    @property
    def order(self) -> Order:
        """The sort keys, which an index holds in this order."""
        return self.orders[self.sort]  # type: ignore[attr-defined]  # of `filters_from_indexes`

    @property
    def included_fields(self) -> set[str] | None:
        """The keys of each item in the response; `None` for all."""
        fields: str | None = self.fields  # type: ignore[attr-defined]  # of `filters_from_indexes`
        return None if fields is None else {"id", *fields.split(",")}

    @cached_property
    def position(self) -> KeysetPosition:
        """The keyset position at which the page begins. Raises 422 for a cursor of another list."""
        if not self.cursor:
            return KeysetPosition(skip=self.skip)
        try:
            return cursors.decode(self.cursor, self.fingerprint(), self.order)
        except ValueError as error:
            message = (
                "The cursor is damaged, or belongs to other filters or another sort. "
                "Leave it out to start from the first page"
            )
            raise validation_error(("query", "cursor"), message, "cursor") from error

    async def page_response(self, request: Request, document: type[Document], model: type[BaseModel]) -> Response:
        """The selected page as this response model: the items under its first key, then `next_cursor` and `total`.

        Raises 422 where a parameter of one value is given several times, or the cursor is of another list.
        """
        self._refuse_repeated_parameters(request)
        items, field = next(iter(model.model_fields.items()))
        (item,) = get_args(field.annotation)
        found = await self.page(document, item)
        chosen = self.included_fields
        names = {name for name, key in keys_in_json(item).items() if key in chosen} if chosen else None
        page = model.model_validate({items: found.documents, "next_cursor": found.next_cursor, "total": found.total})
        content = to_json(
            page,
            include={items: {"__all__": names}, "next_cursor": True, "total": True} if names else None,
            exclude=None if self.count else {"total"},
        )
        links = self.links(request, found.next_cursor)
        return Response(content, headers={"Link": links}, media_type="application/json")

    def _refuse_repeated_parameters(self, request: Request) -> None:
        several = {parameter for parameter, (_, operator) in self.filters.items() if operator == "$in"}
        for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
            if times > 1 and name not in several:
                raise validation_error(
                    ("query", name), "This parameter takes one value, but was given several times", "repeated"
                )

    def fingerprint(self) -> bytes:
        """Identifies the list, its filters and its sort order, so that a cursor of another list is refused."""
        kept = self.model_dump_json(exclude={"limit", "skip", "cursor", "count", "fields"}, exclude_defaults=True)
        return f"{type(self).__name__} {kept}".encode()

    def queries(self, document: type[Document], projection: type[BaseModel]) -> list[FindMany[Any]]:
        """Beanie's queries for everything from the position on, to be run one after the other; mostly it is one."""
        matching = self._conditions(document)
        values = self.position.values
        ranges = [] if values is None else [BsonFilter(condition) for condition in conditions_after(values, self.order)]
        if ranges and self._can_sort_merge(matching):
            ranges = [BsonFilter({"$or": [{"$and": [*matching, condition]} for condition in ranges]})]
            matching = []
        options: dict[str, Any] = {
            "sort": [(key, SortDirection(direction)) for key, direction in self.order],
            "projection_model": projection,
            "batch_size": self.limit + 1,  # or MongoDB sends 101 first, and the rest in a second round trip
        }
        return [document.find(*matching, condition, **options) for condition in ranges] or [
            document.find(*matching, **options)
        ]

    def _can_sort_merge(self, matching: list[BsonFilter]) -> bool:
        """Whether MongoDB can merge the ranges in the sort order (the plan stage SORT_MERGE).

        Not with null among the position's values: the merge sorts a missing field before null, while an index holds
        both as equal. With several `$in` values, or a text search, MongoDB would sort in memory.
        """
        values = self.position.values or []
        several = any(len(operators.get("$in", [])) > 1 for conditions in matching for operators in conditions.values())
        return None not in values and not several and not any("$text" in conditions for conditions in matching)

    async def page(self, document: type[Document], projection: type[BaseModel]) -> Page:
        """The selected page, of raw documents with the projection's keys. Raises 503 without a text index for `q`."""
        found: list[dict[str, Any]] = []
        skip, wanted = self.position.skip, self.limit + 1  # one more tells whether there is a next page
        try:
            for query in self.queries(document, projection):
                batch = await fetch_raw(query.skip(skip).limit(wanted - len(found)))
                skip = max(skip - await count(query), 0) if skip and not batch else 0
                found += batch
                if len(found) == wanted:
                    break
            total = await count(document.find(*self._conditions(document))) if self.count else None
        except OperationFailure as error:
            if error.code == INDEX_NOT_FOUND:
                detail = "Full-text search needs the text index, which is missing. `students-api check` lists what is."
                raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "60"}) from error
            raise
        documents, next_cursor = found[: self.limit], None
        if len(found) == wanted:
            end = await self._next_position(document, documents)
            next_cursor = cursors.encode(end, self.fingerprint())
        return Page(documents, next_cursor, total)

    async def _next_position(self, document: type[Document], documents: list[dict[str, Any]]) -> KeysetPosition:
        """The position after this page: its last document with comparable sort keys, and how many to skip after it."""
        for further, last in enumerate(reversed(documents)):
            values = [last.get(key) for key, _ in self.order]
            if all(map(is_comparable, values)) and await self._is_stored_verbatim(document, last, values):
                return KeysetPosition(values, further)
        return KeysetPosition(self.position.values, self.position.skip + len(documents))

    async def _is_stored_verbatim(self, document: type[Document], last: dict[str, Any], values: list[Any]) -> bool:
        """Whether the text was stored as it was read: the driver replaces bytes that are not UTF-8."""
        if not any(isinstance(value, str) and REPLACEMENT_CHARACTER in value for value in values):
            return True
        same = {key: {"$eq": value} for (key, _), value in zip(self.order, values, strict=True)}
        return await count(document.find(BsonFilter({**same, "_id": {"$eq": last["_id"]}}))) == 1

    def links(self, request: Request, next_cursor: str | None) -> str:
        """The header `Link` (RFC 8288): the first and the next page, with every parameter but `cursor` and `skip`."""
        path = quote(request.scope["path"])
        kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"cursor", "skip"}]
        pages = {"first": kept} | ({"next": [*kept, ("cursor", next_cursor)]} if next_cursor else {})
        return ", ".join(
            f'<{path}{"?" if parameters else ""}{urlencode(parameters)}>; rel="{relation}"'
            for relation, parameters in pages.items()
        )

    def _conditions(self, document: type[Document]) -> list[BsonFilter]:
        """The filters' conditions, encoded to BSON."""
        terms: str | None = getattr(self, "q", None)
        text = [BsonFilter({"$text": {"$search": _all_terms(terms)}})] if terms else []
        matching: dict[str, dict[str, Any]] = {}
        for parameter, (key, operator) in self.filters.items():
            value = getattr(self, ATTRIBUTE_PREFIX + parameter)
            if value is not None and value != []:
                matching.setdefault(key, {})[operator] = value
        return [*text, to_bson_filter(document, matching)] if matching else text


def _all_terms(text: str) -> str:
    """The text as a `$search` for all of its words: each is a phrase, and no character is an operator."""
    return " ".join(f'"{word}"' for word in re.findall(r"[^\W_]+", text))
