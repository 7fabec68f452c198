"""The suite of SQS's behaviour on LocalStack: what the fake does in the unit tests and the simulation, the real thing does too."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import line as stack
import pytest
from localstack_client.session import Session

from suites.sqs import *  # noqa: F403 - the suite's tests
from suites.sqs import MAX_RECEIVE_COUNT, Line

VISIBILITY_S = 3
"""Real seconds."""


@pytest.fixture
def client(shared_line: stack.Line, monkeypatch: pytest.MonkeyPatch) -> Any:
    address = urlsplit(shared_line.endpoints["AWS_ENDPOINT_URL"])
    # AWS_ENDPOINT_URL of whoever runs the tests would count more.
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return Session(region_name=shared_line.endpoints["AWS_REGION"], localstack_host=address.netloc).client("sqs")


@pytest.fixture
def line(client: Any) -> Iterator[Line]:
    """Two queues of the test's own."""
    name = f"behaviour-{uuid4().hex[:8]}"
    dlq = client.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = client.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVE_COUNT})
    queue = client.create_queue(QueueName=name, Attributes={"RedrivePolicy": redrive})["QueueUrl"]
    yield Line(client, queue, dlq, time.sleep, VISIBILITY_S)
    for url in (queue, dlq):
        client.delete_queue(QueueUrl=url)
