"""The dead-letter queue as the operator sees it: messages held for a look, and put back.

A look is a receive: SQS knows no other. What is held is given back at the end, and comes back by itself should this process die.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hikyaku.operator import access
from hikyaku.operator.event import announced

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

HOLD_S = 120
"""For which a message that is looked at stays out of others' sight, should nobody put it back."""
WAIT_S = 1
"""Of a long poll: it asks all of SQS's servers, a short one some (SQS Developer Guide, short and long polling)."""
MOST = 5000
"""Messages of one look: they are received within HOLD_S."""
NO_CODE = "received_too_often"
"""In place of an error code, of what SQS itself moved there."""
BY_HAND = "sent_by_hand"


@dataclass(frozen=True, slots=True)
class Letter:
    """One message.

    Attributes:
        message_id: SQS's name of it.
        receipt: by which it is deleted or given back; never shown.
        body: the event.
        key: object key as its event spells it, of the first if it tells of several; "" where it is no event of S3's.
        version_id: `etag:<etag>` in a bucket without versioning.
        error_code: why it is there.
        error: the same in a sentence; "" where nobody said.
        sent_at: when it came there, or, moved by SQS, when it was first sent.
        receives: how often it was received, looks included.
    """

    message_id: str
    receipt: str = field(repr=False)
    body: str = field(repr=False)
    key: str
    version_id: str
    error_code: str
    error: str
    sent_at: dt.datetime | None
    receives: int

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> "Letter":
        """As ReceiveMessage gave it."""
        said = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
        system = message.get("Attributes", {})
        key, version_id = next(iter(announced(message["Body"])), ("", ""))
        sent = system.get("SentTimestamp")
        return cls(
            message_id=message["MessageId"],
            receipt=message["ReceiptHandle"],
            body=message["Body"],
            key=key,
            version_id=version_id,
            error_code=said.get("error_code") or (NO_CODE if "DeadLetterQueueSourceArn" in system else BY_HAND),
            error=said.get("error", ""),
            sent_at=dt.datetime.fromtimestamp(int(sent) / 1000, dt.UTC) if sent else None,
            receives=int(system.get("ApproximateReceiveCount", 0)),
        )

    def announces(self, file: Mapping[str, Any]) -> bool:
        """Whether it tells of this row of the ledger, whose key is the object's own."""
        return self.version_id == file["version_id"] and file["key"] in {self.key, unquote(self.key)}

    def is_called(self, name: str) -> bool:
        """Whether a person means it: by its message id, its key, or a pattern of keys, with or without incoming/."""
        keys = {self.key, unquote(self.key)} if self.key else set()
        names = {name, f"incoming/{name}"}
        return name == self.message_id or bool(keys & names) or any(fnmatchcase(key, each) for key in keys for each in names)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        names = ("message_id", "error_code", "error", "key", "version_id", "sent_at", "receives")
        return {name: getattr(self, name) for name in names}


class Held:
    """Messages that are held for a moment.

    Args:
        client: of SQS.
        url: of the dead-letter queue.
    """

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url
        self._letters: dict[str, Letter] = {}

    @property
    def letters(self) -> list[Letter]:
        """All of them, by why they are there, then by key."""
        return sorted(self._letters.values(), key=lambda letter: (letter.error_code, letter.key, letter.message_id))

    def receive(self, most: int) -> None:
        """Take hold of at most so many, rounded up to a batch."""
        while len(self._letters) < most:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=access.SQS_BATCH,
                WaitTimeSeconds=WAIT_S,
                VisibilityTimeout=HOLD_S,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            found = {letter.message_id: letter for letter in map(Letter.read, answer.get("Messages", []))}
            is_over = found.keys() <= self._letters.keys()
            # Of one that comes again only the newest receipt handle counts.
            self._letters |= found
            if is_over:
                return

    def delete(self, letter: Letter) -> None:
        """Take it off the queue."""
        self._client.delete_message_batch(QueueUrl=self._url, Entries=[{"Id": "0", "ReceiptHandle": letter.receipt}])
        self._letters.pop(letter.message_id, None)

    def release(self) -> None:
        """Put back what is left. What SQS refuses is visible already."""
        give_back(self._client, self._url, [letter.receipt for letter in self._letters.values()])
        self._letters = {}


def give_back(client: "SQSClient", url: str, receipts: Iterable[str]) -> None:
    """Show messages again at once, by their receipt handles. What SQS refuses is visible already."""
    for batch in access.batches(receipts):
        entries: Any = [{"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0} for number, receipt in enumerate(batch)]
        client.change_message_visibility_batch(QueueUrl=url, Entries=entries)


@contextmanager
def held(client: "SQSClient", url: str, most: int = MOST) -> Iterator[Held]:
    """Hold messages of the dead-letter queue while the block runs; afterwards all are there again but the deleted ones.

    Args:
        client: of SQS.
        url: of the dead-letter queue.
        most: messages to look at.
    """
    hold = Held(client, url)
    try:
        hold.receive(most)
        yield hold
    finally:
        hold.release()


def look(client: "SQSClient", url: str, most: int = MOST) -> list[Letter]:
    """What is in the dead-letter queue now."""
    with held(client, url, most) as hold:
        return hold.letters


def worked_off(client: "SQSClient", url: str, wanted: Iterable[Letter], before: Callable[[Letter], object] = lambda _: None) -> str:
    """Delete messages.

    Args:
        client: of SQS.
        url: of the dead-letter queue.
        wanted: as a look found them; those that are gone meanwhile are left alone.
        before: done with each before it is deleted.

    Returns:
        How many of how many.
    """
    ids, done = {letter.message_id for letter in wanted}, 0
    with held(client, url) as hold:
        for letter in hold.letters:
            if letter.message_id in ids:
                before(letter)
                hold.delete(letter)
                done += 1
    return f"{done} of {len(ids)} messages"
