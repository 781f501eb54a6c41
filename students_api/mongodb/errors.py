"""What the errors of MongoDB and its driver mean: unavailable, refused, rejected, and what to tell an operator.

The codes are MongoDB's: https://www.mongodb.com/docs/manual/reference/error-codes/
"""

import re

from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)

AUTH_ERROR_CODES = {13, 18, 391, 8000}
"""Unauthorized, AuthenticationFailed, ReauthenticationRequired, and Atlas's own for all of these."""

UNAVAILABLE_CODES = AUTH_ERROR_CODES | {
    6, 7, 89, 9001,  # HostUnreachable, HostNotFound, NetworkTimeout, SocketException
    24, 46, 112,  # LockTimeout, LockBusy, WriteConflict
    202, 262, 365, 462,  # NetworkInterfaceExceededTimeLimit, ExceededTimeLimit, TemporarilyUnavailable, and
    # IngressRequestRateLimitExceeded
    43, 175, 237, 11601,  # CursorNotFound, QueryPlanKilled, CursorKilled, Interrupted
    64, 79, 100,  # WriteConcernFailed, UnknownReplWriteConcern, UnsatisfiableWriteConcern
    91, 189, 10058, 10107, 11600, 11602, 13435, 13436,  # no primary any more, or none yet
    133, 134,  # FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet
    146, 292, 14031,  # ExceededMemoryLimit, QueryExceededMemoryLimitNoDiskUseAllowed, OutOfDiskSpace
}  # fmt: skip
"""Transient errors, and those that the operator has to fix: the same request can succeed later."""

REJECTED_DOCUMENT_CODES = {
    121,  # DocumentValidationFailure
    10334, 17419, 17420,  # documents beyond 16 MB
    171, 16766,  # arrays in two fields of one index, or under a hashed one
    13026, 13027, 13068, 16755, 16804,  # no place on the map, under a geospatial index
    17261, 17262,  # an unknown language, under a text index
}  # fmt: skip
"""Documents that the rules or the indexes of the collection do not take."""

INDEX_CONFLICT_CODES = {85, 86, 171, 11000, 28755}
"""What is stored or indexed already keeps an index from being built: an index with another name or other options, a
document with arrays in two fields of one index, a duplicate value of a unique index, text that is not UTF-8."""

INDEX_NOT_FOUND = 27
"""A text search without a text index."""

NOT_YET_INITIALIZED = 94
"""A node that is in no replica set yet."""


def is_unavailable(error: PyMongoError) -> bool:
    """Whether it is transient, or the operator has to fix it: unreachable, timed out, no primary, access denied."""
    return isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError) or (
        isinstance(error, OperationFailure)
        and (error.code in UNAVAILABLE_CODES or error.has_error_label("RetryableWriteError"))
    )


def is_auth_error(error: PyMongoError) -> bool:
    """Whether authentication or authorization failed."""
    return isinstance(error, OperationFailure) and error.code in AUTH_ERROR_CODES


def no_write_performed(error: PyMongoError) -> bool:
    """Whether it is certain that no write was performed.

    A `ServerSelectionTimeoutError` proves it: for a retry without a server the driver raises the first attempt's error.
    A `WaitQueueTimeoutError` does not: the driver raises that for a retry, too.
    """
    return isinstance(error, ServerSelectionTimeoutError) or error.has_error_label("NoWritesPerformed")


def is_rejected_document(error: PyMongoError) -> bool:
    """Whether MongoDB rejects the document: it is too large, or fails schema validation or an index."""
    return isinstance(error, OperationFailure) and error.code in REJECTED_DOCUMENT_CODES


def error_message(error: PyMongoError) -> str:
    """MongoDB's or the driver's message, without the driver's state and without a duplicate value."""
    if isinstance(error, OperationFailure) and error.details:
        return str(error.details.get("errmsg", error)).partition(" dup key: ")[0]
    return re.split(r" \(configured timeouts|, Timeout: ", str(error))[0]


def operator_message(error: PyMongoError) -> str:
    """The sentence for an operator: that MongoDB does not answer or refuses, with its message."""
    if is_unavailable(error) and not is_auth_error(error):
        return f"MongoDB does not answer. Is MONGODB_URL right, and the server running? {error_message(error)}"
    return f"MongoDB refuses: {error_message(error)}"
