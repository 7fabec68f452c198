"""Amazon SQS standard queues in memory, with boto3's client surface as far as the poller uses it.

Semantics from the Amazon SQS API Reference (ReceiveMessage, ChangeMessageVisibilityBatch, DeleteMessageBatch, SendMessage) and
the Developer Guide (visibility timeout, dead-letter queues). Where SQS leaves a choice, the fake takes the one that hurts:
deleting with an old receipt handle succeeds and deletes nothing.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

LONGEST_INVISIBLE_S = 12 * 3600
LARGEST_MESSAGE = 1024 * 1024
MOST_ENTRIES = 10


@dataclass(slots=True)
class StoredMessage:
    """One message of one queue. Times are seconds of the fake's clock."""

    message_id: str
    body: str
    attributes: dict[str, Any]
    visible_at: float
    receive_count: int = 0
    received_at: float = 0.0
    handle: str = ""


@dataclass(slots=True)
class Queue:
    """A queue and where its messages go after too many receives."""

    visibility_timeout: int = 30
    dlq_url: str | None = None
    max_receive_count: int = 0
    messages: dict[str, StoredMessage] = field(default_factory=dict)


class FakeSQS:
    """Drop-in for `boto3.client("sqs")`. A long poll that finds nothing returns at once: time is the test's.

    Attributes:
        queues: by URL, for the test to look into.
        calls: name of every call made, in order, for the test to look at.
        outages: names of calls that fail as if SQS were away, for how many more calls each; the call has no effect.
        on_empty: called when a receive finds nothing, in place of the long poll's wait.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._numbers = count(1)
        self.queues: dict[str, Queue] = {}
        self.calls: list[str] = []
        self.outages: dict[str, int] = {}
        self.on_empty: Callable[[], None] = lambda: None

    def add_queue(self, url: str, *, dlq_url: str | None = None, max_receive_count: int = 0) -> str:
        """Create a queue; returns its URL."""
        self.queues[url] = Queue(dlq_url=dlq_url, max_receive_count=max_receive_count)
        return url

    def bodies(self, url: str) -> list[str]:
        """Bodies of all messages of a queue, visible or not."""
        return [message.body for message in self.queues[url].messages.values()]

    def visible(self, url: str) -> list[StoredMessage]:
        """Messages that a receive could hand out now."""
        return [message for message in self.queues[url].messages.values() if message.visible_at <= self._clock()]

    # The client's surface

    def send_message(self, *, QueueUrl: str, MessageBody: str, MessageAttributes: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: N803
        """Add one message."""
        self._called("send_message")
        attributes = MessageAttributes or {}
        _check_size(MessageBody, attributes)
        message_id = f"message-{next(self._numbers)}"
        self.queues[QueueUrl].messages[message_id] = StoredMessage(message_id, MessageBody, attributes, self._clock())
        return {"MessageId": message_id}

    def receive_message(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        MaxNumberOfMessages: int = 1,  # noqa: N803
        WaitTimeSeconds: int = 0,  # noqa: ARG002, N803
        VisibilityTimeout: int | None = None,  # noqa: N803
        MessageSystemAttributeNames: tuple[str, ...] | list[str] = (),  # noqa: N803
        MessageAttributeNames: tuple[str, ...] | list[str] = (),  # noqa: N803
    ) -> dict[str, Any]:
        """Hand out visible messages under new receipt handles; move those received too often to the dead-letter queue."""
        self._called("receive_message")
        if not 1 <= MaxNumberOfMessages <= MOST_ENTRIES:
            raise _error("InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10")
        queue = self.queues[QueueUrl]
        self._redrive(queue, QueueUrl)
        timeout = queue.visibility_timeout if VisibilityTimeout is None else VisibilityTimeout
        handed = self.visible(QueueUrl)[:MaxNumberOfMessages]
        if not handed:
            self.on_empty()
        return (
            {"Messages": [self._hand_out(m, timeout, MessageSystemAttributeNames, MessageAttributeNames) for m in handed]} if handed else {}
        )

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Set when messages in flight become visible again."""
        self._called("change_message_visibility_batch")
        return _batch(Entries, lambda entry: self._change(QueueUrl, entry["ReceiptHandle"], entry["VisibilityTimeout"]))

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Delete messages by their newest receipt handle; an older one succeeds and deletes nothing."""
        self._called("delete_message_batch")
        return _batch(Entries, lambda entry: self._delete(QueueUrl, entry["ReceiptHandle"]))

    # Behind it

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.outages.get(name, 0) > 0:
            self.outages[name] -= 1
            raise EndpointConnectionError(endpoint_url="http://sqs.invalid")

    def _redrive(self, queue: Queue, url: str) -> None:
        if queue.dlq_url is None:
            return
        for message in self.visible(url):
            if message.receive_count >= queue.max_receive_count:
                del queue.messages[message.message_id]
                self.queues[queue.dlq_url].messages[message.message_id] = message

    def _hand_out(self, message: StoredMessage, timeout: int, system: Any, attributes: Any) -> dict[str, Any]:
        message.receive_count += 1
        message.received_at = self._clock()
        message.visible_at = self._clock() + timeout
        message.handle = f"{message.message_id}#{hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()}"
        answer: dict[str, Any] = {"MessageId": message.message_id, "ReceiptHandle": message.handle, "Body": message.body}
        if "ApproximateReceiveCount" in system or "All" in system:
            answer["Attributes"] = {"ApproximateReceiveCount": str(message.receive_count)}
        if message.attributes and "All" in attributes:
            answer["MessageAttributes"] = message.attributes
        return answer

    def _change(self, url: str, handle: str, timeout: int) -> str | None:
        message = self._of(url, handle)
        if message is None or message.visible_at <= self._clock():
            return "InvalidParameterValue"
        if self._clock() + timeout - message.received_at > LONGEST_INVISIBLE_S:
            return "InvalidParameterValue"
        if message.handle == handle:
            message.visible_at = self._clock() + timeout
        return None

    def _delete(self, url: str, handle: str) -> str | None:
        message = self._of(url, handle)
        if message is not None and message.handle == handle:
            del self.queues[url].messages[message.message_id]
        return None if "#" in handle else "ReceiptHandleIsInvalid"

    def _of(self, url: str, handle: str) -> StoredMessage | None:
        return self.queues[url].messages.get(handle.partition("#")[0])


def _batch(entries: list[dict[str, Any]], act: Callable[[dict[str, Any]], str | None]) -> dict[str, Any]:
    if not entries:
        raise _error("AWS.SimpleQueueService.EmptyBatchRequest", "There should be at least one entry in the request")
    if len(entries) > MOST_ENTRIES:
        raise _error("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10")
    if len({entry["Id"] for entry in entries}) < len(entries):
        raise _error("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "two entries have the same Id")
    codes = {entry["Id"]: act(entry) for entry in entries}
    answer: dict[str, Any] = {"Successful": [{"Id": n} for n, code in codes.items() if code is None]}
    if failed := [{"Id": n, "SenderFault": True, "Code": code, "Message": code} for n, code in codes.items() if code is not None]:
        answer["Failed"] = failed
    return answer


def _check_size(body: str, attributes: dict[str, Any]) -> None:
    if not body or any(not attribute["StringValue"] for attribute in attributes.values()):
        raise _error("InvalidParameterValue", "an empty body or attribute")
    described = sum(len(f"{name}{a['DataType']}{a['StringValue']}".encode()) for name, a in attributes.items())
    if len(body.encode()) + described > LARGEST_MESSAGE:
        raise _error("InvalidParameterValue", f"Message must be shorter than {LARGEST_MESSAGE} bytes")


def _error(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "FakeSQS")
