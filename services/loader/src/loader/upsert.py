"""From the staging table into the target: upsert, append or replace."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from loader import places, sqlstate
from loader.reading import Readings
from loader.relation import Relation, identifiers
from loader.staging import Staged
from loader.staging_table import LINE
from shared.datasets import Mode, OnDuplicateKey, OnExtraColumn
from shared.errors import ErrorCode, Rejected

LOCK_CLASS = 0x68696B79
""" "hiky" in ASCII: parts our advisory locks from an application's."""

Connection = psycopg.Connection[Any]
Query = sql.SQL | sql.Composed
Span = tuple[int, int]
"""First and last place."""


class UnorderedError(Exception):
    """Records repeat a key, and nothing tells which came first: no table keeps its rows in the order in which COPY got them.

    Where it may, PostgreSQL fills a page up later whose rest was too small for the row at hand (measured: of files with rows of
    different sizes, nearly every one was out of order, and with the earlier of two records the one that won).
    """


@dataclass(frozen=True, slots=True)
class Merged:
    """What a file has done to its table, in rows."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    unchanged: int = 0
    """Rows that were in the table just so, or newer."""

    @property
    def loaded(self) -> int:
        """Rows that the target holds because of the file."""
        return self.inserted + self.updated + self.unchanged

    @property
    def changed(self) -> int:
        """Those of them that it did not hold just so before."""
        return self.inserted + self.updated


def lock(connection: Connection, relation: Relation) -> None:
    """Wait until no other file is being merged into this table, and keep others out until the transaction ends.

    Upserts of the same keys in different orders deadlock (31 of 40 in a measurement; with this lock none, and faster). It is
    taken after COPY, so that files stream in side by side, and before the last look into the ledger, so that what that says holds.
    """
    try:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_CLASS << 32 | relation.oid,))
    except psycopg.Error as error:
        raise sqlstate.translate(error) from None


class Merge:
    """Moves the staged rows of one file, or of a whole group, into their target.

    Every method raises `Rejected` for duplicate keys, a violated constraint or a missing GRANT, and `Retryable` when the database fails.

    Args:
        connection: in the transaction that holds the table's lock.
        relation: the target.
        readings: how, and the file itself.
        staged: what.
    """

    def __init__(self, connection: Connection, relation: Relation, readings: Readings, staged: Staged) -> None:
        self.connection = connection
        self.relation = relation
        self.dataset = readings.dataset
        self._readings = readings
        self.staged = staged
        self._place = sqlstate.Place(grant=relation.grant(readings.dataset))
        self._repeated = 0
        self._inserts_before = 0

    def all(self) -> Merged:
        """Merge everything."""
        self.look_for_repeated()
        deleted = self.delete()
        changed = self.insert(distinct=self._repeated > 0)
        if self.dataset.mode is not Mode.UPSERT:
            # Not what was staged: a trigger may have dropped some.
            return Merged(inserted=changed, deleted=deleted)
        inserted = self.inserted()
        return Merged(inserted, changed - inserted, deleted, max(self.meant(self.staged.rows) - changed, 0))

    def look_for_repeated(self) -> None:
        """Count records whose key another record has: that costs less than DISTINCT ON for every file (measured).

        Raises:
            UnorderedError: there are some, and the staging table lacks the lines.
        """
        if not self.staged.key:
            return
        query = (
            "SELECT coalesce(sum(n - 1), 0)::bigint, {}, {}"
            " FROM (SELECT count(*) AS n FROM {} WHERE NOT ({}) GROUP BY {} HAVING count(*) > 1) AS k"
        )
        table, lacking = self.staged.table, self._lacks_key()
        without = sql.SQL("(SELECT count(*) FROM {} WHERE {})").format(table, lacking) if self.staged.unchecked else sql.SQL("0")
        grouped = sql.SQL(query).format(self._inserts_so_far(), without, table, lacking, identifiers(self.staged.key))
        [(self._repeated, self._inserts_before, keyless)] = self.rows(grouped)
        if keyless:
            raise Rejected(ErrorCode.CONSTRAINT_VIOLATED, f"{keyless} records have no value in the key ({', '.join(self.staged.key)})")
        if self._repeated and not self.staged.numbered:
            raise UnorderedError
        if self._repeated and self.dataset.on_duplicate_key is OnDuplicateKey.REJECT:
            raise self._duplicate_keys()

    def _lacks_key(self) -> sql.Composed:
        return sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(sql.Identifier(name)) for name in self.staged.key)

    def drop_repeated(self) -> int:
        """Leave one record of each key in the staging table. Returns how many rows it drops."""
        if not self._repeated:
            return 0
        self._repeated = 0
        query = sql.SQL("DELETE FROM {0} WHERE ctid NOT IN (SELECT DISTINCT ON ({1}) ctid FROM {0} ORDER BY {2})")
        return self.run(query.format(self.staged.table, identifiers(self.staged.key), self._precedence()))

    def delete(self) -> int:
        """Delete what the file says is gone. Returns how many rows that were."""
        if self.dataset.mode is Mode.REPLACE:
            # Not TRUNCATE: readers would have to wait, or would see an empty table.
            return self.run(sql.SQL("DELETE FROM {}").format(self.relation.identifier))
        if not self.dataset.delete_when:
            return 0
        self.check_mark()
        same = sql.SQL(" AND ").join(sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in self.staged.key)
        statement = sql.SQL("DELETE FROM {} AS t USING ({}) AS s WHERE {} AND {} AND {}").format(
            self.relation.identifier, self._source(distinct=self._repeated > 0), same, self._is_deletion(), self._is_newer("s")
        )
        return self.run(statement)

    def insert(self, *, distinct: bool = False, span: Span | None = None) -> int:
        """Insert or update. Returns how many rows were written.

        Args:
            distinct: one record of each key only.
            span: records that begin in these lines only.
        """
        values = {**{name: sql.SQL("s.{}").format(sql.Identifier(name)) for name in self.staged.layout.names}, **self._made()}
        conditions = [sql.SQL("NOT ({})").format(self._is_deletion())] if self.dataset.delete_when else []
        if span is not None:
            conditions.append(sql.SQL("s.{} BETWEEN {} AND {}").format(sql.Identifier(LINE), *span))
        statement = sql.SQL("INSERT INTO {} AS t ({}) SELECT {} FROM ({}) AS s{}{}").format(
            self.relation.identifier,
            identifiers(values),
            sql.SQL(", ").join(values.values()),
            self._source(distinct=distinct),
            sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL(""),
            self._on_conflict() if self.dataset.mode is Mode.UPSERT else sql.SQL(""),
        )
        written = self.run(statement)
        if self.relation.deferrable:
            # They would speak up at the commit, when the ledger can't tell any more.
            self.run(sql.SQL("SET CONSTRAINTS ALL IMMEDIATE"))
        return written

    def inserted(self) -> int:
        """Rows inserted into the target since this was asked last, or since `look_for_repeated`: all others written were updates."""
        [(so_far,)] = self.rows(sql.SQL("SELECT {}").format(self._inserts_so_far()))
        before, self._inserts_before = self._inserts_before, so_far
        return int(so_far - before)

    def _inserts_so_far(self) -> sql.Composed:
        """What this session has inserted, with its latest transactions and what was rolled back (manual, statistics functions)."""
        query = (
            "(SELECT coalesce(sum(pg_stat_get_xact_tuples_inserted(relid)), 0)::bigint"
            " FROM (SELECT {0}::oid AS relid UNION SELECT relid FROM pg_partition_tree({0}::oid::regclass)) AS r)"
        )
        return sql.SQL(query).format(self.relation.oid)

    def meant(self, staged: int) -> int:
        """How many of so many staged rows are to be in the table afterwards."""
        if not self.dataset.delete_when:
            return staged - self._repeated
        source = self._source(distinct=self._repeated > 0)
        return self.number(sql.SQL("SELECT count(*) FROM ({}) AS s WHERE NOT ({})").format(source, self._is_deletion()))

    # Parts of statements

    def _source(self, *, distinct: bool) -> sql.Composable:
        if not distinct:
            return sql.SQL("SELECT * FROM {}").format(self.staged.table)
        query = sql.SQL("SELECT DISTINCT ON ({}) * FROM {} ORDER BY {}")
        return query.format(identifiers(self.staged.key), self.staged.table, self._precedence())

    def _precedence(self) -> sql.Composable:
        """Of the records of one key, the one that counts comes first."""
        newest = sql.SQL("{} DESC NULLS LAST, ").format(sql.Identifier(self.dataset.newer_by)) if self.dataset.newer_by else sql.SQL("")
        order = sql.SQL("{}" if self.dataset.on_duplicate_key is OnDuplicateKey.FIRST else "{} DESC").format(sql.Identifier(LINE))
        return sql.SQL("{}, {}{}").format(identifiers(self.staged.key), newest, order)

    def _mark(self) -> tuple[str, str, str]:
        """The staged column that marks a row as deleted, its type, and the text in it that does."""
        [(name, mark)] = self.dataset.delete_when.items()
        layout = self.staged.layout
        staged = layout.staged(name) or name
        return staged, next((column.type for column in layout.columns if column.name == staged), "text"), mark

    def check_mark(self) -> None:
        """Hold what marks a deletion against the type of its column, where the dataset has such a mark."""
        if not self.dataset.delete_when:
            return
        name, kind, mark = self._mark()
        if not self.number(sql.SQL("SELECT pg_input_is_valid({}, {})::int").format(mark, kind)):
            what = f"what delete_when in datasets.toml looks for in column {name} is not a value of its type, {kind}"
            raise Rejected(ErrorCode.DATASET_INVALID, what)

    def of_rows(self, condition: sql.Composable) -> sql.Composable:
        """A condition on the staging table as `s`, false of what marks a deletion: it becomes no row."""
        return sql.SQL("({}) AND NOT ({})").format(condition, self._is_deletion()) if self.dataset.delete_when else condition

    def _is_deletion(self) -> sql.Composable:
        name, kind, mark = self._mark()
        return sql.SQL("s.{} IS NOT DISTINCT FROM {}::{}").format(sql.Identifier(name), mark, sql.SQL(kind))

    def _is_newer(self, new: str) -> sql.Composable:
        """An older row never overwrites a newer one; of two of one age, the later file's counts."""
        if not self.dataset.newer_by:
            return sql.SQL("true")
        name = self.dataset.newer_by
        return sql.SQL("({0} IS NULL OR {0} <= {1})").format(sql.Identifier("t", name), sql.Identifier(new, name))

    def _made(self) -> dict[str, sql.Composable]:
        """Columns that get a value from the loader."""
        dataset = self.dataset
        made: dict[str, sql.Composable] = {}
        if dataset.file_column:
            made[dataset.file_column] = self._object_key()
        if dataset.line_column:
            made[dataset.line_column] = sql.SQL("s.{} & {}").format(sql.Identifier(LINE), places.line(-1))
        if dataset.on_extra_column is OnExtraColumn.RESCUE:
            made[dataset.rescue_column] = self._rescued()
        return made

    def _object_key(self) -> sql.Composable:
        keys = [part.version.key for part in self._readings.parts]
        if not self._readings.parts[0].part:
            return sql.SQL("{}").format(keys[0])
        return sql.SQL("({}::text[])[s.{} >> {}]").format(keys, sql.Identifier(LINE), places.LINE_BITS)

    def _rescued(self) -> sql.Composable:
        extras = self.staged.layout.extras
        if not extras:
            return sql.SQL("NULL")
        [kind] = [column.type for column in self.relation.columns if column.name == self.dataset.rescue_column]
        names = sql.SQL(", ").join(sql.SQL("{}").format(field.said) for field in extras)
        texts = sql.SQL(", ").join(sql.Identifier("s", field.staged) for field in extras)
        return sql.SQL("jsonb_object(ARRAY[{}], ARRAY[{}])::{}").format(names, texts, sql.SQL(kind))

    def _on_conflict(self) -> sql.Composable:
        """Rows that are just so already are not written again, whichever file they came from.

        The operator compares the stored images (PostgreSQL manual, composite type comparison): it needs no equality, which json
        and point lack, and does not take 'a' and 'A' for equal in a case-insensitive column.
        """
        written = [name for name in (*self.staged.layout.names, *self._made()) if name not in self.staged.key]
        compared = [name for name in written if name not in (self.dataset.file_column, self.dataset.line_column)]
        if not compared:
            return sql.SQL(" ON CONFLICT ({}) DO NOTHING").format(identifiers(self.staged.key))
        return sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {} WHERE ROW({})::record *<> ROW({})::record AND {}").format(
            identifiers(self.staged.key),
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in written),
            sql.SQL(", ").join(sql.Identifier("t", name) for name in compared),
            sql.SQL(", ").join(sql.Identifier("excluded", name) for name in compared),
            self._is_newer("excluded"),
        )

    # Asking

    def run(self, statement: Query) -> int:
        """Run a statement; returns how many rows it was about."""
        try:
            return self.connection.execute(statement, prepare=False).rowcount
        except psycopg.Error as error:
            raise sqlstate.translate(error, self._place) from None

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        """What a query finds."""
        try:
            return self.connection.execute(query, prepare=False).fetchall()
        except psycopg.Error as error:
            raise sqlstate.translate(error, self._place) from None

    def number(self, query: Query) -> int:
        """The one number that a query finds."""
        [(found,)] = self.rows(query)
        return int(found)

    def _duplicate_keys(self) -> Rejected:
        query = sql.SQL(
            "SELECT min({0}) FROM (SELECT {0}, row_number() OVER (PARTITION BY {1} ORDER BY {0}) AS nth FROM {2}) AS r WHERE nth > 1"
        )
        first = self.number(query.format(sql.Identifier(LINE), identifiers(self.staged.key), self.staged.table))
        key = ", ".join(self.staged.key)
        what = f"{self._repeated} records repeat the key ({key}) of an earlier one, the first in {places.named(first)}"
        advice = 'or set on_duplicate_key = "last" to let the later record win'
        return Rejected(ErrorCode.DUPLICATE_KEYS, f"{what}: correct the file, {advice}")
