"""A ledger of the rebuild's own: the loader's statements, each aimed at another schema than `hikyaku`.

The loader decides by the ledger what is superseded, a duplicate, or a part that waits. A rebuild must decide the same from the
start, and leave no trace in the real one. So the ledger's empty tables are made once more in a schema that goes at the end, and
whatever statement names one of them is sent to its double: the loader's code runs unchanged.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from loader.database import Database

PREFIX = "hikyaku_rebuild_"
TABLES = ("files", "rejected_rows", "watermarks", "groups", "group_parts", "part_chunks")
NAMED = re.compile(rb"\bhikyaku\.(?=(?:%s)\b)" % b"|".join(name.encode() for name in TABLES))
UNREADABLE = {"part_chunks": ("group_id", "part", "number"), "rejected_rows": ("bucket", "key", "version_id", "line_number")}
"""Tables with row data, by their primary key: whoever rebuilds may not read all of them, which `LIKE` asks for."""
COLUMNS = """
SELECT string_agg(format('%%I %%s%%s%%s', a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN ' NOT NULL' END,
    ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attnum) AS columns
FROM pg_attribute AS a
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""


@contextmanager
def ledger(connection: psycopg.Connection[Any], table: str) -> Iterator[str]:
    """An empty ledger while the block runs; one that an earlier run left is dropped first.

    Args:
        connection: in autocommit, of a role that may create schemas in the database: `hikyaku_owner`.
        table: that is rebuilt; names the schema.

    Yields:
        The schema's name.
    """
    schema = f"{PREFIX}{re.sub(r'[^a-z0-9_]', '_', table.lower())}"[:63]
    _drop(connection, schema)
    with connection.transaction():
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        for name in TABLES:
            _make(connection, schema, name)
    try:
        yield schema
    finally:
        _drop(connection, schema)


def _drop(connection: psycopg.Connection[Any], schema: str) -> None:
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _make(connection: psycopg.Connection[Any], schema: str, name: str) -> None:
    double, real = sql.Identifier(schema, name), sql.Identifier("hikyaku", name)
    if name not in UNREADABLE:
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(double, real))
        return
    row = connection.execute(COLUMNS, [f"hikyaku.{name}"]).fetchone()
    assert row is not None, "an aggregate has a row"  # noqa: S101 - for the type checker
    columns = sql.SQL(row["columns"])
    key = sql.SQL(", ").join(map(sql.Identifier, UNREADABLE[name]))
    connection.execute(sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(double, columns, key))


def aimed(query: bytes, schema: str) -> bytes:
    """The statement with the ledger's tables taken from another schema."""
    return NAMED.sub(schema.encode() + b".", query)


class ShadowDatabase(Database):
    """The loader's connections, aimed at another ledger.

    Args:
        conninfo: libpq URL.
        schema: of that ledger.
        lock_timeout: seconds.
        statement_timeout: seconds.
    """

    def __init__(self, conninfo: str, schema: str, lock_timeout: int, statement_timeout: int) -> None:
        super().__init__(conninfo, lock_timeout, statement_timeout)
        self._schema = schema

    def _connect(self) -> psycopg.Connection[Any]:
        connection = super()._connect()
        connection.cursor_factory = _cursor(self._schema)
        return connection


def _cursor(schema: str) -> type[psycopg.Cursor[Any]]:
    class AimedCursor(psycopg.Cursor[Any]):
        def _aimed(self, query: Any) -> bytes:
            text = query.as_bytes(self) if isinstance(query, sql.Composable) else query
            return aimed(text.encode() if isinstance(text, str) else text, schema)

        def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
            return super().execute(self._aimed(query), *arguments, **options)

        def copy(self, statement: Any, *arguments: Any, **options: Any) -> Any:
            return super().copy(self._aimed(statement), *arguments, **options)

        def executemany(self, query: Any, *arguments: Any, **options: Any) -> None:
            super().executemany(self._aimed(query), *arguments, **options)

    return AimedCursor
