"""Encoding to BSON: values and filters as Beanie's `Encoder` makes them, each encoded once; field aliases."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, TypeVar, cast

from beanie import Document, PydanticObjectId
from beanie.odm.utils.encoder import Encoder
from bson import ObjectId

Function = TypeVar("Function", bound=Callable[..., Any])


def cached(function: Function) -> Function:
    """`functools.cache`, typed so that mypy keeps the function's signature."""
    return cast("Function", cache(function))


class BsonFilter(dict[str, Any]):
    """A filter whose values are of BSON types already, so that a query sends it as it is."""


def to_bson_filter(document: type[Document], conditions: Mapping[str, Any]) -> BsonFilter:
    """The filter with each value encoded as it is stored: an enumeration's value, a date's midnight."""
    return BsonFilter(Encoder(custom_encoders=document.get_bson_encoders()).encode(conditions))


BSON_NATIVE_TYPES = {NoneType, bool, datetime, float, int, str, ObjectId, PydanticObjectId}
"""Types that need no encoding. Beanie's encoder would compare each value with twenty other types first."""


@cached
def bson_encoder(document: type[Document]) -> Callable[[Any], Any]:
    """The function that encodes a field's value to what MongoDB stores."""
    settings = document.get_settings()
    encode = Encoder(custom_encoders=settings.bson_encoders, to_db=True, keep_nulls=settings.keep_nulls).encode
    if settings.bson_encoders:
        return encode
    return lambda value: value if type(value) in BSON_NATIVE_TYPES else encode(value)


@cached
def field_aliases(document: type[Document]) -> dict[str, str]:
    """The key in MongoDB of each field: its alias, or else its name."""
    return {name: field.alias or name for name, field in document.model_fields.items()}
