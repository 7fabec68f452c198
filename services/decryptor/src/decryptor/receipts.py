"""Puts a receipt into S3, and never over a newer one: every PUT is conditional on what is there.

The first receipt of a key costs one request. Where one is there S3 refuses it, and it is replaced only if it is older and still the same.
"""

from collections.abc import Callable
from typing import Any

from botocore import exceptions as boto

from decryptor.download import S3, facts, transport_errors
from decryptor.refusal import failure
from shared import receipt as form
from shared.contract import Receipt
from shared.errors import ErrorCode, Retryable
from shared.failpoint import Point, failpoint

Sign = Callable[[bytes], str | None]
CHANGED = frozenset({409, 412})
"""HTTP statuses of a conditional PUT that came too late (Amazon S3 User Guide, conditional writes)."""
NOT_FOUND = 404
TRIES = 5
"""Looks at what is there, should others put receipts of the same key meanwhile."""
ADVICE = "the decryptor's policy must allow s3:PutObject and s3:GetObject on receipts/*, see aws/stack.yaml; or switch `receipt` off"
NOTHING = {"IfNoneMatch": "*"}


def unsigned(_body: bytes) -> None:
    """Without a key."""


def put(s3: S3, receipt: Receipt, sign: Sign) -> None:
    """Put a receipt, unless a newer one is there, or this one.

    Raises:
        Retryable: `receipt_refused`, S3 says no; `storage_unavailable`.
    """
    name = {"Bucket": receipt.bucket, "Key": form.key_of(receipt.key)}
    body = form.body(receipt)
    told = {"Body": body, "ContentType": form.CONTENT_TYPE, "Metadata": form.metadata(receipt, sign(body))}
    replaced = NOTHING
    for _ in range(TRIES):
        if _put(s3, {**name, **told, **replaced}):
            failpoint(Point.DECRYPTOR_RECEIPT_PUT, receipt.key)
            return
        older = _older(s3, name, form.Age.of(receipt))
        if older is None:
            return
        replaced = older
    raise Retryable(ErrorCode.STORAGE_UNAVAILABLE, f"others put receipts of this key at the same time, {TRIES} times in a row")


def _put(s3: S3, request: dict[str, Any]) -> bool:
    """Whether nobody was there before."""
    try:
        with transport_errors():
            s3.put_object(**request)
    except boto.ClientError as error:
        code, status = facts(error)
        if status in CHANGED or code == "NoSuchKey":
            return False
        raise failure(code, status, ErrorCode.RECEIPT_REFUSED, ADVICE) from error
    return True


def _older(s3: S3, name: dict[str, str], mine: form.Age) -> dict[str, str] | None:
    """The condition under which the receipt replaces just what is there; None: that is as new."""
    try:
        with transport_errors():
            there = s3.head_object(**name)
    except boto.ClientError as error:
        code, status = facts(error)
        if status == NOT_FOUND:
            return NOTHING
        raise failure(code, status, ErrorCode.RECEIPT_REFUSED, ADVICE) from error
    return {"IfMatch": there["ETag"]} if mine.is_newer_than(form.Age.read(there.get("Metadata", {}))) else None
