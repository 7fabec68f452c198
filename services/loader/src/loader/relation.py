"""The target table as PostgreSQL's catalog knows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from loader import statements
from shared.datasets import Dataset, Mode
from shared.errors import ErrorCode, Rejected

KINDS = MappingProxyType({"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index"})
TABLES = frozenset({"r", "p"})
GRANTS = MappingProxyType({Mode.UPSERT: "SELECT, INSERT, UPDATE", Mode.APPEND: "SELECT, INSERT", Mode.REPLACE: "SELECT, INSERT, DELETE"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the target."""

    name: str
    type: str
    not_null: bool
    type_not_null: bool
    """Its type is a domain that is NOT NULL."""
    optional: bool
    """The file may lack it: it has a default, or the table makes its value."""
    computed: bool
    """The file must not name it: generated, or an identity that is always generated."""
    shape: str
    """Type, modifier and collation by object id: equal for equal columns."""
    builtin: bool
    """The type is PostgreSQL's own."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table that files are loaded into."""

    schema: str
    name: str
    oid: int
    role: str
    """Who we are to PostgreSQL."""
    columns: tuple[Column, ...]
    keys: tuple[tuple[str, ...], ...]
    """Columns of each unique index that ON CONFLICT can use; the primary key first, if there is one."""
    has_primary_key: bool
    deferrable: bool
    """It has constraints that may be checked as late as the commit."""
    kept: frozenset[str]
    """Staging tables that this session has already."""

    @property
    def identifier(self) -> sql.Identifier:
        """Qualified and quoted."""
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def grant(self, dataset: Dataset) -> str:
        """What an administrator has to run where the loader is refused."""
        needed = GRANTS[dataset.mode] + (", DELETE" if dataset.delete_when else "")
        return f"GRANT USAGE ON SCHEMA {self.schema} TO {self.role}; GRANT {needed} ON {self} TO {self.role}"


def identifiers(names: Iterable[str]) -> sql.Composed:
    """Names of columns, quoted, with commas between."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def look_up(connection: psycopg.Connection[Any], dataset: Dataset) -> Relation:
    """Find the dataset's table.

    Raises:
        Rejected: `table_unknown`, or `dataset_invalid` for a table that is not for loading.
    """
    schema, name = dataset.target
    if schema in {"hikyaku", "information_schema"} or schema.startswith("pg_"):
        raise Rejected(ErrorCode.DATASET_INVALID, f"{schema}.{name} is not for loading: datasets never go to schema {schema}")
    parameters = {"schema": schema, "table": name, "datestyle": dataset.datestyle, "timezone": dataset.timezone}
    with connection.cursor(row_factory=dict_row) as cursor:
        try:
            found = cursor.execute(statements.RELATION, parameters).fetchone()
        except psycopg.errors.InvalidParameterValue:
            raise Rejected(ErrorCode.DATASET_INVALID, "PostgreSQL does not know `datestyle` or `timezone` of datasets.toml") from None
    if found is None:
        raise Rejected(ErrorCode.TABLE_UNKNOWN, f"there is no table {schema}.{name}: create it, or name another in datasets.toml")
    kind = found.pop("kind")
    del found["session"]
    if kind not in TABLES:
        raise Rejected(ErrorCode.TABLE_UNKNOWN, f"{schema}.{name} is {KINDS.get(kind, 'something else')}, not a table")
    if found.pop("diverts"):
        what = f"{schema}.{name} has a rule that does something else instead of an insert"
        raise Rejected(ErrorCode.DATASET_INVALID, f"{what}: drop the rule, or name the table where the rows end up")
    columns = tuple(Column(**column) for column in found.pop("columns"))
    return Relation(
        schema=schema, name=name, columns=columns, keys=tuple(map(tuple, found.pop("keys"))), kept=frozenset(found.pop("kept")), **found
    )


def key_of(relation: Relation, dataset: Dataset, names: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that tell a row, for an upsert.

    Raises:
        Rejected: `dataset_invalid` where PostgreSQL can't upsert on them, `columns_mismatch` where the file lacks one.
    """
    key = _usable_key(relation, dataset)
    if missing := [name for name in key if name not in names]:
        raise Rejected(ErrorCode.COLUMNS_MISMATCH, f"the file lacks {', '.join(missing)}, which tells the rows of {relation} apart")
    return key


def _usable_key(relation: Relation, dataset: Dataset) -> tuple[str, ...]:
    if not dataset.key:
        if not relation.has_primary_key:
            advice = 'give it one, or set `key` or `mode = "append"` or `"replace"` in datasets.toml'
            raise Rejected(ErrorCode.DATASET_INVALID, f"{relation} has no primary key to upsert on: {advice}")
        return relation.keys[0]
    if not any(set(key) == set(dataset.key) for key in relation.keys):
        advice = "create one (not partial, not deferrable, no expressions), or correct `key` in datasets.toml"
        raise Rejected(ErrorCode.DATASET_INVALID, f"{relation} has no unique index on ({', '.join(dataset.key)}): {advice}")
    return dataset.key
