"""The table that a rebuild fills, and how it stands to the live one."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from hikyaku.errors import UserError

Connection = psycopg.Connection[dict[str, Any]]
MARK = "made by hikyaku rebuild"
"""Begins the comment of a table that a rebuild made: only such a one is ever dropped."""
LONGEST_NAME = 63
"""PostgreSQL, chapter 4.1.1."""
LOOK = "SELECT to_regclass(%(name)s) IS NOT NULL AS exists, obj_description(to_regclass(%(name)s), 'pg_class') AS comment"
COLUMNS = """
SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """How many rows two tables do not share; a row that one has twice counts."""

    only_rebuilt: int
    only_live: int
    rows: int
    """Of the rebuilt table."""


@dataclass(frozen=True, slots=True)
class Name:
    """A table's name: `table` is in schema public."""

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str) -> "Name":
        """Read `table` or `schema.table`.

        Raises:
            UserError: it is neither. Exit code 2.
        """
        schema, _, table = text.rpartition(".")
        if not table or "." in schema or schema == "hikyaku" or max(len(schema), len(table)) > LONGEST_NAME:
            raise UserError(f"--into {text}: not TABLE or SCHEMA.TABLE", hint="Example: --into orders_rebuilt", exit_code=2)
        return cls(schema or "public", table)

    @property
    def identifier(self) -> sql.Identifier:
        """Qualified and quoted."""
        return sql.Identifier(self.schema, self.table)

    def quoted(self, connection: Connection) -> str:
        """As `to_regclass` wants it."""
        return self.identifier.as_string(connection)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


def make(connection: Connection, into: Name, like: Name, *, replace: bool) -> None:
    """Create the empty table, with all that `LIKE … INCLUDING ALL` copies: no foreign keys, triggers or privileges.

    Args:
        connection: in autocommit.
        into: its name.
        like: the live one.
        replace: drop one that an earlier rebuild made.

    Raises:
        UserError: there is such a table already, or no live one.
    """
    if not _look(connection, like)["exists"]:
        raise UserError(
            f"the dataset's table {like} does not exist", hint="Make it, empty, as the files need it: the new one is made like it."
        )
    found = _look(connection, into)
    if found["exists"] and not (replace and (found["comment"] or "").startswith(MARK)):
        hint = "Name another, or let --replace drop one that a rebuild made. A table that is anything else is never touched."
        raise UserError(f"there is a table {into} already", hint=hint, exit_code=2)
    with connection.transaction():
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(into.identifier))
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(into.identifier, like.identifier))
        comment(connection, into, "under way, or cut short")


def comment(connection: Connection, into: Name, text: str) -> None:
    """Say what the table is, in the catalog."""
    connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(into.identifier, f"{MARK}: {text}"))


def compare(connection: Connection, into: Name, live: Name) -> Difference:
    """Count what differs. Values are compared as text: not every type can be compared, json for one."""
    names = [row["name"] for row in connection.execute(COLUMNS, [live.quoted(connection)])]
    columns = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in names)
    each = [sql.SQL("SELECT {} FROM {}").format(columns, name.identifier) for name in (into, live)]
    counts = [
        connection.execute(sql.SQL("SELECT count(*) AS n FROM ({} EXCEPT ALL {}) AS d").format(one, other)).fetchone()
        for one, other in (each, each[::-1])
    ]
    rows = connection.execute(sql.SQL("SELECT count(*) AS n FROM {}").format(into.identifier)).fetchone()
    only_rebuilt, only_live, total = ((row or {"n": 0})["n"] for row in (*counts, rows))
    return Difference(only_rebuilt, only_live, total)


def _look(connection: Connection, name: Name) -> dict[str, Any]:
    found = connection.execute(LOOK, {"name": name.quoted(connection)}).fetchone()
    assert found is not None, "a SELECT without FROM has a row"  # noqa: S101 - for the type checker
    return found
