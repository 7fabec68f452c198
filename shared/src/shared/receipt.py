"""Receipts as they lie in S3: where, in which bytes, and which of two is the newer. Pure.

What decides the order stands in the object's metadata, so that nobody has to read a body to compare.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.contract import Receipt

NAMESPACE = "hikyaku-receipt"
"""Of the signature: one made for a manifest, for git or for a login is no receipt's."""
PREFIX = "receipts/"
SUFFIX = ".json"
CONTENT_TYPE = "application/json"
REJECTS_PREFIX = "rejects/"
REJECTS_SUFFIX = ".csv.gz.age"
REJECTS_CONTENT_TYPE = "application/octet-stream"
SIGNATURE, SEQUENCER, EVENT_TIME, COMMITTED_AT = ("hikyaku-signature", "hikyaku-sequencer", "hikyaku-event-time", "hikyaku-committed-at")
"""Metadata of the object, less `x-amz-meta-`."""
MOST_BAD_LINES = 20


def key_of(key: str) -> str:
    """Where the receipt of the object with this key lies: one for each key, of its newest version."""
    return f"{PREFIX}{key}{SUFFIX}"


def rejects_key_of(key: str) -> str:
    """Where the records lie that were put aside of the object with this key: of its newest version that had any."""
    return f"{REJECTS_PREFIX}{key}{REJECTS_SUFFIX}"


def body(receipt: Receipt) -> bytes:
    """What is put, and signed: JSON in UTF-8, keys sorted, no spaces."""
    told: dict[str, Any] = receipt.model_dump(mode="json", exclude={"sequencer", "event_time"})
    return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def metadata(receipt: Receipt, signature: str | None = None) -> dict[str, str]:
    """What stands beside it, and beside the records that come back with it: ASCII only."""
    order = {SEQUENCER: _plain(receipt.sequencer), EVENT_TIME: receipt.event_time, COMMITTED_AT: receipt.committed_at}
    return order | ({} if signature is None else {SIGNATURE: signature})


@dataclass(frozen=True, slots=True)
class Age:
    """How new a receipt is."""

    sequencer: str
    event_time: datetime
    committed_at: datetime

    @classmethod
    def of(cls, receipt: Receipt) -> "Age":
        """Of one that is to be put."""
        return cls(_plain(receipt.sequencer), datetime.fromisoformat(receipt.event_time), datetime.fromisoformat(receipt.committed_at))

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> "Age | None":
        """Of one that is there; None where it does not say: no decryptor put that."""
        try:
            event_time, committed_at = (datetime.fromisoformat(metadata[name]) for name in (EVENT_TIME, COMMITTED_AT))
        except (KeyError, ValueError):
            return None
        if event_time.tzinfo is None or committed_at.tzinfo is None:
            return None
        return cls(metadata.get(SEQUENCER, ""), event_time, committed_at)

    def is_newer_than(self, other: "Age | None") -> bool:
        """By S3's sequencer, as the ledger orders the versions of a key; else by event time, and then by the commit."""
        if other is None:
            return True
        width = max(len(self.sequencer), len(other.sequencer))
        mine, its = self.sequencer.ljust(width, "0"), other.sequencer.ljust(width, "0")
        if self.sequencer and other.sequencer and mine != its:
            return mine > its
        return (self.event_time, self.committed_at) > (other.event_time, other.committed_at)


def _plain(sequencer: str) -> str:
    """As S3 makes them, hexadecimal. What else an event says can't be metadata, and counts as none."""
    return sequencer if sequencer.isascii() and sequencer.isalnum() else ""
