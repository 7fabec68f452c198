"""The ledger's statements. They run in the transaction of the file that they speak of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self
from urllib.parse import unquote

import psycopg

from loader import order, statements
from loader.order import BY_TIME, Order
from loader.relation import Relation
from shared import keys, protocol
from shared.contract import AfterLoad, Declared, Decrypted, Receipt, Settlement, Sibling
from shared.datasets import Dataset, Datasets, Mode, OnDuplicateContent, SeqPolicy
from shared.errors import CourierError, ErrorCode, Rejected, Retryable
from shared.protocol import FILE_MOVES, FileStatus

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file: a row of the ledger, less what the file itself says."""

    status: FileStatus
    error_code: str | None = None
    error: str | None = None
    target: str | None = None
    mode: Mode | None = None
    content_sha256: str | None = None
    rows_in_file: int | None = None
    rows_loaded: int | None = None
    rows_changed: int | None = None
    rows_inserted: int | None = None
    rows_updated: int | None = None
    rows_unchanged: int | None = None
    rows_deleted: int | None = None
    rows_rejected: int = 0
    bad_lines: tuple[int, ...] = ()
    """Of the first records that are wrong."""
    watermark: str | None = None
    """Of the dataset's own column, if it is newer than what the ledger has."""
    event_time: str | None = None
    """Of a group: its newest part's."""
    siblings: tuple[Sibling, ...] = ()
    """Of a file that completed a group: those whose objects go its own's way."""
    receipt: Receipt | None = None
    """What its sender is to be told, see `loader.receipts`."""
    returned: str | None = None
    """What comes back to the sender with it, see `loader.returned`."""

    @classmethod
    def of(cls, error: CourierError) -> Self:
        """What an expected failure makes of the file."""
        status = FileStatus.REJECTED if isinstance(error, Rejected) else FileStatus.FAILED
        return cls(status, error.error_code, error.message, bad_lines=error.lines if isinstance(error, Rejected) else ())

    def settlement(self, item: Decrypted, dataset: Dataset | None = None) -> Settlement:
        """The same, for the poller, and what the dataset wants done with the object."""
        return Settlement(
            message_id=item.file.message_id,
            file_id=item.file.file_id,
            verdict=protocol.verdict(self.status),
            status=self.status,
            error_code=self.error_code,
            error=self.error,
            decrypted=item.problem is None,
            after_load=wish(self.status, dataset),
            siblings=self.siblings,
            receipt=self.receipt,
            returned=self.returned,
        )


def wish(status: FileStatus, dataset: Dataset | None) -> str | None:
    """What is to be done with the object of a file: an `AfterLoad`, or nothing."""
    if dataset is None or dataset.after_load is AfterLoad.KEEP or status not in protocol.TIDIED:
        return None
    return dataset.after_load


@dataclass(frozen=True)
class Job:
    """A file to load, and what is known of its way before the database is asked."""

    item: Decrypted
    dataset: Dataset | None
    problem: CourierError | None
    """Why it need not be tried: the decryptor's finding, that it belongs to no dataset, or that it lacks a number."""
    dry_run: bool
    loader: str
    order: Order = BY_TIME

    @classmethod
    def of(cls, item: Decrypted, datasets: Datasets, loader: str) -> Self:
        """Find the dataset. What the decryptor found comes first: it was first to look."""
        problem = _found(item)
        try:
            dataset = datasets.of(item.file.key)
        except Rejected as rejection:
            return cls(item, None, problem or rejection, dry_run=False, loader=loader)
        dry_run = keys.route(item.file.key).dry_run
        try:
            return cls(item, dataset, problem, dry_run, loader, Order.of(dataset, item))
        except Rejected as rejection:
            return cls(item, dataset, problem or rejection, dry_run, loader)

    @property
    def part(self) -> Declared | None:
        """What the manifest says of it as a part of a group; None for a file by itself. A dry run assembles no group."""
        declared = self.item.declared
        return declared if declared is not None and declared.group is not None and self.dataset is not None and not self.dry_run else None

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What the ledger's statements ask for."""
        return {
            **self.item.file.model_dump(),
            "file_id": self.item.file.file_id,
            "dataset": self.dataset.name if self.dataset else None,
            "dry_run": self.dry_run,
            "sha256": self.item.sha256,
            "signer": self.item.signer,
            "recipient_identity": self.item.recipient_identity,
            "loader": self.loader,
            **order.declared(self.item),
            "order_by": self.order.by,
            "order_value": self.order.value,
            "seq_is_unique": self.dataset is not None and self.dataset.seq is SeqPolicy.UNIQUE,
            "whole_table": self.dataset is not None and self.dataset.mode is Mode.REPLACE,
            "skip": self.dataset is not None and self.dataset.on_duplicate_content is OnDuplicateContent.SKIP,
        }


def _found(item: Decrypted) -> CourierError | None:
    if item.problem is None:
        return None
    root = Retryable if item.problem.retry else Rejected
    return root(item.problem.error_code, item.problem.message)


@dataclass(frozen=True, slots=True)
class Claim:
    """A file that is ours until the transaction ends."""

    superseded: bool
    """Something newer was loaded before: a first look, for a cheap way out."""


def claim(connection: Connection, job: Job) -> Claim | FileStatus:
    """Take the file up, after waiting for whoever has it.

    Returns:
        A claim; or the status of a file that is settled, with which there is nothing to do.
    """
    if (taken := connection.execute(statements.CLAIM, job.parameters).fetchone()) is not None:
        return Claim(*taken)
    row = connection.execute(statements.STATUS, job.parameters).fetchone()
    if row is None:
        raise Retryable(ErrorCode.DATABASE_UNAVAILABLE, "the file's row in the ledger was deleted while the loader looked at it")
    return FileStatus(row[0])


def known_by_its_own_key(connection: Connection, job: Job) -> tuple[FileStatus, str] | None:
    """The final status and key of a file whose object is gone, so that nobody could find out that its event spells the key in another way.

    LocalStack encodes keys; a version belongs to one object, so no other file can be meant.
    """
    key = unquote(job.item.file.key)
    if job.problem is None or job.problem.error_code != ErrorCode.OBJECT_MISSING or key == job.item.file.key or "\0" in key:
        return None
    row = connection.execute(statements.STATUS, {**job.parameters, "key": key}).fetchone()
    status = FileStatus(row[0]) if row else None
    return None if status is None or status in protocol.RETAKEN else (status, key)


def note(connection: Connection, job: Job, outcome: Outcome) -> None:
    """Write down a passing trouble, unless the file has an end by now that it does not change."""
    if not isinstance(claim(connection, job), Claim):
        return
    row = connection.execute(statements.STATUS, job.parameters).fetchone()
    if row is not None and outcome.status in FILE_MOVES[FileStatus(row[0])]:
        finish(connection, job, outcome)


def standing(
    connection: Connection, job: Job, relation: Relation, content_sha256: str, parts: Sequence[Mapping[str, Any]] = ({},)
) -> FileStatus | None:
    """How the file stands to what was loaded before, now that nothing else is loaded into its table.

    Args:
        connection: in the transaction that holds the table's lock.
        job: the file.
        relation: its table.
        content_sha256: its content.
        parts: of a group, for each part what differs from the job's parameters. One that is outdone outdoes the group; a duplicate
            is the group only if it is the latest for each of its keys.

    Returns:
        SUPERSEDED or DUPLICATE, or None: it is to be loaded.

    Raises:
        Rejected: `seq_repeated`.
    """
    parameters = {**job.parameters, "target": str(relation), "content_sha256": content_sha256}
    found = [connection.execute(statements.STANDING, {**parameters, **part}).fetchone() or (False, False, False) for part in parts]
    superseded, duplicate = any(each[0] for each in found), all(each[1] for each in found)
    if superseded:
        return FileStatus.SUPERSEDED
    for part, (_, _, is_repeated) in zip(parts, found, strict=True):
        if is_repeated:
            raise order.repeated({**parameters, **part})
    return FileStatus.DUPLICATE if duplicate else None


def finish(connection: Connection, job: Job, outcome: Outcome) -> None:
    """Write down what became of a file that we claimed."""
    mark: dict[str, Any] = {"watermark_is_newer": outcome.watermark is not None}
    if job.dataset is None or not job.dataset.watermark:
        mark["watermark"] = watermark(outcome.event_time or job.item.file.event_time)
    connection.execute(statements.FINISH, {**asdict(outcome), "bad_lines": list(outcome.bad_lines), **job.parameters, **mark})


def watermark(event_time: str) -> str:
    """An event time in the one form whose order as text is its order in time."""
    moment = datetime.fromisoformat(event_time).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
