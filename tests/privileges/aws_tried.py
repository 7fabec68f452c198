"""The same calls really made, to moto, with the keys of each role."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto.core import set_initial_no_auth_action_count

from privileges import aws
from privileges.aws import ACCOUNT, FILE, RECEIPT, REGION, REJECTS, ROLES, Stack, Target

Call = Callable[[Any, Mapping[str, str]], object]
# moto takes s3:GetObjectVersionTagging for s3:GetObjectVersion, and does not see which queue a move of messages is about: those are asked
# of the evaluator alone.
CALLS: Mapping[str, Call] = {
    "s3:PutObject": lambda s3, to: s3.create_multipart_upload(Bucket=to["bucket"], Key=to["key"]),
    "s3:AbortMultipartUpload": lambda s3, to: s3.abort_multipart_upload(Bucket=to["bucket"], Key=to["key"], UploadId="none"),
    "s3:GetObject": lambda s3, to: s3.get_object(Bucket=to["bucket"], Key=to["key"]),
    "s3:GetObjectVersion": lambda s3, to: s3.get_object(Bucket=to["bucket"], Key=to["key"], VersionId="none"),
    "s3:GetObjectTagging": lambda s3, to: s3.get_object_tagging(Bucket=to["bucket"], Key=to["key"]),
    "s3:DeleteObject": lambda s3, to: s3.delete_object(Bucket=to["bucket"], Key=to["key"]),
    "s3:DeleteObjectVersion": lambda s3, to: s3.delete_object(Bucket=to["bucket"], Key=to["key"], VersionId="none"),
    "s3:PutObjectAcl": lambda s3, to: s3.put_object_acl(Bucket=to["bucket"], Key=to["key"], ACL="private"),
    "s3:PutObjectTagging": lambda s3, to: s3.put_object_tagging(Bucket=to["bucket"], Key=to["key"], Tagging={"TagSet": []}),
    "s3:ListBucket": lambda s3, to: s3.list_objects_v2(Bucket=to["bucket"]),
    "s3:ListBucketVersions": lambda s3, to: s3.list_object_versions(Bucket=to["bucket"]),
    "s3:ListBucketMultipartUploads": lambda s3, to: s3.list_multipart_uploads(Bucket=to["bucket"]),
    "s3:PutBucketPolicy": lambda s3, to: s3.put_bucket_policy(Bucket=to["bucket"], Policy="{}"),
    "s3:DeleteBucketPolicy": lambda s3, to: s3.delete_bucket_policy(Bucket=to["bucket"]),
    "s3:DeleteBucket": lambda s3, to: s3.delete_bucket(Bucket=to["bucket"]),
    "sqs:ReceiveMessage": lambda sqs, to: sqs.receive_message(QueueUrl=to["queue"], WaitTimeSeconds=0),
    "sqs:DeleteMessage": lambda sqs, to: sqs.delete_message(QueueUrl=to["queue"], ReceiptHandle="none"),
    "sqs:ChangeMessageVisibility": lambda sqs, to: sqs.change_message_visibility(
        QueueUrl=to["queue"], ReceiptHandle="none", VisibilityTimeout=1
    ),
    "sqs:GetQueueAttributes": lambda sqs, to: sqs.get_queue_attributes(QueueUrl=to["queue"], AttributeNames=["QueueArn"]),
    "sqs:SendMessage": lambda sqs, to: sqs.send_message(QueueUrl=to["queue"], MessageBody="{}"),
    "sqs:ListDeadLetterSourceQueues": lambda sqs, to: sqs.list_dead_letter_source_queues(QueueUrl=to["queue"]),
    "sqs:PurgeQueue": lambda sqs, to: sqs.purge_queue(QueueUrl=to["queue"]),
    "sqs:DeleteQueue": lambda sqs, to: sqs.delete_queue(QueueUrl=to["queue"]),
    "sqs:SetQueueAttributes": lambda sqs, to: sqs.set_queue_attributes(QueueUrl=to["queue"], Attributes={"VisibilityTimeout": "1"}),
}


def disagreements(stack: Stack) -> Iterator[str]:
    """Where moto's answer is not what the policies say."""
    keys = {role: _access_key(role) for role in ROLES}
    _make_what_is_missing(stack)
    yield from set_initial_no_auth_action_count(0)(lambda: list(_disagreements(stack, keys)))()


def _disagreements(stack: Stack, keys: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for role in ROLES:
        clients = {service: boto3.client(service, REGION, **keys[role]) for service in ("s3", "sqs")}
        for action, call in CALLS.items():
            for target in stack.targets(action):
                said = stack.may(role, action, target.arn, target.context)
                done = _allowed(call, clients[action.partition(":")[0]], _where(stack, target))
                if done != said:
                    yield f"{role}: {action} on {target.name}: the policies say {said}, trying says {done}"


def _allowed(call: Call, client: Any, where: Mapping[str, str]) -> bool:
    """An error other than a denial came after the check: there is no such upload, message or version."""
    try:
        call(client, where)
    except ClientError as error:
        return "AccessDenied" not in str(error)
    return True


def _where(stack: Stack, target: Target) -> dict[str, str]:
    bucket, _, key = target.arn.rpartition(":")[2].partition("/")
    return {"bucket": bucket, "key": key, "queue": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{bucket}", "arn": target.arn}


def _access_key(role: str) -> dict[str, str]:
    made = boto3.client("iam", REGION).create_access_key(UserName=f"hikyaku-{role}")["AccessKey"]
    return {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def _make_what_is_missing(stack: Stack) -> None:
    s3 = boto3.client("s3", REGION)
    s3.create_bucket(Bucket="another-bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    ours = stack.outputs["BucketName"]
    for bucket, key in (*((ours, key) for key in (FILE, RECEIPT, REJECTS)), ("another-bucket", FILE)):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    boto3.client("sqs", REGION).create_queue(QueueName=aws._QUEUES[-1])
