"""The ingest queue and its dead-letter queue, as few calls as their batches allow (Amazon SQS API Reference)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from poller.settings import PollerSettings
from shared.logging import get_logger
from shared.printable import printable

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

SQS_ERRORS = (BotoCoreError, ClientError)
"""What a call raises while SQS is away or says no."""
REFUSALS = {"InvalidParameterValue", "InvalidMessageContents", "InvalidAttributeValue", "BatchRequestTooLong"}
"""What SQS says of a message that it will never take: too large, or with characters that it does not allow."""
BATCH = 10
LONGEST_ATTRIBUTE = 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """One received message. `receive_count` is how often SQS has handed it out."""

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message on its way to the dead-letter queue, with what an operator needs to know about it."""

    body: str
    error_code: str
    error: str


def is_final(error: Exception) -> bool:
    """Whether SQS would say no to this very message again (SendMessage, *Errors*)."""
    return isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in REFUSALS


def connect(settings: PollerSettings, *, wait: int = 0) -> "SQSClient":
    """An SQS client with bounded waiting; credentials and endpoint by the standard AWS settings.

    Args:
        settings: for the timeouts.
        wait: seconds of long polling for which its answers may be late.
    """
    config = Config(
        connect_timeout=settings.sqs_connect_timeout,
        read_timeout=settings.sqs_read_timeout + wait,
        # The poller's rounds try again themselves.
        retries={"mode": "standard", "total_max_attempts": 2},
        tcp_keepalive=True,
    )
    return boto3.client("sqs", region_name=settings.aws_region, config=config)


class IngestQueue:
    """The two queues of one line.

    Args:
        client: for everything that is answered at once.
        queue_url: of the ingest queue.
        dlq_url: of its dead-letter queue.
        visibility_timeout: seconds for which a message is ours, from each extension on.
        receiver: for long polls, whose connection must be allowed to be silent; `client` unless given.
    """

    def __init__(
        self, client: "SQSClient", queue_url: str, dlq_url: str, visibility_timeout: int, receiver: "SQSClient | None" = None
    ) -> None:
        self._client = client
        self._receiver = receiver or client
        self._queue_url = queue_url
        self._dlq_url = dlq_url
        self._visibility_timeout = visibility_timeout

    def receive(self, most: int, wait: int) -> list[Message]:
        """Up to `most` messages, waiting up to `wait` seconds for the first."""
        answer = (self._receiver if wait else self._client).receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=min(most, BATCH),
            WaitTimeSeconds=wait,
            VisibilityTimeout=self._visibility_timeout,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return [
            Message(
                message_id=m["MessageId"],
                receipt_handle=m["ReceiptHandle"],
                body=m["Body"],
                receive_count=int(m.get("Attributes", {}).get("ApproximateReceiveCount", "1")),
            )
            for m in answer.get("Messages", [])
        ]

    def extend(self, receipts: dict[str, str]) -> set[str]:
        """Keep messages (id → receipt handle) in flight for another visibility timeout; returns the ids that SQS refused."""
        return self._change_visibility(receipts, self._visibility_timeout)

    def release(self, receipts: dict[str, str], pause: int = 0) -> set[str]:
        """Give messages back, visible after `pause` seconds; returns the ids that SQS refused (those come back by themselves)."""
        return self._change_visibility(receipts, pause)

    def _change_visibility(self, receipts: dict[str, str], seconds: int) -> set[str]:
        def call(batch: Sequence[tuple[str, str]]) -> Any:
            return self._client.change_message_visibility_batch(
                QueueUrl=self._queue_url,
                Entries=[{"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": seconds} for n, (_, handle) in enumerate(batch)],
            )

        return self._in_batches(receipts, call, "change_visibility")

    def delete(self, receipts: dict[str, str]) -> set[str]:
        """Delete messages; returns the ids that SQS refused (they are redelivered, and the ledger says that they are done)."""

        def call(batch: Sequence[tuple[str, str]]) -> Any:
            return self._client.delete_message_batch(
                QueueUrl=self._queue_url,
                Entries=[{"Id": str(n), "ReceiptHandle": handle} for n, (_, handle) in enumerate(batch)],
            )

        return self._in_batches(receipts, call, "delete")

    def _in_batches(self, receipts: dict[str, str], call: Callable[[Sequence[tuple[str, str]]], Any], action: str) -> set[str]:
        refused: set[str] = set()
        for batch in _batches(receipts.items()):
            for failure in call(batch).get("Failed", []):
                message_id = batch[int(failure["Id"])][0]
                refused.add(message_id)
                get_logger().warning("sqs_refused", action=action, message_id=message_id, reason=failure.get("Code"))
        return refused

    def dead_letter(self, letter: DeadLetter) -> None:
        """Put a copy of a message in the dead-letter queue, its error in the attributes `error_code` and `error`."""
        self._client.send_message(
            QueueUrl=self._dlq_url,
            MessageBody=letter.body,
            MessageAttributes={
                "error_code": {"DataType": "String", "StringValue": letter.error_code},
                "error": {"DataType": "String", "StringValue": _attribute(letter.error)},
            },
        )


def _attribute(text: str) -> str:
    """Text that SQS takes as an attribute: not empty, bounded, without control characters."""
    return printable(text)[:LONGEST_ATTRIBUTE] or "-"


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
