"""From the staging table into the target, as a whole where that works, else less the wrong records."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from loader import rejects, sqlstate, staging
from loader.isolate import EnoughError, merge_less_wrong
from loader.reading import Readings
from loader.records import WrongRecord
from loader.relation import Relation
from loader.staging import Staged
from loader.upsert import Merge, Merged, UnorderedError
from shared.errors import ErrorCode, Rejected

Connection = psycopg.Connection[Any]


def merge(connection: Connection, target: Relation, readings: Readings, staged: Staged) -> tuple[Merged, Sequence[WrongRecord]]:
    """Move what is staged into the target: all of it, else all that the target takes.

    Returns:
        What was merged, and the records that were not.

    Raises:
        Rejected: more of them are wrong than the dataset tolerates; also one is too many for most.
    """
    refused: Rejected | None = None
    ready = staged.numbered and staged.unchecked
    # A file that is known to have wrong records is likely to have others.
    if not (ready and staged.wrong):
        try:
            with connection.transaction():
                return Merge(connection, target, readings, staged).all(), staged.wrong
        except UnorderedError:
            careful = readings.changed(careful=True)
            return merge(connection, target, careful, _anew(connection, target, careful, staged))
        except Rejected as rejection:
            if rejection.error_code not in sqlstate.OF_A_ROW - {ErrorCode.DUPLICATE_KEYS}:
                raise
            refused = rejection
    if not ready:
        staged = _anew(connection, target, readings.changed(tolerant=True, careful=True), staged)
    merged, wrong = _merge_less_wrong(
        Merge(connection, target, readings, staged), max(rejects.SHOWN, readings.dataset.tolerated(staged.records))
    )
    if refused is not None and not readings.tolerant and not wrong:
        # What refused the whole refuses no part of it.
        raise refused
    return merged, sorted([*staged.wrong, *wrong], key=lambda record: record.line)


def _anew(connection: Connection, target: Relation, readings: Readings, staged: Staged) -> Staged:
    """Stage it once more, in another way."""
    connection.execute(sql.SQL("DROP TABLE {}").format(staged.table), prepare=False)
    return staging.fill(connection, replace(target, kept=target.kept - {staged.name}), readings)


def _merge_less_wrong(merge: Merge, most: int) -> tuple[Merged, Sequence[WrongRecord]]:
    try:
        return merge_less_wrong(merge, most)
    except EnoughError as enough:
        return Merged(), enough.wrong
