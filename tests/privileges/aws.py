"""What each AWS role of aws/stack.yaml may do: by its policies, and by trying it on moto.

moto deploys the template as it is and answers as its policies say, for actions and resources of S3 and SQS. It knows neither conditions
nor the policies of buckets, queues and keys: those are read from the template and evaluated here (privileges.iam).
"""

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import moto
from moto.backends import get_backend
from moto.cloudformation.parsing import clean_json

from privileges.iam import Request, Statement, allows, as_list
from privileges.matrix import Matrix

ROLES = ("sender", "poller", "decryptor", "operator")
TITLE = "AWS"
TEMPLATE = Path(__file__).resolve().parents[2] / "aws" / "stack.yaml"
REGION, ACCOUNT = "ap-northeast-1", "123456789012"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/hikyaku-object-created"
SAFE = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
# Which no role of ours needs. Each role is tried against them too.
_NOBODYS_IN_WORDS = """
    s3:DeleteObject s3:DeleteObjectVersion s3:PutObjectAcl s3:PutObjectTagging s3:PutObjectVersionTagging
    s3:BypassGovernanceRetention s3:PutBucketPolicy s3:DeleteBucketPolicy s3:PutBucketVersioning s3:PutBucketNotification
    s3:PutLifecycleConfiguration s3:PutEncryptionConfiguration s3:DeleteBucket s3:ListBucketMultipartUploads sqs:PurgeQueue
    sqs:DeleteQueue sqs:SetQueueAttributes sqs:AddPermission kms:Encrypt kms:ReEncryptFrom kms:CreateGrant kms:DisableKey
    kms:ScheduleKeyDeletion kms:PutKeyPolicy
"""
NOBODYS = _NOBODYS_IN_WORDS.split()
# And what has no resource of ours.
_ELSEWHERE_IN_WORDS = """
    iam:CreateAccessKey iam:AttachUserPolicy iam:PutUserPolicy sts:AssumeRole events:DisableRule cloudformation:UpdateStack
"""
ELSEWHERE = _ELSEWHERE_IN_WORDS.split()
_S3_ON_BUCKETS = ("List", "Bucket", "Lifecycle", "Encryption")


@dataclass(frozen=True, slots=True)
class Target:
    """What a call is about."""

    name: str
    arn: str
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stack:
    """The deployed template: its names, and every policy in it with its references filled in."""

    outputs: Mapping[str, str]
    identity: Mapping[str, list[Statement]]
    """Statements by role."""
    attached: Mapping[str, list[Statement]]
    """Statements by ARN of the bucket, the queue or the key that they are attached to."""

    def targets(self, action: str) -> list[Target]:
        """Ours and somebody else's, of the kind that the action is about."""
        service, _, verb = action.partition(":")
        if service == "sqs":
            queues = {each: f"arn:aws:sqs:{REGION}:{ACCOUNT}:{each}" for each in _QUEUES}
            return [Target(name, arn, SAFE) for name, arn in queues.items()]
        if service == "kms":
            return self._keys()
        if service != "s3":
            return [Target("anything", "*", {})]
        ours, others = f"arn:aws:s3:::{self.outputs['BucketName']}", "arn:aws:s3:::another-bucket"
        if any(word in verb for word in _S3_ON_BUCKETS):
            return [Target("the bucket", ours, SAFE), Target("another bucket", others, SAFE)]
        keys = {"incoming/*": FILE, "receipts/*": RECEIPT, "rejects/*": REJECTS, "the rest": "other/x"}
        named = {name: f"{ours}/{key}" for name, key in keys.items()}
        return [Target(name, arn, SAFE) for name, arn in (named | {"another bucket": f"{others}/{FILE}"}).items()]

    def _keys(self) -> list[Target]:
        ours, others = self.outputs["KmsKeyArn"], f"arn:aws:kms:{REGION}:{ACCOUNT}:key/another"
        through = {service: {"kms:ViaService": f"{service}.{REGION}.amazonaws.com"} for service in ("s3", "sqs", "secretsmanager")}
        return [
            *(Target(f"the key through {service}", ours, context) for service, context in through.items()),
            Target("the key directly", ours, {}),
            Target("another key through s3", others, through["s3"]),
        ]

    def may(self, principal: str, action: str, arn: str, context: Mapping[str, str]) -> bool:
        """What AWS would answer to a role (by its name) or a service."""
        name = f"arn:aws:iam::{ACCOUNT}:user/hikyaku-{principal}" if principal in ROLES else principal
        owner = arn.split("/", maxsplit=1)[0] if arn.startswith("arn:aws:s3") else arn
        request = Request(name, action, arn, context)
        return allows(request, self.identity.get(principal, []), self.attached.get(owner, []), delegated=action.startswith("kms:"))

    def actions(self) -> list[str]:
        """All that any role may do somewhere, then what none may."""
        granted = {action for statements in self.identity.values() for statement in statements for action in as_list(statement["Action"])}
        return [*sorted(granted), *sorted(set(NOBODYS) - granted), *ELSEWHERE]

    def matrix(self) -> Matrix:
        """Every role against every action of every role, and against those that none has."""
        matrix = Matrix(TITLE, ROLES)
        for action in self.actions():
            for target in self.targets(action):
                matrix.note(f"{action} {target.name}", [r for r in ROLES if self.may(r, action, target.arn, target.context)])
        return matrix


FILE, RECEIPT = "incoming/orders/x.csv.gz.age", "receipts/incoming/orders/x.csv.gz.age.json"
REJECTS = f"rejects/{FILE}.csv.gz.age"
_QUEUES = ("hikyaku-ingest", "hikyaku-ingest-dlq", "hikyaku-events-dlq", "another-queue")


@contextlib.contextmanager
def deployed(template: str | None = None, **parameters: str) -> Iterator[Stack]:
    """The template, or one given, with some parameters, in a moto of its own: one at a time in a process.

    What is yielded stays good afterwards; moto does not.
    """
    body = TEMPLATE.read_text(encoding="utf-8") if template is None else template
    with moto.mock_aws(), warnings.catch_warnings():
        # moto warns of the resources that it does not deploy: the policies that are evaluated here.
        warnings.filterwarnings("ignore", message="Tried to parse AWS::(S3::BucketPolicy|SQS::QueuePolicy)")
        client = boto3.client("cloudformation", REGION)
        given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        client.create_stack(StackName="hikyaku", TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_NAMED_IAM"])
        (stack,) = client.describe_stacks()["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        yield Stack(outputs, {role: _identity(role) for role in ROLES}, _attached(outputs))


def _identity(role: str) -> list[Statement]:
    """All policies of the user as deployed, so that a second one can't hide."""
    client, user = boto3.client("iam", REGION), f"hikyaku-{role}"
    assert client.list_user_policies(UserName=user)["PolicyNames"] == []
    assert client.list_groups_for_user(UserName=user)["Groups"] == []
    documents = []
    for policy in client.list_attached_user_policies(UserName=user)["AttachedPolicies"]:
        version = client.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        documents.append(client.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"])
    return list(itertools.chain.from_iterable(as_list(document["Statement"]) for document in documents))


def _attached(outputs: Mapping[str, str]) -> dict[str, list[Statement]]:
    found: dict[str, list[Statement]] = {}
    for kind, properties in _resources():
        if kind == "AWS::S3::BucketPolicy":
            found.setdefault(f"arn:aws:s3:::{properties['Bucket']}", []).extend(properties["PolicyDocument"]["Statement"])
        elif kind == "AWS::SQS::QueuePolicy":
            for url in properties["Queues"]:
                arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{url.rpartition('/')[2]}"
                found.setdefault(arn, []).extend(properties["PolicyDocument"]["Statement"])
        elif kind == "AWS::KMS::Key":
            # A key's policy says * for the key that it is attached to.
            found.setdefault(outputs["KmsKeyArn"], []).extend(properties["KeyPolicy"]["Statement"])
    return found


def _resources() -> Iterator[tuple[str, Any]]:
    """Type and properties of what is unconditional in the template, its references filled in by moto."""
    (stack,) = get_backend("cloudformation")[ACCOUNT][REGION].stacks.values()
    resources = stack.resource_map
    for resource in resources._resource_json_map.values():
        if "Condition" not in resource:
            yield resource["Type"], clean_json(resource.get("Properties", {}), resources)
