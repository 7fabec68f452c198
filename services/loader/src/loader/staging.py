"""From the spool into a temporary table: header, checks, COPY, hash. Nothing here touches the target.

There are two ways. The quick one hands the CSV to COPY as it is. The careful one goes record by record: it numbers them, and puts
aside those that COPY would not get over. It is taken where something needs the numbers, and for a file that the quick one found
wrong, should its dataset tolerate wrong records: so clean files pay nothing for being lucky.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from loader import records, sqlstate
from loader.copying import Copy
from loader.dialect import Dialect
from loader.encoding import no_text
from loader.front import Front
from loader.layout import Layout, lay_out
from loader.reading import Lines, Reading
from loader.records import Sieve, WrongRecord
from loader.relation import Relation, key_of
from loader.staging_table import StagingTable
from shared.datasets import Dataset, Header, Mode
from shared.errors import ErrorCode, Rejected

END_MARKER_HARMLESS_FROM = 180000
"""From PostgreSQL 18 on, `\\.` alone on a line is a value. Before, it ends COPY: later rows are lost with success reported (measured)."""
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that is in the staging table, all of it but the wrong records."""

    name: str
    """Of the staging table."""
    layout: Layout
    key: tuple[str, ...]
    """Columns that tell a row; empty where the dataset's mode needs none."""
    records: int
    """In the file."""
    rows: int
    """In the staging table."""
    content_sha256: str
    wrong: tuple[WrongRecord, ...] = ()
    """Put aside, by line."""
    numbered: bool = False
    """Whether the staging table has the lines."""
    unchecked: bool = False
    """Whether rows may lack what the table requires."""

    @property
    def table(self) -> sql.Identifier:
        """The staging table, qualified and quoted."""
        return sql.Identifier("pg_temp", self.name)


def fill(connection: Connection, relation: Relation, reading: Reading) -> Staged:
    """Copy a file into an empty staging table, whose rows live until the transaction ends.

    Raises:
        Rejected: whatever is wrong with the file as a file.
        Retryable: the spool or the database fails.
    """
    if not reading.tolerant or reading.careful:
        return _fill(connection, relation, reading)
    try:
        # A savepoint: what the quick way staged must be gone.
        with connection.transaction():
            return _fill(connection, relation, reading)
    except Rejected as rejection:
        if rejection.error_code not in sqlstate.OF_A_ROW:
            raise
    return _fill(connection, relation, replace(reading, careful=True))


def _fill(connection: Connection, relation: Relation, reading: Reading) -> Staged:
    dataset, dialect, source = reading.dataset, Dialect.of(reading.dataset), reading.open()
    head, chunks = reading.begin(source)
    layout = lay_out(relation, dataset, head.names, from_file=dataset.header is not Header.NONE)
    key = _key(relation, dataset, layout.names)
    # Of a tolerant dataset, a row without a value is found later, and put aside.
    required = () if reading.tolerant else tuple(c.name for c in layout.columns if c.not_null or c.name in key)
    table = StagingTable(relation, layout, required, numbered=reading.numbered)
    checks = Front(dialect, head.lines + 1, end_marker=connection.info.server_version < END_MARKER_HARMLESS_FROM)
    sieve = Sieve(
        dialect, len(layout.fields), head.lines + 1, no_text(connection, reading) if reading.careful else (), strict=not reading.tolerant
    )
    pieces = _prepared(checks, chunks, dialect, sieve if reading.numbered else None)
    copy = Copy(connection, table, dialect, Lines(reading, checks, sieve, head.lines, len(layout.fields)), relation.grant(dataset))
    rows, unfit = copy.tolerant(pieces) if reading.tolerant else (copy.strict(pieces), [])
    wrong = tuple(sorted([*sieve.wrong, *unfit], key=lambda record: record.line))
    if wrong and not reading.tolerant:
        raise Rejected(wrong[0].error_code, str(wrong[0]))
    if rows + len(wrong) != checks.records:
        # Never seen. Should COPY and we ever disagree on what a record is, the table must not be where it shows.
        raise Rejected(ErrorCode.CSV_MALFORMED, f"the file has {checks.records} records, PostgreSQL read {rows + len(unfit)}")
    return Staged(table.name, layout, key, checks.records, rows, source.sha256, wrong, reading.numbered, reading.tolerant)


def _prepared(checks: Front, chunks: Iterator[bytes], dialect: Dialect, sieve: Sieve | None) -> Iterator[bytes]:
    pieces = checks.passed(chunks)
    if dialect.nulls is None and sieve is None:
        return pieces
    whole = records.with_nulls(records.whole(_ended(pieces, checks), dialect), dialect)
    return whole if sieve is None else sieve.numbered(whole)


def _ended(pieces: Iterator[bytes], checks: Front) -> Iterator[bytes]:
    """The last record may lack its line end: nothing but a NULL, it would be nothing."""
    last = b""
    for last in pieces:
        yield last
    if last and not last.endswith((b"\r", b"\n")):
        yield (checks.ends or "\n").encode()


def _key(relation: Relation, dataset: Dataset, names: tuple[str, ...]) -> tuple[str, ...]:
    """An upsert needs a key. Where the file is the whole table, one is only good for finding duplicates."""
    if dataset.mode is Mode.UPSERT or (dataset.mode is Mode.REPLACE and dataset.key):
        return key_of(relation, dataset, names)
    if dataset.mode is Mode.REPLACE and relation.has_primary_key and set(relation.keys[0]) <= set(names):
        return relation.keys[0]
    return ()
