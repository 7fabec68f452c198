"""The target table as PostgreSQL's catalog knows it."""

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
SHOWN = 10
"""Names that an error shows at most."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the target."""

    name: str
    type: str
    not_null: bool
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

    def grant(self, mode: Mode) -> str:
        """What an administrator has to run where the loader is refused."""
        return f"GRANT USAGE ON SCHEMA {self.schema} TO {self.role}; GRANT {GRANTS[mode]} ON {self} TO {self.role}"


def look_up(connection: psycopg.Connection[Any], dataset: Dataset) -> Relation:
    """Find the dataset's table.

    Raises:
        Rejected: `table_unknown`, or `dataset_invalid` for a table that is not for loading.
    """
    schema, name = dataset.target
    if schema in {"hikyaku", "information_schema"} or schema.startswith("pg_"):
        raise Rejected(ErrorCode.DATASET_INVALID, f"{schema}.{name} is not for loading: datasets never go to schema {schema}")
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(statements.RELATION, {"schema": schema, "table": name}).fetchone()
    if found is None:
        raise Rejected(ErrorCode.TABLE_UNKNOWN, f"there is no table {schema}.{name}: create it, or name another in datasets.toml")
    kind = found.pop("kind")
    if kind not in TABLES:
        raise Rejected(ErrorCode.TABLE_UNKNOWN, f"{schema}.{name} is {KINDS.get(kind, 'something else')}, not a table")
    columns = tuple(Column(**column) for column in found.pop("columns"))
    return Relation(
        schema=schema, name=name, columns=columns, keys=tuple(map(tuple, found.pop("keys"))), kept=frozenset(found.pop("kept")), **found
    )


def match(relation: Relation, names: tuple[str, ...], *, from_file: bool) -> tuple[Column, ...]:
    """The table's columns in the file's order.

    Args:
        relation: the table.
        names: the file's columns.
        from_file: they were read from its first line, not from datasets.toml.

    Raises:
        Rejected: `columns_mismatch`: unknown, repeated, missing or computed columns.
    """
    known = {column.name: column for column in relation.columns}
    unknown = [name for name in names if name not in known]
    if from_file and 2 * len(unknown) >= len(names):
        # Not named: where a file has no header, its first line is data, even if a cell or two look like a column's name.
        raise _mismatch(f"{len(unknown)} of the {len(names)} names in the first line are no columns of {relation}: has the file a header?")
    if unknown:
        raise _mismatch(f"{relation} has no column {_list(unknown)}; it has {_list([*known])}")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise _mismatch(f"the file names {_list(repeated)} more than once")
    if missing := [column.name for column in relation.columns if column.name not in names and not column.optional]:
        raise _mismatch(f"the file lacks {_list(missing)} of {relation}: send them, or give them a default")
    if computed := [name for name in names if known[name].computed]:
        raise _mismatch(f"{relation} makes the values of {_list(computed)} itself: leave them out of the file")
    return tuple(known[name] for name in names)


def key_of(relation: Relation, dataset: Dataset, names: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that tell a row, for an upsert.

    Raises:
        Rejected: `dataset_invalid` where PostgreSQL can't upsert on them, `columns_mismatch` where the file lacks one.
    """
    key = _usable_key(relation, dataset)
    if missing := [name for name in key if name not in names]:
        raise _mismatch(f"the file lacks {_list(missing)}, which tells the rows of {relation} apart")
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


def _mismatch(message: str) -> Rejected:
    return Rejected(ErrorCode.COLUMNS_MISMATCH, message)


def _list(names: list[str]) -> str:
    shown = ", ".join(name[:63] for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
