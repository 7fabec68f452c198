"""What the sender of a file is told: the file's row of the ledger, read in the transaction that wrote it or found it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from loader import returned, statements
from loader.ledger import Job, Outcome
from shared import receipt as form
from shared.contract import Receipt, RowCounts
from shared.protocol import FileStatus

Connection = psycopg.Connection[Any]


def told(connection: Connection, job: Job, outcome: Outcome, *, key: str | None = None) -> Outcome:
    """The same outcome, with what its sender is to be told, if it is the end and the dataset wants it.

    Args:
        connection: in the file's transaction.
        job: the file.
        outcome: what became of it, or what was known before.
        key: its own one, should its event have spelled it in another way.
    """
    # A file that belongs to no dataset is told of: its sender has mistaken the folder.
    if outcome.status is FileStatus.FAILED or (job.dataset is not None and not job.dataset.receipt):
        return outcome
    name = {**job.parameters, "key": job.item.file.key if key is None else key}
    row = connection.execute(statements.RECEIPT, name).fetchone()
    if row is None:
        return outcome
    receipt, sealed = _receipt(row), returned.sealed(connection, job.dataset, outcome.status, name)
    if sealed is not None:
        receipt = receipt.model_copy(update={"rejects": form.rejects_key_of(receipt.key)})
    return replace(outcome, receipt=receipt, returned=sealed)


def _receipt(row: Sequence[Any]) -> Receipt:
    bucket, key, version_id, sha256, size, dataset, status, error_code, error, *counts, lines, file_id, sequencer = row[:-3]
    event_time, received_at, committed_at = row[-3:]
    read, inserted, updated, unchanged, deleted, rejected = counts
    return Receipt(
        bucket=bucket,
        key=key,
        version_id=version_id,
        sha256=sha256,
        size=size,
        dataset=dataset,
        status=status,
        error_code=error_code,
        error=error,
        rows=RowCounts(read=read, inserted=inserted, updated=updated, unchanged=unchanged, deleted=deleted, rejected=rejected),
        bad_lines=tuple(lines or ()),
        file_id=file_id,
        sequencer=sequencer,
        event_time=event_time,
        received_at=received_at,
        committed_at=committed_at,
    )
