"""The temporary table that a file is copied into."""

import hashlib
from typing import Any

import psycopg
from psycopg import sql

from loader.layout import Layout
from loader.relation import Relation

NAME = "hikyaku_staging"
LINE = "hikyaku_line"
"""The staged column with the line of the file where the record begins."""
KEPT_AT_MOST = 16
"""Staging tables that a session keeps: each commit empties all of them."""


class StagingTable:
    """The staging table: one name for one definition.

    Creating and dropping a table costs more than loading a hundred rows (measured), so sessions keep theirs, empty: one fits as long
    as its name is what we would give it now. Not those with types of the user's own: they would stand in the way of ALTER DOMAIN and
    DROP TYPE elsewhere.

    Args:
        relation: the target.
        layout: of the file.
        required: columns that must have a value.
        numbered: whether each row has its line.
    """

    def __init__(self, relation: Relation, layout: Layout, required: tuple[str, ...], *, numbered: bool) -> None:
        self.relation = relation
        self.layout = layout
        self.numbered = numbered
        self._required = required
        self.name = self.stored = self._name()
        self._there = self.name in relation.kept
        self.identifier = sql.Identifier("pg_temp", self.name)

    @property
    def copied(self) -> list[str]:
        """Its columns in the order in which COPY gets them."""
        return [*([LINE] if self.numbered else []), *(field.staged for field in self.layout.fields)]

    def _name(self) -> str:
        fields = [(field.staged, field.column and field.column.shape) for field in self.layout.fields]
        definition = (self.relation.oid, fields, self._required, self.numbered)
        name = f"{NAME}_{hashlib.sha256(repr(definition).encode()).hexdigest()[:16]}"
        keep = name in self.relation.kept or len(self.relation.kept) < KEPT_AT_MOST
        return name if keep and all(column.builtin for column in self.layout.columns) else NAME

    def create(self, connection: psycopg.Connection[Any]) -> None:
        """Create it, unless this session has it, or it was created for the part before.

        Types, lengths, domains and collations are as the target has them, so that COPY finds wrong values and can name their line.
        """
        if self._there:
            return
        parts = [null("bigint", LINE)] if self.numbered else []
        parts += [as_is(field.staged) if field.column else null("text", field.staged) for field in self.layout.fields]
        statement = sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT {} AS SELECT {} FROM {} WITH NO DATA").format(
            sql.Identifier(self.name),
            sql.SQL("DROP") if self.name == NAME else sql.SQL("DELETE ROWS"),
            sql.SQL(", ").join(parts),
            self.relation.identifier,
        )
        if self._required:
            alterations = sql.SQL(", ").join(sql.SQL("ALTER {} SET NOT NULL").format(sql.Identifier(name)) for name in self._required)
            statement = sql.SQL("{}; ALTER TABLE {} {}").format(statement, self.identifier, alterations)
        connection.execute(statement, prepare=False)
        self._there = True


def as_is(name: str) -> sql.Composed:
    """A column of the target, for a list of what is selected."""
    return sql.Composed([sql.Identifier(name)])


def null(type_name: str, name: str) -> sql.Composed:
    """Another column, likewise."""
    return sql.SQL("NULL::{} AS {}").format(sql.SQL(type_name), sql.Identifier(name))
