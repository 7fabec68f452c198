"""Deploys aws/stack.yaml, unchanged, into a running LocalStack and writes down how each role reaches it.

It needs boto3 and nothing else, and runs in three places:

* ``launcher.py`` calls it once LocalStack is ready;
* LocalStack's own image runs it as an init hook, mounted as ``/etc/localstack/init/ready.d/deploy.py``;
* by hand: ``python localstack/deploy.py --endpoint http://127.0.0.1:4566 --out DIR``.

Running it again is safe: the stack is created, updated or left as it is, and access keys that still work are kept.

Each option may also be given by the environment:

* ``--template``, HIKYAKU_TEMPLATE: the template (default: aws/stack.yaml of this checkout, or /etc/hikyaku/stack.yaml)
* ``--out``, HIKYAKU_OUT: folder for the files below (default: /run/hikyaku/aws)
* ``--endpoint``, HIKYAKU_ENDPOINT: where LocalStack listens (default: http://127.0.0.1:4566)
* ``--public-endpoint``, HIKYAKU_PUBLIC_ENDPOINT: how others reach it, for stack.json (default: the endpoint)
* ``--region``, AWS_REGION (default: ap-northeast-1)
* ``--stack-name``, HIKYAKU_STACK_NAME (default: hikyaku)
* ``--owner``, HIKYAKU_OUT_OWNER: uid or uid:gid that the files shall belong to (default: whoever runs this)

It writes, each atomically and with mode 0600:

* ``<role>.credentials``, an AWS shared credentials file, for sender, poller, decryptor and operator;
* ``config``, an AWS config file with region and path-style addressing (no secret);
* ``stack.json``: bucket, queue_url, queue_arn, dlq_url, dlq_arn, kms_key_arn, region, endpoint. It is removed first and
  written last, so its presence means that everything else is in place.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROLES = ("sender", "poller", "decryptor", "operator")
FACTS = {  # of stack.json, by the output that each comes from
    "BucketName": "bucket",
    "QueueUrl": "queue_url",
    "QueueArn": "queue_arn",
    "DlqUrl": "dlq_url",
    "DlqArn": "dlq_arn",
    "KmsKeyArn": "kms_key_arn",
}
EXPECTED_OUTPUTS = FACTS.keys() | {f"{role.title()}UserName" for role in ROLES}
CONTAINER_TEMPLATE = "/etc/hikyaku/stack.yaml"
CAPABILITIES = ["CAPABILITY_NAMED_IAM"]
# LocalStack takes any key pair for the account's root; this is the pair that its documentation uses.
ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
WAITER = {"Delay": 1, "MaxAttempts": 120}
UPDATABLE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})
# What aws/stack.yaml says of the bucket's lifecycle with default parameters, in the words of the S3 API: LocalStack's
# CloudFormation drops it. tests/unit/test_localstack_deploy.py holds it against the template.
LIFECYCLE_RULES: list[dict[str, Any]] = [
    {
        "ID": "expire-noncurrent-versions",
        "Status": "Enabled",
        "Filter": {},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    },
    {
        "ID": "abort-incomplete-uploads",
        "Status": "Enabled",
        "Filter": {},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
    },
]


class DeployError(Exception):
    """The stack could not be deployed; the message says why."""


@dataclass(frozen=True)
class Options:
    """What to deploy, where, and who may read the result."""

    template: Path
    out: Path
    endpoint: str
    public_endpoint: str
    region: str
    stack_name: str
    owner: str


def default_template(script: str | None) -> str:
    """Return the checkout's template when the script lies in a checkout, else the one of the container."""
    if script is not None:
        beside = Path(script).resolve().parent.parent / "aws" / "stack.yaml"
        if beside.is_file():
            return str(beside)
    return CONTAINER_TEMPLATE


def parse_options(arguments: list[str], environment: Mapping[str, str]) -> Options:
    """Read the options, those of the command line before those of the environment."""
    env = environment.get
    # An init hook is run by exec in an empty namespace: it has no __file__.
    template = env("HIKYAKU_TEMPLATE") or default_template(globals().get("__file__"))
    parser = argparse.ArgumentParser(description="Deploy aws/stack.yaml into a running LocalStack.")
    parser.add_argument("--template", type=Path, default=Path(template))
    parser.add_argument("--out", type=Path, default=Path(env("HIKYAKU_OUT", "/run/hikyaku/aws")))
    parser.add_argument("--endpoint", default=env("HIKYAKU_ENDPOINT", "http://127.0.0.1:4566"))
    parser.add_argument("--public-endpoint", default=env("HIKYAKU_PUBLIC_ENDPOINT", ""))
    parser.add_argument("--region", default=env("AWS_REGION", "ap-northeast-1"))
    parser.add_argument("--stack-name", default=env("HIKYAKU_STACK_NAME", "hikyaku"))
    parser.add_argument("--owner", default=env("HIKYAKU_OUT_OWNER", ""))
    given = vars(parser.parse_args(arguments))
    return Options(**{**given, "public_endpoint": given["public_endpoint"] or given["endpoint"]})


def parse_owner(owner: str) -> tuple[int, int] | None:
    """Turn ``uid`` or ``uid:gid`` into numbers; an empty string means that files keep the owner they are born with.

    Raises:
        DeployError: it is neither.
    """
    if not owner:
        return None
    uid, _, gid = owner.partition(":")
    if not uid.isdecimal() or not (gid or uid).isdecimal():
        raise DeployError(f"HIKYAKU_OUT_OWNER must be uid or uid:gid in numbers, not {owner!r}")
    return int(uid), int(gid or uid)


def write_private(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Write a file that only its owner can read, so that a reader sees the old content or the new one, never a part."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        if owner is not None:
            os.chown(temporary, *owner)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def credentials_text(key_id: str, secret: str) -> str:
    """Return the content of an AWS shared credentials file with one profile."""
    return f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"


def config_text(region: str) -> str:
    """Return the content of an AWS config file for LocalStack.

    Path-style, because a bucket's own host name (``bucket.localstack``) resolves nowhere.
    """
    return f"[default]\nregion = {region}\ns3 =\n    addressing_style = path\n"


def key_id_in(path: Path) -> str | None:
    """Return the access key id that a credentials file holds, or None when there is no such file or id."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    found = [line.partition("=")[2].strip() for line in lines if line.startswith("aws_access_key_id")]
    return found[0] if found else None


def stack_facts(outputs: Mapping[str, str], options: Options) -> dict[str, str]:
    """Return what stack.json holds, from the stack's outputs."""
    facts = {fact: outputs[output] for output, fact in FACTS.items()}
    return {**facts, "region": options.region, "endpoint": options.public_endpoint}


def connect(service: str, options: Options) -> Any:
    """Return a client for one service of the LocalStack, as the account's root."""
    # Few and short retries: LocalStack answers at once or not at all, and whoever started us wants to know.
    config = Config(retries={"total_max_attempts": 3}, connect_timeout=5, read_timeout=60, s3={"addressing_style": "path"})
    client: Any = boto3.client
    return client(service, endpoint_url=options.endpoint, region_name=options.region, config=config, **ROOT)


def find_stack(cloudformation: Any, name: str) -> dict[str, Any] | None:
    """Return CloudFormation's description of a stack, or None when there is none."""
    try:
        found: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise
    return found


def create_stack(cloudformation: Any, name: str, body: str) -> None:
    """Create the stack and wait until it is complete."""
    cloudformation.create_stack(StackName=name, TemplateBody=body, Capabilities=CAPABILITIES)
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAITER)


def delete_stack(cloudformation: Any, name: str) -> None:
    """Delete what a failed creation left."""
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=WAITER)


def update_stack(cloudformation: Any, name: str, body: str) -> None:
    """Update the stack and wait until it is complete; nothing happens when nothing has changed."""
    if cloudformation.get_template(StackName=name)["TemplateBody"] == body:
        return
    try:
        cloudformation.update_stack(StackName=name, TemplateBody=body, Capabilities=CAPABILITIES)
    except ClientError as error:
        if "No updates are to be performed" in error.response["Error"]["Message"]:
            return
        raise
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig=WAITER)


def deploy_stack(cloudformation: Any, name: str, body: str) -> dict[str, str]:
    """Create, update or leave the stack, and return its outputs by name."""
    stack = find_stack(cloudformation, name)
    if stack is not None and stack["StackStatus"] not in UPDATABLE:
        delete_stack(cloudformation, name)
        stack = None
    if stack is None:
        create_stack(cloudformation, name, body)
    else:
        update_stack(cloudformation, name, body)
    described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def check_outputs(outputs: Mapping[str, str]) -> None:
    """Make sure that the stack gives all that we write down.

    Raises:
        DeployError: it does not: another template, or a part that LocalStack does not know and left out.
    """
    missing = sorted(EXPECTED_OUTPUTS - outputs.keys())
    if missing:
        raise DeployError(f"the stack lacks the outputs {', '.join(missing)}")


def mend_bucket(s3: Any, bucket: str, key_arn: str) -> None:
    """Put back what LocalStack's CloudFormation drops of the bucket without a word: encryption and lifecycle."""
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_arn}
    rules = [{"BucketKeyEnabled": True, "ApplyServerSideEncryptionByDefault": default}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": LIFECYCLE_RULES})


def give_access_key(iam: Any, user: str, path: Path, owner: tuple[int, int] | None) -> None:
    """Make sure that a credentials file holds a working access key of the user, and that it is the user's only one."""
    keys = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]
    if key_id_in(path) in keys:
        return
    for key in keys:  # IAM allows two a user, and their secrets are lost
        iam.delete_access_key(UserName=user, AccessKeyId=key)
    made = iam.create_access_key(UserName=user)["AccessKey"]
    write_private(path, credentials_text(made["AccessKeyId"], made["SecretAccessKey"]), owner)


def deploy(options: Options) -> dict[str, str]:
    """Deploy the stack and write every file; return the content of stack.json.

    Raises:
        DeployError: a setting is wrong.
        OSError: the template cannot be read, or the folder not written.
        botocore.exceptions.BotoCoreError, ClientError: LocalStack is not there, or refused.
    """
    owner = parse_owner(options.owner)
    body = options.template.read_text(encoding="utf-8")
    options.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    if owner is not None:
        os.chown(options.out, *owner)
    (options.out / "stack.json").unlink(missing_ok=True)
    outputs = deploy_stack(connect("cloudformation", options), options.stack_name, body)
    check_outputs(outputs)
    mend_bucket(connect("s3", options), outputs["BucketName"], outputs["KmsKeyArn"])
    iam = connect("iam", options)
    for role in ROLES:
        give_access_key(iam, outputs[f"{role.title()}UserName"], options.out / f"{role}.credentials", owner)
    write_private(options.out / "config", config_text(options.region), owner)
    facts = stack_facts(outputs, options)
    write_private(options.out / "stack.json", json.dumps(facts, indent=2) + "\n", owner)
    return facts


def run(options: Options) -> int:
    """Deploy, say on the terminal how it went, and return an exit code."""
    try:
        facts = deploy(options)
    except (DeployError, OSError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"deploy: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(f"deploy: {facts['bucket']} and {facts['queue_url']} are ready\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(run(parse_options(sys.argv[1:], os.environ)))
elif __name__ == "builtins":
    # LocalStack runs a Python init hook by exec in an empty namespace, where __name__ is found in the builtins. Its own
    # command line is none of ours, and an exception (not SystemExit) is what it reports at /_localstack/init.
    deploy(parse_options([], os.environ))
