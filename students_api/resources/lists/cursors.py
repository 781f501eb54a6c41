"""Cursors: the keyset position at which a page ended, as opaque text for a URL.

A cursor is a checksum, then the position as BSON. The checksum covers the list's fingerprint too, its filters and its
order, so a cursor that is damaged, or used with another list, is refused. It is no secret and hides none: a position
only ever becomes operands of comparisons, of the types in `keyset`.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode

import bson

from students_api.odm.encoding import CODEC_OPTIONS
from students_api.resources.lists.keyset import KeysetPosition, Order, is_comparable

CHECKSUM_BYTES = 12
MAX_SKIP = 2**31


def encode(position: KeysetPosition, fingerprint: bytes) -> str:
    """The cursor for a position in the list with this fingerprint."""
    return with_checksum(bson.encode({"values": position.values, "skip": position.skip}), fingerprint)


def decode(cursor: str, fingerprint: bytes, order: Order) -> KeysetPosition:
    """The position in a cursor of the list with this fingerprint and order. Raises `ValueError` for any other text."""
    try:
        data = urlsafe_b64decode(cursor + "==")[CHECKSUM_BYTES:]
        if cursor != with_checksum(data, fingerprint):
            raise ValueError("damaged, or of another list")
        match bson.decode(data, CODEC_OPTIONS):
            case {"skip": bool()}:
                pass
            case {"values": None, "skip": int(skip)} if 0 <= skip < MAX_SKIP:
                return KeysetPosition(None, skip)
            case {"values": list(values), "skip": int(skip)} if 0 <= skip < MAX_SKIP and len(values) == len(order):
                if all(map(is_comparable, values)):
                    return KeysetPosition(values, skip)
    except bson.errors.BSONError as error:
        raise ValueError("no cursor") from error
    raise ValueError("no position")


def with_checksum(data: bytes, fingerprint: bytes) -> str:
    """The checksum and the data, as Base64 for URLs."""
    checksum = hashlib.sha256(hashlib.sha256(fingerprint).digest() + data).digest()[:CHECKSUM_BYTES]
    return urlsafe_b64encode(checksum + data).decode().rstrip("=")
