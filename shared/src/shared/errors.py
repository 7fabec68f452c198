"""The two roots of every expected failure, and the stable codes that name them.

`Retryable`: the world may heal, so the file will be tried again. `Rejected`: this file never will load as it is.
Anything else is a bug: it surfaces with its traceback, SQS redelivers the message, and in the end the dead-letter queue holds it.
"""

from enum import StrEnum

from shared.printable import printable


class ErrorCode(StrEnum):
    """Stable names of what can go wrong. The vocabulary grows; a name is never changed, operators' tools match on it."""

    # Permanent: the file is rejected.
    EVENT_INVALID = "event_invalid"
    OBJECT_MISSING = "object_missing"
    OBJECT_CHANGED = "object_changed"
    SIZE_MISMATCH = "size_mismatch"
    HASH_MISMATCH = "hash_mismatch"
    MANIFEST_INVALID = "manifest_invalid"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_INVALID = "signature_invalid"
    SIGNER_UNKNOWN = "signer_unknown"
    SIGNER_EXPIRED = "signer_expired"
    SIGNER_NOT_ALLOWED = "signer_not_allowed"
    MANIFEST_MISMATCH = "manifest_mismatch"
    AGE_HEADER_INVALID = "age_header_invalid"
    NO_MATCHING_IDENTITY = "no_matching_identity"
    CIPHERTEXT_CORRUPT = "ciphertext_corrupt"
    OPENPGP_INVALID = "openpgp_invalid"
    GZIP_INVALID = "gzip_invalid"
    TOO_LARGE = "too_large"
    DATASET_INVALID = "dataset_invalid"
    TABLE_UNKNOWN = "table_unknown"
    COLUMNS_MISMATCH = "columns_mismatch"
    ENCODING_INVALID = "encoding_invalid"
    CSV_MALFORMED = "csv_malformed"
    VALUE_INVALID = "value_invalid"
    CONSTRAINT_VIOLATED = "constraint_violated"
    DUPLICATE_KEYS = "duplicate_keys"
    TOO_MANY_REJECTED_ROWS = "too_many_rejected_rows"
    GROUP_CONFLICT = "group_conflict"
    GROUP_REJECTED = "group_rejected"
    GROUP_EXPIRED = "group_expired"
    ROWS_MISMATCH = "rows_mismatch"
    SEQ_MISSING = "seq_missing"
    SEQ_REPEATED = "seq_repeated"
    # Transient: the file has failed for now.
    STORAGE_UNAVAILABLE = "storage_unavailable"
    SPOOL_UNAVAILABLE = "spool_unavailable"
    GPG_UNAVAILABLE = "gpg_unavailable"
    DATABASE_UNAVAILABLE = "database_unavailable"
    TIDY_REFUSED = "tidy_refused"
    """Of an object, not of its file: S3 does not let us tag or delete it."""
    RECEIPT_REFUSED = "receipt_refused"
    """Of a receipt, not of its file: S3 does not let us put it."""
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    INTERNAL_ERROR = "internal_error"


class CourierError(Exception):
    """An expected failure of one file.

    Args:
        error_code: the stable name of what happened, an `ErrorCode` or one that a newer service added.
        message: one sentence for the operator: what happened and what to do next. Never row data, keys or receipt handles. It may name what
            others chose, as a column or a sender: it is kept in a form that can't forge a line, nor steer a terminal.
    """

    def __init__(self, error_code: str, message: str) -> None:
        self.error_code = error_code
        self.message = printable(message)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.error_code}: {self.message}"


class Retryable(CourierError):  # noqa: N818 - the two roots are named for what they mean
    """The world may heal: try this file again later."""


class Rejected(CourierError):  # noqa: N818
    """This file never will load as it is. Correct it and send it again, or correct the host's set-up and redrive it.

    Args:
        error_code: as of any.
        message: likewise.
        lines: of the first records that are wrong, where it is single ones.
    """

    def __init__(self, error_code: str, message: str, lines: tuple[int, ...] = ()) -> None:
        super().__init__(error_code, message)
        self.lines = lines
