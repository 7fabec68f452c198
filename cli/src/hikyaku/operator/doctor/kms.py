"""The KMS key of bucket and queues."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from hikyaku.operator.doctor.finding import CantLookError, Finding, fail, ok, warn
from hikyaku.operator.doctor.scope import Scope, code

MISSING = {"NotFoundException", "KMS.NotFoundException"}
USED = "without it no object can be read and no message be received"


def look(scope: Scope) -> Iterator[Finding]:
    """Each key that bucket or queue names."""
    keys = _keys(scope)
    if not keys:
        raise CantLookError("neither the bucket nor the queue names a KMS key")
    for key in keys:
        yield from _key(scope, key)
    if len(keys) > 1:
        yield warn(
            "bucket and queue have different KMS keys",
            "the roles' policies name one: the other's files or messages are refused",
            "aws/stack.yaml",
        )


def _keys(scope: Scope) -> list[str]:
    """Of both: when one of them can't be asked, of the other."""
    found: list[str] = []
    errors: list[ClientError] = []
    for ask in (_of_bucket, _of_queue):
        try:
            found.append(ask(scope))
        except ClientError as error:
            errors.append(error)
    if not any(found) and errors:
        raise errors[0]
    return [key for key in dict.fromkeys(found) if key and not key.startswith("alias/aws/")]


def _of_bucket(scope: Scope) -> str:
    return scope.encryption().get("KMSMasterKeyID", "")


def _of_queue(scope: Scope) -> str:
    return scope.queue().get("KmsMasterKeyId", "")


def _key(scope: Scope, key: str) -> Iterator[Finding]:
    shown = key.rpartition("/")[2]
    try:
        state = scope.aws("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    except ClientError as error:
        if code(error) not in MISSING:
            raise
        yield fail(
            f"there is no KMS key {shown}", USED, "name another one for bucket and queues: aws cloudformation deploy (aws/README.md)"
        )
        return
    if state != "Enabled":
        cancel = f"aws kms cancel-key-deletion --key-id {key}; " if state == "PendingDeletion" else ""
        yield fail(f"the KMS key {shown} is {state}", USED, f"{cancel}aws kms enable-key --key-id {key}")
        return
    yield ok(f"the KMS key {shown} is enabled")
    if scope.aws("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]:
        yield ok("KMS exchanges its key material by itself")
        return
    why = "what leaks once opens everything that was ever under the key; old material stays, so rotation costs nothing"
    yield fail(f"the KMS key {shown} is not rotated", why, f"aws kms enable-key-rotation --key-id {key}")
