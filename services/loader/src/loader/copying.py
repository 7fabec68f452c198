"""COPY into a staging table, and what it says about wrong values."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from loader import records, sqlstate
from loader.dialect import Dialect
from loader.reading import Lines
from loader.records import WrongRecord, bad_lines
from loader.relation import identifiers
from loader.staging_table import LINE, StagingTable
from shared.datasets import POSTGRESQL_ENCODINGS
from shared.errors import CourierError, ErrorCode, Rejected

TEXTS = "hikyaku_texts"
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
        self._required = {column.name for column in table.layout.columns if column.type_not_null}
        self._checked = [name for name, known in self._types.items() if known != "text"]
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
        if self._connection.info.server_version < ON_ERROR_FROM:
            return (self._copy_texts(pieces) if self._table.numbered else self.strict(pieces)), self._unfit
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

    def _copy(self, table: sql.Identifier, pieces: Iterator[bytes], more: str = "") -> int:
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

    # PostgreSQL 16: everything as text first, then what can be cast.

    def _copy_texts(self, pieces: Iterator[bytes]) -> int:
        texts, columns = sql.Identifier("pg_temp", TEXTS), self._table.copied
        try:
            definition = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in columns)
            create = sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(sql.Identifier(TEXTS), definition)
            self._connection.execute(create, prepare=False)
            self._copy(texts, pieces)
            self._find_unfit(texts)
            self._table.create(self._connection)
            # By their lines: to judge every value once more would cost a third of the cast.
            insert = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} WHERE {} <> ALL ({}::text[])").format(
                self._table.identifier,
                identifiers(columns),
                sql.SQL(", ").join(map(self._cast, columns)),
                texts,
                sql.Identifier(LINE),
                [str(record.line) for record in self._unfit],
            )
            rows = self._connection.execute(insert, prepare=False).rowcount
            self._connection.execute(sql.SQL("DROP TABLE {}").format(texts), prepare=False)
        except psycopg.Error as error:
            raise sqlstate.translate(error, self._place(TEXTS)) from None
        return rows

    def _cast(self, name: str) -> sql.Composed:
        known = self._types.get(name, "bigint" if name == LINE else "text")
        return sql.SQL("{}::{}").format(sql.Identifier(name), sql.SQL(known))

    def _fits(self) -> sql.Composable:
        """Whether every value of a row is one of its type. An explicit cast would cut what is too long."""
        checks = [sql.SQL("NOT {}").format(self._is_unfit(name)) for name in self._checked]
        return sql.SQL(" AND ").join(checks) if checks else sql.SQL("true")

    def _is_unfit(self, name: str) -> sql.Composed:
        """NULL fits, but not into a domain that is NOT NULL."""
        valid = sql.SQL("pg_input_is_valid({}, {})").format(sql.Identifier(name), self._types[name])
        return sql.SQL("NOT coalesce({}, {})").format(valid, sql.SQL("false" if name in self._required else "true"))

    def _find_unfit(self, texts: sql.Identifier) -> None:
        cases = [sql.SQL("WHEN {} THEN {}").format(self._is_unfit(name), name) for name in self._checked]
        if not cases:
            return
        query = sql.SQL("SELECT {}::bigint, CASE {} END FROM {} WHERE NOT ({}) ORDER BY 1 LIMIT {}").format(
            sql.Identifier(LINE), sql.SQL(" ").join(cases), texts, self._fits(), records.MOST_REJECTS + 1
        )
        for line, column in self._connection.execute(query, prepare=False).fetchall():
            self._note(line, column)
