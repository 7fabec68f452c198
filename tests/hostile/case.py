"""One bad input and what has to become of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

TIME = "2026-11-24T00:00:00Z"
IGNORED = "ignored"
"""The poller says so in its log and deletes the message: it is none of the line's business."""
TOO_LONG = "not taken by SQS"
LOADED = "loaded"
WITHOUT_ROW = frozenset({IGNORED, TOO_LONG, "event_invalid"})
"""What the ledger never hears of."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a message is about: an object version, there or not."""

    bucket: str
    key: str
    version_id: str
    etag: str = "d41d8cd98f00b204e9800998ecf8427e"
    size: int = 10


Message = Callable[[Subject], str]
"""The body of a forged message."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """An object that is put and announced by S3 itself, or a forged message, about an object that is put unannounced or about none.

    Attributes:
        name: what is bad about it.
        expected: its error_code, in the ledger and in the dead-letter queue; or LOADED, IGNORED, TOO_LONG.
        key: of the object.
        content: of the object; None: there is none.
        metadata: of the object.
        message: sent in place of S3's own event.
        version: that the message names, where there is no object.
    """

    name: str
    expected: str
    key: str = ""
    content: bytes | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    message: Message | None = None
    version: str = ""


Batch = tuple[str, list[Case]]
"""A name, and what is sent at once."""


def told(subject: Subject, **changes: object) -> str:
    """The event that EventBridge would send; changes are made to its object, or by a dotted name anywhere (None: left out)."""
    obj: dict[str, object] = {
        "key": subject.key,
        "size": subject.size,
        "etag": subject.etag,
        "version-id": subject.version_id,
        "sequencer": "00",
    }
    event: dict[str, object] = {
        "version": "0",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": TIME,
        "detail": {"bucket": {"name": subject.bucket}, "object": obj},
    }
    for name, value in changes.items():
        place = event if name in event else obj
        place[name.replace("_", "-") if name == "version_id" else name] = value
        if value is None:
            del place[name.replace("_", "-") if name == "version_id" else name]
    return json.dumps(event)


def altered(**changes: object) -> Message:
    """A message whose event differs in this."""
    return lambda subject: told(subject, **changes)
