"""What happens to one decrypted file: one transaction in which its rows and its row in the ledger commit together, or neither."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from loader import ledger, rejects, relation, sqlstate, staging, upsert, watermark
from loader.database import Database
from loader.isolate import EnoughError, merge_less_wrong
from loader.ledger import Claim, Job, Outcome
from loader.reading import Reading
from loader.records import WrongRecord
from loader.relation import Relation
from loader.source import Source
from loader.staging import Staged
from loader.upsert import Merge, Merged
from shared import deadline, spool
from shared.contract import Decrypted, Settlement
from shared.datasets import Dataset
from shared.datasets_file import DatasetsFile
from shared.errors import ErrorCode, Rejected, Retryable
from shared.failpoint import Point, failpoint
from shared.logging import get_logger
from shared.protocol import FileStatus

Connection = psycopg.Connection[Any]
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
        try:
            connection = self._database.connection()
            try:
                return load_file(connection, job, self._spool_dir)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
            # Lost at the first statement: the server was restarted while we were idle. Lost at the commit: the ledger knows
            # whether it happened. Neither costs the message an attempt.
            return load_file(self._database.connection(), job, self._spool_dir)
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


def load_file(connection: Connection, job: Job, spool_dir: Path) -> Outcome:
    """Load one file in one transaction.

    Raises:
        Retryable: nothing of it happened, and it may go better later.
        psycopg.Error: likewise, from a statement of the ledger or from the commit.
    """
    with connection.transaction():
        if known := ledger.known_by_its_own_key(connection, job):
            return Outcome(known)
        claim = ledger.claim(connection, job)
        if isinstance(claim, FileStatus):
            return Outcome(claim)
        failpoint(Point.LOADER_CLAIMED, job.item.file.key)
        outcome = _carry(connection, job, claim, spool_dir)
        ledger.finish(connection, job, outcome)
        failpoint(Point.LOADER_BEFORE_COMMIT, job.item.file.key)
    failpoint(Point.LOADER_AFTER_COMMIT, job.item.file.key)
    return outcome


def _carry(connection: Connection, job: Job, claim: Claim, spool_dir: Path) -> Outcome:
    """Bring the rows in, behind a savepoint: of a rejected file and of a dry run nothing stays but the ledger's row."""
    if job.problem is not None or job.dataset is None:
        return _give_up(job)
    if claim.superseded and not job.dry_run:
        return Outcome(FileStatus.SUPERSEDED)
    try:
        with connection.transaction(force_rollback=job.dry_run):
            outcome, wrong, reading = _bring_in(connection, job, job.dataset, spool_dir)
    except Rejected as rejection:
        return Outcome.of(rejection)
    if wrong:
        rejects.store(connection, job, reading, wrong)
    return outcome


def _give_up(job: Job) -> Outcome:
    assert job.problem is not None, "a job without a dataset has a problem"  # noqa: S101 - for the type checker
    if isinstance(job.problem, Retryable):
        raise job.problem
    return Outcome.of(job.problem)


def _bring_in(connection: Connection, job: Job, dataset: Dataset, spool_dir: Path) -> tuple[Outcome, Sequence[WrongRecord], Reading]:
    """Returns what became of the file, and its wrong records, and how it is read again to get their text."""
    target = relation.look_up(connection, dataset)
    path = spool.published(spool_dir, job.item.file.file_id)
    # A dry run shall tell of more than the first wrong record.
    tolerant = job.dry_run or dataset.max_rejected_rows > 0
    reading = Reading(dataset, lambda: Source(path, dataset.max_bytes, dataset.max_ratio), tolerant=tolerant)
    staged = staging.fill(connection, target, reading)
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
    if not job.dry_run and (standing := ledger.standing(connection, job, target, staged.content_sha256)):
        return replace(outcome, status=standing), (), reading
    merged, wrong = _merge(connection, target, reading, staged, job.item.file.key)
    rejects.check(dataset, staged.records, wrong)
    failpoint(Point.LOADER_MERGED, job.item.file.key)
    counted = replace(
        outcome,
        rows_loaded=merged.loaded,
        rows_changed=merged.changed,
        rows_inserted=merged.inserted,
        rows_updated=merged.updated,
        rows_unchanged=merged.unchanged,
        rows_deleted=merged.deleted,
        rows_rejected=len(wrong),
        watermark=watermark.newer(connection, target, dataset, staged) if dataset.watermark else None,
    )
    return counted, wrong, reading


def _merge(connection: Connection, target: Relation, reading: Reading, staged: Staged, key: str) -> tuple[Merged, Sequence[WrongRecord]]:
    """Returns what was merged, and the records that were not.

    Raises:
        Rejected: more of them are wrong than the dataset tolerates; also one is too many for most.
    """
    refused: Rejected | None = None
    ready = staged.numbered and staged.unchecked
    # A file that is known to have wrong records is likely to have others.
    if not (ready and staged.wrong):
        try:
            with connection.transaction():
                return Merge(connection, target, reading, staged, key).all(), staged.wrong
        except Rejected as rejection:
            if rejection.error_code not in sqlstate.OF_A_ROW - {ErrorCode.DUPLICATE_KEYS}:
                raise
            refused = rejection
    if not ready:
        connection.execute(sql.SQL("DROP TABLE {}").format(staged.table), prepare=False)
        target = replace(target, kept=target.kept - {staged.name})
        staged = staging.fill(connection, target, replace(reading, tolerant=True, careful=True))
    merged, wrong = _merge_less_wrong(
        Merge(connection, target, reading, staged, key), max(rejects.SHOWN, reading.dataset.tolerated(staged.records))
    )
    if refused is not None and not reading.tolerant and not wrong:
        # What refused the whole refuses no part of it.
        raise refused
    return merged, sorted([*staged.wrong, *wrong], key=lambda record: record.line)


def _merge_less_wrong(merge: Merge, most: int) -> tuple[Merged, Sequence[WrongRecord]]:
    try:
        return merge_less_wrong(merge, most)
    except EnoughError as enough:
        return Merged(), enough.wrong


def _log(job: Job, outcome: Outcome, duration: float) -> None:
    log = get_logger().info if outcome.status not in {FileStatus.REJECTED, FileStatus.FAILED} else get_logger().warning
    log(
        outcome.status,
        action="load",
        file=job.item.file.file_id,
        dataset=job.dataset.name if job.dataset else None,
        message_id=job.item.file.message_id,
        duration_s=round(duration, 4),
        rows=outcome.rows_loaded,
        error_code=outcome.error_code,
        error=outcome.error,
    )
