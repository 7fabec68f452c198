"""The groups' statements. Each runs in the transaction that holds the lock on the group's row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg

from loader import ledger, statements
from loader.ledger import Job, Outcome
from loader.reading import Version
from shared.contract import Declared, Sibling
from shared.datasets import Dataset
from shared.errors import ErrorCode, Rejected
from shared.logging import get_logger
from shared.manifest import MOST_PARTS
from shared.protocol import TIDIED, FileStatus

Connection = psycopg.Connection[Any]
OPEN, EXPIRED = "open", "expired"
MOST_SIBLINGS = 1000
"""Objects that one message sees to beside its own: two calls of S3 each, in one task, and half a megabyte in Redis."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a part is, once it was read to its end."""

    sha256: str
    csv_bytes: int
    gzip_bytes: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A part that has come."""

    part: int
    version: Version
    content: Content
    sequencer: str
    event_time: datetime
    order_by: str | None
    order_value: str | None
    seq: int | None
    declared_rows: int | None

    @property
    def parameters(self) -> dict[str, Any]:
        """What tells it from the group's other files, for the ledger's statements."""
        return {**self.version._asdict(), "sequencer": self.sequencer, "seq": self.seq}


@dataclass(frozen=True, slots=True)
class Group:
    """A group whose row is ours until the transaction ends."""

    group_id: int
    name: str
    status: str
    parts: int
    error: str | None
    arrived: tuple[Arrived, ...]
    """In order, as of now."""

    @property
    def newest(self) -> str:
        """A group is as new as its newest part: ISO 8601."""
        return max(part.event_time for part in self.arrived).isoformat()

    def order_value(self, order_by: str | None) -> str | None:
        """The greatest of its parts' values, of those that are ordered by this."""
        values = [part.order_value for part in self.arrived if part.order_by == order_by and part.order_value is not None]
        return max(values, key=str.encode, default=None)

    def has(self, part: int) -> Arrived | None:
        """The part, if it has come."""
        return next((arrived for arrived in self.arrived if arrived.part == part), None)


@dataclass(frozen=True, slots=True)
class Membership:
    """Which part of which group a file is."""

    group: str
    part: int
    parts: int

    @classmethod
    def of(cls, declared: Declared) -> "Membership":
        """As the manifest says.

        Raises:
            Rejected: `manifest_invalid`: it makes no sense.
        """
        group, part, parts = declared.group or "", declared.part or 0, declared.parts or 0
        if not 1 <= part <= parts <= MOST_PARTS or "\0" in group + declared.sender:
            raise Rejected(ErrorCode.MANIFEST_INVALID, "the manifest names a group without saying which of how many parts this is")
        return cls(group, part, parts)


def take(connection: Connection, job: Job, dataset: Dataset, declared: Declared, member: Membership) -> Group:
    """Lock the group, after waiting for whoever has it. One whose time is over is given up by this."""
    parameters = {
        "dataset": dataset.name,
        "sender": job.item.signer or declared.sender,
        "signed": job.item.signer is not None,
        "group": member.group,
        "parts": member.parts,
        "expires": dataset.group_lifetime,
    }
    [row] = connection.execute(statements.GROUP_TAKE, parameters).fetchall()
    group_id, status, parts, error, is_over = row
    if is_over:
        give_up(connection, [group_id])
        return Group(group_id, member.group, EXPIRED, parts, f"group {member.group} expired", ())
    return Group(group_id, member.group, status, parts, error, _arrived(connection, group_id))


def _arrived(connection: Connection, group_id: int) -> tuple[Arrived, ...]:
    rows = connection.execute(statements.GROUP_PARTS, {"group_id": group_id}).fetchall()
    return tuple(Arrived(row[0], Version(*row[1:4]), Content(*row[4:7]), *row[7:]) for row in rows)


def join(connection: Connection, job: Job, group: Group, part: int) -> None:
    """Note in the ledger that the file is a part of the group."""
    connection.execute(statements.GROUP_JOIN, {**job.parameters, "group_id": group.group_id, "part": part})


def add(connection: Connection, job: Job, group: Group, part: int, content: Content) -> Group:
    """Note the first file with a part. Returns the group with it."""
    said = {"content_sha256": content.sha256, "csv_bytes": content.csv_bytes, "gzip_bytes": content.gzip_bytes}
    connection.execute(statements.GROUP_ADD, {**job.parameters, **said, "group_id": group.group_id, "part": part})
    return replace(group, arrived=_arrived(connection, group.group_id))


def reject(connection: Connection, group: Group, error: str) -> None:
    """End the group without loading it; its staged files are rejected with it."""
    _end(connection, group, FileStatus.REJECTED, error=error)
    connection.execute(statements.GROUP_GIVE_UP, {"groups": [group.group_id]})
    connection.execute(statements.GROUP_FORGET, {"groups": [group.group_id]})


def finish(connection: Connection, group: Group, outcome: Outcome, records: Sequence[int], wrong: Sequence[int], *, last: int) -> None:
    """End the group as a whole, and all its files but the one that came last.

    Args:
        connection: in the transaction.
        group: all of it.
        outcome: of the whole.
        records: of each part; none where it was not read to its end.
        wrong: records of each part that were put aside.
        last: the part that came last.
    """
    _end(connection, group, outcome.status, last_part=last)
    counted = {"numbers": list(range(1, group.parts + 1)), "records": list(records), "wrong": list(wrong)}
    said = {"status": outcome.status, "target": outcome.target, "mode": outcome.mode, "content_sha256": outcome.content_sha256}
    connection.execute(statements.GROUP_FINISH, {**counted, **said, "group_id": group.group_id})
    connection.execute(statements.GROUP_FORGET, {"groups": [group.group_id]})


def with_siblings(connection: Connection, job: Job, outcome: Outcome) -> Outcome:
    """Add to the outcome of a file that completed a group whose objects are to go its own's way: their messages are long settled."""
    if ledger.wish(outcome.status, job.dataset) is None:
        return outcome
    asked = {**job.parameters, "tidied": list(TIDIED), "most": MOST_SIBLINGS}
    rows = connection.execute(statements.GROUP_SIBLINGS, asked).fetchall()
    if rows and rows[0][3] > len(rows):
        left = rows[0][3] - len(rows)
        get_logger().warning("left_in_s3", action="load", file=job.item.file.file_id, key=job.item.file.key, objects=left)
    return replace(outcome, siblings=tuple(Sibling(key=row[0], version_id=row[1], etag=row[2]) for row in rows))


def _end(connection: Connection, group: Group, status: FileStatus, *, error: str | None = None, last_part: int | None = None) -> None:
    said = {"group_id": group.group_id, "status": status, "error": error, "last_part": last_part}
    connection.execute(statements.GROUP_END, said)


def give_up(connection: Connection, groups: Sequence[int]) -> None:
    """Let groups expire whose rows are locked. In statements of their own: each sees what was committed before the lock was ours."""
    for statement in (statements.GROUP_EXPIRE, statements.GROUP_GIVE_UP, statements.GROUP_FORGET):
        connection.execute(statement, {"groups": list(groups)})


def expire(connection: Connection) -> int:
    """Give up all groups whose time is over and that nobody is at. Returns how many."""
    with connection.transaction():
        due = [row[0] for row in connection.execute(statements.GROUP_DUE).fetchall()]
        if due:
            give_up(connection, due)
    return len(due)
