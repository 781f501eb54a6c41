"""The types that documents' fields share: named once, with their limits, for every shape that a field appears in."""

from collections.abc import Callable
from types import GenericAlias, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from beanie import Document, Link, PydanticObjectId
from bson import DBRef, ObjectId
from pydantic import (
    BeforeValidator,
    EmailStr,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    StringConstraints,
    ValidationError,
    WrapValidator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


def _bare_address(value: Any, validate: Callable[[Any], str]) -> str:
    if not isinstance(value, str):
        return validate(value)
    try:
        if "<" not in value:  # pydantic would take "Jane Doe <jdoe@example.com>", and drop the name
            return validate(value)
    except ValidationError:
        pass  # its message may quote the address, and an error never repeats the input
    raise PydanticCustomError("email", "Input should be a bare e-mail address such as jdoe@example.com")


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not a boolean")
    return value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"[^\s\x85]")]
"""Text of 1 to 200 characters after trimming. The pattern says in OpenAPI that some of them are no space."""

EmailAddress = Annotated[EmailStr, WrapValidator(_bare_address)]
"""An address that email-validator accepts, without a display name; stored in its normal form, never looked up."""

NotBoolean = BeforeValidator(_no_boolean)
"""For numbers: `true` is none, though Python takes it for 1. It goes behind the limits, or OpenAPI loses them."""

DocumentId = Annotated[
    PydanticObjectId,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.no_info_after_validator_function(
            PydanticObjectId, core_schema.str_schema(pattern="^[0-9a-fA-F]{24}$")
        )
    ),
]
"""The id of a document in a URL: an ObjectId, as 24 hex digits."""


def ids_of(annotation: Any) -> Any:
    """The type of a field with an id in the place of each `Link`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Link:
        return DocumentId
    if origin is list:
        return GenericAlias(list, tuple(map(ids_of, arguments)))
    return Union[tuple(map(ids_of, arguments))] if origin in {Union, UnionType} else annotation  # noqa: UP007  # of many


class ById:
    """For a `Link`, or a list of them: a request gives the ids of the documents, as every answer does."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As pydantic has it: what is no link yet has to be an id, and then Beanie makes the link."""
        ids = handler.generate_schema(ids_of(source))
        return core_schema.chain_schema(
            [core_schema.no_info_wrap_validator_function(_unless_linked, ids), handler(source)],
            serialization=core_schema.plain_serializer_function_ser_schema(_linked_ids, when_used="json"),
        )


def _unless_linked(value: Any, read: Callable[[Any], Any]) -> Any:
    values = value if isinstance(value, list) else [value]
    return value if all(map(_is_linked, values)) else read(value)


def _is_linked(value: Any) -> bool:
    """Whether it is a link or what a link leads to, as `fetch_links` finds it: no JSON has an ObjectId in it."""
    return isinstance(value, Link | DBRef | Document) or (
        isinstance(value, dict) and isinstance(value.get("_id"), ObjectId)
    )


def _linked_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_linked_ids(each) for each in value]
    return value if value is None else str(value.ref.id if isinstance(value, Link) else value.id)
