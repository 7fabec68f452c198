"""Wrong records that are put aside while the rest of their file is loaded."""

from collections.abc import Sequence
from typing import Any

import psycopg

from loader import places
from loader.dialect import Dialect
from loader.reading import Readings
from loader.records import WrongRecord, bad_lines, readable
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
        wrong: those of them that are wrong, by place.

    Raises:
        Rejected: it may not; with the first lines, never with their data.
    """
    tolerated = dataset.tolerated(records)
    if len(wrong) <= tolerated:
        return
    if not tolerated:
        raise Rejected(wrong[0].error_code, told(wrong) or "", bad_lines(wrong))
    what = f"{len(wrong)} of {records} records are wrong, max_rejected_rows tolerates {tolerated}: {_first(wrong)}"
    raise Rejected(ErrorCode.TOO_MANY_REJECTED_ROWS, what, bad_lines(wrong))


def told(wrong: Sequence[WrongRecord]) -> str | None:
    """How many are wrong, and the first of them; None where none is."""
    if not wrong:
        return None
    return _first(wrong) if len(wrong) == 1 else f"{len(wrong)} records are wrong: {_first(wrong)}"


def _first(wrong: Sequence[WrongRecord]) -> str:
    return "; ".join(places.within(record.line) + str(record) for record in wrong[:SHOWN]) + ("; …" if len(wrong) > SHOWN else "")


def store(connection: psycopg.Connection[Any], readings: Readings, wrong: Sequence[WrongRecord]) -> None:
    """Write them to hikyaku.rejected_rows, the one place for their text.

    Raises:
        psycopg.Error: the database fails.
    """
    if not wrong:
        return
    dialect = Dialect.of(readings.dataset)
    lines = {record.line for record in wrong if record.raw is None}
    texts = {line: readable(record, dialect) for line, record in (readings.find(lines) if lines else ())}
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for record in wrong:
            where = (*readings.at(record.line).version, places.line(record.line), record.column)
            copy.write_row((*where, record.error_code, record.error, texts.get(record.line, record.raw)))
