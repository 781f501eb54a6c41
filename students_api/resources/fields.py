"""Types for the fields of documents, each with its limits, validation and OpenAPI schema; ids, and links as ids."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from types import GenericAlias, UnionType
from typing import Annotated, Any, ForwardRef, Union, get_args, get_origin
from uuid import UUID

from beanie import Document, Link, PydanticObjectId
from bson import Binary, DBRef, ObjectId
from pydantic import (
    AfterValidator,
    BeforeValidator,
    EmailStr,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    GetPydanticSchema,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WrapValidator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from students_api.odm.encoding import with_decimals
from students_api.resources.json_values import to_text


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

SUB_PATHS = {"batch", "changes", "export", "stats"}
"""What no id can be, because it is a path of its own; `ResourceRoute` adds the names in a resource's own routes."""


def _is_path_segment(value: str) -> str:
    if value in {".", ".."} or "/" in value or not value.isprintable():
        raise PydanticCustomError("id", "Input should be a part of a path: without a slash, and neither . nor ..")
    if value in SUB_PATHS:
        raise PydanticCustomError("id", "Input should be no name that is a path of its own here, such as batch")
    return value


TextId = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_is_path_segment)
]
"""An id that clients give, such as a course code: text of 1 to 200 characters that can stand in a path."""

DocumentId = Annotated[
    PydanticObjectId,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.no_info_wrap_validator_function(
            lambda value, validate: PydanticObjectId(value if isinstance(value, ObjectId) else validate(value)),
            core_schema.str_schema(pattern="^[0-9a-fA-F]{24}$"),
            serialization=core_schema.to_string_ser_schema(when_used="json"),
        )
    ),
]
"""The id that the server makes of a document, in a URL: an ObjectId, as 24 hex digits."""


def id_in_json(value: Any) -> Any:
    """An id of any type as JSON has it: a number as it is, an ObjectId or a UUID as text, another type `None`."""
    if isinstance(value, ObjectId | UUID):  # the usual case first
        return str(value)
    if isinstance(value, Link | DBRef | Document):
        return id_in_json(value.ref.id if isinstance(value, Link) else value.id)
    return to_text(value) if isinstance(value, Binary) else value if isinstance(value, str | int) else None


def id_as_text(value: Any) -> str:
    """An id of any type as text: whatever `_id` another program gave to a document, a list shows which it is."""
    if isinstance(value, ObjectId):  # the usual case first
        return str(value)
    value = "null" if value is None else with_decimals(value)
    text = to_text(value)
    return text if text is not None else value.isoformat() if isinstance(value, datetime) else str(value)


def id_type(target: Any) -> Any:
    """The type of the id of a linked document, which may be named in a forward reference."""
    if isinstance(target, ForwardRef | str):
        name = target.__forward_arg__ if isinstance(target, ForwardRef) else target
        target = next(each for each in _subclasses(Document) if each.__name__ == name)
    field = target.model_fields["id"]
    if field.annotation in {PydanticObjectId, PydanticObjectId | None}:
        return DocumentId
    return Annotated[field.annotation, "", *field.metadata]  # `Annotated` takes one piece of metadata at least


def _subclasses(model: type[Any]) -> list[type[Any]]:
    """All that inherit from it; the last one that was made is first, as a test may make another of the same name."""
    return [each for child in reversed(model.__subclasses__()) for each in (child, *_subclasses(child))]


@cache
def _adapter(target: Any) -> TypeAdapter[Any]:
    return TypeAdapter(id_type(target))


@cache
def _json_type(target: Any) -> str:
    return str(_adapter(target).json_schema()["type"])


class LinkedId:
    """The id of a linked document: in a request validated as that document's, in an answer whatever is stored."""

    def __init__(self, target: Any, *, is_request: bool = False) -> None:
        self.target, self.is_request = target, is_request

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """The linked document is looked up at the first value: its class may come later."""
        return core_schema.no_info_plain_validator_function(self._validate if self.is_request else self._read)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """That of the id; of a stored one its JSON type, or null."""
        if self.is_request:
            return _adapter(self.target).json_schema()
        return {"anyOf": [{"type": _json_type(self.target)}, {"type": "null"}]}

    def _read(self, value: Any) -> Any:
        value = value.get("_id") if isinstance(value, dict) else value
        value = value.ref if isinstance(value, Link) else value
        value = with_decimals(value.id if isinstance(value, DBRef | Document) else value)
        return to_text(value) if _json_type(self.target) == "string" else id_in_json(value)

    def _validate(self, value: Any) -> Any:
        try:
            return _adapter(self.target).validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            raise PydanticCustomError(first["type"], "{message}", {"message": first["msg"]}) from error


def links_as_ids(annotation: Any) -> Any:
    """The annotation of a field with the linked document's id in the place of each `Link`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Link:
        return Annotated[Any, LinkedId(arguments[0], is_request=True)]
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
    return isinstance(value, Link | DBRef | Document) or (isinstance(value, dict) and "_id" in value)


def _link_ids(value: Any) -> Any:
    return [_link_ids(each) for each in value] if isinstance(value, list) else id_in_json(value)
