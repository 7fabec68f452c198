"""From the spool into a temporary table: header, checks, COPY, hash. Nothing here touches the target.

There are two ways. The quick one hands the CSV to COPY as it is. The careful one goes record by record: it numbers them, and puts
aside those that COPY would not get over. It is taken where something needs the numbers, and for a file that the quick one found
wrong, should its dataset tolerate wrong records: so clean files pay nothing for being lucky.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from loader import records, sqlstate
from loader.copying import ON_ERROR_FROM, Copy
from loader.dialect import Dialect
from loader.encoding import no_text
from loader.front import Front
from loader.layout import Layout, lay_out
from loader.reading import Lines, Reading, Readings
from loader.records import Sieve, WrongRecord, bad_lines, check_number
from loader.relation import Relation, key_of
from loader.staging_table import StagingTable
from loader.text_staging import TextStaging
from shared.datasets import Dataset, Header, Mode
from shared.errors import ErrorCode, Rejected

END_MARKER_HARMLESS_FROM = 180000
"""From PostgreSQL 18 on, `\\.` alone on a line is a value. Before, it ends COPY: later rows are lost with success reported (measured)."""
Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Staged:
    """A file, or a whole group, that is in the staging table, all of it but the wrong records."""

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
    """Put aside, by place."""
    numbered: bool = False
    """Whether the staging table has the lines."""
    unchecked: bool = False
    """Whether rows may lack what the table requires."""
    by_part: tuple[int, ...] = ()
    """Records of each file."""
    stored: str = ""
    """Name of the table that has the rows, where the staging table is a view."""

    @property
    def table(self) -> sql.Identifier:
        """The staging table, qualified and quoted."""
        return sql.Identifier("pg_temp", self.name)


def fill(connection: Connection, relation: Relation, readings: Readings) -> Staged:
    """Copy a file, or the parts of a group, into an empty staging table, whose rows live until the transaction ends.

    Raises:
        Rejected: whatever is wrong with the file as a file.
        Retryable: the spool or the database fails.
    """
    if not readings.tolerant or readings.careful:
        return _fill(connection, relation, readings)
    try:
        # A savepoint: what the quick way staged must be gone.
        with connection.transaction():
            return _fill(connection, relation, readings)
    except Rejected as rejection:
        if rejection.error_code not in sqlstate.OF_A_ROW:
            raise
    return _fill(connection, relation, readings.changed(careful=True))


def _fill(connection: Connection, relation: Relation, readings: Readings) -> Staged:
    filling = _Filling(connection, relation)
    parts = [filling.add(reading) for reading in readings.parts]
    table, wrong = filling.table, tuple(record for part in parts for record in part.wrong)
    check_number(wrong)
    return Staged(
        table.name,
        table.layout,
        filling.key,
        sum(part.records for part in parts),
        sum(part.rows for part in parts),
        content_of([part.sha256 for part in parts]),
        wrong,
        table.numbered,
        readings.tolerant,
        tuple(part.records for part in parts),
        table.stored,
    )


def content_of(parts: Sequence[str]) -> str:
    """Hex SHA-256 that tells the content of a file, or of a group by those of its parts."""
    return parts[0] if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Part:
    """A file that is in the staging table."""

    records: int
    rows: int
    sha256: str
    wrong: tuple[WrongRecord, ...]


class _Filling:
    """The files of one staging table, one after another."""

    table: StagingTable
    key: tuple[str, ...]

    def __init__(self, connection: Connection, relation: Relation) -> None:
        self._connection = connection
        self._relation = relation
        self._names: tuple[str, ...] | None = None

    def add(self, reading: Reading) -> _Part:
        """Copy one file.

        Raises:
            Rejected: it is wrong; of a part, the error says which.
            Retryable: the spool or the database fails.
        """
        try:
            return self._add(reading)
        except Rejected as rejection:
            if not reading.part:
                raise
            what = f"part {reading.part} ({reading.version.key}): {rejection.message}"
            raise Rejected(rejection.error_code, what, rejection.lines) from None

    def _add(self, reading: Reading) -> _Part:
        dataset, dialect, source = reading.dataset, Dialect.of(reading.dataset), reading.open()
        head, chunks = reading.begin(source)
        self._lay_out(head.names, reading)
        connection, table, width = self._connection, self.table, len(self.table.layout.fields)
        marker = connection.info.server_version < END_MARKER_HARMLESS_FROM
        checks = Front(dialect, head.lines + 1, end_marker=marker, max_record=dataset.max_record_bytes)
        first = reading.first + head.lines
        sieve = Sieve(dialect, width, first + 1, no_text(connection, reading) if reading.careful else (), strict=not reading.tolerant)
        pieces = _prepared(checks, chunks, dialect, sieve if reading.numbered else None)
        copy = Copy(connection, table, dialect, Lines(reading, checks, sieve, first, width), self._relation.grant(dataset))
        rows, unfit = copy.tolerant(pieces) if reading.tolerant else (copy.strict(pieces), [])
        wrong = tuple(sorted([*sieve.wrong, *unfit], key=lambda record: record.line))
        if wrong and not reading.tolerant:
            raise Rejected(wrong[0].error_code, str(wrong[0]), bad_lines(wrong))
        if rows + len(wrong) != checks.records:
            # Never seen. Should COPY and we ever disagree on what a record is, the table must not be where it shows.
            raise Rejected(ErrorCode.CSV_MALFORMED, f"the file has {checks.records} records, PostgreSQL read {rows + len(unfit)}")
        return _Part(checks.records, rows, source.sha256, wrong)

    def _lay_out(self, names: tuple[str, ...], reading: Reading) -> None:
        """By the first file; the others must be like it."""
        if self._names is not None:
            if names != self._names:
                what = "its header is not that of part 1: every part must name the same columns in the same order"
                raise Rejected(ErrorCode.COLUMNS_MISMATCH, what)
            return
        self._names, relation, dataset = names, self._relation, reading.dataset
        layout = lay_out(relation, dataset, names, from_file=dataset.header is not Header.NONE)
        self.key = _key(relation, dataset, layout.names)
        if reading.tolerant and reading.careful and self._connection.info.server_version < ON_ERROR_FROM:
            self.table = TextStaging(relation, layout)
            return
        # Of a tolerant dataset, a row without a value is found later, and put aside; and what marks a deletion needs its key only.
        needed = [c for c in layout.columns if c.name in self.key or (c.not_null and not dataset.delete_when)]
        required = () if reading.tolerant else tuple(column.name for column in needed)
        self.table = StagingTable(relation, layout, required, numbered=reading.numbered)


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
