"""The decryptor's second task: tags or deletes object versions whose rows are committed. Repeated, it does no more."""

from collections.abc import Callable
from typing import Any

from botocore import exceptions as boto

from decryptor.download import S3, facts, is_missing, spellings, transport_errors
from shared.contract import AfterLoad, Chore, FileRef, Problem, SettledParcel, Tidied, TidyParcel
from shared.errors import CourierError, ErrorCode, Rejected, Retryable
from shared.failpoint import Point, failpoint
from shared.logging import get_logger

TAG = {"Key": "hikyaku", "Value": "loaded"}
GONE = frozenset({404, 405, 412})
"""HTTP statuses of a version that is not there, so that nothing is left to do: 405 for a delete marker, 412 where its ETag is another's."""
NOT_IMPLEMENTED = 501
SERVER_ERROR = 500
PASSING = frozenset(
    {
        *("SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequestsException"),
        *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed"),
    }
)
"""Error codes below 500 that say nothing of the object: too fast, or with credentials that are no good (Amazon S3, Error responses)."""


def tidy_parcel(s3: Callable[[], S3], data: dict[str, Any], lost: int = 0) -> dict[str, Any]:  # noqa: ARG001 - a lost process is no file's fault
    """The task: a dumped `TidyParcel` in, a dumped `SettledParcel` out. Expected failures are outcomes; bugs surface."""
    parcel = TidyParcel.read(data)
    tidied = tuple(_report(s3, chore) for chore in parcel.chores)
    return SettledParcel(parcel_id=parcel.parcel_id, settlements=(), tidied=tidied).dump()


def _report(s3: Callable[[], S3], chore: Chore) -> Tidied:
    file = chore.file
    log = get_logger().bind(action="tidy", file=file.file_id, message_id=file.message_id, key=file.key, after_load=chore.after_load)
    problem = None
    try:
        failpoint(Point.DECRYPTOR_TIDYING, file.key)
        tidy(s3(), file, chore.after_load)
        failpoint(Point.DECRYPTOR_TIDIED, file.key)
    except CourierError as error:
        problem = Problem.of(error)
        log.warning("retry" if problem.retry else "reject", error_code=error.error_code, reason=error.message)
    else:
        log.info("success")
    return Tidied(message_id=file.message_id, file_id=file.file_id, problem=problem)


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
                raise _failure(code, status) from error


def _failure(code: str, status: int) -> Retryable:
    if code in PASSING or (status >= SERVER_ERROR and status != NOT_IMPLEMENTED):
        return Retryable(ErrorCode.STORAGE_UNAVAILABLE, f"S3 answered {status} {code}")
    advice = "the decryptor's policy must allow it, see AfterLoad in aws/stack.yaml; an object lock or a bucket policy may forbid it"
    return Retryable(ErrorCode.TIDY_REFUSED, f"S3 answered {status} {code}: {advice}")


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
