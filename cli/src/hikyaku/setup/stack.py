"""Names of what CloudFormation made from aws/stack.yaml, asked with the caller's own credentials."""

from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from hikyaku.errors import UserError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

OUTPUTS = {"HIKYAKU_BUCKET": "BucketName", "HIKYAKU_QUEUE_URL": "QueueUrl", "HIKYAKU_DLQ_URL": "DlqUrl"}
"""The stack's output for each name in `.env`."""


def values(name: str, region: str) -> dict[str, str]:
    """Values for `.env`.

    Args:
        name: of the stack.
        region: where it is; empty for the caller's own.

    Raises:
        UserError: CloudFormation does not answer, does not know the stack, or the stack is another one.
    """
    hint = "An administrator's credentials are needed (AWS_PROFILE, AWS_ACCESS_KEY_ID, ...), and AWS_REGION in .env where the stack is."
    try:
        client = boto3.Session(region_name=region or None).client("cloudformation")
        return {**read(client, name), "AWS_REGION": client.meta.region_name}
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"CloudFormation tells nothing of the stack {name}: {error}", hint=hint) from error


def read(client: "CloudFormationClient", name: str) -> dict[str, str]:
    """The outputs that `.env` needs."""
    described = client.describe_stacks(StackName=name)["Stacks"][0]
    outputs = {output.get("OutputKey", ""): output.get("OutputValue", "") for output in described.get("Outputs", [])}
    if missing := [output for output in OUTPUTS.values() if not outputs.get(output)]:
        raise UserError(f"The stack {name} has no output {', '.join(missing)}.", hint="Is it made from aws/stack.yaml, and complete?")
    return {variable: outputs[output] for variable, output in OUTPUTS.items()}
