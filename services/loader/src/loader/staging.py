"""From the spool into a temporary table: header, COPY, hash. Nothing here touches the target."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from loader import header, sqlstate
from loader.relation import Column, Relation, key_of, match
from loader.source import Source
from shared.datasets import Dataset, Header, Mode
from shared.errors import ErrorCode, Rejected

NAME = "hikyaku_staging"
KEPT_AT_MOST = 16
"""Staging tables that a session keeps: each commit empties all of them."""
HARMLESS_FROM = 180000
"""From PostgreSQL 18 on, `\\.` alone on a line is a value. Before, it ends COPY: later rows are lost with success reported (measured)."""
END_MARKER = re.compile(rb"[\r\n]\\\.(?=[\r\n])")


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that is in the staging table, all of it."""

    table: sql.Identifier
    columns: tuple[str, ...]
    key: tuple[str, ...]
    """Columns that tell a row; empty where the dataset's mode needs none."""
    rows: int
    content_sha256: str


def fill(connection: psycopg.Connection[Any], relation: Relation, dataset: Dataset, source: Source) -> Staged:
    """Copy a file into an empty staging table, whose rows live until the transaction ends.

    Raises:
        Rejected: whatever is wrong with the file as a file.
        Retryable: the spool or the database fails.
    """
    chunks = header.without_bom(source.chunks(), dataset)
    names, lines_before = dataset.columns, 0
    if dataset.header is Header.BY_NAME:
        head, chunks = header.split(chunks, dataset)
        names, lines_before = head.names, head.lines
    columns = match(relation, names, from_file=dataset.header is Header.BY_NAME)
    key = _key(relation, dataset, names)
    name = _name(relation, columns, key)
    table = sql.Identifier("pg_temp", name)
    place = sqlstate.Place(name, lines_before, {c.name: c.type for c in columns}, relation.grant(dataset.mode))
    try:
        if name not in relation.kept:
            connection.execute(_create(relation, name, columns, key), prepare=False)
        rows = _copy(connection, table, names, dataset, chunks)
    except psycopg.Error as error:
        raise sqlstate.translate(error, place) from None
    return Staged(table, names, key, rows, source.sha256)


def _key(relation: Relation, dataset: Dataset, names: tuple[str, ...]) -> tuple[str, ...]:
    """An upsert needs a key. Where the file is the whole table, one is only good for finding duplicates."""
    if dataset.mode is Mode.UPSERT or (dataset.mode is Mode.REPLACE and dataset.key):
        return key_of(relation, dataset, names)
    if dataset.mode is Mode.REPLACE and relation.has_primary_key and set(relation.keys[0]) <= set(names):
        return relation.keys[0]
    return ()


def _name(relation: Relation, columns: tuple[Column, ...], key: tuple[str, ...]) -> str:
    """One name for one definition: a staging table that this session kept fits as long as its name is what we would give it now.

    Creating and dropping a table costs more than loading a hundred rows (measured), so sessions keep theirs, empty. Not those
    with types of the user's own: they would stand in the way of ALTER DOMAIN and DROP TYPE elsewhere.
    """
    definition = (relation.oid, [(c.name, c.shape, c.not_null) for c in columns], key)
    name = f"{NAME}_{hashlib.sha256(repr(definition).encode()).hexdigest()[:16]}"
    keep = name in relation.kept or len(relation.kept) < KEPT_AT_MOST
    return name if keep and all(c.builtin for c in columns) else NAME


def _create(relation: Relation, name: str, columns: tuple[Column, ...], key: tuple[str, ...]) -> sql.Composed:
    """Types, lengths, domains and collations as the target has them, so that COPY finds wrong values and can name their line."""
    required = [c.name for c in columns if c.not_null or c.name in key]
    statement = sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT {} AS SELECT {} FROM {} WITH NO DATA").format(
        sql.Identifier(name),
        sql.SQL("DROP") if name == NAME else sql.SQL("DELETE ROWS"),
        _list(c.name for c in columns),
        relation.identifier,
    )
    if not required:
        return sql.Composed([statement])
    alterations = sql.SQL(", ").join(sql.SQL("ALTER {} SET NOT NULL").format(sql.Identifier(column)) for column in required)
    return sql.SQL("{}; ALTER TABLE {} {}").format(statement, sql.Identifier("pg_temp", name), alterations)


def _list(names: Iterator[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _copy(
    connection: psycopg.Connection[Any], table: sql.Identifier, names: tuple[str, ...], dataset: Dataset, chunks: Iterator[bytes]
) -> int:
    """COPY with an explicit column list and no HEADER: `HEADER true` would load reordered columns into the wrong ones (measured)."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, DELIMITER {}, NULL {}, QUOTE {}, ENCODING {})").format(
        table, _list(iter(names)), dataset.delimiter, dataset.null, dataset.quote, dataset.postgresql_encoding
    )
    if connection.info.server_version < HARMLESS_FROM:
        chunks = without_end_marker(chunks)
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for chunk in chunks:
                copy.write(chunk)
        return cursor.rowcount


def without_end_marker(chunks: Iterator[bytes]) -> Iterator[bytes]:
    r"""Pass the CSV on, unless a line of it is `\.`.

    Raises:
        Rejected: `csv_malformed`.
    """
    tail = b"\n"
    for chunk in chunks:
        seen = tail + chunk
        # The plain search is several times faster and nearly always enough.
        if b"\\." in seen and END_MARKER.search(seen):
            raise _end_marker()
        yield chunk
        tail = seen[-3:]
    if tail.endswith((b"\n\\.", b"\r\\.")):
        raise _end_marker()


def _end_marker() -> Rejected:
    return Rejected(ErrorCode.CSV_MALFORMED, r"a line of the file is \. alone, where PostgreSQL before 18 would stop reading: quote it")
