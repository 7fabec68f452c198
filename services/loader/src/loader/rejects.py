"""Wrong records that are put aside while the rest of their file is loaded."""

from collections.abc import Sequence
from typing import Any

import psycopg

from loader.dialect import Dialect
from loader.ledger import Job
from loader.reading import Reading
from loader.records import WrongRecord, readable
from shared.datasets import Dataset
from shared.errors import ErrorCode, Rejected

SHOWN = 5
"""Wrong records that an error names."""
COPY = "COPY hikyaku.rejected_rows (bucket, key, version_id, line_number, column_name, error_code, error, raw_text) FROM STDIN"


def check(dataset: Dataset, records: int, wrong: Sequence[WrongRecord]) -> None:
    """Whether a file may be loaded less so many records.

    Args:
        dataset: what it tolerates.
        records: in the file.
        wrong: those of them that are wrong, by line.

    Raises:
        Rejected: it may not; with the first lines, never with their data.
    """
    tolerated = dataset.tolerated(records)
    if len(wrong) <= tolerated:
        return
    first = "; ".join(map(str, wrong[:SHOWN])) + ("; …" if len(wrong) > SHOWN else "")
    if not tolerated:
        raise Rejected(wrong[0].error_code, first if len(wrong) == 1 else f"{len(wrong)} records are wrong: {first}")
    limit = f"max_rejected_rows tolerates {tolerated}"
    raise Rejected(ErrorCode.TOO_MANY_REJECTED_ROWS, f"{len(wrong)} of {records} records are wrong, {limit}: {first}")


def store(connection: psycopg.Connection[Any], job: Job, reading: Reading, wrong: Sequence[WrongRecord]) -> None:
    """Write them to hikyaku.rejected_rows, the one place for their text.

    Raises:
        psycopg.Error: the database fails.
    """
    file = job.item.file
    dialect = Dialect.of(reading.dataset)
    lines = {record.line for record in wrong if record.raw is None}
    texts = {line: readable(record, dialect) for line, record in (reading.find(lines) if lines else ())}
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for record in wrong:
            place = (file.bucket, file.key, file.version_id, record.line, record.column)
            copy.write_row((*place, record.error_code, record.error, texts.get(record.line, record.raw)))
