"""Types for the fields of documents, each with its limits, validation and OpenAPI schema."""

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
        if "<" not in value:  # pydantic would accept "Jane Doe <jdoe@example.com>", and drop the name
            return validate(value)
    except ValidationError:
        pass  # its message may quote the input, which an error never repeats
    raise PydanticCustomError("email", "Input should be a bare e-mail address such as jdoe@example.com")


def _refuse_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not a boolean")
    return value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"[^\s\x85]")]
"""Text of 1 to 200 characters after trimming. The pattern tells clients that it is not all white space."""

EmailAddress = Annotated[EmailStr, WrapValidator(_bare_address)]
"""An address that email-validator accepts, without a display name; normalized, without a DNS look-up."""

NotBoolean = BeforeValidator(_refuse_boolean)
"""For numbers: refuses `true`, which pydantic takes for 1. It stands after the limits, or OpenAPI loses them."""

DocumentId = Annotated[
    PydanticObjectId,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.no_info_after_validator_function(
            PydanticObjectId, core_schema.str_schema(pattern="^[0-9a-fA-F]{24}$")
        )
    ),
]
"""The id of a document in a URL: an ObjectId, as 24 hex digits."""


def links_as_ids(annotation: Any) -> Any:
    """The annotation of a field with `DocumentId` in the place of each `Link`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Link:
        return DocumentId
    if origin is list:
        return GenericAlias(list, tuple(map(links_as_ids, arguments)))
    return Union[tuple(map(links_as_ids, arguments))] if origin in {Union, UnionType} else annotation  # noqa: UP007  # of many


class LinkAsId:
    """For a `Link`, or a list of them: an id in JSON, in requests as in responses."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate any other value as an id, which Beanie then makes a link."""
        ids = handler.generate_schema(links_as_ids(source))
        return core_schema.chain_schema(
            [core_schema.no_info_wrap_validator_function(_link_or_id, ids), handler(source)],
            serialization=core_schema.plain_serializer_function_ser_schema(_link_ids, when_used="json"),
        )


def _link_or_id(value: Any, read: Callable[[Any], Any]) -> Any:
    values = value if isinstance(value, list) else [value]
    return value if all(map(_is_link_or_document, values)) else read(value)


def _is_link_or_document(value: Any) -> bool:
    """Whether the value is a link, or the linked document that `fetch_links` has loaded, as a model or a dictionary."""
    return isinstance(value, Link | DBRef | Document) or (
        isinstance(value, dict) and isinstance(value.get("_id"), ObjectId)
    )


def _link_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_link_ids(each) for each in value]
    return value if value is None else str(value.ref.id if isinstance(value, Link) else value.id)
