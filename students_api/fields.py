"""The types that documents' fields share: named once, with their limits, for every shape that a field appears in."""

from collections.abc import Callable
from typing import Annotated, Any

from beanie import PydanticObjectId
from pydantic import BeforeValidator, EmailStr, GetPydanticSchema, StringConstraints, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError, core_schema


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
