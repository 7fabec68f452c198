"""What happens to one decrypted file: one transaction in which its rows and its row in the ledger commit together, or neither."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from loader import groups, ledger, order, receipts, rejects, relation, sqlstate, staging, upsert, watermark
from loader.assembling import Assembling, Brought, Standing
from loader.chunks import Shelf
from loader.database import Database
from loader.ledger import Claim, Job, Outcome
from loader.merging import merge
from loader.reading import Reading, Readings, Version
from loader.records import WrongRecord, bad_lines
from loader.relation import Relation
from loader.source import Source
from shared import deadline, spool
from shared.contract import Decrypted, Settlement
from shared.datasets_file import DatasetsFile
from shared.errors import ErrorCode, Rejected, Retryable
from shared.failpoint import Point, failpoint
from shared.logging import get_logger
from shared.protocol import FileStatus

Connection = psycopg.Connection[Any]
EXPIRE_EVERY_S = 60.0
"""Seconds between two looks for groups whose time is over, while files come."""
NOTE_LOCK_TIMEOUT = "2s"
"""A note on a failure does not wait for whoever has the file now."""


class Loader:
    """Loads files over a connection that it keeps.

    Args:
        database: where to.
        datasets: how.
        spool_dir: where from.
        name: of this instance, for the ledger.
        look_every: seconds of waiting after which to look whether the database is there at all.
    """

    def __init__(self, database: Database, datasets: DatasetsFile, spool_dir: Path, name: str, *, look_every: float = 60.0) -> None:
        self._database = database
        self._datasets = datasets
        self._spool_dir = spool_dir
        self._name = name
        self._look_every = look_every
        self._next_expiry = time.monotonic() + EXPIRE_EVERY_S

    def settle(self, item: Decrypted) -> Settlement:
        """Load one file, or find out why not.

        The spool's copy goes once the outcome is certain, also after a failure: the next attempt decrypts anew, and until
        then no plaintext waits.
        """
        failpoint(Point.LOADER_TAKEN, item.file.key)
        started = time.monotonic()
        job = Job.of(item, self._datasets.current(), self._name)
        try:
            with deadline.alarm(self._look_every, self._give_up_silent_database, again=True):
                outcome = self._load(job)
        except Retryable as error:
            outcome = Outcome.of(error)
            self._note(job, outcome)
            # A session that stumbled is not trusted with the next file: its staging tables may hold what was rolled back.
            self._database.close()
        spool.published(self._spool_dir, item.file.file_id).unlink(missing_ok=True)
        failpoint(Point.LOADER_SPOOL_REMOVED, item.file.key)
        _log(job, outcome, time.monotonic() - started)
        return outcome.settlement(item, job.dataset)

    def expire_groups(self) -> None:
        """Give up groups whose parts did not come in time, now and then. What fails is tried again at the next look."""
        if time.monotonic() < self._next_expiry:
            return
        self._next_expiry = time.monotonic() + EXPIRE_EVERY_S
        try:
            with deadline.alarm(self._look_every, self._give_up_silent_database, again=True):
                expired = groups.expire(self._database.connection())
        except (psycopg.Error, Retryable) as error:
            self._database.close()
            reason = error.message if isinstance(error, Retryable) else sqlstate.outage(error).message
            get_logger().warning("groups_not_expired", action="load", reason=reason)
        else:
            if expired:
                get_logger().warning("groups_expired", action="load", groups=expired)

    def _give_up_silent_database(self) -> None:
        """End whatever waits for a database that answers nobody any more: its own limits don't work either, while it is stopped.

        Raises:
            Retryable: `database_unavailable`.
        """
        if self._database.is_silent():
            # Before anything tries to roll back on it.
            self._database.close()
            raise Retryable(ErrorCode.DATABASE_UNAVAILABLE, "PostgreSQL has stopped answering")

    def _load(self, job: Job) -> Outcome:
        with closing(Shelf(self._database.another)) as shelf:
            return self._load_from(job, shelf)

    def _load_from(self, job: Job, shelf: Shelf) -> Outcome:
        try:
            connection = self._database.connection()
            try:
                return load_file(connection, job, self._spool_dir, shelf)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
            # Lost at the first statement: the server was restarted while we were idle. Lost at the commit: the ledger knows
            # whether it happened. Neither costs the message an attempt.
            return load_file(self._database.connection(), job, self._spool_dir, shelf)
        except psycopg.Error as error:
            raise sqlstate.outage(error) from None

    def _note(self, job: Job, outcome: Outcome) -> None:
        """Tell the ledger of a failure if it can be told: the truth about it is the message that SQS still holds."""
        try:
            connection = self._database.connection()
            with connection.transaction():
                connection.execute("SELECT set_config('lock_timeout', %s, true)", (NOTE_LOCK_TIMEOUT,))
                ledger.note(connection, job, outcome)
        except (psycopg.Error, Retryable) as error:
            reason = error.message if isinstance(error, Retryable) else sqlstate.outage(error).message
            get_logger().warning("failure_not_noted", action="load", file=job.item.file.file_id, reason=reason)


def load_file(connection: Connection, job: Job, spool_dir: Path, shelf: Shelf) -> Outcome:
    """Load one file, or the group that it completes, in one transaction.

    Raises:
        Retryable: nothing of it happened, and it may go better later.
        psycopg.Error: likewise, from a statement of the ledger or from the commit.
    """
    with connection.transaction():
        if known := ledger.known_by_its_own_key(connection, job):
            return receipts.told(connection, job, Outcome(known[0]), key=known[1])
        claim = ledger.claim(connection, job)
        if isinstance(claim, FileStatus):
            return receipts.told(connection, job, groups.with_siblings(connection, job, Outcome(claim)))
        failpoint(Point.LOADER_CLAIMED, job.item.file.key)
        outcome = _carry(connection, job, claim, spool_dir, shelf)
        ledger.finish(connection, job, outcome)
        if job.part is not None:
            outcome = groups.with_siblings(connection, job, outcome)
        outcome = receipts.told(connection, job, outcome)
        failpoint(Point.LOADER_BEFORE_COMMIT, job.item.file.key)
    failpoint(Point.LOADER_AFTER_COMMIT, job.item.file.key)
    return outcome


def _carry(connection: Connection, job: Job, claim: Claim, spool_dir: Path, shelf: Shelf) -> Outcome:
    """Bring the rows in, behind a savepoint: of a rejected file and of a dry run nothing stays but the ledger's row."""
    path = spool.published(spool_dir, job.item.file.file_id)
    if job.part is not None and job.dataset is not None:
        return Assembling(connection, job, job.dataset, job.part, path, shelf, _bring_in).carry()
    if job.problem is not None or job.dataset is None:
        return _give_up(job)
    if claim.superseded and not job.dry_run:
        return Outcome(FileStatus.SUPERSEDED)
    dataset = job.dataset
    # A dry run shall tell of more than the first wrong record.
    tolerant = job.dry_run or dataset.max_rejected_rows > 0
    version, rows = Version.of(job.item.file), order.declared_rows(job.item)
    reading = Reading(dataset, lambda: Source(path, dataset.max_bytes, dataset.max_ratio), version, tolerant=tolerant, declared_rows=rows)
    readings = Readings((reading,))

    def standing(target: Relation, content: str) -> FileStatus | None:
        return ledger.standing(connection, job, target, content)

    try:
        with connection.transaction(force_rollback=job.dry_run):
            brought = _bring_in(connection, job, readings, standing)
    except Rejected as rejection:
        return Outcome.of(rejection)
    rejects.store(connection, readings, brought.wrong)
    return brought.outcome


def _give_up(job: Job) -> Outcome:
    assert job.problem is not None, "a job without a dataset has a problem"  # noqa: S101 - for the type checker
    if isinstance(job.problem, Retryable):
        raise job.problem
    return Outcome.of(job.problem)


def _bring_in(connection: Connection, job: Job, readings: Readings, standing_of: Standing) -> Brought:
    """From what is read into the target, but for the ledger."""
    dataset = readings.dataset
    target = relation.look_up(connection, dataset)
    staged = staging.fill(connection, target, readings)
    order.check_rows([part.declared_rows for part in readings.parts], staged.by_part)
    if not job.dry_run:
        # Else what the table itself refuses is to be told, too.
        rejects.check(dataset, staged.records, staged.wrong)
    failpoint(Point.LOADER_COPIED, job.item.file.key)
    upsert.lock(connection, target)
    failpoint(Point.LOADER_LOCKED, job.item.file.key)
    outcome = Outcome(
        FileStatus.TESTED if job.dry_run else FileStatus.LOADED,
        target=str(target),
        mode=dataset.mode,
        content_sha256=staged.content_sha256,
        rows_in_file=staged.records,
    )
    # A dry run tells whether the file would load, whatever was loaded before.
    if not job.dry_run and (standing := standing_of(target, staged.content_sha256)):
        return Brought(replace(outcome, status=standing), (), staged.by_part)
    merged, wrong = merge(connection, target, readings, staged)
    rejects.check(dataset, staged.records, wrong)
    failpoint(Point.LOADER_MERGED, job.item.file.key)
    counted = replace(
        outcome,
        error=_tested(job, wrong) if job.dry_run else None,
        rows_loaded=merged.loaded,
        rows_changed=merged.changed,
        rows_inserted=merged.inserted,
        rows_updated=merged.updated,
        rows_unchanged=merged.unchanged,
        rows_deleted=merged.deleted,
        rows_rejected=len(wrong),
        bad_lines=bad_lines(wrong),
        watermark=watermark.newer(connection, target, dataset, staged) if dataset.watermark else None,
    )
    return Brought(counted, wrong, staged.by_part)


def _tested(job: Job, wrong: Sequence[WrongRecord]) -> str | None:
    """What whoever tests a file should know besides the counts."""
    return "; ".join(filter(None, (rejects.told(wrong), _tested_alone(job)))) or None


def _tested_alone(job: Job) -> str | None:
    declared = job.item.declared
    if declared is None or declared.group is None:
        return None
    return f"part {declared.part} of {declared.parts} was tested by itself: a dry run does not put a group together"


def _log(job: Job, outcome: Outcome, duration: float) -> None:
    log = get_logger().info if outcome.status not in {FileStatus.REJECTED, FileStatus.FAILED} else get_logger().warning
    log(
        outcome.status,
        action="load",
        file=job.item.file.file_id,
        dataset=job.dataset.name if job.dataset else None,
        message_id=job.item.file.message_id,
        **({"group": job.part.group, "part": job.part.part, "parts": job.part.parts} if job.part else {}),
        duration_s=round(duration, 4),
        rows=outcome.rows_loaded,
        error_code=outcome.error_code,
        error=outcome.error,
    )
