"""What the catalog tells of a table beyond what the loader looks at for every file."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from loader.relation import GRANTS, Relation
from shared.datasets import Dataset

QUERY = resources.files("loader").joinpath("sql", "check.sql").read_bytes()
SOFT_INPUT_FROM = 160000
"""pg_input_is_valid came with PostgreSQL 16."""

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """See check.sql."""

    unlogged: bool
    is_partition: bool
    lacks_partitions: bool
    has_children: bool
    before_triggers: list[str]
    other_triggers: list[str]
    """INSTEAD of an insert: a file would count as loaded whose rows are not in the table (measured)."""
    other_rules: list[str]
    """On inserts and updates: they forbid an upsert."""
    delete_rules: list[str]
    row_security: bool
    policies: list[str]
    exclusions: list[str]
    deferrables: list[str]
    referred_by: Mapping[str, str]
    """What a delete does to the rows of other tables that refer here (pg_constraint.confdeltype), by table."""
    refused: list[str]
    """Privileges on the table that the role needs and lacks."""
    may_use_schema: bool
    may_stage: bool
    refused_sequences: list[str]
    types: Mapping[str, Mapping[str, str]]
    """By column: `made` (generated, identity, default or empty), `base` (a domain's base type), `category` (pg_type.typcategory)."""


def look(connection: Connection, relation: Relation, dataset: Dataset) -> Facts:
    """Ask the catalog."""
    needed = {*GRANTS[dataset.mode].split(", "), *(["DELETE"] if dataset.delete_when else [])}
    parameters = {"oid": relation.oid, "role": relation.role, "needed": sorted(needed)}
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(QUERY, parameters).fetchone()
    assert found is not None, "the table was there a moment ago"  # noqa: S101 - for the type checker
    return Facts(**found)


def has_order(connection: Connection, type_name: str) -> bool:
    """Whether values of a type (as format_type tells it) can be told greater and smaller."""
    typed = sql.SQL("NULL::{0}").format(sql.SQL(type_name))
    return _works(connection, sql.SQL("SELECT {0} > {0}").format(typed))


def has_input_check(connection: Connection, type_name: str) -> bool:
    """Whether PostgreSQL can tell of a text that it is no value of the type, without ending the transaction (PostgreSQL 16, 9.26)."""
    if connection.info.server_version < SOFT_INPUT_FROM:
        return False
    return _works(connection, sql.SQL("SELECT pg_input_is_valid({}, {})").format(sql.Literal("?"), sql.Literal(type_name)))


def takes(connection: Connection, setting: str, value: str) -> bool:
    """Whether a setting may have a value."""
    return _works(connection, sql.SQL("SELECT set_config({}, {}, true)").format(sql.Literal(setting), sql.Literal(value)))


def _works(connection: Connection, statement: sql.Composed) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.OperationalError:
        raise
    except psycopg.Error:
        return False
    return True
