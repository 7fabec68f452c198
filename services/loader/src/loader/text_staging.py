"""A staging table for PostgreSQL 16, where COPY ends at the first value that is none of its column's type.

A file is copied in segments. A column that ends one is in doubt from then on: COPY takes it as text, into a twin. One statement
takes out the rows whose twins are no values, and all else reads through a view that casts what is left. So columns that are right cost
what they cost in a clean file, and no row is written twice (to cast all into a second table took a fifth of a whole load, measured).
"""

from typing import Any

import psycopg
from psycopg import sql

from loader.layout import Layout
from loader.relation import Column, Relation
from loader.staging_table import LINE, StagingTable, as_is, null

TEXTS = "hikyaku_texts"
VIEW = "hikyaku_staged"
TWIN = "hikyaku_text_"
TAKE_OUT = """
WITH unfit AS (DELETE FROM {texts} WHERE {line} > {behind} AND ({unfit}) RETURNING {line} AS line, CASE {named} END AS name)
SELECT line, name FROM unfit ORDER BY line LIMIT {most}
"""


class TextStaging(StagingTable):
    """As a staging table whose rows have their lines; it goes when the transaction ends.

    Args:
        relation: the target.
        layout: of the file.
    """

    def __init__(self, relation: Relation, layout: Layout) -> None:
        super().__init__(relation, layout, (), numbered=True)
        self.name, self.stored = VIEW, TEXTS
        self.identifier = sql.Identifier("pg_temp", VIEW)
        self.filled = sql.Identifier("pg_temp", TEXTS)
        self._there = False
        # A column of a type that must have a value could not be left empty beside its twin.
        self._untyped = frozenset(column.name for column in layout.columns if column.type_not_null)
        self._doubted = {column.name: column for column in layout.columns if column.type_not_null}
        self._typed = {column.name: column for column in layout.columns if column.type != "text"}

    @property
    def copied(self) -> list[str]:
        """Its columns in the order in which COPY gets them."""
        return [LINE, *(self._twin(field.staged) if field.staged in self._doubted else field.staged for field in self.layout.fields)]

    def _twin(self, name: str) -> str:
        return f"{TWIN}{self.layout.names.index(name) + 1}"

    def create(self, connection: psycopg.Connection[Any]) -> None:
        """Create the table, unless that was done for the part before."""
        if self._there:
            return
        columns = [null("bigint", LINE)]
        for field in self.layout.fields:
            if field.column is None:
                columns.append(null("text", field.staged))
            else:
                columns.append(null("text", self._twin(field.staged)) if field.staged in self._untyped else as_is(field.staged))
        statement = sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA")
        filled = statement.format(sql.Identifier(TEXTS), sql.SQL(", ").join(columns), self.relation.identifier)
        connection.execute(filled, prepare=False)
        self._there = True

    def doubt(self, connection: psycopg.Connection[Any], name: str | None) -> bool:
        """Take a column as text from now on; all, where it is not known which one.

        Its name may have a quote, and the server another language than ours: then it is lost among the data that an error repeats.

        Returns:
            Whether that makes a difference.
        """
        rest = [other for other in self._typed if other not in self._doubted]
        chosen = [name] if name in rest else rest
        if not chosen:
            return False
        twins = [sql.SQL("ADD {} text").format(sql.Identifier(self._twin(other))) for other in chosen]
        connection.execute(sql.SQL("ALTER TABLE {} {}").format(self.filled, sql.SQL(", ").join(twins)), prepare=False)
        self._doubted |= {other: self._typed[other] for other in chosen}
        return True

    def take_out(self, connection: psycopg.Connection[Any], behind: int, most: int) -> list[tuple[int, str]]:
        """Take out the rows of one part with values that are none of their type, and show the others.

        Args:
            connection: in the transaction.
            behind: place before the part's first record.
            most: rows to tell of.

        Returns:
            Place and first such column of each, by place.
        """
        found = self._take_out(connection, behind, most) if self._doubted else []
        statement = sql.SQL("CREATE OR REPLACE TEMPORARY VIEW {} AS SELECT ctid, {}, {} FROM {}").format(
            sql.Identifier(VIEW), sql.Identifier(LINE), sql.SQL(", ").join(map(self._shown, self._staged())), self.filled
        )
        connection.execute(statement, prepare=False)
        return found

    def _staged(self) -> list[str]:
        return [field.staged for field in self.layout.fields]

    def _take_out(self, connection: psycopg.Connection[Any], behind: int, most: int) -> list[tuple[int, str]]:
        doubted = [self._doubted[name] for name in self._staged() if name in self._doubted]
        query = sql.SQL(TAKE_OUT).format(
            texts=self.filled,
            behind=behind,
            unfit=sql.SQL(" OR ").join(map(self._is_unfit, doubted)),
            line=sql.Identifier(LINE),
            named=sql.SQL(" ").join(sql.SQL("WHEN {} THEN {}").format(self._is_unfit(column), column.name) for column in doubted),
            most=most,
        )
        return connection.execute(query, prepare=False).fetchall()

    def _is_unfit(self, column: Column) -> sql.Composed:
        """NULL fits, but not into a domain that is NOT NULL. Not asked by a cast: an explicit one cuts what is too long."""
        valid = sql.SQL("pg_input_is_valid({}, {})").format(sql.Identifier(self._twin(column.name)), column.type)
        # Of what came before it was doubted, the twin is NULL.
        return sql.SQL("NOT coalesce({}, {})").format(valid, sql.SQL("false" if column.type_not_null else "true"))

    def _shown(self, name: str) -> sql.Composed:
        if name not in self._doubted:
            return as_is(name)
        cast = sql.SQL("{}::{}").format(sql.Identifier(self._twin(name)), sql.SQL(self._doubted[name].type))
        value = cast if name in self._untyped else sql.SQL("coalesce({}, {})").format(sql.Identifier(name), cast)
        return sql.SQL("{} AS {}").format(value, sql.Identifier(name))
