"""Deploys aws/stack.yaml, unchanged, into a running LocalStack and writes down how each role reaches it.

It needs boto3 and nothing else, and runs in three places:

* ``launcher.py`` calls it once LocalStack is ready;
* LocalStack's own image runs it as an init hook, mounted as ``/etc/localstack/init/ready.d/deploy.py``;
* by hand: ``python localstack/deploy.py --endpoint http://127.0.0.1:4566 --out DIR``. ``--help`` lists the options, each
  with the variable of the environment that may give it instead.

Running it again is safe: the stack is created, updated or left as it is, and access keys that still work are kept.

It writes below ``--out``, each file atomically and with mode 0600, each folder that is missing with mode 0700:

* ``<role>/aws_credentials`` and ``<role>/aws_config`` for sender, poller, decryptor and operator: an AWS shared credentials
  file, and a config file with endpoint, region and path-style addressing (no secret);
* ``stack.json``: bucket, queue_url, queue_arn, dlq_url, dlq_arn, kms_key_arn, region, endpoint. It is removed first and
  written last, so its presence means that everything else is in place.

Others keep their secrets in the same folders. Those stay as they are, and so do keys that somebody else put there.
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
OPTIONS = {  # each with its variable of the environment, its default, and what it is
    "template": ("HIKYAKU_TEMPLATE", "", "default: aws/stack.yaml of this checkout, or /etc/hikyaku/stack.yaml"),
    "out": ("HIKYAKU_OUT", "/run/hikyaku/secrets", "folder to write into"),
    "endpoint": ("HIKYAKU_ENDPOINT", "http://127.0.0.1:4566", "where LocalStack listens"),
    "public_endpoint": ("HIKYAKU_PUBLIC_ENDPOINT", "", "how the roles reach it, default: the endpoint"),
    "region": ("AWS_REGION", "ap-northeast-1", "of everything in the stack"),
    "stack_name": ("HIKYAKU_STACK_NAME", "hikyaku", "in CloudFormation"),
    "owner": ("HIKYAKU_OUT_OWNER", "", "uid or uid:gid of what is written, default: whoever runs this"),
}
MARK = "# Written by localstack/deploy.py, for LocalStack only."
# LocalStack takes any key pair for the account's root; this is the pair that its documentation uses.
ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
# The only departure from the template's defaults: here every after_load of datasets.toml may be tried.
PARAMETERS = {"AfterLoad": "tag-or-delete"}
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
    {
        "ID": "expire-receipts",
        "Status": "Enabled",
        "Filter": {"Prefix": "receipts/"},
        "Expiration": {"Days": 90},
    },
    {
        "ID": "expire-rejects",
        "Status": "Enabled",
        "Filter": {"Prefix": "rejects/"},
        "Expiration": {"Days": 90},
    },
]


class DeployError(Exception):
    """The stack could not be deployed; the message says why."""


@dataclass(frozen=True)
class Options:
    """What to deploy, where, and who may read the result: see OPTIONS."""

    template: Path
    out: Path
    endpoint: str
    public_endpoint: str
    region: str
    stack_name: str
    owner: str


def default_template(script: str | None) -> Path:
    """Return the checkout's template when the script lies in a checkout, else the one of the container."""
    beside = Path(script).resolve().parent.parent / "aws" / "stack.yaml" if script else None
    return beside if beside and beside.is_file() else Path("/etc/hikyaku/stack.yaml")


def parse_options(arguments: list[str], environment: Mapping[str, str]) -> Options:
    """Read the options, those of the command line before those of the environment."""
    parser = argparse.ArgumentParser(description="Deploy aws/stack.yaml into a running LocalStack.")
    for name, (variable, default, meaning) in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", default=environment.get(variable) or default, help=f"{meaning} ({variable})")
    given = vars(parser.parse_args(arguments))
    # An init hook is run by exec in an empty namespace: it has no __file__.
    template = Path(given["template"]) if given["template"] else default_template(globals().get("__file__"))
    public = given["public_endpoint"] or given["endpoint"]
    return Options(**{**given, "template": template, "out": Path(given["out"]), "public_endpoint": public})


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


def private_folder(path: Path, owner: tuple[int, int] | None = None) -> None:
    """Make a folder that only its owner may enter; one that is there stays as it is."""
    if path.is_dir():
        return
    path.mkdir(mode=0o700, parents=True)
    if owner is not None:
        os.chown(path, *owner)


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


def lines_of(path: Path) -> list[str]:
    """Return what a file says, comments aside, or nothing when it is absent.

    Raises:
        DeployError: it is somebody else's: keys for AWS itself, perhaps, which exist nowhere else.
    """
    written = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    said = [line for line in written if line.strip() and not line.startswith("#")]
    if said and MARK not in written:
        raise DeployError(f"{path} is not LocalStack's and stays as it is: move it away, or give LocalStack another folder")
    return said


def key_id_in(path: Path) -> str | None:
    """Return the access key id that a credentials file holds, or None when there is no such file or id."""
    return next((line.partition("=")[2].strip() for line in lines_of(path) if line.startswith("aws_access_key_id")), None)


def credentials_text(key_id: str, secret: str) -> str:
    """Return the content of an AWS shared credentials file with one profile."""
    return f"{MARK}\n[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n"


def config_text(options: Options) -> str:
    """Return the content of an AWS config file for LocalStack.

    Path-style, because a bucket's own host name (``bucket.localstack``) resolves nowhere.
    """
    profile = f"region = {options.region}\nendpoint_url = {options.public_endpoint}\ns3 =\n    addressing_style = path\n"
    return f"{MARK}\n[default]\n{profile}"


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


def change_stack(cloudformation: Any, verb: str, name: str, **told: Any) -> None:
    """Create, update or delete the stack and wait until that is done; nothing happens when there is nothing to update."""
    try:
        getattr(cloudformation, f"{verb}_stack")(StackName=name, **told)
    except ClientError as error:
        if "No updates are to be performed" in error.response["Error"]["Message"]:
            return
        raise
    waiter = cloudformation.get_waiter(f"stack_{verb}_complete")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def deploy_stack(cloudformation: Any, name: str, body: str) -> dict[str, str]:
    """Create, update or leave the stack, and return its outputs by name.

    Raises:
        DeployError: it lacks some: another template, or a part that LocalStack does not know and left out.
    """
    stack = find_stack(cloudformation, name)
    if stack is not None and stack["StackStatus"] not in UPDATABLE:
        change_stack(cloudformation, "delete", name)
        stack = None
    verb = "create" if stack is None else "update"
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in PARAMETERS.items()]
    change_stack(cloudformation, verb, name, TemplateBody=body, Parameters=parameters, Capabilities=["CAPABILITY_NAMED_IAM"])
    described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    if missing := sorted(EXPECTED_OUTPUTS - outputs.keys()):
        raise DeployError(f"the stack lacks the outputs {', '.join(missing)}")
    return outputs


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
        DeployError: a setting is wrong, or a file is somebody else's.
        OSError: the template cannot be read, or the folder not written.
        botocore.exceptions.BotoCoreError, ClientError: LocalStack is not there, or refused.
    """
    owner = parse_owner(options.owner)
    body = options.template.read_text(encoding="utf-8")
    private_folder(options.out, owner)
    (options.out / "stack.json").unlink(missing_ok=True)
    for role in ROLES:
        private_folder(options.out / role, owner)
        for name in ("aws_credentials", "aws_config"):
            lines_of(options.out / role / name)
    outputs = deploy_stack(connect("cloudformation", options), options.stack_name, body)
    mend_bucket(connect("s3", options), outputs["BucketName"], outputs["KmsKeyArn"])
    iam = connect("iam", options)
    for role in ROLES:
        give_access_key(iam, outputs[f"{role.title()}UserName"], options.out / role / "aws_credentials", owner)
        write_private(options.out / role / "aws_config", config_text(options), owner)
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
