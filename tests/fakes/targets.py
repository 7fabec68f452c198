"""The loader's four steps that are all SQL (look up, stage, lock, merge), over tests/fakes/postgres.py.

What surrounds them is the product's own: the claim, the savepoint, the decisions, the ledger's row, the commit.
"""

import csv
import io
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg

from fakes.postgres import FakeConnection, Table, TableRow
from loader import assembling, chunks, loading, merging, relation, sqlstate, staging, upsert
from loader.layout import Layout
from loader.reading import Readings
from loader.relation import Relation
from loader.source import opened
from loader.staging import Staged
from loader.upsert import Merged
from shared.datasets import Dataset, Mode
from shared.errors import ErrorCode, Rejected


def look_up(connection: Any, dataset: Dataset) -> Relation:
    """The table, if there is one."""
    connection.speak("look up")
    schema, name = dataset.target
    if f"{schema}.{name}" not in connection.server.tables:
        raise Rejected(ErrorCode.TABLE_UNKNOWN, f"there is no table {schema}.{name}")
    return Relation(schema=schema, name=name, oid=0, role="", columns=(), keys=(), has_primary_key=True, deferrable=False, kept=frozenset())


def fill(connection: Any, target: Relation, readings: Readings) -> Staged:
    """The rows of a file, or of all parts, put aside in the session."""
    table: Table = connection.server.tables[str(target)]
    sources = [reading.open() for reading in readings.parts]
    parts = [_rows(b"".join(source.chunks()).decode(), table) for source in sources]
    connection.speak("copy")
    connection.staged = [row for rows in parts for row in rows]
    count, by_part = len(connection.staged), tuple(map(len, parts))
    content = staging.content_of([source.sha256 for source in sources])
    return Staged("staged", Layout(()), table.columns[: table.key], count, count, content, by_part=by_part)


def _rows(text: str, table: Table) -> list[TableRow]:
    header, *rows = csv.reader(io.StringIO(text))
    if tuple(header) != table.columns:
        raise Rejected(ErrorCode.COLUMNS_MISMATCH, "the names in the first line are no columns of the table")
    if any(len(row) != len(header) for row in rows):
        raise Rejected(ErrorCode.CSV_MALFORMED, "a line has too few or too many fields")
    return [tuple(row) for row in rows]


def keep(connection: Any, group_id: int, part: int, path: Path) -> None:
    """A part waits for the others."""
    connection.speak("keep")
    with opened(path) as spooled:
        connection.wait_in_part(group_id, part, spooled.read())


def lock(connection: Any, target: Relation) -> None:
    """Keep others out of the table."""
    connection.speak("lock")
    try:
        connection.lock(str(target))
    except psycopg.Error as error:
        raise sqlstate.translate(error) from None


class FakeMerge:
    """What the commit will do to the table."""

    def __init__(self, connection: FakeConnection, target: Relation, readings: Readings, staged: Staged) -> None:
        self._connection = connection
        self._target = str(target)
        self._mode = readings.dataset.mode
        self._staged = staged

    def all(self) -> Merged:
        """Do it."""
        connection, mode = self._connection, self._mode
        connection.speak("merge")
        rows, table = list(connection.staged), connection.server.tables[self._target]
        keys = [row[: table.key] for row in rows]
        if mode is Mode.UPSERT and len(set(keys)) < len(keys):
            raise Rejected(ErrorCode.DUPLICATE_KEYS, "a key is there twice")
        changed = sum(row not in table.rows for row in rows) if mode is Mode.UPSERT else len(rows)
        change = {Mode.UPSERT: _upsert, Mode.APPEND: _append, Mode.REPLACE: _replace}[mode]
        connection.merge(self._target, lambda there: change(there, rows))
        return Merged(inserted=changed, unchanged=self._staged.rows - changed)


def _upsert(table: Table, rows: list[TableRow]) -> None:
    keys = {row[: table.key] for row in rows}
    table.rows = [row for row in table.rows if row[: table.key] not in keys] + rows


def _append(table: Table, rows: list[TableRow]) -> None:
    table.rows = table.rows + rows


def _replace(table: Table, rows: list[TableRow]) -> None:
    table.rows = list(rows)


@contextmanager
def replaced() -> Iterator[None]:
    """Put these in the place of the loader's own."""
    with ExitStack() as stack:
        for module, name, fake in (
            (relation, "look_up", look_up),
            (staging, "fill", fill),
            (upsert, "lock", lock),
            (chunks, "keep", keep),
            # Nobody's real clock counts.
            (assembling, "SAY_EVERY_S", math.inf),
            (loading, "EXPIRE_EVERY_S", math.inf),
            (merging, "Merge", FakeMerge),
        ):
            stack.enter_context(mock.patch.object(module, name, fake))
        yield
