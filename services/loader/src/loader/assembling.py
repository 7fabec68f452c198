"""What happens to a part of a group, in the transaction that claimed its file: it is put to the others, or all are loaded, or none ever."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from loader import chunks, groups, ledger, places, records, rejects
from loader.chunks import Shelf, Waiting
from loader.groups import Content, Group, Membership
from loader.ledger import Job, Outcome
from loader.reading import Reading, Readings, Version
from loader.records import WrongRecord
from loader.relation import Relation
from loader.source import Source
from shared.contract import Declared
from shared.datasets import Dataset
from shared.errors import CourierError, ErrorCode, Rejected, Retryable
from shared.protocol import FileStatus

Connection = psycopg.Connection[Any]
Standing = Callable[[Relation, str], FileStatus | None]
"""How a file stands to what was loaded before, given its table and its content."""
BringIn = Callable[[Connection, Job, Readings, Standing], "Brought"]

NOBODYS = frozenset(
    {
        *(ErrorCode.SIGNATURE_MISSING, ErrorCode.SIGNATURE_INVALID, ErrorCode.SIGNER_UNKNOWN, ErrorCode.SIGNER_EXPIRED),
        *(ErrorCode.SIGNER_NOT_ALLOWED, ErrorCode.MANIFEST_INVALID, ErrorCode.MANIFEST_MISMATCH),
        *(ErrorCode.OBJECT_CHANGED, ErrorCode.SIZE_MISMATCH, ErrorCode.HASH_MISMATCH),
    }
)
"""Of a file with such a problem nobody knows who sent it: it does no group any harm."""
SAY_EVERY_S = 0.5
"""Seconds of silence at the most: HIKYAKU_IDLE_IN_TRANSACTION_TIMEOUT may be 1."""
AGAIN = "send the whole file again, as another group"


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of bringing rows in."""

    outcome: Outcome
    wrong: Sequence[WrongRecord] = ()
    by_part: tuple[int, ...] = ()
    """Records of each file."""


@dataclass(frozen=True, slots=True)
class Assembling:
    """One part on its way.

    Attributes:
        connection: in the transaction that claimed the file.
        job: the file.
        dataset: its dataset.
        declared: what its manifest says.
        path: where it is spooled.
        shelf: where the other parts wait.
        bring_in: loads what is read.
    """

    connection: Connection
    job: Job
    dataset: Dataset
    declared: Declared
    path: Path
    shelf: Shelf
    bring_in: BringIn

    def carry(self) -> Outcome:
        """What becomes of the part.

        Raises:
            Retryable: nothing of it happened, and it may go better later.
            psycopg.Error: likewise.
        """
        if isinstance(self.job.problem, Retryable):
            raise self.job.problem
        try:
            member = Membership.of(self.declared)
            return self._carry(member)
        except Rejected as rejection:
            return Outcome.of(rejection)

    def _carry(self, member: Membership) -> Outcome:
        # Before the group is locked: it takes the longest.
        found = self._found()
        if isinstance(found, CourierError) and found.error_code in NOBODYS:
            return Outcome.of(found)
        group = groups.take(self.connection, self.job, self.dataset, self.declared, member)
        groups.join(self.connection, self.job, group, member.part)
        if isinstance(found, CourierError):
            return self._spoil(group, member, Outcome.of(found))
        _check(group, member)
        return self._put(group, member, found)

    def _found(self) -> Content | CourierError:
        """What is in the file, or what is wrong with it."""
        if self.job.problem is not None:
            return self.job.problem
        source = self._source()
        try:
            self._read(source)
        except Rejected as rejection:
            return rejection
        return Content(source.sha256, source.size, source.packed)

    def _read(self, source: Source) -> None:
        """To its end. PostgreSQL hears of us meanwhile: it ends a session that says nothing within its transaction."""
        said = time.monotonic()
        for _ in source.chunks():
            if time.monotonic() - said > SAY_EVERY_S:
                self.connection.execute("SELECT")
                said = time.monotonic()

    def _source(self) -> Source:
        return Source(self.path, self.dataset.max_bytes, self.dataset.max_ratio)

    def _spoil(self, group: Group, member: Membership, outcome: Outcome) -> Outcome:
        """The part is rejected: the group never will be whole, unless it has the part from another file."""
        if group.status == groups.OPEN and group.parts == member.parts and group.has(member.part) is None:
            key = self.job.item.file.key
            what = f"part {member.part} of group {group.name} ({key}) was rejected as {outcome.error_code}: {outcome.error}"
            groups.reject(self.connection, group, f"{what}; {AGAIN}")
        return outcome

    def _put(self, group: Group, member: Membership, content: Content) -> Outcome:
        there = group.has(member.part)
        if there is not None:
            return _repeated(group, member, same=there.content.sha256 == content.sha256)
        if sum(part.content.csv_bytes for part in group.arrived) + content.csv_bytes > self.dataset.max_bytes:
            what = f"the parts of group {group.name} are larger than {self.dataset.max_bytes} bytes together (max_bytes of the dataset)"
            return self._spoil(group, member, Outcome(FileStatus.REJECTED, ErrorCode.TOO_LARGE, what))
        whole = groups.add(self.connection, self.job, group, member.part, content)
        if len(whole.arrived) < whole.parts:
            chunks.keep(self.connection, group.group_id, member.part, self.path)
            return Outcome(FileStatus.STAGED)
        return self._load(whole, member)

    def _load(self, group: Group, member: Membership) -> Outcome:
        """All parts are there: one transaction for all of them."""
        readings = Readings(tuple(self._reading(group, number, member.part) for number in range(1, group.parts + 1)))
        newest = {"event_time": group.newest, "order_value": group.order_value(self.job.order.by)}
        parts = [{**part.parameters, **newest} for part in group.arrived]

        def standing(relation: Relation, content: str) -> FileStatus | None:
            return ledger.standing(self.connection, self.job, relation, content, parts)

        try:
            with self.connection.transaction():
                brought = self.bring_in(self.connection, self.job, readings, standing)
        except Rejected as rejection:
            groups.reject(self.connection, group, f"group {group.name} was rejected as {rejection.error_code}: {rejection.message}")
            return Outcome.of(rejection)
        rejects.store(self.connection, readings, brought.wrong)
        wrong = Counter(places.part(record.line) for record in brought.wrong)
        counts = [wrong[number] for number in range(1, group.parts + 1)]
        groups.finish(self.connection, group, brought.outcome, brought.by_part, counts, last=member.part)
        mine = member.part - 1
        lines = records.bad_lines(record for record in brought.wrong if places.part(record.line) == member.part)
        counted = replace(brought.outcome, rows_in_file=brought.by_part[mine], rows_rejected=counts[mine], bad_lines=lines)
        return replace(counted, event_time=group.newest)

    def _reading(self, group: Group, number: int, mine: int) -> Reading:
        tolerant, dataset = self.dataset.max_rejected_rows > 0, self.dataset
        if number == mine:
            return Reading(dataset, self._source, Version.of(self.job.item.file), mine, tolerant, declared_rows=self.declared.rows)
        part = group.arrived[number - 1]

        def waiting() -> Source:
            size = part.content.gzip_bytes
            return Waiting(self.shelf, group.group_id, number, size=size, max_bytes=dataset.max_bytes, max_ratio=dataset.max_ratio)

        return Reading(dataset, waiting, part.version, number, tolerant, declared_rows=part.declared_rows)


def _check(group: Group, member: Membership) -> None:
    """Whether the part may still come, or be a repeat of one that did.

    Raises:
        Rejected: it may not.
    """
    if group.status == groups.EXPIRED:
        raise Rejected(ErrorCode.GROUP_EXPIRED, f"{group.error}: {AGAIN}")
    if group.status == FileStatus.REJECTED:
        raise Rejected(ErrorCode.GROUP_REJECTED, group.error or "")
    if group.parts != member.parts:
        what = f"group {group.name} has {group.parts} parts, this file says {member.parts}"
        raise Rejected(ErrorCode.GROUP_CONFLICT, f"{what}: a file that was cut in another way needs another group")


def _repeated(group: Group, member: Membership, *, same: bool) -> Outcome:
    """The group has the part: the repeat goes where the group goes.

    Raises:
        Rejected: it is no repeat.
    """
    if not same:
        what = f"group {group.name} has another part {member.part} already"
        raise Rejected(ErrorCode.GROUP_CONFLICT, f"{what}: corrected content needs another group, with all its parts")
    if group.status == groups.OPEN:
        return Outcome(FileStatus.STAGED)
    return Outcome(FileStatus.SUPERSEDED if group.status == FileStatus.SUPERSEDED else FileStatus.DUPLICATE)
