"""From the staging table into the target: upsert, append or replace."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from loader import sqlstate
from loader.relation import Relation
from loader.staging import Staged
from shared.datasets import Dataset, Mode, OnDuplicateKey
from shared.errors import ErrorCode, Rejected

LOCK_CLASS = 0x68696B79
""" "hiky" in ASCII: parts our advisory locks from an application's."""

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """What the target holds because of the file."""

    rows_loaded: int
    rows_changed: int


def lock(connection: Connection, relation: Relation) -> None:
    """Wait until no other file is being merged into this table, and keep others out until the transaction ends.

    Upserts of the same keys in different orders deadlock (31 of 40 in a measurement; with this lock none, and faster). It is
    taken after COPY, so that files stream in side by side, and before the last look into the ledger, so that what that says holds.
    """
    try:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_CLASS << 32 | relation.oid,))
    except psycopg.Error as error:
        raise sqlstate.translate(error) from None


def merge(connection: Connection, relation: Relation, dataset: Dataset, staged: Staged) -> Merged:
    """Move the staged rows into the target.

    Raises:
        Rejected: duplicate keys, a violated constraint, a missing GRANT.
        Retryable: the database fails.
    """
    try:
        return _merge(connection, relation, dataset, staged)
    except psycopg.Error as error:
        raise sqlstate.translate(error, sqlstate.Place(grant=relation.grant(dataset.mode))) from None


def _merge(connection: Connection, relation: Relation, dataset: Dataset, staged: Staged) -> Merged:
    repeated = _repeated(connection, staged)
    if repeated and dataset.on_duplicate_key is OnDuplicateKey.REJECT:
        raise _duplicate_keys(connection, staged, repeated)
    if dataset.mode is Mode.REPLACE:
        # Not TRUNCATE: readers would have to wait, or would see an empty table.
        connection.execute(sql.SQL("DELETE FROM {}").format(relation.identifier), prepare=False)
    changed = connection.execute(_insert(relation, dataset, staged, distinct=repeated > 0), prepare=False).rowcount
    if relation.deferrable:
        # They would speak up at the commit, when the ledger can't tell any more.
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return Merged(staged.rows - repeated, changed)


def _repeated(connection: Connection, staged: Staged) -> int:
    """Records whose key an earlier record has: counting them costs less than DISTINCT ON for every file (measured)."""
    if not staged.key:
        return 0
    query = sql.SQL("SELECT coalesce(sum(n - 1), 0)::bigint FROM (SELECT count(*) AS n FROM {} GROUP BY {} HAVING count(*) > 1) AS k")
    row = connection.execute(query.format(staged.table, _list(staged.key)), prepare=False).fetchone()
    return int(row[0]) if row else 0


def _duplicate_keys(connection: Connection, staged: Staged, repeated: int) -> Rejected:
    query = sql.SQL(
        "SELECT min(record) FROM (SELECT row_number() OVER (ORDER BY ctid) AS record,"
        " row_number() OVER (PARTITION BY {} ORDER BY ctid) AS nth FROM {}) AS r WHERE nth > 1"
    )
    row = connection.execute(query.format(_list(staged.key), staged.table), prepare=False).fetchone()
    first, key = row[0] if row else "?", ", ".join(staged.key)
    advice = 'or set on_duplicate_key = "last" to let the later record win'
    what = f"{repeated} records repeat the key ({key}) of an earlier one, the first is data record {first}"
    return Rejected(ErrorCode.DUPLICATE_KEYS, f"{what}: correct the file, {advice}")


def _insert(relation: Relation, dataset: Dataset, staged: Staged, *, distinct: bool) -> sql.Composed:
    statement = sql.SQL("INSERT INTO {} AS t ({columns}) SELECT {}{columns} FROM {}{}{}").format(
        relation.identifier,
        sql.SQL("DISTINCT ON ({}) ").format(_list(staged.key)) if distinct else sql.SQL(""),
        staged.table,
        # The staging table is only ever appended to, so ctid is the file's order.
        sql.SQL(" ORDER BY {}, ctid DESC").format(_list(staged.key)) if distinct else sql.SQL(""),
        _on_conflict(staged) if dataset.mode is Mode.UPSERT else sql.SQL(""),
        columns=_list(staged.columns),
    )
    return sql.Composed([statement])


def _on_conflict(staged: Staged) -> sql.Composable:
    """Rows that are just so already are not written again.

    The operator compares the stored images (PostgreSQL manual, composite type comparison): it needs no equality, which json
    and point lack, and does not take 'a' and 'A' for equal in a case-insensitive column.
    """
    others = [name for name in staged.columns if name not in staged.key]
    if not others:
        return sql.SQL(" ON CONFLICT ({}) DO NOTHING").format(_list(staged.key))
    return sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {} WHERE ROW({})::record *<> ROW({})::record").format(
        _list(staged.key),
        sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others),
        sql.SQL(", ").join(sql.Identifier("t", name) for name in others),
        sql.SQL(", ").join(sql.Identifier("excluded", name) for name in others),
    )


def _list(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
