"""The doctor at a stack that is broken in one way at a time: it names each, and what mends it."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from doctor_fixture import Said, doctor
from line import Line

from fakes.aws_door import door

OPERATOR = "hikyaku-operator"
RULE = "hikyaku-object-created"
Environment = dict[str, str]


class Cloud:
    """The stack's AWS, as its administrator."""

    def __init__(self, line: Line) -> None:
        self.line, e = line, line.endpoints
        self.bucket, self.queue, self.dlq = e["HIKYAKU_BUCKET"], e["HIKYAKU_QUEUE_URL"], e["HIKYAKU_DLQ_URL"]
        self.made: dict[str, Any] = {}

    def __getattr__(self, service: str) -> Any:
        e = self.line.endpoints
        connect: Any = boto3.client
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        if service not in self.made:
            self.made[service] = connect(service, endpoint_url=e["AWS_ENDPOINT_URL"], region_name=e["AWS_REGION"], **keys)
        return self.made[service]

    @contextmanager
    def attributes(self, url: str, **changed: str) -> Iterator[None]:
        before = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        self.sqs.set_queue_attributes(QueueUrl=url, Attributes=changed)
        try:
            yield
        finally:
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes={name: before[name] for name in changed})


@contextmanager
def versioning_suspended(cloud: Cloud) -> Iterator[None]:
    def put(status: str) -> None:
        cloud.s3.put_bucket_versioning(Bucket=cloud.bucket, VersioningConfiguration={"Status": status})

    put("Suspended")
    try:
        yield
    finally:
        put("Enabled")


@contextmanager
def encryption_removed(cloud: Cloud) -> Iterator[None]:
    before = cloud.s3.get_bucket_encryption(Bucket=cloud.bucket)["ServerSideEncryptionConfiguration"]
    cloud.s3.delete_bucket_encryption(Bucket=cloud.bucket)
    try:
        yield
    finally:
        cloud.s3.put_bucket_encryption(Bucket=cloud.bucket, ServerSideEncryptionConfiguration=before)


@contextmanager
def block_removed(cloud: Cloud) -> Iterator[None]:
    before = cloud.s3.get_public_access_block(Bucket=cloud.bucket)["PublicAccessBlockConfiguration"]
    cloud.s3.delete_public_access_block(Bucket=cloud.bucket)
    try:
        yield
    finally:
        cloud.s3.put_public_access_block(Bucket=cloud.bucket, PublicAccessBlockConfiguration=before)


@contextmanager
def policy_removed(cloud: Cloud) -> Iterator[None]:
    before = cloud.s3.get_bucket_policy(Bucket=cloud.bucket)["Policy"]
    cloud.s3.delete_bucket_policy(Bucket=cloud.bucket)
    try:
        yield
    finally:
        cloud.s3.put_bucket_policy(Bucket=cloud.bucket, Policy=before)


def silenced(cloud: Cloud) -> AbstractContextManager[None]:
    return cloud.line.silence()


def visibility_short(cloud: Cloud) -> AbstractContextManager[None]:
    return cloud.attributes(cloud.queue, VisibilityTimeout="5")


def long_poll_off(cloud: Cloud) -> AbstractContextManager[None]:
    return cloud.attributes(cloud.queue, ReceiveMessageWaitTimeSeconds="0")


def retention_short(cloud: Cloud) -> AbstractContextManager[None]:
    return cloud.attributes(cloud.queue, MessageRetentionPeriod="3600")


def redrive_removed(cloud: Cloud) -> AbstractContextManager[None]:
    return cloud.attributes(cloud.queue, RedrivePolicy="")


def redrive_hasty(cloud: Cloud) -> AbstractContextManager[None]:
    arn = cloud.sqs.get_queue_attributes(QueueUrl=cloud.dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return cloud.attributes(cloud.queue, RedrivePolicy=json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2}))


def letters_refused(cloud: Cloud) -> AbstractContextManager[None]:
    return cloud.attributes(cloud.dlq, RedriveAllowPolicy='{"redrivePermission":"denyAll"}')


@contextmanager
def rule_disabled(cloud: Cloud) -> Iterator[None]:
    cloud.events.disable_rule(Name=RULE)
    try:
        yield
    finally:
        cloud.events.enable_rule(Name=RULE)


@contextmanager
def target_removed(cloud: Cloud) -> Iterator[None]:
    targets = cloud.events.list_targets_by_rule(Rule=RULE)["Targets"]
    cloud.events.remove_targets(Rule=RULE, Ids=[each["Id"] for each in targets])
    try:
        yield
    finally:
        cloud.events.put_targets(Rule=RULE, Targets=targets)


def _key(cloud: Cloud) -> str:
    return str(cloud.sqs.get_queue_attributes(QueueUrl=cloud.queue, AttributeNames=["All"])["Attributes"]["KmsMasterKeyId"])


@contextmanager
def key_disabled(cloud: Cloud) -> Iterator[None]:
    key = _key(cloud)
    cloud.kms.disable_key(KeyId=key)
    try:
        yield
    finally:
        cloud.kms.enable_key(KeyId=key)


@contextmanager
def rotation_off(cloud: Cloud) -> Iterator[None]:
    key = _key(cloud)
    cloud.kms.disable_key_rotation(KeyId=key)
    try:
        yield
    finally:
        cloud.kms.enable_key_rotation(KeyId=key)


@contextmanager
def permission_missing(cloud: Cloud) -> Iterator[None]:
    attached = cloud.iam.list_attached_user_policies(UserName=OPERATOR)["AttachedPolicies"]
    [policy] = [each for each in attached if each["PolicyName"] == OPERATOR]
    cloud.iam.detach_user_policy(UserName=OPERATOR, PolicyArn=policy["PolicyArn"])
    try:
        yield
    finally:
        cloud.iam.attach_user_policy(UserName=OPERATOR, PolicyArn=policy["PolicyArn"])


@contextmanager
def permission_too_many(cloud: Cloud) -> Iterator[None]:
    # LocalStack takes a resource by its letters.
    queue = cloud.sqs.get_queue_attributes(QueueUrl=cloud.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Action": "sqs:PurgeQueue", "Resource": queue}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn = cloud.iam.create_policy(PolicyName="doctor-too-many", PolicyDocument=document)["Policy"]["Arn"]
    cloud.iam.attach_user_policy(UserName=OPERATOR, PolicyArn=arn)
    try:
        yield
    finally:
        cloud.iam.detach_user_policy(UserName=OPERATOR, PolicyArn=arn)
        cloud.iam.delete_policy(PolicyArn=arn)


@pytest.fixture
def environment(line: Line, tmp_path: Path) -> Environment:
    """A stack as it should be: its spool on a tmpfs, its senders known."""
    signers = tmp_path / "allowed_signers"
    signers.write_text("acme@example.com ssh-ed25519 AAAA\n")
    places = {
        "HIKYAKU_IDENTITIES_DIR": str(line.folder / "secrets" / "identities"),
        "HIKYAKU_SPOOL_DIR": "/dev/shm",  # noqa: S108 - a tmpfs, of which only the size is asked
        "HIKYAKU_ALLOWED_SIGNERS": str(signers),
    }
    plain = {name: value for name, value in line.endpoints.items() if not name.startswith("HIKYAKU_PID_")}
    return {**plain, **places}


def test_nothing_fails_on_a_stack_that_is_well(line: Line, environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    table = line.table("id int PRIMARY KEY")
    line.fate(line.send(table, b"id\n1\n"))
    said = doctor(monkeypatch, environment)
    assert (said.of("fail"), said.exit_code) == ([], 0)
    # Nobody's user in Redis is the local stack's own administrator.
    assert said.of("warn") == ["Redis has a user admin of nobody's"]
    # What `setup` makes on a host is not there on a local stack.
    unseen = ("Redis's ACL file", "the secrets' owners and modes", "the services' time limits")
    assert set(said.of("unknown")) <= {f"{each}: can't be looked at" for each in unseen}
    assert {each["area"] for each in said.findings if each["level"] == "ok"} >= {"settings", "clock", "aws", "bucket", "kms", "database"}


@dataclass(frozen=True)
class Broken:
    """One way to break it, and what the doctor says."""

    by: Callable[[Cloud], AbstractContextManager[None]]
    area: str
    level: str
    says: str


BREAKS = [
    Broken(versioning_suspended, "bucket", "fail", "versioning is suspended"),
    Broken(silenced, "bucket", "fail", "S3 does not tell EventBridge"),
    Broken(encryption_removed, "bucket", "fail", "default encryption is (AES256|none), not aws:kms"),
    Broken(block_removed, "bucket", "fail", "public access is not blocked: BlockPublicAcls, "),
    Broken(policy_removed, "bucket", "fail", "does not deny plain HTTP"),
    Broken(visibility_short, "queue", "fail", "visibility timeout is 5 s"),
    Broken(long_poll_off, "queue", "warn", "long poll is shorter"),
    Broken(retention_short, "queue", "fail", "the ingest queue keeps messages for 0.0417 days"),
    Broken(redrive_removed, "queue", "fail", "no redrive policy"),
    Broken(redrive_hasty, "queue", "warn", "maxReceiveCount is 2"),
    Broken(letters_refused, "queue", "fail", "takes nothing of the ingest queue"),
    Broken(rule_disabled, "queue", "fail", f"the rule {RULE} is disabled"),
    Broken(target_removed, "queue", "fail", "no EventBridge rule has the ingest queue"),
    Broken(key_disabled, "kms", "fail", "the KMS key .* is Disabled"),
    Broken(rotation_off, "kms", "fail", "the KMS key .* is not rotated"),
    Broken(permission_missing, "aws", "fail", r"may not s3:ListBucket \(bucket\)"),
    Broken(permission_too_many, "aws", "warn", "may sqs:PurgeQueue"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=[each.by.__name__ for each in BREAKS])
def test_what_is_broken_in_aws_is_named(line: Line, environment: Environment, monkeypatch: pytest.MonkeyPatch, broken: Broken) -> None:
    cloud = Cloud(line)
    before = doctor(monkeypatch, environment, broken.area)
    assert (before.of("fail"), before.of("warn")) == ([], [])
    with broken.by(cloud):
        said = doctor(monkeypatch, environment, broken.area)
    _told(said, broken.level, broken.says)
    assert said.exit_code == (1 if broken.level == "fail" else 0)
    assert doctor(monkeypatch, environment, broken.area).of("fail") == []


def _told(said: Said, level: str, says: str) -> None:
    found = said.named(says, level)
    assert found["why"]
    assert found["mend"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"HIKYAKU_BUCKET": "hikyaku-elsewhere"}, ("bucket", "there is no bucket hikyaku-elsewhere")),
        ({"HIKYAKU_BUCKET": ""}, ("settings", "HIKYAKU_BUCKET is not set")),
        ({"HIKYAKU_DATABASE_URL": ""}, ("settings", "HIKYAKU_DATABASE_URL is not set")),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, ("settings", "AWS_REGION is not set")),
        ({"HIKYAKU_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}, ("database", "the ledger can't be reached")),
        ({"HIKYAKU_REDIS_URL": "redis://127.0.0.1:9/0"}, ("redis", "Redis does not answer")),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ("aws", "AWS can't be reached")),
    ],
)
def test_wrong_settings_are_named(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, changes: Environment, says: tuple[str, str]
) -> None:
    area, sentence = says
    said = doctor(monkeypatch, {**environment, **changes}, area)
    _told(said, "fail", sentence)
    assert said.exit_code == 1


@pytest.mark.parametrize(
    ("setting", "says"), [("HIKYAKU_DLQ_URL", "hikyaku-ingest-dlq-gone"), ("HIKYAKU_QUEUE_URL", "hikyaku-ingest-gone")]
)
def test_a_queue_that_is_not_there(environment: Environment, monkeypatch: pytest.MonkeyPatch, setting: str, says: str) -> None:
    said = doctor(monkeypatch, {**environment, setting: environment[setting] + "-gone"}, "queue")
    _told(said, "fail", f"there is no queue {says}")


def test_credentials_that_aws_refuses(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    with door() as url:
        said = doctor(monkeypatch, {**environment, "AWS_ENDPOINT_URL": url}, "aws")
    _told(said, "fail", "AWS refuses these credentials: InvalidClientTokenId")


def test_credentials_of_the_accounts_root(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    said = doctor(monkeypatch, {**environment, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}, "aws")
    _told(said, "fail", "root")
    assert "the permissions are not checked" in said.of("unknown")


@pytest.mark.parametrize(
    ("off", "says"),
    [
        (timedelta(minutes=10), ("fail", r"this machine's clock is (59\d|60\d) s behind AWS's")),
        (timedelta(minutes=-10), ("fail", r"this machine's clock is (59\d|60\d) s ahead of AWS's")),
        (timedelta(seconds=30), ("warn", r"clock is (2\d|3\d) s behind AWS's")),
        (timedelta(), ("ok", "AWS's clock is ours")),
    ],
)
def test_clock_skew(line: Line, environment: Environment, monkeypatch: pytest.MonkeyPatch, off: timedelta, says: tuple[str, str]) -> None:
    level, sentence = says
    with door(line.endpoints["AWS_ENDPOINT_URL"], off=off) as url:
        said = doctor(monkeypatch, {**environment, "AWS_ENDPOINT_URL": url}, "clock")
    said.named(sentence, level)
