"""What tells the newer of two files, where datasets.toml orders them by more than time; and what a sender counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared import keys
from shared.contract import Declared, Decrypted
from shared.datasets import Dataset, SeqPolicy
from shared.errors import ErrorCode, Rejected

DIGITS = 32
"""Digits up to which a value is compared as a number."""


@dataclass(frozen=True, slots=True)
class Order:
    """A file's place among the others of its dataset. Only values with the same `by` are compared; else the event's time counts."""

    by: str | None = None
    """A capture as `{day}`, or whose numbers. None: by the event's time."""
    value: str | None = None
    """In a form whose order as bytes is the order meant."""

    @classmethod
    def of(cls, dataset: Dataset, item: Decrypted) -> "Order":
        """Where a file stands.

        Raises:
            Rejected: `seq_missing`.
        """
        declared = item.declared
        if declared is None and (dataset.order_by == "seq" or dataset.seq is SeqPolicy.UNIQUE):
            option = "order_by" if dataset.order_by == "seq" else "seq"
            what = f"dataset {dataset.name} needs its sender's number ({option} in datasets.toml), and the file came without a manifest"
            raise Rejected(ErrorCode.SEQ_MISSING, f"{what}: have it sent again with one")
        if dataset.order_by == "event_time":
            return BY_TIME
        if declared is not None and dataset.order_by == "seq":
            return cls(_whose_numbers(item, declared), comparable(str(declared.seq)))
        return cls(dataset.order_by, comparable(dataset.captured(item.file.key)))


BY_TIME = Order()


def _whose_numbers(item: Decrypted, declared: Declared) -> str:
    """A sender counts by bucket and folder. What is claimed without a signature is none of the signer's numbers."""
    place = f"{item.file.bucket}/{keys.route(item.file.key).dataset}/"
    return f"seq in {place} of {item.signer}" if item.signer else f"unsigned seq in {place} of {declared.sender}"


def comparable(value: str) -> str:
    """A number gets leading zeros; any other text is compared as it is, by the bytes of its UTF-8."""
    if not (value.isascii() and value.isdigit()):
        return value
    return value.lstrip("0").rjust(DIGITS, "0")


def declared(item: Decrypted) -> dict[str, Any]:
    """What the sender states of the file, for the ledger."""
    said = item.declared
    return {
        "sender": item.signer or (said.sender if said else None),
        "seq": said.seq if said else None,
        "declared_rows": said.rows if said else None,
        "declared_at": said.created_at if said else None,
    }


def declared_rows(item: Decrypted) -> int | None:
    """How many records the sender counted."""
    return item.declared.rows if item.declared else None


def check_rows(declared: Sequence[int | None], records: Sequence[int]) -> None:
    """Whether there are as many records as the sender counted.

    Args:
        declared: of the file, or of each part of a group; None where the sender did not count.
        records: that were read, the headers not counted.

    Raises:
        Rejected: `rows_mismatch`.
    """
    for part, (said, read) in enumerate(zip(declared, records, strict=True), 1):
        if said is not None and said != read:
            where = f"part {part}: " if len(records) > 1 else ""
            what = f"{where}the manifest says {said} records, the file has {read}: nothing was loaded"
            raise Rejected(ErrorCode.ROWS_MISMATCH, f"{what}; have the sender look which is wrong, and send it again")


def repeated(said: Mapping[str, Any]) -> Rejected:
    """The file's number was used before. Takes the parameters of the ledger's statements."""
    what = f"{said['sender']} has sent other content as number {said['seq']} before, and it was loaded"
    return Rejected(ErrorCode.SEQ_REPEATED, f"{what}: have this file sent again with a number of its own")
