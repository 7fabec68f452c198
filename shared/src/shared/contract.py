"""What travels between the services: task names, queue names, and frozen payloads.

How a payload may change while messages are in flight: add a field with a default, never rename or remove one, never give an
old name a new meaning. Unknown fields are ignored, so that an older service understands a newer one. Where that is not
enough, raise `PAYLOAD_VERSION`: a service that meets a newer version than its own refuses the task (`UnknownPayloadError`),
the errback hands the message back, and SQS redelivers it to whoever understands it.

Payloads carry references, never secrets, row data or receipt handles: they are shown in Flower and may be logged. The one exception are
wrong records on their way back to their sender, who alone can open them (`Settlement.returned`).
A parcel carries several files, so that many small ones share the cost of one chain.
"""

import hashlib
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from shared.errors import CourierError, Rejected

PAYLOAD_VERSION = 1


class TaskName(StrEnum):
    """Every Celery task of the line. Services call one another by these names only."""

    DECRYPT = "decryptor.decrypt"
    LOAD = "loader.load"
    TIDY = "decryptor.tidy"
    SETTLE = "poller.settle"
    SETTLE_FAILED = "poller.settle_failed"


class QueueName(StrEnum):
    """The Redis lists that tasks wait in. `SETTLE` is a prefix: each poller consumes its own, see `settle_queue`."""

    DECRYPT = "decrypt"
    TIDY = "decrypt.tidy"
    """The decryptor's second: an older one does not consume it. From its first, it would take the task and throw it away unheard
    (Celery tells no errback of a task that is not registered)."""
    LOAD = "load"
    SETTLE = "settle"


def settle_queue(instance: str) -> str:
    """Name of the queue that the poller called `instance` consumes: receipt handles never leave its memory."""
    return f"{QueueName.SETTLE}.{instance}"


class UnknownPayloadError(Exception):
    """The payload is of a newer version than this service understands."""


class Payload(BaseModel):
    """Base of everything that travels: frozen, tolerant of fields that a newer sender added."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    v: int = PAYLOAD_VERSION

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Parse what arrived as a task's argument.

        Raises:
            UnknownPayloadError: it is of a newer version.
            pydantic.ValidationError: it is not such a payload at all (a bug, not a user's mistake).
        """
        if data.get("v", PAYLOAD_VERSION) > PAYLOAD_VERSION:
            raise UnknownPayloadError(f"payload version {data['v']} is newer than {PAYLOAD_VERSION}: upgrade this service")
        return cls.model_validate(data)

    def dump(self) -> dict[str, Any]:
        """The JSON-ready form that `read` takes back."""
        return self.model_dump(mode="json")


class FileRef(Payload):
    """One object version, as its event announced it, and the SQS message that announced it."""

    bucket: str
    key: str
    announced_key: str = ""
    """The key as its event spelled it, where the object's own key turned out to be another (LocalStack encodes keys)."""
    version_id: str
    """The S3 version; `etag:<etag>` in a bucket without versioning, so that new content is a new identity there too."""
    etag: str = ""
    size: int
    """Bytes of ciphertext, from the event."""
    sequencer: str = ""
    """Orders the events of one key: right-pad the shorter with zeros, compare as text (Amazon S3 User Guide, event message structure)."""
    event_time: str
    """ISO 8601, when S3 created the object."""
    received_at: str
    """ISO 8601, when the poller received the message."""
    message_id: str
    attempt: int = 1
    """How often SQS has handed out this message (ApproximateReceiveCount)."""

    @property
    def file_id(self) -> str:
        """Short stable id of (bucket, key as announced, version_id): names the spool file, joins the log lines of all services."""
        identity = f"{self.bucket}\0{self.announced_key or self.key}\0{self.version_id}"
        return hashlib.sha256(identity.encode()).hexdigest()[:24]

    @property
    def s3_version_id(self) -> str | None:
        """The version to ask S3 for; None in a bucket without versioning."""
        return None if self.version_id.startswith("etag:") else self.version_id


class Problem(Payload):
    """Why a file was not decrypted or not loaded; `retry` tells whether the world may heal."""

    error_code: str
    """One of `ErrorCode`, or one that a newer service added."""
    message: str
    retry: bool

    @classmethod
    def of(cls, error: CourierError) -> Self:
        """The travelling form of an expected failure."""
        return cls(error_code=error.error_code, message=error.message, retry=not isinstance(error, Rejected))


class Parcel(Payload):
    """Argument of decrypt: the files of one chain."""

    parcel_id: str
    files: tuple[FileRef, ...]
    problem: Problem | None = None
    """Why its files are tried no more: the decryptor passes it on in place of decrypting them. An older one tries them."""


class Declared(Payload):
    """What the sender's manifest states of a file beyond its bytes. Vouched for where `Decrypted.signer` is set."""

    sender: str
    seq: int
    created_at: str
    """ISO 8601."""
    rows: int | None = None
    group: str | None = None
    part: int | None = None
    parts: int | None = None


class Decrypted(Payload):
    """What the decryptor found out about one file. With a `problem` there is nothing in the spool."""

    file: FileRef
    sha256: str | None = None
    """Hex SHA-256 of the ciphertext as received."""
    signer: str | None = None
    """Name in allowed_signers of whoever signed it, or the fingerprint of the OpenPGP key that did."""
    recipient_identity: str | None = None
    """Name of the identity file that opened it, or the fingerprint of the OpenPGP key."""
    declared: Declared | None = None
    """None: it came without a manifest, or an older decryptor did not look."""
    problem: Problem | None = None


class DecryptedParcel(Payload):
    """Argument of load."""

    parcel_id: str
    items: tuple[Decrypted, ...]


class Verdict(StrEnum):
    """What an outcome means for the SQS message."""

    DONE = "done"
    """Final and in the ledger: delete the message."""
    REJECTED = "rejected"
    """Final and in the ledger: hand the message to the dead-letter queue, then delete it."""
    RETRY = "retry"
    """Transient: try again, the message stays."""


class AfterLoad(StrEnum):
    """What happens to the object in S3 once its rows are committed."""

    KEEP = "keep"
    """Nothing."""
    TAG = "tag"
    """This version gets the tag `hikyaku` = `loaded`, by which a lifecycle rule may expire it."""
    DELETE = "delete"
    """This version is deleted for good."""


class Sibling(Payload):
    """A file of the same group as another, in the same bucket."""

    key: str
    version_id: str
    etag: str


class RowCounts(BaseModel):
    """What a file's records did to its table; None where nobody counted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    read: int | None = None
    inserted: int | None = None
    updated: int | None = None
    unchanged: int | None = None
    deleted: int | None = None
    rejected: int | None = None


class Receipt(Payload):
    """What the sender of a file is told of its fate: the file's row of the ledger, less what is the host's own business. No row data."""

    bucket: str
    key: str
    """The object's own, as the ledger has it."""
    version_id: str
    sha256: str | None = None
    """Hex SHA-256 of the object's bytes; None: it was not read to its end."""
    size: int
    dataset: str | None = None
    status: str
    error_code: str | None = None
    error: str | None = None
    rows: RowCounts = RowCounts()
    bad_lines: tuple[int, ...] = ()
    """Lines of the first records that are wrong."""
    rejects: str | None = None
    """Key of the object with the records that were put aside, encrypted to the sender. None: there is none."""
    file_id: str
    sequencer: str = ""
    event_time: str
    """ISO 8601; with the sequencer, what tells the newer of two versions."""
    received_at: str
    committed_at: str
    """ISO 8601 in UTC with microseconds: of two receipts of one version the later one is the newer."""

    @property
    def name(self) -> str:
        """Which of a file's receipts it is: a rejected file may be loaded after all."""
        return f"{self.status} {self.committed_at}"


class Settlement(Payload):
    """What became of one file, for the poller that holds its message."""

    message_id: str
    file_id: str
    """`FileRef.file_id`: one message may announce several files."""
    verdict: Verdict
    status: str
    """The ledger's status: loaded, duplicate, superseded, tested, rejected or failed."""
    error_code: str | None = None
    """As in `Problem`."""
    error: str | None = None
    decrypted: bool | None = None
    """Whether it was decrypted for this outcome, so that S3 and the spool were there; the ledger may know a fate without. None: an older
    loader does not say."""
    after_load: str | None = None
    """What is to be done with its object before the message goes: an `AfterLoad`, or one that a newer loader knows. None: nothing. An
    older poller does nothing."""
    siblings: tuple[Sibling, ...] = ()
    """Files with whose objects the same is to be done: the file completed their group, and their own messages are settled. An older poller
    leaves them as they are."""
    receipt: Receipt | None = None
    """What its sender is to be told before the message goes. None: nothing, as the dataset wants it or as an older loader has it."""
    returned: str | None = None
    """Base64 of what lies at `Receipt.rejects` before the receipt says so: an age file for the sender alone. None where there is none."""


class Chore(Payload):
    """What is to be done with the object of a file that has its fate."""

    file: FileRef
    after_load: str
    """As in `Settlement`; `keep` where there is only a receipt, which an older decryptor refuses."""
    receipt: Receipt | None = None
    """As in `Settlement`. An older decryptor does not see it, and tells of none in `Tidied`."""
    returned: str | None = None
    """Likewise."""


class TidyParcel(Payload):
    """Argument of tidy."""

    parcel_id: str
    chores: tuple[Chore, ...]


class Tidied(Payload):
    """What became of a chore. Without a `problem` it is done, or there is no such version any more."""

    message_id: str
    file_id: str
    receipt: str | None = None
    """Name of the receipt that it had to put. None: it had none, or an older decryptor did not see it."""
    returned: bool = False
    """Whether it had records to put beside the receipt; not, where an older decryptor did not see them."""
    problem: Problem | None = None
    also: str | None = None
    """Error code of its other half, receipt or object, where both are not done. An older decryptor does not tell."""


class SettledParcel(Payload):
    """Argument of settle."""

    parcel_id: str
    settlements: tuple[Settlement, ...]
    tidied: tuple[Tidied, ...] = ()
    """What the decryptor's tidy reports."""
