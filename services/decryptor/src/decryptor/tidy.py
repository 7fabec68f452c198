"""The decryptor's second task: puts receipts, and tags or deletes object versions whose rows are committed. Repeated, it does no more."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore import exceptions as boto
from structlog.stdlib import BoundLogger

from decryptor import receipts
from decryptor.download import S3, facts, is_missing, spellings, transport_errors
from decryptor.refusal import failure
from shared.contract import AfterLoad, Chore, FileRef, Problem, SettledParcel, Tidied, TidyParcel
from shared.errors import CourierError, ErrorCode, Rejected
from shared.failpoint import Point, failpoint
from shared.logging import get_logger

TAG = {"Key": "hikyaku", "Value": "loaded"}
GONE = frozenset({404, 405, 412})
"""HTTP statuses of a version that is not there, so that nothing is left to do: 405 for a delete marker, 412 where its ETag is another's."""
ADVICE = "the decryptor's policy must allow it, see AfterLoad in aws/stack.yaml; an object lock or a bucket policy may forbid it"
AT_ONCE = 8
"""Chores of a parcel: each waits for S3, and boto3 keeps ten connections."""


def in_threads(work: Callable[[Chore], Tidied], chores: Sequence[Chore]) -> list[Tidied]:
    """Several at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, chores))


def one_by_one(work: Callable[[Chore], Tidied], chores: Sequence[Chore]) -> list[Tidied]:
    """Each after the other."""
    return [work(chore) for chore in chores]


@dataclass(frozen=True, slots=True)
class Desk:
    """What chores are done with.

    Attributes:
        s3: this process's client; made at the first call, so after the fork.
        sign: of a receipt's bytes, its signature; None: the host has no key.
        each: carries the chores of a parcel out.
    """

    s3: Callable[[], S3]
    sign: receipts.Sign = receipts.unsigned
    each: Callable[[Callable[[Chore], Tidied], Sequence[Chore]], list[Tidied]] = in_threads


def tidy_parcel(desk: Desk, data: dict[str, Any], lost: int = 0) -> dict[str, Any]:  # noqa: ARG001 - a lost process is no file's fault
    """The task: a dumped `TidyParcel` in, a dumped `SettledParcel` out. Expected failures are outcomes; bugs surface."""
    parcel = TidyParcel.read(data)
    # Before there are threads: each would make one.
    s3 = desk.s3()
    tidied = desk.each(partial(_report, s3, desk.sign), parcel.chores)
    return SettledParcel(parcel_id=parcel.parcel_id, settlements=(), tidied=tuple(tidied)).dump()


def _report(s3: S3, sign: receipts.Sign, chore: Chore) -> Tidied:
    """Do both halves, whatever becomes of the other: what is done twice does no harm."""
    file = chore.file
    log = get_logger().bind(action="tidy", file=file.file_id, message_id=file.message_id, key=file.key)
    problems = []
    if chore.receipt is not None:
        problems.append(_done(log.bind(receipt=chore.receipt.status), partial(receipts.tell, s3, chore.receipt, chore.returned, sign)))
    if chore.after_load != AfterLoad.KEEP or chore.receipt is None:
        problems.append(_done(log.bind(after_load=chore.after_load), partial(_tidied, s3, file, chore.after_load)))
    # An outage first: it is waited for, and a refusal given up.
    open_ = sorted(filter(None, problems), key=lambda problem: problem.error_code != ErrorCode.STORAGE_UNAVAILABLE)
    problem, also = [*open_, None, None][:2]
    return Tidied(
        message_id=file.message_id,
        file_id=file.file_id,
        receipt=chore.receipt and chore.receipt.name,
        returned=chore.returned is not None,
        problem=problem,
        also=also and also.error_code,
    )


def _done(log: BoundLogger, work: Callable[[], None]) -> Problem | None:
    try:
        work()
    except CourierError as error:
        problem = Problem.of(error)
        log.warning("retry" if problem.retry else "reject", error_code=error.error_code, reason=error.message)
        return problem
    log.info("success")
    return None


def _tidied(s3: S3, file: FileRef, after_load: str) -> None:
    failpoint(Point.DECRYPTOR_TIDYING, file.key)
    tidy(s3, file, after_load)
    failpoint(Point.DECRYPTOR_TIDIED, file.key)


def tidy(s3: S3, file: FileRef, after_load: str) -> None:
    """Tag or delete one object version, and no other.

    Raises:
        Rejected: `tidy_refused`, this can't be done with it.
        Retryable: `tidy_refused`, S3 says no; `storage_unavailable`.
    """
    if after_load == AfterLoad.TAG:
        tell = _tag
    elif after_load == AfterLoad.DELETE:
        tell = _delete
    else:
        raise Rejected(ErrorCode.TIDY_REFUSED, f"this version of the decryptor does not know after_load = {after_load!r}: upgrade it")
    for key in spellings(file.key):
        try:
            with transport_errors():
                tell(s3, file, key)
        except boto.ClientError as error:
            code, status = facts(error)
            if not is_missing(error, file, key) and (status not in GONE or code == "NoSuchBucket"):
                raise failure(code, status, ErrorCode.TIDY_REFUSED, ADVICE) from error


def _has_version(file: FileRef) -> bool:
    """Whether its name is that of these bytes for ever. `null` is the version of whatever was put last without one."""
    return file.s3_version_id not in {None, "null"}


def _tag(s3: S3, file: FileRef, key: str) -> None:
    """PutObjectTagging replaces all tags: what is there is kept."""
    if not _has_version(file):
        raise Rejected(ErrorCode.TIDY_REFUSED, "without versioning the tag might be given to what has replaced the file: enable it")
    name = {"Bucket": file.bucket, "Key": key, "VersionId": file.s3_version_id}
    tags = s3.get_object_tagging(**name)["TagSet"]
    if TAG not in tags:
        others = [tag for tag in tags if tag["Key"] != TAG["Key"]]
        s3.put_object_tagging(**name, Tagging={"TagSet": [*others, TAG]})


def _delete(s3: S3, file: FileRef, key: str) -> None:
    """For good: no delete marker. S3 is content with a version that is gone already (DeleteObject)."""
    if _has_version(file):
        s3.delete_object(Bucket=file.bucket, Key=key, VersionId=file.s3_version_id)
        return
    if file.s3_version_id or not file.etag:
        raise Rejected(ErrorCode.TIDY_REFUSED, "without versioning nobody knows whether it is still the same file: enable it")
    etag = s3.head_object(Bucket=file.bucket, Key=key)["ETag"]
    if etag.strip('"') == file.etag:
        s3.delete_object(Bucket=file.bucket, Key=key, IfMatch=etag)
