"""Puts a receipt into S3, and what comes back with it, never over a newer one: every PUT is conditional on what is there.

The first receipt of a key costs one request. Where one is there S3 refuses it, and it is replaced only if it is older and still the same.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
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
ADVICE = "the decryptor's policy must allow s3:PutObject and s3:GetObject on {}*, see aws/stack.yaml; or switch `{}` off"
NOTHING = {"IfNoneMatch": "*"}


def unsigned(_body: bytes) -> None:
    """Without a key."""


@dataclass(frozen=True, slots=True)
class Letter:
    """Something for a sender, of one version of one key.

    Attributes:
        name: of the object, for S3.
        content: its bytes and what stands beside them, for S3.
        age: how new it is.
        advice: what to do where S3 refuses it.
    """

    name: dict[str, str]
    content: dict[str, Any]
    age: form.Age
    advice: str


def tell(s3: S3, receipt: Receipt, returned: str | None, sign: Sign) -> None:
    """Put the records that come back, and then the receipt, which says where they are: each unless a newer one is there, or this one.

    Args:
        s3: the client.
        receipt: what became of the file.
        returned: base64 of the records, encrypted; None: there are none.
        sign: of the receipt's bytes, its signature.

    Raises:
        Retryable: `receipt_refused`, S3 says no; `storage_unavailable`.
    """
    if returned is not None:
        _put_newest(s3, _records(receipt, returned), receipt.key)
    _put_newest(s3, _letter(receipt, sign), receipt.key)


def _letter(receipt: Receipt, sign: Sign) -> Letter:
    body = form.body(receipt)
    content = {"Body": body, "ContentType": form.CONTENT_TYPE, "Metadata": form.metadata(receipt, sign(body))}
    name = {"Bucket": receipt.bucket, "Key": form.key_of(receipt.key)}
    return Letter(name, content, form.Age.of(receipt), ADVICE.format(form.PREFIX, "receipt"))


def _records(receipt: Receipt, returned: str) -> Letter:
    body = base64.b64decode(returned, validate=True)
    content = {"Body": body, "ContentType": form.REJECTS_CONTENT_TYPE, "Metadata": form.metadata(receipt)}
    name = {"Bucket": receipt.bucket, "Key": form.rejects_key_of(receipt.key)}
    return Letter(name, content, form.Age.of(receipt), ADVICE.format(form.REJECTS_PREFIX, "rejects"))


def _put_newest(s3: S3, letter: Letter, key: str) -> None:
    replaced = NOTHING
    for _ in range(TRIES):
        if _put(s3, letter, replaced):
            failpoint(Point.DECRYPTOR_RECEIPT_PUT, key)
            return
        older = _older(s3, letter)
        if older is None:
            return
        replaced = older
    raise Retryable(ErrorCode.STORAGE_UNAVAILABLE, f"others put receipts of this key at the same time, {TRIES} times in a row")


def _put(s3: S3, letter: Letter, replaced: dict[str, str]) -> bool:
    """Whether nobody was there before."""
    try:
        with transport_errors():
            s3.put_object(**letter.name, **letter.content, **replaced)
    except boto.ClientError as error:
        code, status = facts(error)
        if status in CHANGED or code == "NoSuchKey":
            return False
        raise failure(code, status, ErrorCode.RECEIPT_REFUSED, letter.advice) from error
    return True


def _older(s3: S3, letter: Letter) -> dict[str, str] | None:
    """The condition under which a letter replaces just what is there; None: that is as new."""
    try:
        with transport_errors():
            there = s3.head_object(**letter.name)
    except boto.ClientError as error:
        code, status = facts(error)
        if status == NOT_FOUND:
            return NOTHING
        raise failure(code, status, ErrorCode.RECEIPT_REFUSED, letter.advice) from error
    return {"IfMatch": there["ETag"]} if letter.age.is_newer_than(form.Age.read(there.get("Metadata", {}))) else None
