"""What aws/stack.yaml must say. LocalStack enforces no policy, so the policies are read here."""

import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cfnlint.api  # type: ignore[import-untyped]
import pytest
import yaml

from decryptor import tidy
from poller.sqs import LONGEST_ATTRIBUTE

TEMPLATE = Path(__file__).resolve().parents[2] / "aws" / "stack.yaml"
ROLES = ("sender", "poller", "decryptor", "operator")


class CloudFormationLoader(yaml.SafeLoader):
    """Reads !Ref, !Sub and the rest as the mappings that they are short for."""


def short_form(loader: yaml.SafeLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


CloudFormationLoader.add_multi_constructor("!", short_form)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), CloudFormationLoader)  # noqa: S506 - a SafeLoader
    return loaded


@pytest.fixture(scope="module")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def in_words(value: Any) -> str:
    """A resource as a short text: the ARN of a resource is its logical name."""
    if isinstance(value, dict):
        ((function, argument),) = value.items()
        value = argument if function == "Fn::Sub" else f"${{{argument}}}"
    return str(value).replace("${Bucket.Arn}", "Bucket").replace("${", "").replace(".Arn}", "").replace("}", "")


def statements(resource: dict[str, Any]) -> list[dict[str, Any]]:
    document = resource["Properties"].get("PolicyDocument") or resource["Properties"]["KeyPolicy"]
    found: list[dict[str, Any]] = document["Statement"]
    return found


def by_sid(resource: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {statement["Sid"]: statement for statement in statements(resource)}


def grants(resources: dict[str, Any], role: str) -> set[tuple[str, str]]:
    """Every (action, resource) that a role is allowed."""
    return {
        (action, in_words(resource))
        for statement in statements(resources[f"{role.title()}Policy"])
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }


def each(actions: str, *targets: str) -> set[tuple[str, str]]:
    return {(action, target) for action in actions.split() for target in targets}


USE_KEY = each("kms:GenerateDataKey kms:Decrypt", "Key")
ALLOWED = {
    "sender": each("s3:PutObject s3:AbortMultipartUpload", "Bucket/incoming/*")
    | each("s3:GetObject", "Bucket/receipts/*", "Bucket/rejects/*")
    | USE_KEY,
    "poller": each("sqs:ReceiveMessage sqs:DeleteMessage sqs:ChangeMessageVisibility sqs:GetQueueAttributes", "IngestQueue")
    | each("sqs:SendMessage", "IngestDlq")
    | USE_KEY,
    "decryptor": each("s3:GetObject s3:GetObjectVersion s3:GetObjectTagging s3:GetObjectVersionTagging", "Bucket/incoming/*")
    | each("s3:PutObject s3:GetObject", "Bucket/receipts/*", "Bucket/rejects/*")
    | each("s3:ListBucket", "Bucket")
    | USE_KEY,
    "operator": each("sqs:GetQueueAttributes sqs:ListDeadLetterSourceQueues", "IngestQueue", "IngestDlq", "EventsDlq")
    | each("sqs:ReceiveMessage sqs:DeleteMessage sqs:ChangeMessageVisibility", "IngestDlq", "EventsDlq")
    | each("sqs:StartMessageMoveTask sqs:CancelMessageMoveTask sqs:ListMessageMoveTasks", "IngestDlq", "EventsDlq")
    | each("sqs:SendMessage", "IngestQueue")
    | each("s3:ListBucket s3:ListBucketVersions", "Bucket")
    | each("s3:GetObject s3:GetObjectVersion", "Bucket/*")
    | each("s3:PutObject s3:AbortMultipartUpload", "Bucket/incoming/*")
    | USE_KEY,
}
KEY_THROUGH = {"sender": {"s3"}, "poller": {"sqs"}, "decryptor": {"s3"}, "operator": {"s3", "sqs"}}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_exactly_what_its_row_says(resources: dict[str, Any], role: str) -> None:
    assert grants(resources, role) == ALLOWED[role]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_uses_the_key_only_through_its_services(resources: dict[str, Any], role: str) -> None:
    uses = [s for s in statements(resources[f"{role.title()}Policy"]) if any(a.startswith("kms:") for a in as_list(s["Action"]))]
    through = {in_words(service).partition(".")[0] for s in uses for service in as_list(s["Condition"]["StringEquals"]["kms:ViaService"])}
    assert through == KEY_THROUGH[role]


@pytest.mark.parametrize("role", ROLES)
def test_a_policy_belongs_to_its_own_user_alone(resources: dict[str, Any], role: str) -> None:
    policy, user = resources[f"{role.title()}Policy"], resources[f"{role.title()}User"]
    assert policy["Type"] == "AWS::IAM::ManagedPolicy"
    assert policy["Properties"]["Users"] == [{"Ref": f"{role.title()}User"}]
    assert user["Properties"] == {"UserName": {"Fn::Sub": f"${{NamePrefix}}-{role}"}}


def test_no_role_is_allowed_a_wildcard_action(resources: dict[str, Any]) -> None:
    policies = [r for r in resources.values() if r["Type"] == "AWS::IAM::ManagedPolicy"]
    assert len(policies) == len(ROLES) + len(AFTER_LOAD) + len({"OperatorDoctorPolicy"})
    actions = [action for policy in policies for s in statements(policy) for action in as_list(s["Action"])]
    assert not [action for action in actions if "*" in action]


def test_the_doctor_looks_at_settings_and_at_its_own_user(resources: dict[str, Any]) -> None:
    policy = resources["OperatorDoctorPolicy"]
    assert policy["Properties"]["Users"] == [{"Ref": "OperatorUser"}]
    allowed = {(a, in_words(s["Resource"])) for s in statements(policy) for a in as_list(s["Action"])}
    assert {about for _, about in allowed} == {"Bucket", "Key", "ObjectCreatedRule", "OperatorUser", "*"}
    assert {action for action, about in allowed if about == "*"} == {"events:ListRuleNamesByTarget"}
    reads = ("Get", "Describe", "List", "Simulate")
    assert [action for action, _ in allowed if not action.partition(":")[2].startswith(reads)] == []


AFTER_LOAD = {
    "DecryptorTagPolicy": ("s3:PutObjectVersionTagging", "MayTag", "tag"),
    "DecryptorDeletePolicy": ("s3:DeleteObjectVersion", "MayDelete", "delete"),
}


@pytest.mark.parametrize("policy", AFTER_LOAD)
def test_the_decryptor_may_tag_or_delete_only_where_after_load_says_so(
    template: dict[str, Any], resources: dict[str, Any], policy: str
) -> None:
    action, condition, value = AFTER_LOAD[policy]
    assert template["Parameters"]["AfterLoad"]["Default"] == "keep"
    assert template["Conditions"][condition] == {
        "Fn::Or": [{"Fn::Equals": [{"Ref": "AfterLoad"}, either]} for either in (value, "tag-or-delete")]
    }
    assert resources[policy]["Condition"] == condition
    assert resources[policy]["Properties"]["Users"] == [{"Ref": "DecryptorUser"}]
    (statement,) = statements(resources[policy])
    assert (statement["Effect"], statement["Action"], in_words(statement["Resource"])) == ("Allow", action, "Bucket/incoming/*")


def test_nobody_else_may_delete_an_object_or_tag_it(resources: dict[str, Any]) -> None:
    for role in ROLES:
        assert not [action for action, _ in grants(resources, role) if action.startswith("s3:Delete") or "PutObjectTag" in action]


def test_what_is_tagged_expires_only_when_told(template: dict[str, Any], resources: dict[str, Any]) -> None:
    *_, rule = resources["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    condition, then, otherwise = rule["Fn::If"]
    assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "LoadedDays"}, "0"]}]}
    assert (template["Parameters"]["LoadedDays"]["Default"], otherwise) == (0, {"Ref": "AWS::NoValue"})
    assert then["TagFilters"] == [tidy.TAG]
    assert (then["Prefix"], then["ExpirationInDays"]) == ("incoming/", {"Ref": "LoadedDays"})


def test_the_bucket_is_closed_versioned_encrypted_and_announced(resources: dict[str, Any]) -> None:
    bucket = resources["Bucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (encryption,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["BucketKeyEnabled"] is True
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Fn::GetAtt": "Key.Arn"}}
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}


def denies(condition: dict[str, dict[str, Any]], request: dict[str, str]) -> bool:
    """Whether a Deny statement's condition matches a request's context keys, by IAM's rules for the operators in use.

    Source: IAM User Guide, "IAM JSON policy elements: Condition operators". A negated operator matches when the key is absent.
    """
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "Bool": lambda have, want: have == want,
        "NumericLessThan": lambda have, want: have is not None and float(have) < float(want),
        "StringNotEquals": lambda have, want: have != want,
        "Null": lambda have, want: (have is None) == (want == "true"),
    }
    return all(
        tests[operator](request.get(key), in_words(want) if isinstance(want, dict) else want)
        for operator, keys in condition.items()
        for key, want in keys.items()
    )


SSE, KEY_ID = "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"
TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}


@pytest.mark.parametrize(
    ("request_context", "refused_by"),
    [
        (TLS, set()),  # relies on the bucket's default
        (TLS | {SSE: "aws:kms", KEY_ID: "Key"}, set()),
        (TLS | {"s3:TlsVersion": "1.2"}, set()),
        (TLS | {"s3:TlsVersion": "1.1"}, {"DenyTlsBelow12"}),
        ({"aws:SecureTransport": "false"}, {"DenyWithoutTls"}),
        (TLS | {SSE: "AES256"}, {"DenyOtherEncryption", "DenyAwsManagedKey"}),
        (TLS | {SSE: "aws:kms"}, {"DenyAwsManagedKey"}),
        (TLS | {SSE: "aws:kms", KEY_ID: "another"}, {"DenyOtherKey"}),
    ],
)
def test_an_upload_is_refused_by(resources: dict[str, Any], request_context: dict[str, str], refused_by: set[str]) -> None:
    policy = by_sid(resources["BucketPolicy"])
    assert {s["Effect"] for s in policy.values()} == {"Deny"}
    assert {s["Principal"] for s in policy.values()} == {"*"}
    assert {sid for sid, s in policy.items() if denies(s["Condition"], request_context)} == refused_by


def test_tls_is_asked_of_the_bucket_and_of_every_object(resources: dict[str, Any]) -> None:
    policy = by_sid(resources["BucketPolicy"])
    for sid in ("DenyWithoutTls", "DenyTlsBelow12"):
        assert policy[sid]["Action"] == "s3:*"
        assert [in_words(resource) for resource in policy[sid]["Resource"]] == ["Bucket", "Bucket/*"]


def test_the_ingest_queue_polls_long_hides_briefly_and_redrives(resources: dict[str, Any], template: dict[str, Any]) -> None:
    queue = resources["IngestQueue"]["Properties"]
    assert queue["ReceiveMessageWaitTimeSeconds"] == 20
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": {"Fn::GetAtt": "IngestDlq.Arn"}, "maxReceiveCount": {"Ref": "MaxReceiveCount"}}
    assert queue["VisibilityTimeout"] == {"Ref": "VisibilityTimeoutSeconds"}
    assert template["Parameters"]["MaxReceiveCount"]["Default"] == 10
    assert template["Parameters"]["VisibilityTimeoutSeconds"]["Default"] == 120


def test_dead_letters_are_kept_for_14_days(resources: dict[str, Any]) -> None:
    for name in ("IngestDlq", "EventsDlq"):
        assert resources[name]["Properties"]["MessageRetentionPeriod"] == 14 * 86400


def test_no_message_is_larger_than_an_event_and_each_fits_the_dead_letter_queue_with_its_attributes(resources: dict[str, Any]) -> None:
    """A letter that SQS refuses goes back into the main queue, until its last receive."""
    ingest, letters = (resources[name]["Properties"]["MaximumMessageSize"] for name in ("IngestQueue", "IngestDlq"))
    assert ingest == 256 * 1024
    # Up to four bytes a character, and the names of both.
    assert letters >= ingest + 4 * LONGEST_ATTRIBUTE + 1024


def test_every_queue_is_encrypted_and_the_last_resort_does_not_need_our_key(resources: dict[str, Any]) -> None:
    for name in ("IngestQueue", "IngestDlq"):
        assert resources[name]["Properties"]["KmsMasterKeyId"] == {"Fn::GetAtt": "Key.Arn"}
    assert resources["EventsDlq"]["Properties"]["SqsManagedSseEnabled"] is True
    assert "KmsMasterKeyId" not in resources["EventsDlq"]["Properties"]


@pytest.mark.parametrize("name", ["IngestQueue", "IngestDlq", "EventsDlq"])
def test_a_queue_refuses_plain_http_and_takes_messages_from_our_rule_alone(resources: dict[str, Any], name: str) -> None:
    policy = by_sid(resources[f"{name}Policy"])
    assert resources[f"{name}Policy"]["Properties"]["Queues"] == [{"Ref": name}]
    assert policy.pop("DenyWithoutTls")["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert set(policy) == (set() if name == "IngestDlq" else {"OurRuleSends"})
    for statement in policy.values():
        assert statement["Principal"] == {"Service": "events.amazonaws.com"}
        assert statement["Action"] == "sqs:SendMessage"
        assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": "ObjectCreatedRule.Arn"}}}


def test_the_key_rotates_and_eventbridge_may_encrypt_with_it(resources: dict[str, Any]) -> None:
    key = resources["Key"]
    assert key["Properties"]["EnableKeyRotation"] is True
    assert key["DeletionPolicy"] == "Retain"
    statement = by_sid(key)["EventBridgeSendsToTheEncryptedQueue"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert set(statement["Action"]) == {"kms:GenerateDataKey", "kms:Decrypt"}


@pytest.mark.parametrize(
    ("key", "announced"),
    [
        ("incoming/orders/x.csv.gz.age", True),
        ("incoming/test/orders/2026/x y+%日本.csv.gz.gpg", True),
        ("incoming/orders/x.csv.gz", False),
        ("incoming/orders/x.csv.age", False),
        ("receipts/incoming/orders/x.csv.gz.age", False),
        ("rejects/incoming/orders/x.csv.gz.age.csv.gz.age", False),
        ("incoming/orders/x.csv.gz.age.json", False),
    ],
)
def test_the_rule_announces(resources: dict[str, Any], key: str, announced: bool) -> None:
    pattern = resources["ObjectCreatedRule"]["Properties"]["EventPattern"]
    wildcards = [matcher["wildcard"] for matcher in pattern["detail"]["object"]["key"]]
    assert any(fnmatch.fnmatchcase(key, wildcard) for wildcard in wildcards) is announced


def test_the_rule_watches_our_bucket_and_retries_for_a_day(resources: dict[str, Any]) -> None:
    rule = resources["ObjectCreatedRule"]["Properties"]
    assert rule["EventPattern"]["source"] == ["aws.s3"]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert rule["EventPattern"]["detail"]["bucket"] == {"name": [{"Ref": "Bucket"}]}
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": "IngestQueue.Arn"}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": "EventsDlq.Arn"}}


def test_alarms_and_trail_are_off_unless_asked_for(template: dict[str, Any]) -> None:
    conditions = {name: r["Condition"] for name, r in template["Resources"].items() if "Condition" in r}
    assert {n for n, c in conditions.items() if c == "Alarms"} == {"IngestDlqAlarm", "EventsDlqAlarm", "OldestMessageAlarm"}
    assert {n for n, c in conditions.items() if c == "CloudTrail"} == {"TrailBucket", "TrailBucketPolicy", "Trail"}
    assert {template["Parameters"][name]["Default"] for name in ("EnableAlarms", "EnableCloudTrail")} == {"false"}


def test_every_parameter_has_a_default(template: dict[str, Any]) -> None:
    assert [name for name, parameter in template["Parameters"].items() if "Default" not in parameter] == []


def test_cfn_lint_is_content() -> None:
    assert [str(match) for match in cfnlint.api.lint_file(TEMPLATE)] == []
