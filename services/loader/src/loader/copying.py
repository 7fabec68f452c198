"""COPY into a staging table, and what it says about wrong values."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from loader import records, sqlstate
from loader.dialect import Dialect
from loader.reading import Lines
from loader.records import WrongRecord, bad_lines
from loader.relation import identifiers
from loader.segments import Segment, segments
from loader.staging_table import StagingTable
from loader.text_staging import TEXTS, TextStaging
from shared.datasets import POSTGRESQL_ENCODINGS
from shared.errors import CourierError, ErrorCode, Rejected

ON_ERROR_FROM = 170000
"""From PostgreSQL 17 on, COPY itself can pass over values that are none."""

Connection = psycopg.Connection[Any]


class Copy:
    """Gets records into a staging table.

    With an explicit column list: `HEADER true` would load reordered columns into the wrong ones (measured).

    Args:
        connection: in a transaction.
        table: where to.
        dialect: of the records.
        lines: the file's lines of what are lines to COPY.
        grant: the GRANT that a refused loader needs.
    """

    def __init__(self, connection: Connection, table: StagingTable, dialect: Dialect, lines: Lines, grant: str) -> None:
        self._connection = connection
        self._table = table
        self._dialect = dialect
        self._lines = lines
        self._grant = grant
        self._types = {column.name: column.type for column in table.layout.columns}
        self._unfit: list[WrongRecord] = []

    def strict(self, pieces: Iterator[bytes]) -> int:
        """Copy all. Returns the number of rows.

        Raises:
            Rejected: a record is wrong.
            Retryable: the database fails.
        """
        try:
            self._table.create(self._connection)
            return self._copy(self._table.identifier, pieces)
        except psycopg.Error as error:
            raise self._translate(error) from None

    def tolerant(self, pieces: Iterator[bytes]) -> tuple[int, list[WrongRecord]]:
        """Copy all but records with values that are not of their type.

        Returns:
            The number of rows, and the wrong records.

        Raises:
            Rejected: a record is wrong in a way that PostgreSQL does not get over.
            Retryable: the database fails.
        """
        if isinstance(self._table, TextStaging):
            return self._copy_texts(self._table, pieces)
        if self._connection.info.server_version < ON_ERROR_FROM:
            return self._copy_if_right(pieces), []
        self._connection.add_notice_handler(self._notice)
        try:
            self._table.create(self._connection)
            rows = self._copy(self._table.identifier, pieces, ", ON_ERROR ignore, LOG_VERBOSITY verbose")
        except psycopg.Error as error:
            raise self._translate(error) from None
        finally:
            self._connection.remove_notice_handler(self._notice)
        return rows, self._lines.of_all(self._unfit)

    def _translate(self, error: psycopg.Error) -> CourierError:
        place = self._place(self._table.name)
        line = sqlstate.line_of(error, place)
        if line is None:
            return sqlstate.translate(error, place)
        # Once: it may mean to read the file again.
        begin = self._lines.of(line)
        translated = sqlstate.translate(error, replace(place, line_of=lambda _: begin))
        if translated.error_code not in {ErrorCode.CSV_MALFORMED, ErrorCode.VALUE_INVALID}:
            return translated
        wrong = self._lines.ragged(begin)
        return Rejected(wrong.error_code, str(wrong), bad_lines([wrong])) if wrong else translated

    def _place(self, table: str) -> sqlstate.Place:
        return sqlstate.Place(table, self._lines.of, self._types, self._grant)

    def _copy(self, table: sql.Identifier, pieces: Iterable[bytes], more: str = "") -> int:
        dialect = self._dialect
        options = sql.SQL("FORMAT csv, DELIMITER {}, NULL {}, QUOTE {}, ESCAPE {}, ENCODING {}").format(
            dialect.delimiter.decode(),
            dialect.null.decode(dialect.encoding),
            dialect.quote.decode(),
            dialect.escape.decode(),
            POSTGRESQL_ENCODINGS[dialect.encoding],
        )
        statement = sql.SQL("COPY {} ({}) FROM STDIN ({}{})").format(table, identifiers(self._table.copied), options, sql.SQL(more))
        with self._connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for piece in pieces:
                    copy.write(piece)
            return cursor.rowcount

    # PostgreSQL 17 and later: COPY says of each record that it passed over which line and column it was.

    def _notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        """In whatever language: digits and names from the catalog are the same in all. The value, which follows, is not looked at.

        A last notice says how many there were: it has no name in quotes.
        """
        told = re.search(r'(\d+)[^"]*"(.*)', diagnostic.message_primary or "", re.DOTALL)
        names = sorted((name for name in self._types if told and told[2].startswith(f'{name}"')), key=len)
        if told and names:
            self._note(int(told[1]), names[-1])

    def _note(self, line: int, column: str) -> None:
        error = "is not a value of the column's type"
        self._unfit.append(WrongRecord(line, column, ErrorCode.VALUE_INVALID, error, self._types[column]))
        records.check_number(self._unfit)

    # PostgreSQL 16: in segments, since COPY says that it has ended only when all was sent.

    def _copy_if_right(self, pieces: Iterator[bytes]) -> int:
        """What is wrong with which line is of no interest: the file will be read with more care."""
        try:
            self._table.create(self._connection)
            whole = records.whole(pieces, self._dialect)
            return sum(self._copy(self._table.identifier, segment) for segment in segments(whole))
        except psycopg.Error as error:
            raise sqlstate.translate(error, sqlstate.Place(grant=self._grant)) from None

    # Read with care: with the columns in doubt as text, less the rows with texts that are no values.

    def _copy_texts(self, table: TextStaging, pieces: Iterator[bytes]) -> tuple[int, list[WrongRecord]]:
        place = self._place(TEXTS)
        try:
            table.create(self._connection)
            rows = sum(self._copy_segment(table, segment, place) for segment in segments(pieces))
            for line, column in table.take_out(self._connection, self._lines.header, records.MOST_REJECTS + 1):
                self._note(line, column)
        except psycopg.Error as error:
            raise sqlstate.translate(error, place) from None
        return rows - len(self._unfit), self._unfit

    def _copy_segment(self, table: TextStaging, segment: Segment, place: sqlstate.Place) -> int:
        while True:
            try:
                with self._connection.transaction():
                    return self._copy(table.filled, segment)
            except psycopg.Error as error:
                if not sqlstate.is_of_a_row(error) or not table.doubt(self._connection, sqlstate.column_of(error, place)):
                    raise
