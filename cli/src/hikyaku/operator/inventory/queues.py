"""Looking into the queues without taking anything out of them."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hikyaku.operator import access
from hikyaku.operator.event import announced
from hikyaku.operator.letters import give_back

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

MOST_LETTERS = 10_000
"""That are looked at: their receipt handles are held meanwhile, half a kilobyte each."""
HIDDEN_S = 300
"""For which a letter is hidden at the most, should this process die before it shows it again."""
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


@dataclass(slots=True)
class Letters:
    """What the dead-letter queue holds: versions that have a message there, as digests of 16 bytes."""

    read: int = 0
    unread: int = 0
    """That the queue counts and did not hand out: in another's hands, or too many."""
    versions: set[bytes] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        """Whether a version that is not among them has no letter."""
        return self.unread == 0

    def hold(self, key: str, names: Sequence[str]) -> bool:
        """Whether a letter is about this version.

        Args:
            key: of the object.
            names: what its version may be called.
        """
        return any(_digest(key, name) in self.versions for name in names)

    def add(self, body: str) -> None:
        """Take up one message."""
        self.read += 1
        # LocalStack encodes keys in events; no version belongs to two objects, so either spelling may count.
        self.versions |= {_digest(each, version) for key, version in announced(body) for each in {key, unquote(key)}}


def waiting(sqs: "SQSClient", queue_url: str, name: str) -> int:
    """About how many messages a queue holds: those that wait, are in flight or delayed.

    Raises:
        UserError: SQS says no, or can't be reached.
    """
    with access.told(f"the {name} can't be asked"):
        found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    return sum(int(count) for name, count in found.items() if name in COUNTS)


def letters(sqs: "SQSClient", dlq_url: str) -> Letters:
    """Look at every message of the dead-letter queue, and show all of them again.

    Raises:
        UserError: SQS says no, or can't be reached.
    """
    found, handles = Letters(), dict[str, str]()
    counted = waiting(sqs, dlq_url, "dead-letter queue")
    with access.told("the dead-letter queue can't be read"):
        try:
            for message in _received(sqs, dlq_url, handles):
                found.add(message["Body"])
        finally:
            give_back(sqs, dlq_url, handles.values())
    found.unread = max(counted - found.read, 0)
    return found


def _received(sqs: "SQSClient", queue_url: str, handles: dict[str, str]) -> Iterator[Any]:
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=HIDDEN_S / 2)
    while len(handles) < MOST_LETTERS and dt.datetime.now(dt.UTC) < end:
        answer = sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=access.SQS_BATCH, WaitTimeSeconds=1, VisibilityTimeout=HIDDEN_S
        )
        new = [each for each in answer.get("Messages", []) if each["MessageId"] not in handles]
        handles |= {each["MessageId"]: each["ReceiptHandle"] for each in answer.get("Messages", [])}
        if not new:
            return
        yield from new


def _digest(key: str, version_id: str) -> bytes:
    return hashlib.blake2b(f"{key}\0{version_id}".encode(errors="replace"), digest_size=16).digest()
