"""The bucket, as aws/stack.yaml makes it."""

import json
from collections.abc import Iterator

from botocore.exceptions import ClientError

from hikyaku.operator.doctor.finding import CantLookError, Finding, fail, ok, unknown, warn
from hikyaku.operator.doctor.scope import Scope, code

MISSING = {"404", "NoSuchBucket"}
PUBLIC = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def exists(scope: Scope) -> Iterator[Finding]:
    """Whether it is there, and ours to see."""
    bucket = scope.need("bucket")
    try:
        scope.aws("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        if code(error) not in MISSING:
            raise
        mend = "put the stack's output BucketName into .env: docker compose run --rm setup --stack hikyaku"
        yield fail(f"there is no bucket {bucket}", "no event of it comes, and the poller takes events of others for forged", mend)
    else:
        yield ok(f"{bucket} is there")


def versioning(scope: Scope) -> Iterator[Finding]:
    """A file's identity is its version."""
    bucket = scope.need("bucket")
    status = scope.aws("s3").get_bucket_versioning(Bucket=bucket).get("Status", "never enabled")
    if status == "Enabled":
        yield ok("versions are kept")
        return
    why = "a key that is put again is overwritten: a file may be read half old and half new, and none can be replayed"
    mend = f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled"
    yield fail(f"versioning is {status.lower()}", why, mend)


def encryption(scope: Scope) -> Iterator[Finding]:
    """SSE-KMS with the customer's own key."""
    bucket = scope.need("bucket")
    try:
        default = scope.encryption()
    except ClientError as error:
        if code(error) != "ServerSideEncryptionConfigurationNotFoundError":
            raise
        default = {}
    rule = (
        '{"Rules":[{"BucketKeyEnabled":true,"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"aws:kms","KMSMasterKeyID":"KEY_ARN"}}]}'
    )
    mend = f"aws s3api put-bucket-encryption --bucket {bucket} --server-side-encryption-configuration '{rule}'"
    kind = default.get("SSEAlgorithm", "none")
    if not kind.startswith("aws:kms"):
        why = "objects are not under the KMS key, so that whoever reads the bucket needs no second permission, and no use of it is recorded"
        yield fail(f"the bucket's default encryption is {kind}, not aws:kms", why, mend)
    elif not default.get("KMSMasterKeyID"):
        yield warn("the bucket encrypts with the account's aws/s3 key", "its policy can't part the roles", mend)
    else:
        yield ok("objects are encrypted with a KMS key of yours")


def events(scope: Scope) -> Iterator[Finding]:
    """To EventBridge."""
    bucket = scope.need("bucket")
    told = scope.aws("s3").get_bucket_notification_configuration(Bucket=bucket)
    if "EventBridgeConfiguration" in told:
        yield ok("S3 tells EventBridge of new objects")
        return
    why = "nobody learns of a new file; it lies there until somebody compares bucket and ledger"
    configuration = "'{\"EventBridgeConfiguration\":{}}'"
    mend = f"aws s3api put-bucket-notification-configuration --bucket {bucket} --notification-configuration {configuration}"
    yield fail("S3 does not tell EventBridge of new objects", why, f"{mend}    # then replay what came meanwhile")


def public_access(scope: Scope) -> Iterator[Finding]:
    """All four blocks."""
    bucket = scope.need("bucket")
    try:
        block = scope.aws("s3").get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if code(error) != "NoSuchPublicAccessBlockConfiguration":
            raise
        block = {}
    if off := [name for name in PUBLIC if not block.get(name)]:
        blocks = ",".join(f"{name}=true" for name in PUBLIC)
        mend = f"aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration {blocks}"
        yield fail(f"public access is not blocked: {', '.join(off)}", "one slip in a policy or an ACL opens the bucket to the world", mend)
    else:
        yield ok("public access is blocked")


def policy(scope: Scope) -> Iterator[Finding]:
    """Denies what comes without TLS."""
    bucket = scope.need("bucket")
    try:
        text = scope.aws("s3").get_bucket_policy(Bucket=bucket)["Policy"]
    except ClientError as error:
        if code(error) != "NoSuchBucketPolicy":
            raise
        text = "{}"
    statements = _statements(text)
    denied = {name for each in statements if each.get("Effect") == "Deny" for name in _conditions(each)}
    mend = "aws cloudformation deploy … --template-file aws/stack.yaml (aws/README.md): the bucket's policy is in it"
    if "aws:SecureTransport" not in denied:
        yield fail("the bucket's policy does not deny plain HTTP", "manifests and credentials' signatures could be read on the way", mend)
    else:
        yield ok("plain HTTP is denied")
    if "s3:TlsVersion" not in denied:
        yield warn("the bucket's policy does not deny TLS below 1.2", "old versions of TLS are broken", mend)
    if any(_is_open(each) for each in statements):
        yield fail("the bucket's policy allows something to everybody", "strangers read, or put files", mend)
    if not text.strip("{} "):
        yield unknown("who may put under which encryption is not limited", "the bucket has no policy at all", mend)


def _statements(text: str) -> list[dict[str, object]]:
    try:
        found = json.loads(text).get("Statement", [])
    except ValueError:
        raise CantLookError("the bucket's policy is no JSON") from None
    return found if isinstance(found, list) else [found]


def _conditions(statement: dict[str, object]) -> set[str]:
    conditions = statement.get("Condition", {})
    return {name for test in conditions.values() for name in test} if isinstance(conditions, dict) else set()


def _is_open(statement: dict[str, object]) -> bool:
    return statement.get("Effect") == "Allow" and statement.get("Principal") in ("*", {"AWS": "*"}) and not statement.get("Condition")
