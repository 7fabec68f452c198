"""Wrong records on their way back: what was put aside of a file, encrypted here, so that nobody after us sees a row but its sender."""

import base64
import csv
import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
import pyrage

from loader import statements
from shared.datasets import Dataset, Rejects
from shared.protocol import FileStatus

MOST_BYTES = 256 * 1024
"""Of the records and of what is said of them, in UTF-8: it travels through Redis, in a message that may speak of several files."""
MOST_RECORDS = 4096
COLUMNS = ("line", "column", "reason", "raw", "part")
HAVE_ANY = frozenset({FileStatus.LOADED, FileStatus.TESTED})

Record = Sequence[Any]
"""Part, line, column, error code, error, text, and how many were put aside."""


def sealed(connection: psycopg.Connection[Any], dataset: Dataset | None, status: FileStatus, name: Mapping[str, Any]) -> str | None:
    """What comes back of a file: base64 of an age file, in it gzip of a CSV.

    Args:
        connection: in the file's transaction.
        dataset: its own.
        status: what became of it.
        name: bucket, key and version_id.

    Returns:
        None where the dataset does not want it, or nothing was put aside.
    """
    if dataset is None or dataset.rejects is not Rejects.RETURN or status not in HAVE_ANY:
        return None
    asked = {**name, "most_records": MOST_RECORDS, "most_bytes": MOST_BYTES}
    records = connection.execute(statements.RETURNED, asked).fetchall()
    if not records:
        return None
    recipient = pyrage.x25519.Recipient.from_str(dataset.rejects_recipient)
    return base64.b64encode(pyrage.encrypt(gzip.compress(as_csv(records).encode(), mtime=0), [recipient])).decode()


def as_csv(records: Sequence[Record]) -> str:
    """As RFC 4180 has it, with a header; the last line says how many more there are."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(_lines(records))
    return text.getvalue()


def _lines(records: Sequence[Record]) -> Iterable[tuple[Any, ...]]:
    for part, line, column, code, error, raw, _ in records:
        yield line, column, f"{code}: {error}", raw, part
    if more := records[0][-1] - len(records):
        yield None, None, f"and {more:,} more, which only the host has", None, None
